"""The scheduler: what happens on the pool's loop, and every decision about it.

The road of a call on this side::

    take() ──Call──> queue ──pump──> worker.held ──launch or door──> the job
                                                                       │
    future <──flush── answer <──heard── following (SSE) <── its log ───┘

All of it runs on one event loop, so nothing here needs a lock. The calls are in the
:class:`~hfexecutor.ledger.Ledger`, the workers in the :class:`~hfexecutor.crew.Crew`; the scheduler
brings the two together. Per worker up to two tasks run beside each other: one launches it and
follows its log, one feeds its door. One task for all, the watch, asks the Hub for their stages.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from typing import TYPE_CHECKING, Any

from hfexecutor.crew import FAREWELL, Crew
from hfexecutor.dealer import Dealer
from hfexecutor.doors import Doors
from hfexecutor.errors import (
    BrokenHubExecutor,
    CallStoppedError,
    HubExecutorError,
    HubUnavailableError,
)
from hfexecutor.ledger import Ledger, killed, with_note
from hfexecutor.remote import entries as wire
from hfexecutor.remote import outcomes
from hfexecutor.results import unwrap
from hfexecutor.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from hfexecutor.calls import Call
    from hfexecutor.connection import Connection
    from hfexecutor.futures import HubFuture
    from hfexecutor.options import Options
    from hfexecutor.stats import Stats
    from hfexecutor.worker import Worker

__all__ = ["Scheduler"]

logger = logging.getLogger("hfexecutor")

DEAL_SECONDS = 2e-5  # for each worker, between two times that calls are dealt out
PARTING = 10.0  # seconds for the last requests when everything is stopped


class Scheduler:
    """Give calls to workers, workers to calls, and outcomes to futures."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.ledger = Ledger()
        self.crew = Crew(self)
        self.doors = Doors(self)
        self._dealer = Dealer(self)
        self.one_shot = not options.reuse_workers
        self.most_jobs: float = math.inf  # how many the Hub lets us have
        self.broken: BrokenHubExecutor | None = None  # why no call can run any more
        self.connection: Connection
        self.watch: Watch
        self._tasks: set[asyncio.Task[Any]] = set()
        self._connecting: asyncio.Task[None] | None = None
        self._unreachable: HubUnavailableError | None = None  # nothing can be asked of the Hub
        self._connected = False
        self._closing = False
        self._on_hold = False
        self._parting = False  # all is done, the workers are on their way out
        self._dealt_at = 0.0
        self._recheck: asyncio.TimerHandle | None = None

    # --- life --------------------------------------------------------------------------------

    def begin(self, connect: Callable[[], Connection]) -> None:
        """Get ready, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self.watch = Watch(self)
        try:
            self.connection = connect()
        except Exception as error:  # of certificates, of proxies: whatever the system has set up
            self._unreachable = HubUnavailableError(
                f"no connection to the Hub can be set up ({type(error).__name__}: {error}); "
                "check the proxy and certificate settings of this machine"
            )
            self._unreachable.__cause__ = error
            return
        self._watching = self.spawn(self.watch.run())
        logger.debug("running calls on %s", self.mode)

    async def run(self) -> None:
        """Work until closed, or stopped, and nothing is left."""
        try:
            await self._ended.wait()
        finally:
            if self._unreachable is None:
                await self._leave_nothing_behind()
                await self.connection.hub.aclose()

    async def _leave_nothing_behind(self) -> None:
        """Cancel the tasks, and jobs that may exist although they are nobody's."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not self.crew.doubt:
            return
        with contextlib.suppress(HubExecutorError, TimeoutError):
            async with asyncio.timeout(PARTING):
                for job in await self.connection.hub.list_jobs(self.connection.labels):
                    if not job.finished:
                        await self.connection.hub.cancel(job.id)

    def now(self) -> float:
        """Return the loop's time."""
        return self._loop.time()

    def later(
        self, seconds: float, function: Callable[..., None], *args: Any
    ) -> asyncio.TimerHandle:
        """Call a function on the loop after a while."""
        return self._loop.call_later(seconds, function, *args)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a task whose failure is not overlooked: every open call ends with it."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if not isinstance(error, HubExecutorError):
            logger.error("internal error in hfexecutor, please report it", exc_info=error)
            cause, error = error, HubExecutorError("internal error in hfexecutor, please report it")
            error.__cause__ = cause
        self.fail_all(error)
        if task is self._watching and not self._ended.is_set():
            self._watching = self.spawn(self.watch.run())
        self.pump()

    def hold(self) -> None:
        """Give out no more calls: those that wait are about to be cancelled.

        May be called from any thread, a future's callback among them.
        """
        self._on_hold = True

    def close(self, cancel_futures: bool) -> None:
        """Take no more calls; end when those in hand are done."""
        self._closing = True
        if cancel_futures:
            for call in list(self.ledger.open.values()):
                call.future.cancel()
            self._on_hold = False
        self.pump()

    def abort(self, why: str) -> None:
        """Stop everything now: pending calls are cancelled, running ones stopped."""
        self._closing, self._on_hold = True, False
        for call in list(self.ledger.open.values()):
            if call.future.cancel():
                self.ledger.strike(call.future)
            else:
                self.ledger.answer(call, error=CallStoppedError(f"the call was stopped: {why}"))
        for worker in list(self.crew.workers):
            self.crew.cancel(worker)
        self.later(PARTING, self._end)
        self.pump()

    def _part(self) -> None:
        """Let the workers go; a Hub that does not answer holds nobody up for long."""
        for worker in list(self.crew.workers):
            self.crew.dismiss(worker)
        if not self.crew.workers:
            self._end()
        elif not self._parting:
            self._parting = True
            self.later(FAREWELL + PARTING, self._end)

    def _end(self) -> None:
        self.crew.doubt = self.crew.doubt or bool(self.crew.workers)
        self._ended.set()

    def fail_all(self, error: BaseException) -> None:
        """End every open call with this error, and stop every job."""
        for worker in self.crew.launched:
            where = f"The call was in {worker.describe()}."
            for call in worker.held.values():
                self.ledger.answer(call, error=with_note(error, where))
        self.ledger.fail_all(error)
        for worker in list(self.crew.workers):
            worker.held.clear()
            self.crew.cancel(worker)
        self.ledger.flush()

    def describe(self) -> str:
        """Return what runs, waits and is done, for a repr; may be called from any thread."""
        workers = list(self.crew.workers)
        up = sum(worker.hello is not None for worker in workers)
        counters = self.ledger.counters
        parts = [
            f"{up} running" if up else "",
            f"{len(workers) - up} scheduling" if len(workers) > up else "",
            f"{len(self.ledger.open)} calls waiting" if self.ledger.open else "",
            f"{counters.done + counters.failed} calls done",
            self.mode,
        ]
        return ", ".join(part for part in parts if part)

    @property
    def mode(self) -> str:
        """How calls get to jobs at present, in words."""
        if not self.options.reuse_workers:
            return "one job per call"
        return "one-shot jobs" if self.one_shot else "warm workers"

    def stats(self) -> Stats:
        """Return the figures so far; may be called from any thread."""
        workers = [worker for worker in list(self.crew.workers) if worker.job is not None]
        now = time.monotonic()
        return self.ledger.counters.snapshot(
            pending=len(self.ledger.open),
            running=sum(worker.hello is not None for worker in workers),
            requests=self.connection.hub.requests if self._connected else 0,
            running_seconds=sum(now - worker.launched_at for worker in workers),
        )

    # --- calls come in, are cancelled, killed ------------------------------------------------

    def take(self, calls: Iterable[Call]) -> None:
        """Take new calls over."""
        self.ledger.enter(calls)
        self.pump()

    def cancelled(self, future: HubFuture[Any]) -> None:
        """Wake who waits for a cancelled future, and stop the job that only it needed."""
        call = self.ledger.strike(future)
        if call is None:
            return
        for worker in self.crew.workers:
            if worker.drop(call.id) is None:
                continue
            if not worker.held and worker.hello is None:
                self.crew.cancel(worker)
            elif worker.takes_calls:
                worker.order(wire.RECALL, [call.id])
        self.pump()

    def kill(self, future: HubFuture[Any]) -> None:
        """Stop a running call: its child process through the door, else its job.

        One that nobody runs just now ends at once; one that cannot be reached, when it can.
        """
        call = self.ledger.open.get(future.call_id)
        if call is None:
            return
        call.killed = True
        holders = [worker for worker in self.crew.workers if call.id in worker.held]
        for worker in holders:
            if worker.takes_calls:
                worker.order(wire.KILL, [call.id])
            elif len(worker.held) == 1:
                self.ledger.answer(call, error=killed())
                self.crew.cancel(worker)
        if not holders:
            self.ledger.answer(call, error=killed())
        self.pump()

    # --- calls go out ------------------------------------------------------------------------

    def pump(self) -> None:
        """Give out answers and queued calls, start the workers that are wanted, and let go."""
        self.ledger.flush()  # first: who waits for an answer should not wait for anything else
        queue = self.ledger.queue
        if queue and self._unreachable is not None:
            self.fail_all(self._unreachable)
        if queue and not self._connected:
            if self._connecting is None:
                self._connecting = self.spawn(self._connect())
            return
        self._deal()
        self.ledger.flush()
        self.doors.watch_over()
        if self._closing and not self.ledger.open:
            self._part()

    def _deal(self) -> None:
        """Deal now, or soon: it looks at every worker, so with many of them not at every event."""
        now = self.now()
        due = self._dealt_at + DEAL_SECONDS * len(self.crew.workers)
        if self._on_hold:
            return
        if now < due:
            self.look_again(due - now)
        else:
            self._dealt_at = now
            self._dealer.deal()

    def look_again(self, seconds: float) -> None:
        """Pump again later: what is forecast now may turn out wrong."""
        due = self.now() + seconds
        if self._recheck is not None:
            if self._recheck.when() <= due:
                return
            self._recheck.cancel()
        self._recheck = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._recheck = None
        self.pump()

    async def _connect(self) -> None:
        try:
            await self.connection.open(self.options.flavor)
            self.ledger.counters.price(self.connection.hardware.get(self.options.flavor))
            self._connected = True
        except HubExecutorError as error:
            self.fail_all(error)
        finally:
            self._connecting = None
        self.pump()

    # --- workers speak -----------------------------------------------------------------------

    def heard(self, worker: Worker, entries: Iterable[wire.Entry]) -> None:
        """Take what a worker has said in its log."""
        for entry in entries:
            if entry.kind == wire.OUTCOME:
                self._outcome(worker, entry)
            elif entry.kind == wire.HELLO and worker.hello is None:
                self.crew.greet(worker, entry)
                self.doors.look_for(worker)
            elif entry.kind == wire.LARGE:
                self.doors.fetch(worker, entry)
            elif entry.kind == wire.BYE:
                worker.part(entry)
                self.watch.nudge()
            elif entry.kind == wire.REFUSED:
                logger.warning("%s refused a message: %r", worker.describe(), entry.data[:200])
        if worker.intake.take_forgery():
            logger.warning(
                "the log of %s has lines that look like the worker's and are not authentic; they "
                "count as something that was printed",
                worker.describe(),
            )
        if worker.intake.starts > 1 and not worker.closing:
            # The new supervisor knows of the calls of the launch only, and runs them once more.
            logger.warning("%s was started again, cancelling it", worker.describe())
            self.crew.cancel(worker)
        if worker.intake.take_gap():
            worker.ask_again(self.now())
        self.pump()

    def _outcome(self, worker: Worker, entry: wire.Entry) -> None:
        try:
            outcome = outcomes.decode(entry.data)
        except outcomes.OutcomeError:
            logger.warning("%s sent an outcome that cannot be read", worker.describe())
            return
        call = self.ledger.open.get(entry.call)
        if not entry.call:  # about the worker itself, and all others would say the same
            self._break(unwrap(outcome, worker.describe)[1])
        elif call is None:  # answered before, by this worker or another, or cancelled
            worker.note_answer(entry.call)
        elif call.id not in worker.held and not call.lost:  # a job speaks for itself alone
            logger.warning("%s answers a call that it was not given", worker.describe())
        else:
            worker.answered(call, outcome.duration, self.now())
            self._dealer.duration = worker.duration
            call.future.printed_in_all(outcome.printed, unterminated=outcome.unterminated)
            self._answer(call, *unwrap(outcome, worker.describe))

    def _answer(self, call: Call, value: Any, error: BaseException | None) -> None:
        self.ledger.answer(call, value, error)
        if call.lost:  # an earlier worker may have answered while another has it
            for worker in self.crew.workers:
                worker.drop(call.id)

    def _break(self, error: BaseException | None) -> None:
        """No call can run: the initializer fails, or the image has another Python."""
        assert isinstance(error, HubExecutorError)
        if isinstance(error, BrokenHubExecutor):
            self.broken = error
        self.fail_all(error)
