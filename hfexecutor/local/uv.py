"""What a LocalHub knows of uv: its command line, its settings, and how to run it."""

from __future__ import annotations

import asyncio
import configparser
import contextlib
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from . import ready_environment
from .errors import CannotStartError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FIND_SECONDS = 60
# What says from where packages come and how they are fetched. Other settings are for the projects
# and Pythons of the person's own, and no container has them.
_PASSED_ON = re.compile(
    r"(?:https?|no|all)_proxy|SSL_CERT_(?:FILE|DIR)|"
    r"UV_(?:CACHE_DIR|CONFIG_FILE|CONCURRENT_.*|DEFAULT_INDEX|EXTRA_INDEX_URL|FIND_LINKS|HTTP_.*|"
    r"INDEX|INDEX_.*|INSECURE_HOST|KEYRING_PROVIDER|LINK_MODE|NATIVE_TLS|NO_INDEX|OFFLINE|"
    r"PYTHON_DOWNLOADS|PYTHON_DOWNLOADS_JSON_URL|PYTHON_INSTALL_.*|SYSTEM_CERTS)",
    re.IGNORECASE,
)
_IN_FILE = {
    *("UV_CACHE_DIR", "UV_FIND_LINKS", "UV_INDEX", "UV_EXTRA_INDEX_URL"),
    *("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX_STRATEGY"),
}
_PATH = r"(?i)[/~]|\.{1,2}/|(?:[^@]+@\s*)?file:"
# pip's settings and those of uv that mean the same.
_FROM_PIP = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
}


class UvRun(NamedTuple):
    """A command line of `uv run`, as far as it is understood here."""

    dependencies: tuple[str, ...]
    python: str | None
    command: tuple[str, ...]

    @property
    def is_script(self) -> bool:
        """Whether it runs a file, which may have a header for uv."""
        return self.command[0].endswith(".py")


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


def path_requirement(command: Sequence[str]) -> str | None:
    """Return the first requirement of a `uv run` that is a path, which no container has."""
    if list(command[:2]) != ["uv", "run"]:
        return None
    words = iter(command[2:])
    for word in words:
        if word == "--" or not word.startswith("-"):
            return None
        option, given, value = word.partition("=")
        if option in ("--with", "--with-editable", "--python", "-p"):
            value = value if given else next(words, "")
            if option.startswith("--with") and re.match(_PATH, value):
                return value
    return None


def executable() -> str:
    """Return the path of uv: the one installed beside this Python, or for it, or the one on PATH.

    Raises:
        CannotStartError: there is none.
    """
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else _of_package() or shutil.which("uv")
    if found is None:
        raise CannotStartError("uv is not installed here: pip install uv")
    return found


