"""What a worker was told about itself in its launch message."""

from __future__ import annotations

import math
import os

from . import plain

TYPE_CHECKING = False

__all__ = ["Config", "cores", "set_defaults"]

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
# What keeps the window of a log from being filled with bars.
_QUIET = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_MININTERVAL": "30"}
_PRINT_CAP = 256 << 10
_IDLE_TIMEOUT = 60.0


class Config:
    """The CONFIG entry.

    Attributes:
        slots: how many children run at once; "auto" is one for each core, at most `most_slots`.
        accelerators: how many GPUs, or the like, the job has.
        idle_timeout: seconds without work before the worker leaves, None for never.
        keep_for: seconds that it stays for outcomes that no client has, where that is longer; 0: as
            if they had been fetched.
        max_tasks_per_child: calls that a process runs before another one takes its place, None
            for any number.
        port: where the door is, None for no door.
        host: the address that the door listens at.
        initializer_needs: the initializer needs more than Python, as every call then does.
        one_shot: leave when the calls of the launch message are done.
        arguments: the folder of arguments that are files of a bucket, None without.
        results: the folder for results that are too large for the log, None without.
        no_results: why there is none.
        print_cap: bytes of a call's output that are shown.
    """

    def __init__(self, data: bytes) -> None:
        values = plain.unpack(data)
        slots = values.get("slots", 1)
        if slots == "auto":
            slots = min(cores(), values.get("most_slots") or cores())
        self.slots: int = max(1, int(slots))
        self.accelerators: int = values.get("accelerators") or 0
        self.idle_timeout = _seconds(values.get("idle_timeout", _IDLE_TIMEOUT))
        self.keep_for: float = values.get("keep_for") or 0.0
        most_calls = values.get("max_tasks_per_child")
        self.max_tasks_per_child = None if most_calls is None else max(1, int(most_calls))
        self.port: int | None = values.get("port")
        self.host: str = values.get("host") or "0.0.0.0"  # noqa: S104 - the Hub's proxy is outside
        self.initializer_needs = bool(values.get("initializer_needs"))
        self.one_shot = bool(values.get("one_shot"))
        self.arguments: str | None = values.get("arguments")
        self.results: str | None = values.get("results")
        self.no_results: str = values.get("no_results") or ""
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


def set_defaults(slots: int) -> None:
    """Set variables for calls, as far as the user has not.

    Numeric libraries start a thread for each core of the host that they see: the slots share the
    cores. And progress bars are drawn seldom.
    """
    for name in _THREADS:
        os.environ.setdefault(name, str(max(1, cores() // slots)))
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def set_device(slot: int, config: Config) -> None:
    """Let a slot see one GPU, where there are several and a slot for each; the user's word counts.

    Processes that all see all of them take the first.
    """
    if 1 < config.accelerators <= config.slots:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", str(slot % config.accelerators))


def _seconds(value: float | None) -> float | None:
    """Return seconds that a clock can count, None for ever: infinity, and what is no number."""
    return value if value is not None and math.isfinite(value) else None
