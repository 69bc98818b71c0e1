"""The header of a script, as Hugging Face's command line reads it."""

from __future__ import annotations

from textwrap import dedent

import pytest

from hfexecutor.payload.script_header import ScriptHeader, main_header, read_header

FULL = """\
#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy>=2", "hfexecutor[local]", "cloudpickle", "cloudpickle-generators"]
#
# [tool.hf-jobs]
# flavor = "a10g-small"
# image = "org/image:1"
# python = "3.11"
# timeout = "30m"
# name = "nightly"
# namespace = "org"
# env = { A = "1" }
# labels = { team = "x" }
# secrets = ["HF_TOKEN"]
# volumes = ["hf://datasets/org/ds:/data:ro"]
# ///
print("hello")
"""


def header(table: str) -> str:
    lines = dedent(table).strip().splitlines()
    return "".join(f"# {line}\n" for line in ("/// script", *lines, "///"))


def test_everything_in_it_is_read():
    assert read_header(FULL) == ScriptHeader(
        dependencies=("numpy>=2", "cloudpickle-generators"),
        image="org/image:1",
        flavor="a10g-small",
        python="3.11",
        namespace="org",
        timeout="30m",
        env={"A": "1"},
        labels={"team": "x", "name": "nightly"},
        secrets=("HF_TOKEN",),
        volumes=("hf://datasets/org/ds:/data:ro",),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "print(1)",
        "# /// other\n# a = 1\n# ///\n",
        "# /// script\n# a = 1\n",
        "'''\n/// script\n///\n'''",
    ],
)
def test_a_script_without_one_has_none(text):
    assert read_header(text) is None


def test_one_without_dependencies_says_nothing_of_them():
    assert read_header("# /// script\n# requires-python = '>=3.11'\n# ///\n").dependencies is None
    assert read_header("# /// script\n# dependencies = []\n# ///\n").dependencies == ()


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_of_other_systems_do_no_harm(end):
    assert read_header(FULL.replace("\n", end)) == read_header(FULL)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("[tool.hf-jobs]\nflavour = 'x'", "flavour, and may have"),
        ("[tool.hf-jobs]\nflavor = 3", "flavor"),
        ("[tool.hf-jobs]\ntimeout = true", "timeout"),
        ("[tool.hf-jobs]\nenv = { A = 1 }", "env"),
        ("[tool.hf-jobs]\nsecrets = { A = 'x' }", "no place for secret values"),
        ("[tool.hf-jobs]\nvolumes = 'x'", "volumes"),
        ("[tool]\nhf-jobs = 3", "must be a table"),
        ("dependencies = 'numpy'", "dependencies"),
        ("dependencies = [", "no TOML"),
    ],
)
def test_a_mistake_in_it_is_named(table, words):
    with pytest.raises((ValueError, TypeError), match=words):
        read_header(header(table))


def test_two_headers_are_a_mistake():
    with pytest.raises(ValueError, match="more than one"):
        read_header(header("dependencies = []") + "\n" + header("dependencies = ['a']"))


def test_hugging_faces_command_line_reads_the_same():
    theirs = pytest.importorskip("huggingface_hub.cli._uv_script_header")
    ours, known = read_header(FULL), theirs.parse_uv_script_header(FULL)

    for name in ("image", "flavor", "python", "namespace", "timeout", "env"):
        assert getattr(ours, name) == getattr(known, name)
    assert list(ours.secrets) == known.secrets
    assert list(ours.volumes) == known.volumes
    assert ours.labels == {**known.labels, "name": known.name}


def test_every_key_that_the_command_line_knows_is_known():
    theirs = pytest.importorskip("huggingface_hub.cli._uv_script_header")
    for key in theirs.VALID_KEYS:
        kind = theirs.UvScriptHeader.__dataclass_fields__[key].type
        value = "{}" if "dict" in str(kind) else "[]" if "list" in str(kind) else "'1'"
        read_header(header(f"[tool.hf-jobs]\n{key} = {value}"))


def test_a_session_without_a_script_has_none(monkeypatch):
    monkeypatch.delattr("__main__.__file__", raising=False)

    assert main_header() is None
