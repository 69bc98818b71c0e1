"""Installations in a job, by the real uv from wheels that lie on this disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hfexecutor.remote.event_loop import EventLoop
from hfexecutor.remote.installer import NO_UV, Installation

from ..wheels import make_wheel  # noqa: TID252 - tests are no package


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """Let uv see the wheels of this test and nothing else."""
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    found = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    assert found, "uv is part of the extra that the tests install"
    monkeypatch.setenv("UV", found)
    (tmp_path / "wheels").mkdir()


@pytest.fixture
def wheel(tmp_path):
    def wheel(name: str, version: str, requires: str = "") -> None:
        make_wheel(tmp_path / "wheels", name, version, requires=[requires] * bool(requires))

    return wheel


def install(path, *requirements) -> tuple[int, str]:
    loop = EventLoop()
    installation = Installation(str(path), list(requirements), loop)
    status = None
    while status is None:
        loop.step(loop.clock() + 0.05)
        pid, ended = os.waitpid(installation.pid, os.WNOHANG)
        status = ended if pid else None
    return os.waitstatus_to_exitcode(status), installation.last_words()


def version(path, name: str) -> str:
    code = f"import sys; sys.path.insert(0, {str(path)!r}); import {name}; print({name}.version)"
    return subprocess.check_output([sys.executable, "-I", "-c", code], text=True).strip()


def test_packages_are_installed_with_what_they_require(tmp_path, wheel):
    wheel("upper", "1", requires="lower")
    wheel("lower", "2")

    code, said = install(tmp_path / "env", "upper==1")

    assert code == 0, said
    assert (version(tmp_path / "env", "upper"), version(tmp_path / "env", "lower")) == ("1", "2")


def test_more_can_be_added_to_a_directory(tmp_path, wheel):
    wheel("one", "1")
    wheel("two", "1")
    install(tmp_path / "env", "one==1")

    code, said = install(tmp_path / "env", "one==1", "two==1")

    assert code == 0, said
    assert (version(tmp_path / "env", "one"), version(tmp_path / "env", "two")) == ("1", "1")


def test_a_failure_ends_with_what_uv_says(tmp_path):
    code, said = install(tmp_path / "env", "nobody-has-this==1")

    assert code not in {0, NO_UV}
    assert "nobody-has-this" in said


def test_what_the_image_has_in_the_very_version_is_not_installed(tmp_path):
    code, said = install(tmp_path / "env", f"pytest=={pytest.__version__}")

    assert (code, said) == (0, "")
    assert list((tmp_path / "env").iterdir()) == []


def test_an_image_without_uv_is_said(tmp_path, monkeypatch):
    monkeypatch.delenv("UV")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert install(tmp_path / "env", "one==1") == (NO_UV, "there is no uv in this image")


def test_a_requirement_that_looks_like_an_option_is_none(tmp_path):
    code, said = install(tmp_path / "env", "--index-url=https://host")

    assert code != 0
    assert "--index-url" in said


def test_only_the_end_of_much_is_told(tmp_path, monkeypatch):
    (tmp_path / "uv").write_text(
        "#!/bin/sh\ni=0\nwhile [ $i -lt 5000 ]\ndo i=$((i+1)); echo line $i\ndone\nexit 3\n"
    )
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setenv("UV", str(tmp_path / "uv"))

    code, said = install(tmp_path / "env", "one==1")

    assert code == 3
    assert said.splitlines() == [f"line {i}" for i in range(4981, 5001)]


def test_it_can_be_ended(tmp_path, monkeypatch):
    (tmp_path / "uv").write_text("#!/bin/sh\nsleep 1000\n")
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setenv("UV", str(tmp_path / "uv"))
    installation = Installation(str(tmp_path / "env"), ["one==1"], EventLoop())
    installation.kill()

    assert os.waitstatus_to_exitcode(os.waitpid(installation.pid, 0)[1]) == -9
    assert installation.last_words() == ""
