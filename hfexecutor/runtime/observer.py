"""From what the core was told and has said to what users hear of it: events, and lines of the log.

The one place where both are made. It decides nothing, and nobody waits for it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hfexecutor import events as public
from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.errors import DetachedError
from hfexecutor.failures import Failures
from hfexecutor.payload.attachments import shipped
from hfexecutor.remote import outcomes
from hfexecutor.runtime.in_transit import InTransit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hfexecutor.core.call import Call
    from hfexecutor.core.machine import Machine
    from hfexecutor.futures import Printed
    from hfexecutor.runtime.in_transit import Moved

__all__ = ["Observer"]

logger = logging.getLogger("hfexecutor")

_GOOD = frozenset({outcomes.VALUE, outcomes.IN_BUCKET})  # ends of calls that have not failed
GATHER = 0.1  # seconds within which launches are told together: calls come one after the other


class Observer:
    """Tells of one run.

    Args:
        machine: The core, to be read only.
        name: Of the run.
        way_back: The command that gets back to it; empty where there is none.
        events: Where what is told goes.
    """

    def __init__(
        self, machine: Machine, events: public.Events, *, name: str, way_back: str
    ) -> None:
        self._machine = machine
        self._name = name
        self._way_back = way_back
        self._events = events
        self._failures = Failures()
        self._summed_up: list[int] = []  # calls that have failed, and of which maps have told
        self._began_at: float | None = None  # with the first call
        self._posted: dict[str, float] = {}  # workers whose job is not over, and since when
        self._asked: dict[str, do.Post] = {}  # what was asked for, without the calls
        self._jobs: dict[str, ev.JobSeen] = {}  # those of them that are known
        self._began: dict[str, float] = {}  # when they were heard first, in seconds since 1970
        self._up: dict[str, float | None] = {}  # those that run, and when by their own clock
        self._weighed: dict[int, do.WeighRetry] = {}  # by the id of the call's next attempt
        self._installs: set[tuple[str, float, bool]] = set()  # what was told of installations
        self._was_up = False
        self._needed: set[str] = set()
        self._launching: Counter[str] = Counter()  # launches that were not told yet, by flavor
        self._launching_since = 0.0
        self._moving = public.Transferring(0.0)  # as it was told last
        self._moving_since = 0.0
        in_transit = self._in_transit = InTransit()
        handlers: dict[type, Callable[[Any, float], None]] = {
            ev.Submitted: self._submitted,
            ev.Aborted: self._aborted,
            ev.Detached: self._detached,
            ev.Heard: self._heard,
            ev.Launched: self._launched,
            ev.RetryWeighed: self._retry_weighed,
            ev.Answered: self._answered,
            ev.Fetched: self._fetched,
            ev.FetchRefused: in_transit.refused,
            ev.RangeKept: self._range_kept,
            ev.RangeFailed: in_transit.range_lost,
            ev.RangeRefused: in_transit.range_lost,
            do.Post: self._post,
            do.ReadLog: self._read_log,
            do.Started: self._sent,
            do.BackupStarted: self._backup_started,
            do.Send: in_transit.sent,
            do.SendRange: in_transit.range_sent,
            do.Fetch: in_transit.fetching,
            do.WeighRetry: self._weigh_retry,
            do.Complete: self._complete,
            do.Fail: self._fail,
            do.CancelFuture: self._cancelled,
            do.NotifyCancelled: self._cancelled,
            do.Forget: self._forget,
            do.Report: self._report,
        }
        self._handlers = defaultdict(lambda: _pass_over, handlers)

    def observe(
        self, events: Iterable[ev.Event], commands: Iterable[do.Command], now: float
    ) -> None:
        """Tell of what has happened, and of what was done about it."""
        handlers = self._handlers
        try:
            for one in (*events, *commands):
                handlers[type(one)](one, now)
            if self._events.are_heard(public.Transferring):
                self._tell_moving(now)
            if self._launching and now - self._launching_since >= GATHER:
                self._tell_launches(time.time())
        except Exception:  # ours; but what is told of a run is no reason to end it
            logger.exception("internal error in hfexecutor, please report it")

    def _tell_launches(self, at: float) -> None:
        if self._launching:
            launched, self._launching = self._launching, Counter()
            for flavor, jobs in launched.items():
                self._tell(public.JobsLaunched(at, jobs, flavor))

    def _tell(self, event: public.Event, level: int = logging.INFO) -> None:
        self._tell_launches(event.at)  # they came before it
        logger.log(level, "%s", event)
        self._events.tell(event)

    # --- jobs --------------------------------------------------------------------------------

    def _post(self, command: do.Post, now: float) -> None:
        self._posted.setdefault(command.worker, now)
        self._asked[command.worker] = command._replace(calls=())  # they are to be let go
        if not self._launching:
            self._launching_since = now
        self._launching[command.kind] += 1

    def _launched(self, event: ev.Launched, now: float) -> None:
        self._know(event.worker, event.job, now)

    def _read_log(self, command: do.ReadLog, now: float) -> None:
        """A job's log is read as soon as there is one, whichever way it was found."""
        worker = self._machine.workers.get(command.worker)
        if worker is not None and worker.job is not None:
            self._know(command.worker, worker.job, now)

    def _know(self, worker: str, job: ev.JobSeen, now: float) -> None:
        known = worker in self._jobs
        self._jobs[worker] = job
        if not known and worker in self._posted:
            seconds, asked = now - self._posted[worker], self._asked[worker]
            event = public.JobCreated(
                time.time(), job.id, job.url, asked.kind, seconds, asked.slots
            )
            self._events.tell(event)  # launches go on being gathered for their line in the log

    def _heard(self, event: ev.Heard, now: float) -> None:
        worker = event.worker
        if worker not in self._posted:
            return
        if worker not in self._began:  # the first line is the Hub's, when the job begins to run
            self._began[worker] = time.time()
        for news in event.news:
            kind = type(news)
            if kind is ev.Hello and worker not in self._up:
                self._started(worker, news, now)  # type: ignore[arg-type]
            elif kind is ev.Installing:
                self._installing(worker, news)  # type: ignore[arg-type]

    def _started(self, worker_id: str, hello: ev.Hello, now: float) -> None:
        self._up[worker_id] = hello.clock
        worker = self._machine.workers.get(worker_id)
        if worker is not None and worker.job is not None:
            self._know(worker_id, worker.job, now)
        if (job := self._jobs.get(worker_id)) is not None:
            seconds, began = now - self._posted[worker_id], self._running_since(worker_id, job)
            told = public.JobStarted(time.time(), job.id, job.url, seconds, hello.slots, began)
            self._tell(told, logging.DEBUG if self._was_up else logging.INFO)
            self._was_up = True

    def _running_since(self, worker: str, job: ev.JobSeen) -> float | None:
        return job.started if job.started is not None else self._began.get(worker)

    def _installing(self, worker: str, news: ev.Installing) -> None:
        told = (worker, news.began, news.seconds is not None)
        clock, job = self._up.get(worker), self._jobs.get(worker)
        if told in self._installs or clock is None or job is None:  # logs are read again
            return
        self._installs.add(told)
        began = clock + news.began
        event = public.Installing(time.time(), job.id, began, news.seconds, news.failed)
        self._tell(event, logging.DEBUG)

    def _forget(self, command: do.Forget, now: float) -> None:
        worker = command.worker
        since = self._posted.pop(worker, now)
        if (job := self._jobs.pop(worker, None)) is not None:
            job, dollars = self._bill(job)
            began = self._running_since(worker, job)
            event = public.JobEnded(time.time(), job.id, job.url, now - since, began, dollars)
            self._tell(event, logging.DEBUG)
        for known in (self._asked, self._began, self._up):
            known.pop(worker, None)
        self._installs = {told for told in self._installs if told[0] != worker}
        self._in_transit.forget(worker)

    def _bill(self, job: ev.JobSeen) -> tuple[ev.JobSeen, float | None]:
        """Return a job that is over as it was seen last, and what it can be billed."""
        budget = self._machine.budget
        for seen, kind, _, dollars in reversed(budget.over):  # it is one of the last
            if seen.id == job.id:
                return seen, dollars if kind in budget.prices else None
        return job, None

    def _answered(self, event: ev.Answered, now: float) -> None:
        self._moved(event.worker, self._in_transit.answered(event, now), fetched=False)

    def _fetched(self, event: ev.Fetched, now: float) -> None:
        self._moved(event.worker, self._in_transit.fetched(event, now), fetched=True)

    def _range_kept(self, event: ev.RangeKept, now: float) -> None:
        self._moved(event.worker, self._in_transit.range_kept(event, now), fetched=False)

    def _moved(self, worker: str, moved: Moved | None, *, fetched: bool) -> None:
        job = self._jobs.get(worker)
        if moved is None or job is None:
            return
        seconds, size = moved
        if seconds >= public.SLOW_TRANSFER or size >= public.LARGE_TRANSFER:
            self._events.tell(public.Transferred(time.time(), job.id, seconds, size, fetched))

    def _tell_moving(self, now: float) -> None:
        """Tell how far large values are, if anybody wants to hear of it."""
        channels = [worker.channel for worker in self._machine.workers.values()]
        up = [channel.transfers.progress for channel in channels]
        down = [channel.fetching.progress for channel in channels]
        sums = (sum(column) for pairs in (up, down) for column in zip((0, 0), *pairs, strict=True))
        moving = public.Transferring(time.time(), *sums)
        ends = not (moving.to_send or moving.to_fetch)
        before, was_over = self._moving, not (self._moving.to_send or self._moving.to_fetch)
        if (ends and was_over) or (not ends and now - self._moving_since < GATHER):
            return
        if moving != replace(before, at=moving.at):
            self._moving, self._moving_since = moving, now
            self._events.tell(moving)

    # --- calls -------------------------------------------------------------------------------

    def _submitted(self, event: ev.Submitted, now: float) -> None:
        if self._began_at is None:
            self._began_at = now
            self._tell(public.RunStarted(time.time(), self._name, self._way_back))
        # Not asked whether these are heard, as for calls that are sent and that end: they are what
        # a run's recorder listens to.
        numbers = tuple([call.number for call in event.calls])
        names = tuple([call.name for call in event.calls])
        self._events.tell(public.CallsSubmitted(time.time(), numbers, names))
        for call in event.calls:
            if call.attachments:
                self._note_needs(call)

    def _note_needs(self, call: Call) -> None:
        new = [text for text in shipped(call.attachments)[0] if text not in self._needed]
        if new:
            self._needed.update(new)
            self._tell(public.PackagesNeeded(time.time(), tuple(new)))

    def _sent(self, command: do.Started, _: float) -> None:
        # Of backups there is an event of their own; which attempt counts, the end will tell.
        if command.of_two:
            return
        if numbers := tuple([call.number for call in command.calls]):
            self._events.tell(public.CallsSent(time.time(), numbers, command.job.id))

    def _backup_started(self, command: do.BackupStarted, _: float) -> None:
        call, seconds, median, first, job = command
        first_id = None if first is None else first.id
        event = public.BackupStarted(time.time(), call.number, job.id, first_id, seconds, median)
        self._tell(event)

    def _complete(self, command: do.Complete, _: float) -> None:
        ended: list[public.CallEnd] = []
        jobs, up, end = self._jobs, self._up, public.CallEnd
        for call, outcome, _where, worker in command.completions:
            error = None if outcome.status in _GOOD else self._note_failure(call)
            # As `_where`, without a call and a tuple for each: this is asked for every call.
            job, clock = jobs.get(worker), up.get(worker)
            job_id = call.future.job_id if job is None else job.id
            began, slot = (None, None) if clock is None else (clock + outcome.began, outcome.slot)
            ended.append(end(call.number, job_id, outcome.duration, error, began, slot))
        self._tell_ends(ended)

    def _weigh_retry(self, command: do.WeighRetry, _: float) -> None:
        self._weighed[command.call.id] = command

    def _retry_weighed(self, event: ev.RetryWeighed, _: float) -> None:
        call = self._machine.pending.open.get(event.call)
        weighed = self._weighed.pop(event.call, None)
        if event.pause is None or call is None or weighed is None:
            return
        job_id, began, slot = self._where(call, weighed.outcome, weighed.worker)
        told = public.CallRetried(
            at=time.time(),
            call=call.number,
            job_id=job_id,
            error=call.future.attempts[-1],
            seconds=event.pause,
            began=began,
            slot=slot,
            ran=weighed.outcome.duration,
        )
        self._tell(told, logging.DEBUG)

    def _where(
        self, call: Call, outcome: ev.Outcome | None, worker: str
    ) -> tuple[str | None, float | None, int | None]:
        """Return the job that has answered a call, and when it began there in which slot."""
        job, clock = self._jobs.get(worker), self._up.get(worker)
        job_id = call.future.job_id if job is None else job.id
        if outcome is None or clock is None:
            return job_id, None, None
        return job_id, clock + outcome.began, outcome.slot

    def _fail(self, command: do.Fail, now: float) -> None:
        if command.call.future.cancelled():
            self._cancelled(command, now)
        elif not isinstance(command.error, DetachedError):  # one that goes on has not failed
            call = command.call
            error, (job_id, _, _) = self._note_failure(call), self._where(call, None, "")
            self._tell_ends([public.CallEnd(call.number, job_id, 0.0, error, None, None)])

    def _cancelled(self, command: do.Fail | do.CancelFuture | do.NotifyCancelled, _: float) -> None:
        if self._events.are_heard(public.CallCancelled):
            self._events.tell(public.CallCancelled(time.time(), command.call.number))

    def listen_to(self, call: Call, printed: Printed) -> None:
        """Tell what a call prints, if anybody wants to hear of it."""
        if printed.heard is None and self._events.are_heard(public.CallPrinted):

            def tell(text: str) -> None:
                self._events.tell(
                    public.CallPrinted(time.time(), call.number, call.future.job_id, text)
                )

            printed.heard = tell

    def _note_failure(self, call: Call) -> str | None:
        """Return what a call has raised whose future is done: that was carried out before."""
        future = call.future
        raised = future.exception(0)
        if raised is None:
            return None
        self._failures.note(None, raised, future)
        return type(raised).__name__

    def _tell_ends(self, ended: list[public.CallEnd]) -> None:
        self._failures.calls += len(ended)
        events, at = self._events, time.time()
        if single := events.are_heard(public.CallEnded):
            self._tell_launches(at)
        events.tell(public.CallsEnded(at, tuple(ended)))
        if single:
            for end in ended:
                events.tell(public.CallEnded(at, *end))

    def sum_up(self, calls: int) -> None:
        """Note that the summary of a map has told of so many that failed; from any thread."""
        self._summed_up.append(calls)

    # --- the run -----------------------------------------------------------------------------

    def _detached(self, _: ev.Detached, __: float) -> None:
        if self._began_at is not None:
            self._tell(public.RunDetached(time.time(), self._name, self._way_back))

    def _aborted(self, event: ev.Aborted, _: float) -> None:
        if self._began_at is not None:
            told = public.RunInterrupted(time.time(), self._name, self._way_back, event.why)
            self._tell(told)

    def _report(self, command: do.Report, _: float) -> None:
        if command.level >= logging.WARNING:  # it is in the log already
            self._events.tell(public.Trouble(time.time(), command.text))

    def end(self, now: float) -> None:
        """Tell that nothing is left."""
        if self._machine.adopting is not None:
            return  # it goes on without us
        if self._failures.count > sum(self._summed_up):  # once is enough
            logger.info("%s", self._failures)
        event = public.RunEnded(
            at=time.time(),
            calls=self._failures.calls,
            failed=self._failures.count,
            jobs=self._machine.counters.jobs,
            seconds=0.0 if self._began_at is None else now - self._began_at,
            dollars=self._machine.dollars(now),
        )
        self._tell(event)


def _pass_over(_: Any, __: float) -> None:
    """Tell nothing of it."""
