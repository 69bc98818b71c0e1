"""One launch, from the wish for a job to the job, or to the end of patience.

There is no idempotency key, and the Hub has been seen to answer 500 although the job was created.
So after a request without a clear answer the job is looked for by the label that only this launch
carries, several times, because lists lag; and only when it is not there the request is sent again,
with the same label. Should both exist in the end, one is cancelled by whoever compares lists.

=========  ============  ==========================================================================
state      what it is    what ends it
=========  ============  ==========================================================================
QUEUED     not sent      its turn comes (POSTED), or nobody wants it any more (DROPPED)
POSTED     under way     a job (DONE); refused (GIVEN_UP); limited, or not delivered (PAUSED);
                         unclear (LOOKING). While the answer is late the job is looked for all
                         the same: a request that hangs may have been carried out
LOOKING    unclear       the job is found (DONE); it is not, and may be asked for again (PAUSED),
                         or may not (GIVEN_UP)
PAUSED     not sent      the pause is over (QUEUED), or nobody wants it any more (DROPPED)
=========  ============  ==========================================================================
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING

from hfexecutor.core.commands import Command, Launch, LookFor
from hfexecutor.core.events import JobSeen, LaunchFailure
from hfexecutor.core.stages import TERMINAL, phase_of
from hfexecutor.errors import HubExecutorError, HubUnavailableError, RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfexecutor.core.rules import Rules

__all__ = ["IN_DOUBT", "LaunchState", "Launching"]


class LaunchState(Enum):
    """How far a launch has come."""

    QUEUED = "queued"
    POSTED = "posted"
    LOOKING = "looking"
    PAUSED = "paused"
    DONE = "done"
    GIVEN_UP = "given up"
    DROPPED = "dropped"


class Launching:
    """The launch of one worker.

    Args:
        worker: Its id.
        rules: The pauses.
        patience: Seconds for which it is repeated.
        jitter: Returns a number from 0 to 1.

    Attributes:
        state: How far it has come.
        job: The job, once DONE.
        error: Why there is none, once GIVEN_UP.
        repeatable: Whether a second job would do no harm; False once calls are aboard that must
            not run twice.
        mounts: Its job has the folder of stored arguments, whichever request has made it.
        doubtful: There may be a job that nobody has seen.
        unclear_at: When that was learned for the last time.
    """

    def __init__(
        self, worker: str, rules: Rules, *, patience: float, jitter: Callable[[], float]
    ) -> None:
        self._worker = worker
        self._rules = rules
        self._patience = patience
        self._jitter = jitter
        self.state = LaunchState.QUEUED
        self.attempt = 1
        self.job: JobSeen | None = None
        self.error: HubExecutorError | None = None
        self.repeatable = True
        self.mounts = False
        self.doubtful = False
        self.unclear_at = -math.inf
        self.due = math.inf
        self.posted_at = math.inf  # the first time
        self._pause = 0.0
        self._looks = 0  # since the last request
        self._looked_since = 0.0
        self._looking = False  # a list is under way
        self._failure = LaunchFailure.UNDELIVERED
        self._last: Exception | None = None

    def __repr__(self) -> str:
        return f"<Launching {self._worker} {self.state.value}, attempt {self.attempt}>"

    @property
    def is_open(self) -> bool:
        """Whether it may still come to a job."""
        return self.state in _OPEN

    def begin(self) -> Command:
        """Return the first command."""
        return Launch(self._worker, self.attempt)

    def post(self, now: float) -> None:
        """Note that the request goes out now."""
        self.state = LaunchState.POSTED
        self.posted_at = min(self.posted_at, now)
        self._pause = self._rules.late
        self.due = now + self._pause

    def drop(self) -> None:
        """Note that nobody wants it any more."""
        self.state, self.due = LaunchState.DROPPED, math.inf

    def launched(self, job: JobSeen) -> None:
        """Take the job."""
        self.state, self.job, self.due = LaunchState.DONE, job, math.inf

    def failed(self, failure: LaunchFailure, error: Exception, now: float) -> None:
        """Take the answer that was none."""
        self._failure, self._last = failure, error
        self._looks, self._looked_since = 0, now
        if failure is LaunchFailure.REFUSED:  # even if an earlier try may have made a job: the
            self._give_up(_told(error))  # core looks for that when everything is over
        elif failure in {LaunchFailure.UNCLEAR, LaunchFailure.HOPELESS}:
            self.doubtful, self.unclear_at = True, now
            self.state = LaunchState.LOOKING
            self.due = math.inf if self._looking else now + self._rules.looks[0]
        else:
            self._repeat(now)

    def looked(self, jobs: tuple[JobSeen, ...] | None, now: float) -> None:
        """Take what a look has found; None: it failed, and says nothing."""
        self._looking = False
        # One that is over already counts: it may have done its calls, and its log says so.
        ours = [job for job in jobs or () if not job.foreign]
        found = min(ours, key=lambda job: phase_of(job.stage) in TERMINAL, default=None)
        if found is not None:
            self.launched(found)
        elif self.state is LaunchState.LOOKING:
            # A list that failed has not shown that there is no job, and a label is only a claim:
            # a job that is not ours counts as none.
            self._looks += jobs is not None
            if self._looks >= len(self._rules.looks):
                self._repeat(now)
            elif now - self._looked_since > self._patience:
                self._give_up(self._unavailable(now))
            else:
                self.due = now + self._rules.looks[self._looks]

    def tick(self, now: float) -> list[Command]:
        """Do what is due."""
        if now < self.due:
            return []
        self.due = math.inf
        if self.state is LaunchState.PAUSED:
            self.state = LaunchState.QUEUED
            self.attempt += 1
            self._pause = 0.0
            return [Launch(self._worker, self.attempt)]
        if self.state is LaunchState.POSTED:
            self._pause *= 2
            self.due = now + self._pause
        if self._looking:
            return []
        self._looking = True
        return [LookFor(self._worker)]

    def _repeat(self, now: float) -> None:
        again = self._failure is not LaunchFailure.HOPELESS
        again = again and (self.repeatable or not self.doubtful)
        if not again or now - self.posted_at > self._patience:
            self._give_up(self._unavailable(now))
        else:
            first, longest = self._rules.relaunch
            self.state = LaunchState.PAUSED
            self.due = now + self._jitter() * min(longest, first * 2.0 ** min(self.attempt, 30))

    def _give_up(self, error: HubExecutorError) -> None:
        self.state, self.error, self.due = LaunchState.GIVEN_UP, error, math.inf

    def _unavailable(self, now: float) -> HubExecutorError:
        """Say what is known: what was answered, what was tried, and why not once more."""
        assert self._last is not None
        seconds = now - min(self.posted_at, now)
        told = [f"tried {self.attempt} times in {seconds:.3g} s"] if self.attempt > 1 else []
        if self.doubtful and self._looks:
            times = "once" if self._looks == 1 else f"{self._looks} times"
            looked = now - self._looked_since
            told.append(f"the job was looked for {times} in {looked:.3g} s, and is in no list")
        if self._failure is LaunchFailure.HOPELESS:
            told.append("not repeated, because the same request would fail again")
        elif self.doubtful and not self.repeatable:
            told.append(
                "not repeated, because max_retries=0 and it may run calls that must not run twice"
            )
        text = f"{self._last} ({'; '.join(told)})" if told else str(self._last)
        limited = self._failure is LaunchFailure.LIMITED
        error = RateLimitedError(text) if limited else HubUnavailableError(text)
        error.__cause__ = self._last
        return error


def _told(error: Exception) -> HubExecutorError:
    return error if isinstance(error, HubExecutorError) else HubUnavailableError(str(error))


# There may be a job, and it will be known whether there is.
IN_DOUBT = frozenset({LaunchState.POSTED, LaunchState.LOOKING})
_OPEN = frozenset({LaunchState.QUEUED, LaunchState.POSTED, LaunchState.LOOKING, LaunchState.PAUSED})
