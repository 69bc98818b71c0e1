"""Doors of workers: opened, in use, given up. What comes through them is told by the answers.

What is known of one door is in :mod:`~hfexecutor.core.channel`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hfexecutor.core import failures
from hfexecutor.core.channel import Door
from hfexecutor.core.stages import TERMINAL, Phase

if TYPE_CHECKING:
    from hfexecutor.core import events as ev
    from hfexecutor.core.channel import Undelivered
    from hfexecutor.core.ends import Ends
    from hfexecutor.core.state import State
    from hfexecutor.core.worker import Worker

__all__ = ["Doors"]


class Doors:
    """Open doors, and give them up."""

    def __init__(self, state: State, ends: Ends) -> None:
        self._state = state
        self._ends = ends

    def open(self, worker: Worker) -> None:
        """Open the door of a worker, if its HELLO and address are known."""
        job = worker.job
        if worker.channel.door is not Door.AWAITED or worker.hello is None or job is None:
            return
        if job.door and worker.phase not in TERMINAL:  # else nobody would answer behind it
            worker.channel.open(job.id, job.door)
        # Before a job runs, as far as lists tell, the Hub need not say where its door is.
        elif worker.phase is Phase.RUNNING and worker.channel.note_unaddressed(self._state.now):
            text = f"the Hub tells no address for the door of {worker.describe()}"
            self._state.report(logging.WARNING, text)
            self._give_up(worker, worker.channel.shut())

    def could_not_open(self, worker: Worker, why: str) -> None:
        """A worker says that it has no door."""
        self._state.report(logging.WARNING, f"{worker.describe()} has no door: {why}")
        self._give_up(worker, worker.channel.shut(), known=True)

    def unanswered(self, event: ev.Unanswered) -> None:
        """A message was not answered with success."""
        state, worker = self._state, self._state.news_of(event.worker)
        if worker is None:
            return
        left = worker.channel.failed(event.number, event.failure, event.status, state.now)
        if left is not None:
            if worker.bye is None:  # else it has shut the door itself
                text = f"the door of {worker.describe()} is given up: {event.why}"
                state.report(logging.WARNING, text)
            self._give_up(worker, left)

    def unshared(self, event: ev.Unshared) -> None:
        """Jobs need not keep some buffers."""
        for worker in self._state.workers.values():
            if worker.channel.transfers.forget(event.names):
                self._state.touch(worker)

    def range_kept(self, event: ev.RangeKept) -> None:
        """A range of a buffer has arrived."""
        if (worker := self._state.news_of(event.worker)) is not None:
            worker.channel.range_kept(event.number)

    def range_failed(self, event: ev.RangeFailed) -> None:
        """A range of a buffer may not have arrived, which says nothing about the door."""
        state, worker = self._state, self._state.news_of(event.worker)
        if worker is not None:
            worker.channel.range_failed(event.number, state.now)

    def range_refused(self, event: ev.RangeRefused) -> None:
        """A worker has no memory for a buffer: the calls that need it cannot run there."""
        state, worker = self._state, self._state.news_of(event.worker)
        if worker is None:
            return
        for call in worker.channel.range_refused(event.number, state.now):
            self._ends.fail(call, failures.no_memory(call, worker, event.why))

    def fetch_failed(self, event: ev.FetchFailed) -> None:
        """A range of a large outcome did not arrive."""
        state, worker = self._state, self._state.news_of(event.worker)
        if worker is None:
            return
        if not worker.channel.fetching.failed(event.number, event.call, state.now):
            return
        # The worker announces it again, when it is asked, or says it in its log.
        text = f"the outcome of a call in {worker.describe()} was not fetched: {event.why}"
        state.report(logging.INFO, text)

    def fetch_refused(self, event: ev.FetchRefused) -> None:
        """This machine has no memory for a large outcome: its call ends without it."""
        state, worker = self._state, self._state.news_of(event.worker)
        call = state.pending.open.get(event.call)
        if worker is None or call is None or call.id not in worker.held:
            return
        self._ends.fail(call, failures.no_room_here(worker.describe(), event.why))
        worker.acknowledge(event.call)  # or it would keep the outcome, or say it in its log
        state.touch(worker)

    def listen_failed(self, event: ev.ListenFailed) -> None:
        """A request that stood broke off, which says nothing about the door."""
        state, worker = self._state, self._state.news_of(event.worker)
        if worker is None:
            return
        worker.channel.listening.failed(event.number, state.now)
        if worker.is_leaving:  # it has probably left, and the log may be late to say so
            state.polling.expect(state.now)

    def _give_up(self, worker: Worker, left: Undelivered, *, known: bool = False) -> None:
        """The worker answers what it has, leaves when idle, and gets no more."""
        # Those in a message without an answer may run there: their outcome, or the end of the job,
        # decides. With retries Ends.retire does not wait for that once nothing else is there.
        worker.unsure |= left.unsure
        worker.recalling = False  # or nothing would ever be taken back: no answer comes any more
        self._ends.requeue(worker, left.returned)
        if worker.is_closing:  # what happens on the way out tells nothing about ports
            return
        if why := self._state.ports.shut(known=known):
            self._state.report(logging.WARNING, why)
