"""What a forked child does first: become a process of its own.

Nothing of the supervisor is left in it that user code could trip over.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import sys

from . import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    class ChildPipes(NamedTuple):
        """The child's ends of its pipes, and the marker that ends a call's output in `output`.

        Through `handles` go descriptors of shared memory, both ways.
        """

        tickets: int
        items: int
        results: int
        output: int
        handles: int
        marker: bytes
else:
    from collections import namedtuple

    ChildPipes = namedtuple("ChildPipes", "tickets items results output handles marker")  # noqa: PYI024

_FAR = (960, 200, 3)  # where our descriptors go: out of the way of calls that close small ones


def set_up(pipes: ChildPipes) -> ChildPipes:
    """Leave nothing of the supervisor in this process that user code could trip over."""
    signals.reset()
    pipes = _set_up_descriptors(pipes)
    _volunteer_for_the_oom_killer()
    faulthandler.enable(2)  # a crash says where, in the call's output
    sys.modules["__main__"] = type(sys)("__main__")
    sys.argv[1:] = []
    sys.path.insert(0, "")
    gc.enable()
    return pipes


def _set_up_descriptors(pipes: ChildPipes) -> ChildPipes:
    renew_streams(pipes.output)
    far = [_move_far(fd) for fd in pipes[:5]]
    for fd in _open_descriptors():
        if fd > 2 and fd not in far:  # noqa: PLR2004 - the standard ones
            _close(fd)
    return ChildPipes(far[0], far[1], far[2], far[3], far[4], pipes.marker)


def _move_far(fd: int) -> int:
    import fcntl  # noqa: PLC0415 - the supervisor has no use for it

    for lowest in _FAR:
        try:
            return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)
        except OSError:  # over this process's limit
            continue
    return fd


def _open_descriptors() -> list[int]:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return [int(name) for name in os.listdir(folder)]  # noqa: PTH208 - no pathlib here
        except OSError:
            continue
    return list(range(3, 4096))


def _close(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:  # the one that listed the others
        return


def renew_streams(output: int) -> None:
    """Make standard input empty, and let the standard outputs lead into `output`."""
    null = os.open(os.devnull, os.O_RDONLY)
    if null:
        os.dup2(null, 0)
        os.close(null)
    else:
        os.set_inheritable(0, True)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for name, fd, errors in (("stdout", 1, "replace"), ("stderr", 2, "backslashreplace")):
        stream = open(  # noqa: SIM115 - it stays open
            fd, "w", buffering=1, encoding="utf-8", errors=errors, closefd=False
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # type: ignore[misc] # noqa: SIM115


def _volunteer_for_the_oom_killer() -> None:
    """Make the kernel take this process before the supervisor when memory runs out."""
    try:
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(fd, b"1000")
        os.close(fd)
    except OSError:  # no Linux, or not allowed
        return
