"""From what an executor has recorded, and what its jobs cost, to a timeline."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from hfexecutor.timeline.timeline import Timeline

if TYPE_CHECKING:
    from hfexecutor.cost import Cost
    from hfexecutor.timeline.recorder import Recording

__all__ = ["timeline_of"]


def timeline_of(name: str, recording: Recording, cost: Cost, now: float) -> Timeline:
    """Return the timeline of a run.

    Args:
        name: Of the run.
        recording: What was heard of it.
        cost: What its jobs cost; of those that run still it is known from here alone.
        now: Seconds since 1970.
    """
    dollars = {job.id: job.dollars for job in cost.jobs} if cost.dollars is not None else {}
    jobs = [
        job if job.dollars is not None else dataclasses.replace(job, dollars=dollars.get(job.id))
        for job in recording.jobs
    ]
    notes = []
    if recording.calls_left_out:
        kept = len({call.call for call in recording.calls})
        notes.append(
            f"The first {kept:,} calls are shown; {recording.calls_left_out:,} later ones are not."
        )
    if recording.others_left_out:
        notes.append(
            f"{recording.others_left_out:,} jobs, transfers or lost calls more than are remembered."
        )
    return Timeline.of(
        name,
        recording.calls,
        jobs,
        began=recording.began,
        until=now if recording.ended is None else recording.ended,
        over=recording.ended is not None,
        dollars=cost.dollars,
        notes=notes,
    )
