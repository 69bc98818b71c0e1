"""Folders for a while: gone with their owner, or found by the lock that he no longer holds.

A process that is killed leaves its folders behind. Each has a file that its owner keeps locked as
long as he lives; the system lets go of it whatever ends him.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PREFIX", "ScratchFolder", "abandoned", "delete_abandoned"]

PREFIX: Final = "hfexecutor-"
_OWNED: Final = ".owned"  # the file that is locked


class ScratchFolder:
    """A folder for temporary files, which goes with :meth:`cleanup`, or with this object.

    Args:
        purpose: A word of its name, for people who find it.

    Attributes:
        path: Where it is; what a ``with`` block gets.
    """

    def __init__(self, purpose: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-"))
        draft = self.path / f"{_OWNED}.part"
        held = draft.open("wb")
        fcntl.flock(held, fcntl.LOCK_EX)
        draft.rename(self.path / _OWNED)  # nobody ever sees it without its lock
        self._finalizer = weakref.finalize(self, _clean_up, self.path, held, os.getpid())

    def __repr__(self) -> str:
        return f"<ScratchFolder {self.path}>"

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    def cleanup(self) -> None:
        """Delete it."""
        self._finalizer()


def _clean_up(path: Path, held: IO[bytes], pid: int) -> None:
    held.close()
    if os.getpid() == pid:  # a fork has it from its parent, who may need it
        shutil.rmtree(path, ignore_errors=True)


def abandoned() -> list[Path]:
    """Return this user's folders whose owner is no more."""
    found = []
    for entry in os.scandir(tempfile.gettempdir()):
        if entry.name.startswith(PREFIX):
            with contextlib.suppress(OSError), _taken(Path(entry.path)):
                found.append(Path(entry.path))
    return sorted(found)


def delete_abandoned(path: Path) -> bool:
    """Delete a folder, unless somebody has it; say whether it is gone."""
    with contextlib.suppress(OSError), _taken(path):
        shutil.rmtree(path)
    return not path.exists()


@contextlib.contextmanager
def _taken(path: Path) -> Iterator[None]:
    """Hold the lock of a folder meanwhile.

    Raises:
        OSError: It is in use, somebody else's, or none of these.
    """
    if path.lstat().st_uid != os.getuid():
        raise PermissionError(path)
    with (path / _OWNED).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
