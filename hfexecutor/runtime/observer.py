"""From what the core was told and has said to what users hear of it: events, and lines of the log.

The one place where both are made. It decides nothing, and nobody waits for it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from hfexecutor import events as public
from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.errors import DetachedError
from hfexecutor.failures import Failures
from hfexecutor.payload.attachments import shipped
from hfexecutor.remote import outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hfexecutor.core.call import Call
    from hfexecutor.core.machine import Machine
    from hfexecutor.futures import Printed

__all__ = ["Observer"]

logger = logging.getLogger("hfexecutor")

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
        self._jobs: dict[str, ev.JobSeen] = {}  # those of them that are known
        self._up: set[str] = set()  # those of them that run
        self._was_up = False
        self._needed: set[str] = set()
        self._launching: Counter[str] = Counter()  # launches that were not told yet, by flavor
        self._launching_at = (0.0, 0.0)  # since when: as `now`, and since 1970
        self._handlers: dict[type, Callable[[Any, float], None]] = {
            ev.Submitted: self._submitted,
            ev.Aborted: self._aborted,
            ev.Detached: self._detached,
            ev.Heard: self._heard,
            ev.Launched: self._launched,
            ev.RetryWeighed: self._retry_weighed,
            do.Post: self._post,
            do.Complete: self._complete,
            do.Fail: self._fail,
            do.CancelFuture: self._cancelled,
            do.NotifyCancelled: self._cancelled,
            do.Forget: self._forget,
            do.Report: self._report,
        }

    def observe(
        self, events: Iterable[ev.Event], commands: Iterable[do.Command], now: float
    ) -> None:
        """Tell of what has happened, and of what was done about it."""
        try:
            self._observe((*events, *commands), now)
        except Exception:  # ours; but what is told of a run is no reason to end it
            logger.exception("internal error in hfexecutor, please report it")

    def _observe(self, all_of_it: tuple[ev.Event | do.Command, ...], now: float) -> None:
        handlers = self._handlers
        for one in all_of_it:
            if (handler := handlers.get(type(one))) is not None:
                handler(one, now)
        if self._launching and now - self._launching_at[0] >= GATHER:
            self._tell_launches()

    def _tell_launches(self) -> None:
        if self._launching:
            launched, self._launching = self._launching, Counter()
            for flavor, jobs in launched.items():
                self._tell(public.JobsLaunched(self._launching_at[1], jobs, flavor))

    def _tell(self, event: public.Event, level: int = logging.INFO) -> None:
        self._tell_launches()  # they came before it
        logger.log(level, "%s", event)
        self._events.tell(event)

    # --- jobs --------------------------------------------------------------------------------

    def _post(self, command: do.Post, now: float) -> None:
        self._posted.setdefault(command.worker, now)
        if not self._launching:
            self._launching_at = (now, time.time())
        self._launching[command.kind] += 1

    def _launched(self, event: ev.Launched, _: float) -> None:
        self._jobs[event.worker] = event.job

    def _heard(self, event: ev.Heard, now: float) -> None:
        if event.worker in self._up:
            return
        for news in event.news:
            if isinstance(news, ev.Hello) and event.worker in self._posted:
                self._started(event.worker, news.slots, now)
                return

    def _started(self, worker_id: str, slots: int | None, now: float) -> None:
        self._up.add(worker_id)
        worker = self._machine.workers.get(worker_id)
        if worker is not None and worker.job is not None:
            self._jobs[worker_id] = worker.job
        if (job := self._jobs.get(worker_id)) is not None:
            seconds = now - self._posted[worker_id]
            event = public.JobStarted(time.time(), job.id, job.url, seconds, slots)
            self._tell(event, logging.DEBUG if self._was_up else logging.INFO)
            self._was_up = True

    def _forget(self, command: do.Forget, now: float) -> None:
        since = self._posted.pop(command.worker, now)
        self._up.discard(command.worker)
        if (job := self._jobs.pop(command.worker, None)) is not None:
            event = public.JobEnded(time.time(), job.id, job.url, now - since)
            self._tell(event, logging.DEBUG)

    # --- calls -------------------------------------------------------------------------------

    def _submitted(self, event: ev.Submitted, now: float) -> None:
        if self._began_at is None:
            self._began_at = now
            self._tell(public.RunStarted(time.time(), self._name, self._way_back))
        if self._events.are_heard:
            numbers = tuple(call.id for call in event.calls)
            self._events.tell(public.CallsSubmitted(time.time(), numbers))
        for call in event.calls:
            if call.attachments:
                self._note_needs(call)

    def _note_needs(self, call: Call) -> None:
        new = [text for text in shipped(call.attachments)[0] if text not in self._needed]
        if new:
            self._needed.update(new)
            self._tell(public.PackagesNeeded(time.time(), tuple(new)))

    def _complete(self, command: do.Complete, _: float) -> None:
        self._failures.calls += len(command.completions)
        for call, outcome, _where in command.completions:
            failed = outcome.status != outcomes.VALUE
            if failed or self._events.are_heard:
                self._ended(call, outcome.duration, failed=failed)

    def _retry_weighed(self, event: ev.RetryWeighed, _: float) -> None:
        call = self._machine.pending.open.get(event.call)
        if event.pause is not None and call is not None:
            future, number = call.future, call.number
            why = future.attempts[-1]
            told = public.CallRetried(time.time(), number, future.job_id, why, event.pause)
            self._tell(told, logging.DEBUG)

    def _fail(self, command: do.Fail, now: float) -> None:
        if command.call.future.cancelled():
            self._cancelled(command, now)
        elif not isinstance(command.error, DetachedError):  # one that goes on has not failed
            self._failures.calls += 1
            self._ended(command.call, 0.0, failed=True)

    def _cancelled(self, command: do.Fail | do.CancelFuture | do.NotifyCancelled, _: float) -> None:
        if self._events.are_heard:
            self._events.tell(public.CallCancelled(time.time(), command.call.number))

    def listen_to(self, call: Call, printed: Printed) -> None:
        """Tell what a call prints, if anybody wants to hear of it."""
        if printed.heard is None and self._events.are_heard:

            def tell(text: str) -> None:
                self._events.tell(
                    public.CallPrinted(time.time(), call.number, call.future.job_id, text)
                )

            printed.heard = tell

    def _ended(self, call: Call, seconds: float, *, failed: bool) -> None:
        """Tell of a call whose future is done: the commands were carried out before."""
        future, error = call.future, None
        if failed and (raised := future.exception(0)) is not None:
            error = type(raised).__name__
            self._failures.note(None, raised, future)
        if self._events.are_heard:
            self._tell_launches()
            event = public.CallEnded(time.time(), call.number, future.job_id, seconds, error)
            self._events.tell(event)

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
