"""From image and command to what is executed."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

import pytest

from hfexecutor.local import Launch, Mount, commands, images, uv
from hfexecutor.local.errors import CannotStartError
from hfexecutor.local.interpreters import THIS, Interpreter, fits

HERE = f"3.{sys.version_info.minor}"
OTHER = f"3.{sys.version_info.minor - 1}"
UV_IMAGE = f"ghcr.io/astral-sh/uv:python{HERE}-bookworm"
HOME = commands.Home("/of/job")
PYTHON = "/of/job/python/bin"


def launch(*command, image=UV_IMAGE, **options):
    fields = {
        "job_id": "j1",
        "attempt": 1,
        "image": image,
        "command": command,
        "arguments": (),
        "environment": {},
        "secrets": {},
        "labels": {},
        "flavor": "cpu-upgrade",
    }
    return Launch(**(fields | options))


def plan(*command, image=UV_IMAGE, interpreter=THIS, shared_python=None, variables=(), **options):
    tools = commands.Tools(images.look_up(image), interpreter, "/uv/bin", shared_python, variables)
    return commands.plan(launch(*command, image=image, **options), HOME, tools)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["uv", "run", "python", "-c", "1"], uv.UvRun((), None, ("python", "-c", "1"))),
        (
            ["uv", "run", "--with", "a>1", "--with=b", "--python", "3.9", "x", "--with", "c"],
            uv.UvRun(("a>1", "b"), "3.9", ("x", "--with", "c")),
        ),
        (["uv", "run", "-p", "3.9", "--", "x"], uv.UvRun((), "3.9", ("x",))),
        (["uv", "run", "--with-requirements", "r.txt", "x"], None),
        (["uv", "run", "https://example.org/x.py"], None),
        (["uv", "run", "--with"], None),
        (["uv", "run"], None),
        (["uv", "pip", "install", "x"], None),
    ],
)
def test_command_lines_of_uv(command, expected):
    assert uv.parse(command) == expected


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (["--with", "/a/b", "python"], "/a/b"),
        (["--with=./b.whl", "python"], "./b.whl"),
        (["--with", "six", "--with", "b @ file:///b", "python"], "b @ file:///b"),
        (["--python", "3.12", "--with-editable", "~/b", "python"], "~/b"),
        (["--with", "six", "python", "--with", "/a/b"], None),
        (["--with", "b @ https://example.org/b.whl", "python"], None),
        (["--with", "git+https://example.org/b", "python"], None),
    ],
)
def test_requirements_that_are_paths(words, path):
    assert uv.path_requirement(["uv", "run", *words]) == path
    assert uv.path_requirement(["uv", "pip", "install", *words]) is None


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("ghcr.io/astral-sh/uv:python3.12-bookworm", images.Image("3.12", uv=True)),
        ("ghcr.io/astral-sh/uv:0.9.1-python3.12-alpine", images.Image("3.12", uv=True)),
        ("python:3.13-slim", images.Image("3.13", uv=False)),
        ("python:3.13.1-slim@sha256:ab", images.Image("3.13", uv=False)),
        ("docker.io/library/python:3", images.Image("3", uv=False)),
        ("python", images.Image("", uv=False)),
        ("python:slim", images.Image("", uv=False)),
        ("ubuntu:24.04", images.Image(None, uv=False)),
        ("mypython:3.1", images.Image("", uv=True, known=False)),
        ("me/python:3.1", images.Image("", uv=True, known=False)),
        ("pytorch/pytorch:2.6.0-cuda12.4", images.Image("", uv=True, known=False)),
        ("", images.Image("", uv=True, known=False)),
    ],
)
def test_what_is_in_an_image(name, image):
    assert images.look_up(name) == image


@pytest.mark.parametrize(
    ("version", "ours"), [("", True), ("3", True), (HERE, True), (OTHER, False), ("x", False)]
)
def test_which_python_this_is(version, ours):
    assert fits(version) == ours


def test_uv_that_installs_nothing_is_not_started():
    assert plan("uv", "run", "python", "-c", "1").argv == (f"{PYTHON}/python", "-c", "1")
    assert plan("uv", "run", "--python", HERE, "python3", image="any").argv == (
        f"{PYTHON}/python3",
    )
    assert plan("python", "x", image=f"python:{HERE}").argv == (f"{PYTHON}/python", "x")
    assert plan(f"python{HERE}").argv == (f"{PYTHON}/python{HERE}",)


def test_uv_that_installs_gets_a_python_that_it_knows():
    command = ["uv", "run", "--with", "six", "python", "-c", "1"]
    found = plan(*command, shared_python=Path("/shared/python"))
    start = ("/uv/bin/uv", "run", "--no-project", "--python", "/shared/python", "--with", "six")
    assert found.argv == (*start, "--", "python", "-c", "1")


def test_a_script_without_a_header_is_run_as_a_command_is():
    """And with one as it is: uv reads it, and may be asked for more than is on the command line."""
    command = ["uv", "run", "-p", HERE, "--with", "six", "x y.py", "1"]
    found = plan(*command)
    options = f"run --no-project --python {PYTHON}/python --with six"
    script = (
        f"grep -qs '^# /// script' 'x y.py' && exec /uv/bin/uv {options} 'x y.py' 1; "
        f"exec /uv/bin/uv {options} -- python 'x y.py' 1"
    )
    assert found.argv == ("/bin/sh", "-c", script)
    del command[2:4]
    assert "&& exec /uv/bin/uv run --with six 'x y.py' 1; exec" in plan(*command).argv[2]


def test_a_script_says_itself_what_it_needs():
    script = "grep -qs '^# /// script' x.py && exec /uv/bin/uv run x.py 1; "
    script += f"exec {PYTHON}/python x.py 1"
    assert plan("uv", "run", "x.py", "1").argv == ("/bin/sh", "-c", script)
    assert plan("uv", "run", "--script", "x").argv == ("/uv/bin/uv", "run", "--script", "x")
    assert plan("uv", "pip", "list").argv == ("/uv/bin/uv", "pip", "list")


def test_which_python_is_wanted():
    def wanted(*command, image):
        return commands.python_wanted(command, images.look_up(image))

    assert wanted("uv", "run", "-p", OTHER, "python", image=UV_IMAGE) == OTHER
    assert wanted("uv", "run", "python", image=UV_IMAGE) == HERE
    assert wanted("uv", "run", "-p", OTHER, "python", image=f"python:{HERE}") == HERE  # has no uv
    assert wanted("echo", image=f"python:{OTHER}") == OTHER
    assert wanted("echo", image="ubuntu") is None
    other = Interpreter(Path("/x/bin/python9"), OTHER)
    assert plan(f"python{OTHER}", interpreter=other).argv == (f"{PYTHON}/python{OTHER}",)


def test_what_only_uv_is_to_know_does_not_reach_the_job():
    found = plan("uv", "run", "--with", "six", "python", variables=("HTTP_PROXY", "MINE"))
    words = list(found.argv)
    assert words[words.index("--") + 1 :] == [
        *("env", "-u", "HTTP_PROXY", "-u", "MINE", "python"),
    ]
    found = plan(
        *("uv", "run", "--with", "six", "python"), variables=("MINE",), secrets={"MINE": "job's"}
    )
    assert "-u" not in found.argv
    assert found.env["MINE"] == "job's"


def settings(tmp_path, **environ):
    return uv.Settings.of({"HOME": str(tmp_path), "PATH": "/bin", **environ})


def test_settings_of_pip_are_understood(tmp_path):
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text(
        "[global]\nextra-index-url = https://a\n  https://b\nfind-links = /x /y\ncert = /c\n"
    )
    found = settings(tmp_path, PIP_INDEX_URL="https://i")
    assert tomllib.loads(found.file) == {
        "cache-dir": f"{tmp_path}/.cache/uv",
        "find-links": ["/x", "/y"],
        "index-strategy": "unsafe-best-match",
        "index": [
            {"url": "https://a"},
            {"url": "https://b"},
            {"url": "https://i", "default": True},
        ],
    }
    assert found.variables["SSL_CERT_FILE"] == "/c"
    assert "PATH" not in found.variables


def test_settings_of_uv_are_a_file_in_the_home_of_a_job(tmp_path):
    found = settings(
        tmp_path,
        UV_INDEX="inner=https://user:pass@example.org/a?b=c https://d",
        UV_DEFAULT_INDEX='https://"quoted"',
        UV_CACHE_DIR="/cache",
        UV_INDEX_INNER_PASSWORD="hunter2",
        UV_PYTHON="3.9",
        UV_PROJECT="/mine",
        https_proxy="http://proxy",
        UNRELATED="1",
    )
    assert tomllib.loads(found.file) == {
        "cache-dir": "/cache",
        "index": [
            {"name": "inner", "url": "https://user:pass@example.org/a?b=c"},
            {"url": "https://d"},
            {"url": 'https://"quoted"', "default": True},
        ],
    }
    of_this_machine = {"SSL_CERT_FILE"}  # /etc/pip.conf may name one
    assert set(found.variables) - of_this_machine == {
        *("UV_INDEX_INNER_PASSWORD", "https_proxy", "UV_PYTHON_INSTALL_DIR"),
    }
    assert "pass" not in repr(found)
    assert "export UV_INDEX_INNER_PASSWORD=hunter2\n" in found.wrapper("/store")
    assert found.wrapper("/store").endswith('/uv "$@"\n')


def test_uv_may_be_installed_in_another_environment_that_this_one_uses(tmp_path, monkeypatch):
    """In the one that it was made from, with --system-site-packages; or in that of the user."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "")
    assert Path(uv.executable()).name == "uv"
    assert Path(uv.executable()).is_file()


