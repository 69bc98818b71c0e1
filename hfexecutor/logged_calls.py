"""What became of the calls of a run, as the logs of its jobs tell; nothing is unpickled for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from hfexecutor.core.call import number_of
from hfexecutor.core.events import Hello, Installing
from hfexecutor.errors import HubError, HubUnavailableError, RateLimitedError
from hfexecutor.futures import Printed
from hfexecutor.remote import entries as wire
from hfexecutor.remote import outcomes
from hfexecutor.runtime.keys import RunKeys
from hfexecutor.runtime.log_parser import LogParser
from hfexecutor.runtime.news import news_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hfexecutor.hub.client import HubClient
    from hfexecutor.runs import Run, RunJob

__all__ = [
    "LOGS_AT_ONCE",
    "CallSeen",
    "JobSeen",
    "RunCalls",
    "follow_calls",
    "read_calls",
]

State = Literal["done", "failed", "open", "lost"]

LOGS_AT_ONCE: Final = 16  # logs
_QUIET: Final = 1.0  # seconds without a line, after which a log that goes on has been replayed
_FIRST: Final = 5.0  # seconds until its first line
_LONGEST: Final = 60.0  # for one log
_POLL: Final = 3.0  # seconds between two looks at the jobs of a run that is followed


@dataclass(slots=True)
class CallSeen:
    """One call, as far as logs tell of it.

    Attributes:
        number: Calls are numbered from 1 as they were submitted.
        job: The id of the job that has told of it last.
        state: "open" until a job has told how it ended; "lost" where no job can any more.
        seconds: How long it ran, once it is over.
        error: What it failed with, in words.
        traceback: Where in the job that was, as text; empty where nothing was raised.
        printed: What it has printed.
        began: Seconds from the start of its job's worker to its own, once it is over.
        slot: In which of the job's slots it ran.
        key: How its submitter's key begins; None where none is known.
    """

    number: int
    job: str
    printed: Printed
    state: State = "open"
    seconds: float | None = None
    error: str = ""
    traceback: str = ""
    began: float | None = None
    slot: int | None = None
    key: str | None = None


@dataclass(slots=True)
class JobSeen:
    """One job, as far as its log tells of it.

    Attributes:
        clock: When its worker began, in seconds since 1970 by its own clock.
        slots: Calls that it runs at once.
        installs: Its installations: when they began, as for calls, and how long they took.
    """

    clock: float | None = None
    slots: int | None = None
    installs: dict[float, float | None] = field(default_factory=dict)


class RunCalls:
    """The calls of one run, put together from the lines of its jobs' logs.

    Args:
        run: What to read.
        token: The token that the run was started with: what other keys have sealed says nothing.
        printed: Makes the place for what a call prints, by its number.

    Attributes:
        calls: By number.
        jobs: By their ids.
        unread: Why the logs of jobs could not be read, by their ids.
    """

    def __init__(
        self, run: Run, token: str, printed: Callable[[int], Printed] = lambda _: Printed()
    ) -> None:
        self.run = run
        self.calls: dict[int, CallSeen] = {}
        self.jobs: dict[str, JobSeen] = {job.id: JobSeen() for job in run.jobs}
        self._printed = printed
        self._latest: dict[int, int] = {}  # ids of calls' latest attempts that ended, by number
        self.unread: dict[str, str] = {}
        self._keys = RunKeys(token, run.nonce)
        self._readers: dict[str, LogParser] = {}
        for job in run.jobs:
            for numbers in job.calls:
                for number in numbers:
                    self._call(number, job.id)

    def counts(self) -> Counter[State]:
        """Return how many calls are in which state."""
        return Counter(call.state for call in self.calls.values())

    def hear(self, job: RunJob, lines: Iterable[str]) -> None:
        """Take lines of a job's log, which may be replayed any number of times."""
        reader = self._readers.get(job.id)
        if reader is None:
            seal = self._keys.seal(job.launch)
            reader = LogParser(seal, lambda number: self._call(number, job.id).printed)
            self._readers[job.id] = reader
        for entry in reader.feed(lines):
            self._take(job, entry)

    def settle(self) -> None:
        """Note that no more will be heard of calls whose jobs are all over."""
        for job in self.run.jobs:
            reader = self._readers.get(job.id)
            if reader is not None and reader.forged and not reader.starts:
                self.unread[job.id] = "its lines are sealed with another token's key"
        if self.run.running == 0 and not self.unread:
            for call in self.calls.values():
                if call.state == "open":
                    call.state = "lost"

    def _call(self, call_id: int, job: str) -> CallSeen:
        number = number_of(call_id)
        call = self.calls.get(number)
        if call is None:
            call = self.calls[number] = CallSeen(number, job, self._printed(number))
        return call

    def _take(self, job: RunJob, entry: wire.Entry) -> None:
        with contextlib.suppress(wire.FrameError, outcomes.OutcomeError, ValueError):
            if entry.kind == wire.HELD:
                for number in wire.unpack_ids(entry.data):
                    self._call(number, job.id)
            elif entry.kind == wire.KEY:
                self._call(entry.call, job.id).key = wire.unpack_key(entry.data)[1]
            elif entry.kind in (wire.HELLO, wire.INSTALL):
                self._note_job(job.id, entry)
            elif entry.kind == wire.LARGE:
                self._end(entry.call, job.id, "done")
            elif entry.kind == wire.OUTCOME and entry.call >= self._latest.get(
                number_of(entry.call), 1
            ):
                self._latest[number_of(entry.call)] = entry.call
                outcome = outcomes.decode(entry.data)
                call = self._end(entry.call, job.id, "done")
                call.error = call.traceback = ""
                call.seconds = outcome.duration
                call.began, call.slot = outcome.began, outcome.slot
                call.printed.end(outcome.printed, unterminated=outcome.unterminated)
                if outcome.status not in {outcomes.VALUE, outcomes.IN_BUCKET}:
                    call.state = "failed"
                    call.error, call.traceback = _words(outcome)

    def _note_job(self, job_id: str, entry: wire.Entry) -> None:
        job = self.jobs.setdefault(job_id, JobSeen())
        for news in news_of((entry,)):
            if isinstance(news, Hello):
                job.clock, job.slots = news.clock, news.slots
            elif isinstance(news, Installing):
                job.installs[news.began] = news.seconds

    def _end(self, number: int, job: str, state: State) -> CallSeen:
        call = self._call(number, job)
        call.job, call.state = job, state
        return call


