"""A process that reads a file of a mounted bucket into shared memory: a mount may take its time."""

from __future__ import annotations

import os

from . import signals
from .bucket import Bucket, StoredArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["start", "why_not"]

_LATE_SECONDS = 30.0  # that a file may take to show; there is another way
_READ, _ABSENT, _FAILED = range(3)  # exit codes
_WHY = {_READ: "", _ABSENT: "it is not there, or is not what was put there"}


def start(folder: str, name: bytes, memory: int) -> int:
    """Start a process that fills memory with a buffer; return its pid.

    Args:
        folder: where the file is.
        name: of the buffer.
        memory: the descriptor of a file in memory, as large as the buffer.

    Raises:
        OSError: there is no process left.
    """
    pid = os.fork()
    if not pid:
        _fill(folder, name, memory)
    return pid


def why_not(code: int) -> str:
    """Return why a process with this exit code has not read its file; nothing if it has."""
    return _WHY.get(code, "it cannot be read")


def _fill(folder: str, name: bytes, memory: int) -> NoReturn:
    status = _FAILED
    try:
        signals.reset()
        Bucket(folder, late=_LATE_SECONDS).read(name, memory)
        status = _READ
    except StoredArgumentError:
        status = _ABSENT
    finally:  # whatever it is, the supervisor's code is none of this process's
        os._exit(status)
