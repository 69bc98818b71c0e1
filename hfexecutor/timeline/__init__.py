"""A run as a picture: what each slot of each job did, when, and why that took so long.

:mod:`~hfexecutor.timeline.recorder` remembers events; the command line puts the same rows together
from what jobs have said in their logs. Everything from there on is pure:
:mod:`~hfexecutor.timeline.lanes` (which call was where), :mod:`~hfexecutor.timeline.shares` and
:mod:`~hfexecutor.timeline.findings` (what the time went into), and
:mod:`~hfexecutor.timeline.page`, which makes one HTML file of it.
"""

from __future__ import annotations

from hfexecutor.timeline.spans import CallSpan, JobSpan, Period
from hfexecutor.timeline.timeline import Timeline

__all__ = ["CallSpan", "JobSpan", "Period", "Timeline"]