def _words(outcome: outcomes.Outcome) -> tuple[str, str]:
    """Return what a call failed with, and where."""
    if outcome.status in (outcomes.RAISED, outcomes.INITIALIZER):
        raised = outcome.raised()
        kind = raised.type.rpartition(".")[2]
        return (f"{kind}: {raised.text}" if raised.text else kind), raised.traceback
    details = outcome.details()
    said = {
        outcomes.TIMEOUT: f"ran longer than {details.get('seconds')} s",
        outcomes.UNPICKLABLE: f"its result cannot be pickled: {details.get('error')}",
        outcomes.BAD_CALL: f"it cannot be unpickled in the job: {details.get('error')}",
        outcomes.MISMATCH: f"the job has Python {details.get('found')}",
        outcomes.NOT_INSTALLED: f"not installed: {details.get('requirements')}",
        outcomes.TOO_LARGE: f"its result is too large for a log: {details.get('size')} bytes",
    }
    return said.get(outcome.status, _death(details)), str(details.get("traceback") or "")


def _death(details: dict[str, object]) -> str:
    if details.get("asked"):
        return "killed, as asked"
    if details.get("signal"):
        return f"its process died of signal {details['signal']}"
    return f"its process ended with exit code {details.get('exitcode')}"


async def read_calls(hub: HubClient, calls: RunCalls) -> None:
    """Read what the logs of a run have by now."""
    room = asyncio.Semaphore(LOGS_AT_ONCE)

    async def read(job: RunJob) -> None:
        async with room:
            try:
                await _read(hub, calls, job)
            except HubError as error:
                calls.unread[job.id] = str(error)

    await asyncio.gather(*(read(job) for job in calls.run.jobs if job.started or not job.running))
    calls.settle()


async def _read(hub: HubClient, calls: RunCalls, job: RunJob) -> None:
    """Read one log: to its end, or, while its job runs, until no more comes at once."""
    patience = _LONGEST
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LONGEST), contextlib.aclosing(hub.logs(job.id)) as log:
            if job.running:
                patience = _FIRST
            while True:
                async with asyncio.timeout(patience):
                    lines = await anext(log, None)
                if lines is None:
                    return
                calls.hear(job, [line.text for line in lines])
                if job.running:
                    patience = _QUIET


async def follow_calls(
    hub: HubClient, calls: RunCalls, refresh: Callable[[], Run], until: Callable[[], bool]
) -> None:
    """Read the logs of a run as they are written, until none of its jobs is running.

    Args:
        hub: Where.
        calls: What is told of them.
        refresh: Returns the run as it is by then; may block.
        until: Whether enough was read.
    """
    tasks: dict[str, asyncio.Task[None]] = {}
    async with asyncio.TaskGroup() as group:
        while not until():
            for job in calls.run.jobs:
                if job.id not in tasks and (job.started or not job.running):
                    tasks[job.id] = group.create_task(_follow(hub, calls, job))
            if calls.run.running == 0:
                break
            await asyncio.wait(
                tasks.values() or [group.create_task(asyncio.sleep(_POLL))], timeout=_POLL
            )
            calls.run = await asyncio.to_thread(refresh)
        else:
            for task in tasks.values():
                task.cancel()
    calls.settle()


async def _follow(hub: HubClient, calls: RunCalls, job: RunJob) -> None:
    """Read one log to its end, which is where its job is over; it may break off before that."""
    while True:
        before = next((one for one in calls.run.jobs if one.id == job.id), job)
        try:
            async with contextlib.aclosing(hub.logs(job.id)) as log:
                async for lines in log:
                    calls.hear(job, [line.text for line in lines])
        except (HubUnavailableError, RateLimitedError) as error:
            calls.unread[job.id] = str(error)
        except HubError as error:
            calls.unread[job.id] = str(error)
            return
        else:
            calls.unread.pop(job.id, None)
        if not before.running:  # the whole log was there to be read
            return
        await asyncio.sleep(_POLL)
