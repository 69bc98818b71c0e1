"""From image and command to what is executed."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from hfexecutor.local import Launch, commands, uv
from hfexecutor.local.errors import CannotStartError

HERE = f"3.{sys.version_info.minor}"
OTHER = f"3.{sys.version_info.minor - 1}"
UV_IMAGE = f"ghcr.io/astral-sh/uv:python{HERE}-bookworm"


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


def plan(*command, pythons=None, **options):
    return commands.plan(launch(*command, **options), "/home/of/job", pythons or {})


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
    ("image", "version"),
    [
        ("ghcr.io/astral-sh/uv:python3.12-bookworm", "3.12"),
        ("python:3.13-slim", "3.13"),
        ("docker.io/library/python:3", "3"),
        ("ubuntu", None),
        ("mypython:3.1", None),
        ("pytorch/pytorch:2.6.0-cuda12.4", None),
    ],
)
def test_the_python_of_an_image(image, version):
    assert commands.image_python(image) == version


def test_uv_with_this_python_needs_no_uv():
    assert plan("uv", "run", "python", "-c", "1").argv == (sys.executable, "-c", "1")
    assert plan("uv", "run", "--python", HERE, "python3", image="any").argv == (sys.executable,)
    assert plan("python", "x", image=f"python:{HERE}").argv == (sys.executable, "x")


def test_another_python_is_asked_for():
    for command in (["uv", "run", "-p", OTHER, "python"], ["uv", "run", "-p", OTHER, "x"]):
        with pytest.raises(commands.PythonWantedError, match=OTHER):
            plan(*command)
    argv = plan("python", "x", image=f"python:{OTHER}", pythons={OTHER: "/the/other"}).argv
    assert argv == ("/the/other", "x")


def test_settings_of_uv_do_not_reach_the_job(monkeypatch):
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://user:password@example.org")
    monkeypatch.setenv("UNRELATED", "1")
    found = plan("uv", "run", "--with", "six", "python", "-c", "1")
    assert found.env["UV_DEFAULT_INDEX"] == "https://user:password@example.org"
    words = list(found.argv)
    assert words[words.index("UV_DEFAULT_INDEX") - 1] == "-u"
    assert "UNRELATED" not in found.env
    assert "password" not in repr(found)
    assert "UV_DEFAULT_INDEX" not in plan("uv", "run", "python").env


def test_settings_of_pip_are_understood(tmp_path):
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text(
        "[global]\nextra-index-url = https://a\n  https://b\nfind-links = /x /y\n"
    )
    environ = {"HOME": str(tmp_path), "PIP_INDEX_URL": "https://i", "PATH": "/bin"}
    found = uv.settings(environ)
    assert found["UV_DEFAULT_INDEX"] == "https://i"
    assert found["UV_INDEX"] == "https://a https://b"
    assert found["UV_FIND_LINKS"] == "/x,/y"
    assert found["UV_CACHE_DIR"] == f"{tmp_path}/.cache/uv"
    assert "PATH" not in found


def test_environment_of_a_job():
    env = commands.environment(
        launch("x", environment={"A": "1", "MEMORY": "mine"}, secrets={"B": "2"}), "/h"
    )
    assert set(env) == {
        *("PATH", "HOME", "TMPDIR", "LANG", "JOB_ID", "CPU_CORES", "MEMORY", "ACCELERATOR"),
        *("A", "B"),
    }
    assert (env["CPU_CORES"], env["MEMORY"], env["ACCELERATOR"]) == ("8", "mine", "none")
    assert env["HOME"] == "/h"
    gpu = commands.environment(launch("x", flavor="t4-small"), "/h")
    assert gpu["ACCELERATOR"] == "t4-small"


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        (["no-such-program"], {}, "not found"),
        ([], {}, "entrypoint"),
        (["true"], {"volumes": ({"type": "bucket"},)}, "volumes"),
        (["true"], {"ssh": True}, "SSH"),
    ],
)
def test_what_cannot_start(command, options, words):
    with pytest.raises(CannotStartError, match=words):
        plan(*command, **options)


def test_a_python_that_is_not_to_be_had(monkeypatch):
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    with pytest.raises(CannotStartError, match=r"image pull failed: Python 3\.2 "):
        asyncio.run(uv.provide_python("3.2"))


def test_secrets_stay_out_of_reprs():
    assert "hunter2" not in repr(launch("x", secrets={"P": "hunter2"}))
    assert os.environ.get("PATH", "") in plan("true", secrets={"P": "hunter2"}).env["PATH"]
    assert "hunter2" not in repr(plan("true", secrets={"P": "hunter2"}))
