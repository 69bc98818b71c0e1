"""Rows of a run, with what does not matter left out."""

from __future__ import annotations

from hfexecutor.timeline import CallSpan, JobSpan


def job(name="j1", **more):
    given = {"slots": 1, "launched": 0.0, "began": 4.0, "up": 5.0, "ended": 10.0, "dollars": None}
    return JobSpan(**{"id": name, "url": "", "flavor": "cpu-basic", **given, **more})


def call(number=1, began=5.0, seconds=1.0, **more):
    given = {"name": "work", "state": "done", "job_id": "j1", "slot": 0, "submitted": 0.0}
    moments = {"sent": None, "began": began, "seconds": seconds, "heard": None}
    return CallSpan(**{"call": number, **given, **moments, **more})
