"""How many calls the logs of jobs have outcomes of, counted as far as the logs have been read."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, NamedTuple

from . import frames

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hfexecutor.local.jobs import Job
    from hfexecutor.local.logs import Log

_MARK = frames.MARK.encode()
_DATA = len(b"data: ")


class Calls(NamedTuple):
    """Calls that a job, or several, told the outcomes of.

    Attributes:
        ended: how many.
        failed: how many of them without a value.
        at_least: there may be more, in lines that are gone or have not been read yet.
    """

    ended: int
    failed: int
    at_least: bool

    def __add__(self, other: object) -> Calls:
        """Return the calls of both."""
        if not isinstance(other, Calls):
            return NotImplemented
        return Calls(
            self.ended + other.ended, self.failed + other.failed, self.at_least or other.at_least
        )


class Tally:
    """The outcomes in one log. A log is read once, from its start, a piece at a time."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._position = 0
        self._gone = False
        self._failed: dict[int, bool] = {}  # a call may be told of many times: the last one counts
        self.hidden = 0  # lines that are nothing but frames

    @property
    def behind(self) -> bool:
        """Whether there are lines that have not been read."""
        return self._position < self._log.total

    @property
    def calls(self) -> Calls:
        """What has been counted."""
        failed = sum(self._failed.values())
        return Calls(len(self._failed), failed, self._gone or self.behind)

    def read_on(self) -> None:
        """Read a piece, of a megabyte at most."""
        self._gone = self._gone or self._log.start > self._position
        events, self._position = self._log.after(self._position)
        for event in events:
            if _MARK in event:
                self._add(json.loads(event[_DATA:])["data"])

    def _add(self, text: str) -> None:
        plain, bodies = frames.split(text)
        self.hidden += plain is None
        for body in bodies:
            for outcome in frames.outcomes(body):
                self._failed[outcome.call] = outcome.failed


class Tallies:
    """The tallies of all jobs that are looked at."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}

    def of(self, job: Job) -> Tally:
        """Return a job's."""
        tally = self._tallies.get(job.id)
        if tally is None:
            tally = self._tallies[job.id] = Tally(job.log)
        return tally

    def calls(self, job: Job) -> Calls | None:
        """Return the calls of a job as far as they have been counted; None: it is none of ours."""
        return self.of(job).calls if frames.OURS in job.labels else None

    async def catch_up(self, jobs: Iterable[Job], seconds: float = 0.1) -> None:
        """Read what is new in the logs of our jobs, for so long at most; others go on meanwhile."""
        deadline = time.monotonic() + seconds
        for job in jobs:
            if frames.OURS not in job.labels:
                continue
            tally = self.of(job)
            while tally.behind:
                if time.monotonic() > deadline:
                    return
                tally.read_on()
                await asyncio.sleep(0)
