"""Installations: a process that runs uv, and what it says if it fails."""

from __future__ import annotations

import os
import sys

from . import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .event_loop import EventLoop

__all__ = ["LAST_LINES", "NO_UV", "Installation"]

LAST_LINES = 20
NO_UV = 127  # exit code: there is no uv in this image
_LONGEST = 8000


class Installation:
    """One process that installs requirements into a directory. Whoever reaps it asks what it said.

    Args:
        path: the directory; made if it is not there.
        requirements: as ``uv pip install`` takes them.
        loop: tells when the process says something.

    Attributes:
        pid: of the process.
    """

    def __init__(self, path: str, requirements: list[str], loop: EventLoop) -> None:
        self._loop = loop
        self._said = b""
        self._output, writer = os.pipe()
        try:
            self.pid = os.fork()
        except OSError:
            os.close(self._output)
            os.close(writer)
            raise
        if not self.pid:
            _install(path, requirements, writer)
        os.close(writer)
        os.set_blocking(self._output, False)
        loop.on_readable(self._output, self._hear)

    def __repr__(self) -> str:
        return f"<Installation {self.pid}>"

    def kill(self) -> None:
        """End it, and all that it has started."""
        try:
            os.killpg(self.pid, signals.SIGKILL)
        except OSError:  # it has ended, or is not yet a group of its own
            os.kill(self.pid, signals.SIGKILL)

    def last_words(self) -> str:
        """Return the end of what it has said, and hear no more. To be called once, at its end."""
        while self._hear():
            pass
        self._loop.forget(self._output)
        os.close(self._output)
        return "\n".join(self._said.decode(errors="replace").splitlines()[-LAST_LINES:])

    def _hear(self) -> bool:
        """Take what is there; say whether there may be more."""
        try:
            data = os.read(self._output, _LONGEST)
        except BlockingIOError:
            return False
        if not data:
            self._loop.on_readable(self._output, None)
        self._said = (self._said + data)[-_LONGEST:]
        return bool(data)


def _install(path: str, requirements: list[str], output: int) -> NoReturn:
    """Become uv, unless the image has all of it."""
    try:
        signals.reset()
        os.setpgid(0, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)  # noqa: PTH103, PTH120
        os.makedirs(path, exist_ok=True)  # noqa: PTH103
        if all(map(_is_here, requirements)):
            os._exit(0)
        uv = _find_uv()
        if uv is None:
            os.write(2, b"there is no uv in this image\n")
            os._exit(NO_UV)
        command = ["uv", "pip", "install", "--no-progress", "--python", sys.executable]
        os.execv(uv, [*command, "--target", path, "--", *requirements])  # noqa: S606 - no shell
    except BaseException as error:  # whatever it is, the supervisor has to hear of it
        os.write(2, f"{type(error).__name__}: {error}\n".encode(errors="replace"))
    os._exit(1)


def _is_here(requirement: str) -> bool:
    """Say whether the image has a distribution in the very version that is asked for."""
    from importlib import metadata  # noqa: PLC0415

    name, pinned, version = requirement.partition("==")
    try:
        return bool(pinned) and metadata.version(name) == version
    except metadata.PackageNotFoundError:
        return False


def _find_uv() -> str | None:
    told = os.environ.get("UV")  # who was started by uv is told where it is
    places = [f"{place}/uv" for place in os.environ.get("PATH", os.defpath).split(os.pathsep)]
    return next((p for p in [told, *places] if p and os.access(p, os.X_OK)), None)
