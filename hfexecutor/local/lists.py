"""Pages of a list of jobs, and the faults of lists at work."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from . import faults, replies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .identity import Identity
    from .injection.injector import Injector
    from .jobs import Job


def moment(injector: Injector) -> float | None:
    """Return as of when a list is to be, by the monotonic clock; None: as of now."""
    lag = sum(fault.seconds for fault in injector.strike(faults.StaleList))
    return time.monotonic() - lag if lag else None


def page(
    found: Iterator[Job], size: int, injector: Injector, owner: Identity, as_of: float | None
) -> tuple[list[dict[str, Any]], int | None]:
    """Return the replies of one page, and the number of its last job if there may be more pages."""
    for fault in injector.strike(faults.SmallPages):
        size = fault.size
    bare = injector.strike(faults.BareList)
    shown: list[dict[str, Any]] = []
    last = None
    for job in found:
        if len(shown) == size:
            return shown, last
        last = job.number
        if injector.strike(faults.MissJob, job.number, job.labels):
            continue
        reply = replies.job(job, owner, as_of)
        if bare:
            del reply["environment"]
        shown.append(reply)
    return shown, None
