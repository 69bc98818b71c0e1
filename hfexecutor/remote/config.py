"""What a worker was told about itself in its launch message."""

from __future__ import annotations

import os

from . import plainjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Config", "cores", "limit_threads"]

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_PRINT_CAP = 256 << 10
_IDLE_TIMEOUT = 60.0


class Config:
    """The CONFIG entry.

    Attributes:
        slots: how many children run at once; "auto" is one for each core, at most `most_slots`.
        idle_timeout: seconds without work before the worker leaves, None for never.
        call_timeout: seconds that a call may run, None for any.
        port: where the door is, None for no door.
        host: the address that the door listens at.
        one_shot: leave when the calls of the launch message are done.
        print_cap: bytes of a call's output that are shown.
    """

    def __init__(self, data: bytes) -> None:
        values = plainjson.loads(data)
        slots = values.get("slots", 1)
        if slots == "auto":
            slots = min(cores(), values.get("most_slots") or cores())
        self.slots: int = max(1, int(slots))
        self.idle_timeout: float | None = values.get("idle_timeout", _IDLE_TIMEOUT)
        self.call_timeout: float | None = values.get("call_timeout")
        self.port: int | None = values.get("port")
        self.host: str = values.get("host") or "0.0.0.0"  # noqa: S104 - the Hub's proxy is outside
        self.one_shot = bool(values.get("one_shot"))
        self.print_cap: int = values.get("print_cap") or _PRINT_CAP

    def __repr__(self) -> str:
        return f"<Config {self.__dict__}>"


def cores() -> int:
    """Return how many cores this job has; its container may see all of the host's."""
    told = os.environ.get("CPU_CORES", "")
    try:
        return max(1, int(float(told)))
    except ValueError:
        return os.cpu_count() or 1


def limit_threads(slots: int) -> None:
    """Share the cores among the slots, as far as the user has not said otherwise.

    Numeric libraries start a thread for each core of the host that they see.
    """
    for name in _THREADS:
        os.environ.setdefault(name, str(max(1, cores() // slots)))


def identity() -> dict[str, Any]:
    """Return what HELLO tells of the process."""
    import sys  # noqa: PLC0415

    python = ".".join(map(str, sys.version_info[:3]))
    job = os.environ.get("JOB_ID")
    return {"python": python, "cpus": cores(), "pid": os.getpid(), "job": job}
