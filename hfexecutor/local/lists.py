"""Pages of a list of jobs, and the faults of lists at work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import faults, replies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .identity import Identity
    from .jobs import Job
    from .plan import Plan


def page(
    found: Iterator[Job], size: int, plan: Plan, owner: Identity
) -> tuple[list[dict[str, Any]], int | None]:
    """Return the replies of one page, and the number of its last job if there may be more pages."""
    for fault in plan.strike(faults.SmallPages):
        size = fault.size
    lag = sum(fault.seconds for fault in plan.strike(faults.StaleList))
    bare = plan.strike(faults.BareList)
    shown: list[dict[str, Any]] = []
    last = None
    for job in found:
        if len(shown) == size:
            return shown, last
        last = job.number
        reply = _reply(job, plan, owner, lag)
        if reply is not None:
            if bare:
                del reply["environment"]
            shown.append(reply)
    return shown, None


def _reply(job: Job, plan: Plan, owner: Identity, lag: float) -> dict[str, Any] | None:
    if plan.strike(faults.MissJob, job.number, job.labels):
        return None
    reply = replies.job(job, owner)
    if not lag:
        return reply
    stage = job.stage_before(lag)
    if stage is None:
        return None
    if stage is not job.stage:
        reply["status"] = {"stage": str(stage), "message": None}
        reply.pop("finishedAt", None)
    return reply
