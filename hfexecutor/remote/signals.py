"""Signals as bytes in a pipe, so that they are dealt with in turn like everything else."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal  # `signal` wraps the same functions in enums, which take ten times as long

__all__ = ["ENDING", "SIGCHLD", "SIGCONT", "SIGKILL", "SIGSTOP", "listen", "reset"]

SIGCHLD = int(_signal.SIGCHLD)
SIGCONT = int(_signal.SIGCONT)
SIGKILL = int(_signal.SIGKILL)
SIGSTOP = int(_signal.SIGSTOP)
ENDING = frozenset({int(_signal.SIGTERM), int(_signal.SIGINT)})


def listen() -> int:
    """Return a descriptor that gives a byte, its number, for each signal that matters here."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    _signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (SIGCHLD, *ENDING):
        _signal.signal(number, lambda _number, _frame: None)
    return reading


def reset() -> None:
    """Give the signals back their usual meaning, in a forked child."""
    _signal.set_wakeup_fd(-1)
    _signal.signal(SIGCHLD, _signal.SIG_DFL)
    _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
