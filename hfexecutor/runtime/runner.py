"""The thread that an executor's work happens in, and the ways into it.

:class:`Runner` is what other threads may touch. It owns a thread with an event loop; there, what
happened is gathered, given to the core, and what the core says is handed to the edges::

    other threads ──inbox──┐
                           ├─> events ──> Machine.handle ──> commands ──> edges ──> the world
    edges ─────────────────┘                                                │
                           └────────────────────────<───────────────────────┘
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from hfexecutor.condition import Latch
from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.core.call import Call
from hfexecutor.core.machine import Machine
from hfexecutor.core.rules import Limits, Rules
from hfexecutor.errors import DetachedError, HubExecutorError, HubUnavailableError
from hfexecutor.events import Events
from hfexecutor.futures import Printed
from hfexecutor.hub.threads import make_ready
from hfexecutor.runtime.completer import Completer, claim
from hfexecutor.runtime.door_client import DoorClient
from hfexecutor.runtime.edge import Surroundings, Tasks, internal_error
from hfexecutor.runtime.launcher import Launcher
from hfexecutor.runtime.link import Links
from hfexecutor.runtime.log_reader import LogReader
from hfexecutor.runtime.observer import Observer
from hfexecutor.runtime.poller import Poller
from hfexecutor.runtime.values import Values

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfexecutor.futures import PoolFuture
    from hfexecutor.options import Options
    from hfexecutor.payload.remote_value import Content
    from hfexecutor.remote.outcomes import Outcome
    from hfexecutor.runtime.connection import Connection

__all__ = ["Runner"]

logger = logging.getLogger("hfexecutor")

RECORDING = "HFEXECUTOR_RECORD"  # the variable that names the file to record runs in
RULES = Rules()  # of every runner; a test may exchange it
BURST = 0.0005  # seconds between two wake-ups that make a burst
GATHER = 0.001  # seconds that a burst gathers


class Runner:
    """A core with its edges, in a thread of its own; every method may be called from any thread.

    Args:
        options: The executor's.
        limits: What the core has to know of them.
        connect: Makes the connection; called in the runner's thread.
        farewell: Called last in that thread, when no job is left.
        awaited: Called in the thread of who begins to wait for a call.
        events: Where what happens is told.
        way_back: The command that gets back to the run; empty where its Hub ends with this process.
        keep: Takes the outcomes of calls whose results are kept for later runs.

    Attributes:
        machine: The core, to be read only: it belongs to the runner's thread.
        connection: The way to the Hub, None before there is one.
        completer: Counts what ended how.
    """

    def __init__(
        self,
        options: Options,
        limits: Limits,
        connect: Callable[[], Connection],
        farewell: Callable[[], None] = lambda: None,
        awaited: Callable[[], None] = lambda: None,
        *,
        events: Events | None = None,
        way_back: str = "",
        keep: Callable[[Any, Outcome], None] | None = None,
    ) -> None:
        self._options = options
        self._connect = connect
        self._farewell = farewell
        self.awaited = awaited
        self.connection: Connection | None = None
        self.completer = Completer(self._tell, keep, self._content)
        self.machine = self._make_machine(limits)
        self._observer = Observer(
            self.machine,
            events if events is not None else Events(),
            name=options.name,
            way_back=way_back,
        )
        self.sum_up = self._observer.sum_up
        self._inbox: deque[Call | ev.Event] = deque()
        self._events: list[ev.Event] = []
        self._awake = False  # the loop was told that there is something in the inbox
        self._stepping = False  # the core, or an edge that it commands, is at work
        self._drained = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf  # when it goes off; infinity without one
        self._setup_error: HubUnavailableError | None = None
        self._edges: dict[type, Callable[[Any], None]] = {}  # none before the thread is ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._time: Callable[[], float] = time.monotonic  # the loop's clock, once there is one
        # Not a daemon: like the stdlib's executors, a script that ends waits for its calls.
        self._thread = threading.Thread(target=self._run, name="hfexecutor-pool")
        # Not asked of the thread: before Python 3.13 one whose join() is interrupted by Ctrl-C
        # counts as ended from then on, although it runs.
        self._over = Latch()
        self._pid = 0  # of the process that has the thread: a fork has none

    def _make_machine(self, limits: Limits) -> Machine:
        return _machine(limits)

    # --- from other threads ------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._pid = os.getpid()
        # Not what a program has chosen, as uvloop: of that a timer may have no time.
        self._loop = asyncio.SelectorEventLoop()
        self._time = self._loop.time
        make_ready(self._loop)
        self._thread.start()

    @property
    def started(self) -> bool:
        """Whether the thread was ever started."""
        return self._loop is not None

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._pid == os.getpid() and not self._over.happened()

    def submit(self, call: Call) -> None:
        """Take a call over."""
        self._put(call)

    def cancelled(self, future: PoolFuture[Any]) -> None:
        """Hear that a future was cancelled by its owner."""
        self._put(ev.Cancelled(future.call_id))

    def kill(self, future: PoolFuture[Any]) -> None:
        """Stop a running call."""
        self._put(ev.KillAsked(future.call_id))

    def unshare(self, names: tuple[bytes, ...]) -> None:
        """Hear that the handle of a shared value is gone, whose buffers have these names."""
        self._put(ev.Unshared(names))

    def unneeded(self, name: str) -> None:
        """Hear that nobody refers to a result any more, which is a file of the bucket."""
        self._put(ev.Unneeded(name))

    def close(self, *, cancel_futures: bool = False) -> None:
        """Take no more calls; end when those in hand are done."""
        self._put(ev.Closed(cancel_futures))

    def wind_up(self) -> None:
        """End, now that nobody holds the executor any more: as its options say."""
        if self._options.detach:
            self.detach()
        else:
            self.close()

    def abort(self, why: str, *, broken: bool = False) -> None:
        """Stop everything now: pending calls are cancelled, running ones stopped.

        With `broken` those end as in a pool of processes that has broken. Without, jobs that are to
        outlive this process are left to themselves instead.
        """
        # A signal's handler may have interrupted `_put` before that has woken the loop.
        self._awake = False
        if self._options.detach and not broken:
            self.detach(now=True)
        else:
            self._put(ev.Aborted(why, broken))

    def detach(self, *, now: bool = False) -> None:
        """Leave the jobs to themselves, once they have what waits; or `now`."""
        name = self._options.name
        error = DetachedError(
            f"this process watches the call no longer; to get back to run {name}: "
            f"hfexecutor attach {name}, or HubExecutor.attach({name!r})"
        )
        self._put(ev.Detached(error, now))

    def join(self, timeout: float | None = None) -> None:
        """Wait for the thread to end."""
        if threading.current_thread() is self._thread or self._pid != os.getpid():
            return
        if self._over.wait(timeout):
            self._thread.join()

    def responds(self, timeout: float) -> bool:
        """Say whether the thread gets round to anything, or has ended, within that many seconds."""
        if not self.alive:
            return True
        assert self._loop is not None
        response = Latch()
        try:
            self._loop.call_soon_threadsafe(response.release)
        except RuntimeError:  # the loop is closed
            return True
        return response.wait(timeout)

    def _put(self, event: Call | ev.Event) -> None:
        """Leave an event for the loop, or a new call. One wake-up serves all that wait by then."""
        self._inbox.append(event)
        if not self._awake and self._loop is not None:
            try:
                self._awake = True
                self._loop.call_soon_threadsafe(self._drain)
            except RuntimeError:  # the loop is closed: nothing is left to do
                pass
            except BaseException:  # Ctrl-C: perhaps before the loop was told
                self._awake = False
                raise

    # --- on the loop -------------------------------------------------------------------------

    def _drain(self) -> None:
        """Take what other threads left; in a burst leave it to gather for a moment.

        To wake the loop costs `submit` a system call and a switch of threads, several times the
        price of the rest. One call after the other is taken at once; calls that come within
        fractions of a millisecond are taken together.
        """
        inbox, now = self._inbox, self._time()
        burst = now - self._drained < BURST
        self._drained = now
        if not burst or not inbox:
            self._awake = False  # first: what comes from now on wakes the loop again
        else:
            assert self._loop is not None
            self._loop.call_later(GATHER, self._drain)
        if inbox:
            self._step()

    def _tell(self, event: ev.Event) -> None:
        """Take an event from an edge: now, or after the step that is under way.

        Not in the loop's next round: that costs a warm call some tenths of its time.
        """
        self._events.append(event)
        if not self._stepping:
            self._step()

    def _step(self) -> None:
        """Give the core what has happened, and the edges what it says, until nothing follows."""
        if not self._edges:
            return  # the thread is not ready; it will step when it is
        self._stepping = True
        try:
            self._handle()
            while self._events:
                self._handle()
            if (due := self.machine.due) != self._timer_at:
                self._set_timer(due)
        except Exception as error:  # nobody would wait for anything any more
            self._break_down(error)
        finally:
            self._stepping = False

    def _handle(self) -> None:
        events, self._events = self._events, []
        if self._inbox:
            events += _taken_from(self._inbox)
        now = self._time()
        commands, edges = self.machine.handle(events, now), self._edges
        for command in commands:
            edges[type(command)](command)
        self._observer.observe(events, commands, now)  # last: it looks at futures that have ended

    def _set_timer(self, due: float) -> None:
        assert self._loop is not None
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        self._timer = None if due == math.inf else self._loop.call_at(due, self._on_time)

    def _on_time(self) -> None:
        self._timer, self._timer_at = None, math.inf
        self._step()

    def _break_down(self, error: Exception) -> None:
        """The core itself is broken: end every future, and this thread, and let jobs time out."""
        told = internal_error(error)
        for call in list(self.machine.pending.open.values()):
            self.completer.fail(do.Fail(call, told))
        self._finished.set()

    def _content(self, outcome: Outcome, where: str) -> Content:
        """Return what the handle of a result stands for."""
        return self._values.content(outcome, where, unneeded=self.unneeded)

    def _printed(self, call_id: int) -> Printed | None:
        call = self.machine.pending.open.get(call_id)
        if call is None:
            return None
        if call.is_backup:  # of which nobody is told before it is the one that counts
            if call.printed is None:
                call.printed = Printed()
            return call.printed  # type: ignore[no-any-return]
        printed: Printed = call.future.printed()
        self._observer.listen_to(call, printed)
        return printed

    # --- life --------------------------------------------------------------------------------

    def _run(self) -> None:
        assert self._loop is not None
        try:
            self._loop.run_until_complete(self._live())
        finally:
            try:
                self._loop.close()
                self._farewell()
            finally:
                self._over.release()

    async def _live(self) -> None:
        """Work until nothing is left to do."""
        self._finished = asyncio.Event()
        self._tasks = Tasks(self._tell)
        try:
            self.connection = self._connect()
        except Exception as error:  # of certificates, of proxies: whatever the system has set up
            self._setup_error = HubUnavailableError(
                f"no connection to the Hub can be set up ({type(error).__name__}: {error}); "
                "check the proxy and certificate settings of this machine"
            )
            self._setup_error.__cause__ = error
        self._edges = self._make_edges()
        self._step()
        try:
            await self._finished.wait()
        finally:
            await self._tasks.aclose()
            if self.connection is not None:
                if not self.machine.left_alone:
                    await self._values.clear()
                await self.connection.hub.aclose()
            self._observer.end(asyncio.get_running_loop().time())

    def _make_edges(self) -> dict[type, Callable[[Any], None]]:
        """Return who carries out which command."""
        completer = self.completer
        edges: dict[type, Callable[[Any], None]] = {
            do.Connect: self._open_connection,
            do.Started: completer.started,
            do.BackupStarted: lambda _: None,  # the observer tells of it
            do.Complete: completer.complete,
            do.WeighRetry: completer.weigh_retry,
            do.Fail: completer.fail,
            do.CancelFuture: completer.cancel,
            do.NotifyCancelled: completer.notify,
            do.Unwrap: completer.unwrap,
            do.Report: lambda command: logger.log(*command),
            do.Finish: lambda _: self._finished.set(),
        }
        if (connection := self.connection) is None:
            return edges
        links = self._links = Links(connection, self._printed)
        around = Surroundings(connection, self._options, links, self._tasks, self._tell)
        values = self._values = Values(around, ours=self.machine.adopting is None)
        launcher, poller = Launcher(around, values), Poller(around)
        log_reader, door_client = LogReader(around), DoorClient(around)

        def forget(command: do.Forget) -> None:
            log_reader.forget(command.worker)
            door_client.forget(command.worker)
            links.forget(command.worker)

        return edges | {
            do.Launch: launcher.launch,
            do.Post: launcher.post,
            do.Withdraw: launcher.withdraw,
            do.LookFor: launcher.look_for,
            do.List: poller.list,
            do.Inspect: poller.inspect,
            do.CancelJob: poller.cancel,
            do.ReadLog: log_reader.read,
            do.StopLog: log_reader.stop,
            do.Send: door_client.send,
            do.SendRange: door_client.send_range,
            do.Fetch: door_client.fetch,
            do.Listen: door_client.listen,
            do.Store: values.store,
            do.Collect: values.collect,
            do.Remove: values.remove,
            do.Forget: forget,
        }

    def _open_connection(self, command: do.Connect) -> None:
        if self._setup_error is not None:
            self._tell(ev.ConnectFailed(command.kinds, self._setup_error, for_good=True))
        else:
            self._tasks.start(self._connected(command.kinds))

    async def _connected(self, kinds: tuple[str, ...]) -> None:
        assert self.connection is not None
        try:
            await self.connection.open(kinds)
        except HubExecutorError as error:
            self._tell(ev.ConnectFailed(kinds, error))
        else:
            self._tell(ev.Connected(tuple(map(self.connection.offer, kinds))))


def _taken_from(inbox: deque[Call | ev.Event]) -> list[ev.Event]:
    """Take what is in the inbox, in its order: calls in a row are one event."""
    if len(inbox) == 1:  # one call after the other
        one = inbox.popleft()
        return [ev.Submitted((one,)) if isinstance(one, Call) else one]
    events: list[ev.Event] = []
    calls: list[Call] = []
    for _ in range(len(inbox)):  # no more: others go on putting things into it
        one = inbox.popleft()
        if isinstance(one, Call):
            calls.append(one)
            continue
        if calls:
            events.append(ev.Submitted(tuple(calls)))
            calls = []
        events.append(one)
    if calls:
        events.append(ev.Submitted(tuple(calls)))
    return events


def _machine(limits: Limits) -> Machine:
    """Return a core, which writes down what it is told if this process is asked to."""
    if path := os.environ.get(RECORDING):
        from hfexecutor.runtime.recorder import RecordedMachine  # noqa: PLC0415 - few are recorded

        return RecordedMachine(path, limits, RULES, claim=claim)
    return Machine(limits, RULES, claim=claim, rng=random.SystemRandom())
