"""Pythons that see the standard library, what was installed for them, and nothing else.

To a job, `python` is what it is in a container: an interpreter of its own into which it may install
what it likes, and not a virtual environment. Here it is a symbolic link to an interpreter of this
machine with a `pyvenv.cfg` beside it, which takes the packages of that interpreter, and those of
its user, out of sight. One line in its site-packages makes it say that it is no virtual
environment: by that uv, for one, decides what it may install where, and with which words it
refuses.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from . import uv
from .ready_environment import SHARED

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERSION = re.compile(r"(\d+)(?:\.(\d+))?(?:\.\d+)?")
_NO_ENVIRONMENT = (
    "import sys; sys.base_prefix, sys.base_exec_prefix = sys.prefix, sys.exec_prefix\n"
)


class Layout(NamedTuple):
    """What is to be made on the disk, in this order: directories, links (target, path), files."""

    directories: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...]

    def make(self) -> None:
        """Make it."""
        for directory in self.directories:
            Path(directory).mkdir(parents=True)
        for target, path in self.links:
            Path(path).symlink_to(target)
        for path, text in self.files:
            Path(path).write_text(text, encoding="utf-8")


class Interpreter(NamedTuple):
    """An interpreter of this machine: not a link to one, and not a virtual environment's.

    Attributes:
        path: of the executable.
        version: like "3.11".
    """

    path: Path
    version: str

    @property
    def names(self) -> tuple[str, ...]:
        """What it is called on PATH."""
        return ("python", "python3", f"python{self.version}")

    def layout(self, root: str, shared: Path | None = None) -> Layout:
        """Return what makes it a container's Python, below a directory that does not exist.

        `shared` is the one that all jobs share, if there is one.
        """
        name = f"python{self.version}"
        packages = f"{root}/lib/{name}/site-packages"
        config = f"home = {self.path.parent}\ninclude-system-site-packages = false\n"
        return Layout(
            (root, f"{root}/bin", f"{root}/lib", f"{root}/lib/{name}", packages),
            (
                *((str(self.path), f"{root}/bin/{one}") for one in self.names),
                (str(self.path.parent.parent / "include"), f"{root}/include"),
                *([(str(shared.parents[1]), f"{root}/{SHARED}")] if shared else []),
            ),
            ((f"{root}/pyvenv.cfg", config), (f"{packages}/_image.pth", _NO_ENVIRONMENT)),
        )


def _this() -> Interpreter:
    path = getattr(sys, "_base_executable", None) or sys.executable
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Interpreter(Path(path).resolve(), version)


THIS = _this()


def fits(version: str) -> bool:
    """Say whether this interpreter is of that version (the patch release does not matter)."""
    if not version:
        return True
    match = _VERSION.fullmatch(version)
    if not match:
        return False
    major, minor = match.groups()
    return int(major) == sys.version_info.major and minor in (None, str(sys.version_info.minor))


class Interpreters:
    """Finds interpreters of this machine by version, and asks for each only once at a time."""

    def __init__(self) -> None:
        self._found: dict[str, Interpreter] = {}
        self._searches: dict[str, asyncio.Task[Interpreter | None]] = {}
        self._waiting: Counter[str] = Counter()

    async def find(self, version: str) -> Interpreter | None:
        """Return an interpreter of that version, or None if this machine has none.

        None is fetched from elsewhere: it would take long, and leave the machine.
        """
        if fits(version):
            return THIS
        if version not in self._found:
            found = await self._wait_for(version)
            if found is None:
                return None
            self._found[version] = found
        return self._found[version]

    async def _wait_for(self, version: str) -> Interpreter | None:
        search = self._searches.get(version)
        if search is None:
            search = self._searches[version] = asyncio.ensure_future(_search(version))
            search.add_done_callback(lambda _: self._searches.pop(version))
        self._waiting[version] += 1
        try:
            # Who no longer wants to wait must not end the search for the others; the last one does.
            return await asyncio.shield(search)
        finally:
            self._waiting[version] -= 1
            if not self._waiting[version] and not search.done():
                search.cancel()
                await asyncio.wait({search})


async def _search(version: str) -> Interpreter | None:
    match = _VERSION.fullmatch(version)
    if not match or match[2] is None:
        return None
    short = f"{match[1]}.{match[2]}"
    path = _pyenv_python(short, os.environ) or await uv.find_python(version)
    return Interpreter(path.resolve(), short) if path else None


def _pyenv_python(version: str, environ: Mapping[str, str]) -> Path | None:
    """Return a Python of pyenv's: what it puts on PATH works for chosen versions only."""
    root = environ.get("PYENV_ROOT", os.path.join(environ.get("HOME", "/"), ".pyenv"))  # noqa: PTH118
    found = Path(root, "versions").glob(f"{version}.*/bin/python{version}")
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def cache(environ: Mapping[str, str]) -> Path:
    """Return the directory for what all jobs of this machine share."""
    return Path(environ.get("XDG_CACHE_HOME") or f"{environ.get('HOME', '/')}/.cache", "hfexecutor")


def shared(interpreter: Interpreter, environ: Mapping[str, str]) -> Path | None:
    """Return a container's Python that all jobs of this machine share; None: there can be none.

    uv gets it as a base of what it installs for `uv run --with`: what it has resolved and installed
    once for an interpreter it finds again only for the same one. Nothing is ever installed into it.
    """
    known_by = sha256(f"{interpreter.path}\n{interpreter.path.stat().st_mtime_ns}".encode())
    root = cache(environ) / f"python{interpreter.version}-{known_by.hexdigest()[:16]}"
    if not (root / "pyvenv.cfg").exists():
        try:
            _make_at_once(root, interpreter)
        except OSError:
            return None
    return root / "bin" / interpreter.names[-1]


def _make_at_once(root: Path, interpreter: Interpreter) -> None:
    """Make it elsewhere and rename it: another hub may be doing the same."""
    root.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=root.parent))
    try:
        interpreter.layout(str(draft / "python")).make()
        with contextlib.suppress(OSError):  # there is one by now
            (draft / "python").rename(root)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
