"""What a LocalHub knows of uv: its command line, its settings, and the Pythons it can provide."""

from __future__ import annotations

import asyncio
import configparser
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CannotStartError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_INSTALL_SECONDS = 600
_PASSED_ON = re.compile(
    r"UV_.*|(?:https?|no|all)_proxy|SSL_CERT_(?:FILE|DIR)|XDG_(?:CACHE|CONFIG|DATA)_HOME",
    re.IGNORECASE,
)
# pip's settings and those of uv that mean the same.
_FROM_PIP = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
}


@dataclass(frozen=True, slots=True)
class UvRun:
    """A command line of `uv run`, as far as it is understood here."""

    dependencies: tuple[str, ...]
    python: str | None
    command: tuple[str, ...]


def parse(command: Sequence[str]) -> UvRun | None:
    """Take `uv run …` apart; None: it holds something that only uv understands."""
    if list(command[:2]) != ["uv", "run"]:
        return None
    rest = list(command[2:])
    dependencies: list[str] = []
    python = None
    while rest and rest[0].startswith("-"):
        option, _, value = rest.pop(0).partition("=")
        if option == "--":
            break
        if option in ("--no-project", "--quiet", "-q"):
            continue
        if option not in ("--with", "--python", "-p") or not (value or rest):
            return None
        value = value or rest.pop(0)
        if option == "--with":
            dependencies.append(value)
        else:
            python = value
    if not rest or rest[0].startswith(("http://", "https://", "-")):
        return None
    return UvRun(tuple(dependencies), python, tuple(rest))


def executable() -> str:
    """Return the path of uv: the one installed beside this Python, or the one on PATH.

    Raises:
        CannotStartError: there is none.
    """
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise CannotStartError("uv is not installed here: pip install uv")
    return found


def settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings for uv that the person who runs the hub has made, for uv or for pip.

    They name package indexes and may hold passwords: they are for uv, and taken away again from
    what it runs. Only what uv starts itself has them: a script, of which uv alone knows what it
    needs, and the command of a command line that `parse` does not understand.
    """
    home = Path(environ.get("HOME", "/"))
    found = _from_pip(environ, home)
    found |= {name: value for name, value in environ.items() if _PASSED_ON.fullmatch(name)}
    # A job has a home of its own. What uv fetches is shared, or each job would fetch it anew.
    cache = environ.get("XDG_CACHE_HOME", f"{home}/.cache")
    data = environ.get("XDG_DATA_HOME", f"{home}/.local/share")
    config = Path(environ.get("XDG_CONFIG_HOME", f"{home}/.config")) / "uv" / "uv.toml"
    found.setdefault("UV_CACHE_DIR", f"{cache}/uv")
    found.setdefault("UV_PYTHON_INSTALL_DIR", f"{data}/uv/python")
    if config.is_file():
        found.setdefault("UV_CONFIG_FILE", str(config))
    return found


def _from_pip(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    config = configparser.RawConfigParser(strict=False)
    files = ["/etc/pip.conf", f"{home}/.pip/pip.conf", f"{home}/.config/pip/pip.conf"]
    try:
        config.read([*files, environ.get("PIP_CONFIG_FILE", os.devnull)])
    except (configparser.Error, UnicodeDecodeError):
        config.clear()
    found = {}
    for name, meaning in _FROM_PIP.items():
        value = config.get("global", name, fallback="")
        value = environ.get(f"PIP_{name.upper().replace('-', '_')}", value)
        if value.strip():
            found[meaning] = " ".join(value.split())
    if "UV_FIND_LINKS" in found:
        found["UV_FIND_LINKS"] = found["UV_FIND_LINKS"].replace(" ", ",")
    return found


async def provide_python(version: str) -> str:
    """Return another interpreter: one that is here, or one that uv may fetch.

    Whether it may is uv's own setting (`UV_PYTHON_DOWNLOADS`). Who no longer wants to wait for that
    cancels this.

    Raises:
        CannotStartError: there is none of that version to be had.
    """
    found = await _find(version)
    if found:
        return found
    done = await _uv("python", "install", version)
    found = await _find(version) if done.returncode == 0 else None
    if found:
        return found
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    why = next(iter(done.stderr.strip().splitlines()), "uv found nothing")
    raise CannotStartError(
        f"image pull failed: Python {version} is not to be had here ({why}). LocalHub runs jobs on "
        f"its own Python, {here}, or on one that uv provides: ask for an image of Python {here}, "
        f"or run `uv python install {version}`"
    )


async def _find(version: str) -> str | None:
    done = await _uv("python", "find", "--no-project", "--no-python-downloads", version)
    return done.stdout.strip() if done.returncode == 0 else None


async def _uv(*words: str) -> subprocess.CompletedProcess[str]:
    """Run uv to its end; it is killed when the wait is cancelled, or takes too long."""
    argv = [executable(), *words]
    # Files, not pipes: what a killed uv leaves behind may hold a pipe open. And not asyncio's
    # processes: how those are waited for depends on the policy of the user's own loop.
    with (
        tempfile.TemporaryFile("w+", errors="replace") as output,
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        subprocess.Popen(  # noqa: ASYNC220
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=errors
        ) as process,
    ):
        try:
            async with asyncio.timeout(_INSTALL_SECONDS):
                status = await asyncio.to_thread(process.wait)
        except TimeoutError:
            return subprocess.CompletedProcess(argv, 1, "", "timed out")
        finally:
            process.kill()
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(argv, status, output.read(), errors.read())