def _of_package() -> str | None:
    """Return the uv of the package of that name: it need not lie in this very environment."""
    with contextlib.suppress(ImportError, AttributeError, FileNotFoundError):
        return str(importlib.import_module("uv").find_uv_bin())
    return None


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings for uv that the person who runs the hub has made, for uv or for pip.

    They name package indexes and may hold passwords. A job has them as what they are on the machine
    of a person: a file in its home, which uv reads. What has no place in that file is in variables,
    which uv alone gets.

    Attributes:
        file: the text of `uv.toml`.
        variables: of the environment.
    """

    file: str = field(repr=False)
    variables: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Settings:
        """Collect them from an environment and the files that it points to."""
        home = Path(environ.get("HOME", "/"))
        found = {name: value for name, value in environ.items() if _PASSED_ON.fullmatch(name)}
        config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "uv", "uv.toml")
        config = Path(found.pop("UV_CONFIG_FILE", config))
        if not config.is_file():  # who has one has said in it what uv is to use, whatever pip does
            found = _from_pip(environ, home) | found
        # A job has a home of its own. What uv fetches is shared, or each job would fetch it anew.
        found.setdefault("UV_CACHE_DIR", f"{environ.get('XDG_CACHE_HOME') or home / '.cache'}/uv")
        data = environ.get("XDG_DATA_HOME") or home / ".local/share"
        found.setdefault("UV_PYTHON_INSTALL_DIR", f"{data}/uv/python")
        if config.is_file():
            # What its author says there is not ours to mix with the rest.
            return cls(config.read_text(encoding="utf-8"), found)
        return cls(_to_toml(found), {k: v for k, v in found.items() if k not in _IN_FILE})

    def wrapper(self, store: str) -> str:
        """Return a script that is uv with these variables.

        Args:
            store: the directory where jobs share what they install into directories of their own.
        """
        exports = [f"export {name}={shlex.quote(text)}" for name, text in self.variables.items()]
        quicker = [sys.executable, "-I", "-S", ready_environment.__file__, store, executable()]
        lines = [
            *("#!/bin/sh", *exports),
            f'[ "$1 $2" != "pip install" ] || exec {shlex.join(quicker)} "$@"',
            f'exec {shlex.quote(executable())} "$@"',
        ]
        return "\n".join([*lines, ""])


def _to_toml(found: Mapping[str, str]) -> str:
    def quoted(value: str | list[str]) -> str:
        return json.dumps(value, ensure_ascii=False)  # TOML's strings and arrays are JSON's

    lines = [f"cache-dir = {quoted(found['UV_CACHE_DIR'])}"]
    if links := found.get("UV_FIND_LINKS"):
        lines.append(f"find-links = {quoted([one for one in links.split(',') if one])}")
    if strategy := found.get("UV_INDEX_STRATEGY"):
        lines.append(f"index-strategy = {quoted(strategy)}")
    more = f"{found.get('UV_INDEX', '')} {found.get('UV_EXTRA_INDEX_URL', '')}".split()
    for index in more:
        name, named, url = index.partition("=")
        named_index = bool(named) and ":" not in name
        lines += ["[[index]]", f"url = {quoted(url if named_index else index)}"]
        lines += [f"name = {quoted(name)}"] * named_index
    if default := found.get("UV_DEFAULT_INDEX") or found.get("UV_INDEX_URL"):
        lines += ["[[index]]", f"url = {quoted(default)}", "default = true"]
    return "\n".join([*lines, ""])


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
    if "UV_INDEX" in found:
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # to pip all indexes are one
    if "UV_FIND_LINKS" in found:
        found["UV_FIND_LINKS"] = found["UV_FIND_LINKS"].replace(" ", ",")
    return found


async def find_python(version: str) -> Path | None:
    """Return an interpreter that uv finds on this machine. Who no longer wants to wait cancels."""
    words = ("python", "find", "--system", "--no-project", "--no-config", "--no-python-downloads")
    done = await _uv(*words, version)
    return Path(done.stdout.strip()) if done.returncode == 0 else None


async def _uv(*words: str) -> subprocess.CompletedProcess[str]:
    """Run uv to its end; it is killed when the wait is cancelled, or takes too long."""
    argv = [executable(), *words]
    # The shims of pyenv are no interpreters, and uv goes no further where it meets one.
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    path = [one for one in path if Path(one).name != "shims"]
    environ = {**os.environ, "PATH": os.pathsep.join(path)}
    # Files, not pipes: what a killed uv leaves behind may hold a pipe open. And not asyncio's
    # processes: how those are waited for depends on the policy of the user's own loop.
    with (
        tempfile.TemporaryFile("w+", errors="replace") as output,
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        subprocess.Popen(  # noqa: ASYNC220
            argv, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=errors
        ) as process,
    ):
        try:
            async with asyncio.timeout(_FIND_SECONDS):
                status = await asyncio.to_thread(process.wait)
        except TimeoutError:
            return subprocess.CompletedProcess(argv, 1, "", "timed out")
        finally:
            process.kill()
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(argv, status, output.read(), errors.read())
