"""What a job uses of this machine, read from /proc."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .hardware import FLAVORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .jobs import Job

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Meter:
    """Samples one job; the use of the CPU is that since the sample before."""

    def __init__(self) -> None:
        self._ticks = 0
        self._time = 0.0

    def sample(self, job: Job) -> dict[str, Any]:
        """Return a sample as the Hub sends it; where there is no /proc, all is 0."""
        clock = time.monotonic()
        ticks, memory = _use(job.pids)
        seconds = clock - self._time if self._time else 0.0
        cores = max(0, ticks - self._ticks) / _TICKS / seconds if seconds else 0.0
        self._ticks, self._time = ticks, clock
        flavor = FLAVORS[job.spec.flavor]
        return {
            "cpu_usage_pct": round(100 * cores / flavor.cpus),
            "cpu_millicores": flavor.cpus * 1000,
            "memory_used_bytes": memory,
            "memory_total_bytes": flavor.ram_gb << 30,
            "rx_bps": 0,
            "tx_bps": 0,
            "gpus": None,
            "replica": job.id[-5:],
        }


def _use(pids: tuple[int, ...]) -> tuple[int, int]:
    """Return clock ticks and bytes of memory used by processes and all their descendants."""
    ticks = memory = 0
    for pid in _tree(pids):
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))  # its own, and those of children it has waited for
        memory += int(fields[21]) * _PAGE
    return ticks, memory


def _tree(pids: tuple[int, ...]) -> Iterator[int]:
    for pid in pids:
        yield pid
        try:
            threads = Path(f"/proc/{pid}/task").iterdir()
            lines = [(thread / "children").read_bytes() for thread in threads]
        except OSError:
            continue
        yield from _tree(tuple(map(int, b" ".join(lines).split())))
