"""A run as a picture: what each slot of each job did, when, and why that took so long.

:mod:`~hfexecutor.timeline.recorder` remembers events; the command line puts the same rows together
from what jobs have said in their logs. Everything from there on is pure:
:mod:`~hfexecutor.timeline.lanes` (which call was where), :mod:`~hfexecutor.timeline.shares` and
:mod:`~hfexecutor.timeline.findings` (what the time went into), and
:mod:`~hfexecutor.timeline.page`, which makes one HTML file of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfexecutor.timeline.spans import CallSpan, JobSpan, Period
    from hfexecutor.timeline.timeline import Timeline

__all__ = ["CallSpan", "JobSpan", "Period", "Timeline"]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        """Load a name when it is asked for: each executor records, few are asked for a picture."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = "timeline" if name == "Timeline" else "spans"
        value = getattr(import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value
