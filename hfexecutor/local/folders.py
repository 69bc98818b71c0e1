"""The folder of a hub, and what is left of hubs that ended together with their reapers."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

_PREFIX = "localhub-"
_HELD = "hub"  # the file that a living hub holds locked


def make() -> tuple[str, IO[bytes]]:
    """Make a folder; return it, and what has to stay open for as long as it is in use."""
    folder = tempfile.mkdtemp(prefix=_PREFIX)
    draft = Path(folder, f"{_HELD}.part")
    held = draft.open("wb")
    fcntl.flock(held, fcntl.LOCK_EX)
    draft.rename(Path(folder, _HELD))  # nobody ever sees it without its lock
    return folder, held


def sweep() -> None:
    """Delete the folders of hubs that are no more.

    The reaper of a hub does so at once. Where it was killed too, or the machine went down, the next
    hub does.
    """
    for entry in os.scandir(tempfile.gettempdir()):
        if entry.name.startswith(_PREFIX):
            with contextlib.suppress(OSError):  # in use, somebody else's, or none of these
                _delete_unless_held(Path(entry.path))


def _delete_unless_held(folder: Path) -> None:
    if folder.lstat().st_uid != os.getuid():
        return
    with (folder / _HELD).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