@pytest.mark.parametrize("by", ["home", "variable"])
def test_a_configuration_of_ones_own_is_used_as_it_is(tmp_path, by):
    path = tmp_path / (".config/uv/uv.toml" if by == "home" else "mine.toml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("offline = true\n")
    more = {"UV_CONFIG_FILE": str(path)} if by == "variable" else {}
    found = settings(tmp_path, UV_DEFAULT_INDEX="https://i", **more)
    assert found.file == "offline = true\n"
    assert found.variables["UV_DEFAULT_INDEX"] == "https://i"
    assert "UV_CONFIG_FILE" not in found.variables


def test_environment_of_a_job(monkeypatch):
    monkeypatch.setenv("PATH", f"/of/person:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", "/of/person")
    found = plan("true", environment={"AB": "1", "MEMORY": "mine"}, secrets={"B": "2"}).env
    assert set(found) == {
        *("PATH", "HOME", "TMPDIR", "LANG", "JOB_ID", "CPU_CORES", "MEMORY", "ACCELERATOR"),
        *("AB", "B"),
    }
    assert (found["CPU_CORES"], found["MEMORY"], found["ACCELERATOR"]) == ("8", "mine", "none")
    assert found["PATH"] == f"{PYTHON}:/uv/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert plan("true", image="ubuntu", interpreter=None).env["PATH"].startswith("/usr/sbin:")
    assert plan("true", flavor="t4-small").env["ACCELERATOR"] == "t4-small"


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        (["no-such-program"], {}, 'exec: "no-such-program": executable file not found in'),
        (["uv", "run", "python"], {"image": "python:3"}, 'exec: "uv": executable file not found'),
        (["uv"], {"image": "ubuntu"}, 'exec: "uv": executable file not found'),
        (["python"], {"image": "ubuntu", "interpreter": None}, 'exec: "python": executable'),
        (["python3"], {"environment": {"PATH": "/usr/bin"}}, 'exec: "python3": executable'),
        ([], {}, "entrypoint"),
        (["true"], {"mounts": (Mount("/x", "/of", read_only=True),)}, "mount the volume"),
        (["true"], {"ssh": True}, "SSH"),
    ],
)
def test_what_cannot_start(command, options, words):
    with pytest.raises(CannotStartError, match=words):
        plan(*command, **options)


def test_secrets_stay_out_of_reprs():
    assert "hunter2" not in repr(launch("x", secrets={"P": "hunter2"}))
    assert "hunter2" not in repr(plan("true", secrets={"P": "hunter2"}))
