"""What is counted: calls of a run, or items of a map, and the jobs that they run in."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfexecutor.events import Transferring

__all__ = ["Jobs", "Standing", "Tally"]


class Jobs(NamedTuple):
    """The jobs of a run at one moment.

    `running`: those that take calls; `scheduling`: those that do not yet; `started`: all that were
    ever launched; `dollars`: what they have cost, None if nobody knows; `why`: what those
    wait for that have no hardware yet, in the Hub's words, empty where it says nothing.
    """

    running: int
    scheduling: int
    started: int
    dollars: float | None
    why: str = ""


class Standing(NamedTuple):
    """How far it has come.

    Attributes:
        done: What has ended, well or not.
        failed: What of that has not.
        total: What there is in all, as far as anybody knows.
        seconds: Since the first was submitted.
        left: Seconds that the rest may take, None while nobody can tell.
        jobs: The jobs; None where the calls do not run in jobs.
        over: Nothing more will come.
        retried: Times that one of them was to run again because of what it has raised.
        moving: How far large values are that are on their way; None without any.
    """

    done: int
    failed: int
    total: int
    seconds: float
    left: float | None
    jobs: Jobs | None
    over: bool = False
    retried: int = 0
    moving: Transferring | None = None


class Tally:
    """Counts; every method may be called from any thread.

    Args:
        jobs: Tells of the jobs.
        expected: How many there will be; None, the default: as many as were added.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        jobs: Callable[[], Jobs | None] = lambda: None,
        expected: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs = jobs
        self._expected = expected
        self._clock = clock
        self._lock = threading.Lock()  # guards all that follows
        self._added = self._done = self._failed = self._retried = 0
        self._all_added = False
        self._began: float | None = None
        self._working: float | None = None  # since when a job, or anything, works
        self._over: Standing | None = None
        self._moving: Transferring | None = None

    def add(self, count: int) -> None:
        """Count what was submitted."""
        with self._lock:
            self._added += count
            if self._began is None:
                self._began = self._clock()

    def no_more(self) -> None:
        """Note that all was submitted."""
        with self._lock:
            self._all_added = True

    def end(self, count: int, failed: int) -> None:
        """Count what has ended, and what of that has failed."""
        with self._lock:
            self._done += count
            self._failed += failed

    def retry(self) -> None:
        """Count one that runs again because of what it has raised."""
        with self._lock:
            self._retried += 1

    def move(self, moving: Transferring) -> None:
        """Note how far large values are that are on their way."""
        with self._lock:
            self._moving = moving if moving.to_send or moving.to_fetch else None

    def cancel(self, count: int) -> None:
        """Take out what was cancelled."""
        with self._lock:
            self._added -= count
            if self._expected is not None:
                self._expected -= count

    @property
    def is_complete(self) -> bool:
        """Whether all was submitted, and has ended."""
        with self._lock:
            return self._all_added and self._done >= self._added

    def standing(self, *, over: bool = False) -> Standing:
        """Return how far it has come."""
        jobs = self._jobs()
        with self._lock:
            now = self._clock()
            began = now if self._began is None else self._began
            works = self._done > 0 or jobs is None or jobs.running > 0
            if self._working is None and works and self._began is not None:
                self._working = now if jobs is not None and not self._done else began
            total = self._added
            if self._expected is not None and not self._all_added:
                total = max(total, self._expected)
            left = None
            if self._done and self._working is not None and not over:
                left = (total - self._done) * (now - self._working) / self._done
            return Standing(
                self._done,
                self._failed,
                total,
                now - began,
                left,
                jobs,
                over,
                self._retried,
                None if over else self._moving,
            )
