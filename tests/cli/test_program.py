"""What holds for all verbs: help, version, mistakes, completion; and what importing us loads."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

import hfexecutor
from hfexecutor import cli
from hfexecutor.cli.program import _VERBS, commands


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"hfexecutor {hfexecutor.__version__}\n"


def test_help_names_every_verb(capsys):
    assert cli.main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"\n  {verb} " in told for verb in _VERBS)


def test_without_a_verb_there_is_help_and_a_code_for_it(capsys):
    assert cli.main([]) == 2
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize("verb", _VERBS)
def test_each_verb_has_help(verb, capsys):
    assert cli.main([verb, "--help"]) == 0
    assert f"Usage: hfexecutor {verb}" in capsys.readouterr().out
    assert commands.get_command(None, verb).name == verb


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["cancle"], "cancel"),
        (["hub", "--profile", "other"], "instant"),
        (["hub", "--port", "-1"], "--port"),
        (["replay"], "FILE"),
    ],
)
def test_what_is_typed_wrong_is_said(words, told, capsys):
    assert cli.main(words) == 2
    assert told in capsys.readouterr().err


def test_importing_the_package_loads_no_command_line():
    code = (
        "import sys, hfexecutor; hfexecutor.HubExecutor\n"
        "print(*(name for name in sys.modules if name.startswith('hfexecutor.cli')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("words", "begun", "found"), [([], "ca", "cancel"), (["show"], "--js", "--json")]
)
def test_verbs_and_options_are_completed(words, begun, found):
    complete = ShellComplete(commands, {}, "hfexecutor", "_HFEXECUTOR_COMPLETE")
    assert [one.value for one in complete.get_completions(words, begun)] == [found]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_code_of_that_shell(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    assert f"_HFEXECUTOR_COMPLETE={shell}_complete" in capsys.readouterr().out
