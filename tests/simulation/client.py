"""The core, with edges that turn its commands into what happens to jobs, and that into events."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.core.machine import Machine
from hfexecutor.core.rules import Limits, Rules
from hfexecutor.errors import (
    BrokenHubExecutor,
    HubRequestError,
    HubUnavailableError,
    RateLimitedError,
)
from hfexecutor.remote import entries as wire
from hfexecutor.remote import outcomes
from hfexecutor.remote.frames import Seal
from hfexecutor.runtime.link import Links
from hfexecutor.runtime.news import news_of

from . import user
from .doors import Doors
from .logs import Reading
from .plan import number_of

if TYPE_CHECKING:
    from .checks import Checks
    from .clock import Clock, Timer
    from .hub import Hub, Job

PLACES = 16  # launch requests under way at once


class Keys:
    """The keys of launches, as the connection to a Hub has them."""

    def seal(self, worker: str) -> Seal:
        """Return the seal of one launch."""
        return Seal(worker.encode())


class Client:
    """The machine, and what stands around it."""

    def __init__(self, clock: Clock, hub: Hub, rng: random.Random, checks: Checks) -> None:
        self.clock = clock
        self.hub = hub
        self.plan = plan = hub.plan
        self.rng = rng
        self.checks = checks
        limits = Limits(
            max_workers=plan.workers,
            slots_per_job=None if plan.choices else plan.slots,
            reuse_workers=plan.warm,
            room=user.ROOM,
            bucket=plan.bucket,
            max_cost=plan.max_cost or None,
            timeout=plan.job_timeout,
        )
        rules = Rules(
            message=user.MESSAGE,
            buffer_bytes=user.BUFFER_BYTES,
            buffers=user.MOST_BUFFERS,
            shared_bytes=user.SHARED_BYTES,
            shared_jobs=user.SHARED_JOBS,
        )
        self.machine = self._make_machine(limits, rules)
        self.dead = False
        self.links = Links(Keys(), self._printed)  # type: ignore[arg-type]
        self.doors = Doors(
            hub,
            self.links,
            self.tell,
            self._is_forgotten,
            lambda call: call in self.machine.pending.open,
        )
        checks.doors = self.doors
        self.trace: Callable[[str], None] | None = None
        self._events: list[ev.Event] = []
        self._stepping = False
        self._timer: Timer | None = None
        self._timer_at = math.inf
        self._gone: set[str] = set()  # workers that were forgotten
        self._readings: dict[str, tuple[int, Timer | Reading]] = {}
        self._places = PLACES
        self._stored: set[bytes] = set()  # names of buffers
        self._queue: deque[do.Launch] = deque()
        self._turns: dict[str, do.Launch] = {}
        self.finished_at = math.inf
        self._edges: dict[type, Callable[[Any], None]] = {
            do.Connect: self._connect,
            do.Launch: self._launch,
            do.Post: self._post,
            do.Withdraw: self._withdraw,
            do.LookFor: self._look_for,
            do.List: self._list,
            do.Inspect: self._inspect,
            do.CancelJob: self._cancel,
            do.ReadLog: self._read,
            do.StopLog: self._stop_log,
            do.Send: self._send,
            do.SendRange: self.doors.send_range,
            do.Fetch: self.doors.fetch,
            do.Listen: self.doors.listen,
            do.Forget: self._forget,
            do.Unwrap: self._unwrap,
            do.Store: self._store,
            do.Started: checks.started,
            do.Complete: checks.complete,
            do.WeighRetry: self._weigh_retry,
            do.Fail: checks.fail,
            do.CancelFuture: checks.cancel_future,
            do.NotifyCancelled: checks.notify,
            do.BackupStarted: lambda _: None,
            do.Report: self._report,
            do.Finish: self._finish,
        }

    def _make_machine(self, limits: Limits, rules: Rules) -> Machine:
        return Machine(
            limits,
            rules,
            claim=lambda call: call.future.claim(),
            rng=random.Random(self.plan.seed),
        )

    def die(self) -> None:
        """Be gone: what is on its way to somebody arrives there, and nothing comes back."""
        self.dead = True
        for _, reading in self._readings.values():
            if isinstance(reading, Reading):
                reading.abandon()

    # --- events and commands ------------------------------------------------------------------

    def tell(self, event: ev.Event) -> None:
        """Have the core hear of something soon, together with what else happens until then."""
        self._events.append(event)
        if not self._stepping and not self.dead:
            self._stepping = True
            soon = self.rng.choice((0.0, 0.0, 0.0, 0.0003))
            self.clock.later(soon, self._step)

    def _step(self) -> None:
        self._stepping = False
        if self.dead:
            return
        events, self._events = self._events, []
        self.checks.before(events, self.machine)
        commands = self.machine.handle(events, self.clock.now)
        if self.trace is not None:
            for event in events:
                self.trace(f"{self.clock.now:10.4f}  <- {shortened(event)}")
            for command in commands:
                self.trace(f"{self.clock.now:10.4f}     -> {shortened(command)}")
        for command in commands:
            self._edges[type(command)](command)
        self.checks.after(self.machine)
        due = self.machine.due
        if due != self._timer_at or self._timer is None:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._timer_at = None, due
            if due < math.inf:
                self._timer = self.clock.at(due, self._on_time)

    def _on_time(self) -> None:
        self._timer, self._timer_at = None, math.inf
        if not self._stepping:
            self._step()

    def _is_forgotten(self, worker: str) -> bool:
        return self.dead or worker in self._gone

    def _printed(self, call_id: int) -> Any:
        call = self.machine.pending.open.get(call_id)
        return call.future.printed if call is not None else None

    # --- launches -----------------------------------------------------------------------------

    def _connect(self, command: do.Connect) -> None:
        self.hub.count("connect")
        if self.plan.connect_fails and not self.hub.is_well:
            error = HubUnavailableError("simulated: no connection")
            self.clock.later(3.0, self.tell, ev.ConnectFailed(command.kinds, error))
        else:
            plan = self.plan
            offers = tuple(
                ev.Offer(
                    kind,
                    plan.slots_of(kind),
                    plan.hourly_of(kind),
                    plan.door_hourly,
                    memory=1.0 + number_of(kind),
                )
                for kind in command.kinds
            )
            self.clock.later(self.hub.delay(), self.tell, ev.Connected(offers))

    def _launch(self, command: do.Launch) -> None:
        assert command.worker not in self._turns, "a launch waits twice"
        self._turns[command.worker] = command
        self._queue.append(command)
        self._admit()

    def _admit(self) -> None:
        while self._places and self._queue:
            command = self._queue.popleft()
            if self._turns.get(command.worker) is not command:
                continue
            self._places -= 1
            if self.hub.chance(self.plan.post_limited / 2):
                seconds = self.rng.choice((1.0, 10.0))
                self.clock.later(seconds, self._not_admitted, command)
            else:
                self.clock.later(self.rng.choice((0.0, 0.01)), self._admitted, command)

    def _not_admitted(self, command: do.Launch) -> None:
        if self._turns.get(command.worker) is command:
            del self._turns[command.worker]
            self._launch_fails(command, ev.LaunchFailure.LIMITED)
        self._free_place()

    def _admitted(self, command: do.Launch) -> None:
        if self._turns.get(command.worker) is command:
            self.tell(ev.Admitted(*command))
        else:
            self._free_place()

    def _free_place(self) -> None:
        self._places += 1
        self._admit()

    def _withdraw(self, command: do.Withdraw) -> None:
        launch = self._turns.pop(command.worker, None)
        self.hub.sometimes("a launch is dropped before its request is sent")
        if launch is not None and launch in self._queue:
            self._queue.remove(launch)
        elif launch is not None:
            self.clock.later(0.0, self._free_place)

    def _post(self, command: do.Post) -> None:
        launch = self._turns.pop(command.worker)  # as the real edge does: there has to be one
        assert launch.attempt == command.attempt
        self.hub.count("post")
        for call in command.calls:
            assert not call.stored or command.one_shot, call
            there = all(buffer.name in self._stored for buffer in call.buffers)
            assert there or not call.stored, f"{call} is launched before its arguments are there"
        self.checks.posted(command)
        self.clock.later(self.hub.delay(), self._post_arrives, command)

    def _post_arrives(self, command: do.Post) -> None:
        plan, hub, rng = self.plan, self.hub, self.rng
        back = hub.delay()
        refused = command.port is not None and plan.refuses_ports
        if refused or hub.chance(plan.post_refused):
            self._post_fails(back, command, ev.LaunchFailure.REFUSED)
        elif hub.chance(plan.post_undelivered):
            self._post_fails(back, command, ev.LaunchFailure.UNDELIVERED)
        elif hub.chance(plan.post_limited):
            self._post_fails(back + 1.0, command, ev.LaunchFailure.LIMITED)
        elif hub.chance(plan.post_unclear):
            hub.sometimes("a launch is answered with an error although the job was created")
            hub.create(command)
            self._post_fails(back, command, ev.LaunchFailure.UNCLEAR)
        elif hub.chance(plan.post_unclear_not):
            self._post_fails(back, command, ev.LaunchFailure.UNCLEAR)
        elif hub.chance(plan.post_page):
            self._create_perhaps(command)
            self._post_fails(back, command, ev.LaunchFailure.HOPELESS)
        elif hub.chance(plan.post_hangs):
            hub.sometimes("a launch hangs")
            self._create_perhaps(command)
            self._post_fails(rng.uniform(20.0, 90.0), command, ev.LaunchFailure.UNCLEAR)
        else:
            self._post_succeeds(back, command)

    def _create_perhaps(self, command: do.Post) -> None:
        if self.rng.random() < 0.5:
            self.hub.create(command)

    def _post_succeeds(self, back: float, command: do.Post) -> None:
        hub = self.hub
        job = hub.create(command)
        if hub.chance(self.plan.post_twice):
            job = self.rng.choice((job, hub.create(command)))
        if hub.chance(self.plan.post_late):
            hub.sometimes("a launch is answered late")
            back = self.rng.uniform(3.0, 40.0)
        self.clock.later(back, self._launched, command, job)

    def _launched(self, command: do.Post, job: Job) -> None:
        seen = job.seen()
        assert seen is not None
        self.checks.post_ends(command)
        self._show((seen,))
        self.tell(ev.Launched(command.worker, command.attempt, seen))
        self._free_place()

    def _post_fails(self, seconds: float, command: do.Post, failure: ev.LaunchFailure) -> None:
        self.clock.later(seconds, self._post_failed, command, failure)

    def _post_failed(self, command: do.Post, failure: ev.LaunchFailure) -> None:
        self.checks.post_ends(command)
        self._launch_fails(command, failure)
        self._free_place()

    def _launch_fails(self, command: do.Post | do.Launch, failure: ev.LaunchFailure) -> None:
        kind = {
            ev.LaunchFailure.REFUSED: HubRequestError,
            ev.LaunchFailure.LIMITED: RateLimitedError,
        }.get(failure, HubUnavailableError)
        error = kind(f"simulated: {failure.value}")
        self.tell(ev.LaunchFailed(command.worker, command.attempt, failure, error))

    def _look_for(self, command: do.LookFor) -> None:
        self.hub.count("look")

        def answer() -> None:
            if self.hub.chance(self.plan.list_fails):
                jobs = None
            else:
                jobs = self.hub.show(launch=command.worker)
            self.clock.later(self.hub.delay(), self._looked, ev.Looked(command.worker, jobs))

        self.clock.later(self.hub.delay(), answer)

    def _looked(self, event: ev.Looked) -> None:
        self._show(event.jobs or ())
        self.tell(event)

    # --- stages -------------------------------------------------------------------------------

    def _list(self, _: do.List) -> None:
        self.hub.count("list")
        asked = self.clock.now

        def answer() -> None:
            if self.hub.chance(self.plan.list_dies):
                self.hub.sometimes("a list fails for good")
                error = HubUnavailableError("simulated: no list")
                self.clock.later(self.rng.uniform(5.0, 60.0), self.tell, ev.ListFailed(error))
                return
            slow = self.plan.list_slow if not self.hub.is_well else 0.0
            jobs = self.hub.show()
            self.clock.later(self.hub.delay() + slow, self._listed, ev.Listed(asked, jobs))

        self.clock.later(self.hub.delay(), answer)

    def _listed(self, event: ev.Listed) -> None:
        self._show(event.jobs)
        self.tell(event)

    def _show(self, jobs: tuple[ev.JobSeen, ...]) -> None:
        """Note which jobs the core is told of: not before the answer is here."""
        for seen in jobs:
            if seen.id in self.hub.jobs:  # else it is a foreign one
                self.hub.jobs[seen.id].listed = True

    def _inspect(self, command: do.Inspect) -> None:
        self.hub.count("inspect")

        def answer() -> None:
            job = self.hub.jobs[command.job]
            seen = None if job.forgotten else job.seen()
            slow = 10.0 if self.hub.chance(self.plan.inspect_fails) else 0.0
            event = ev.Inspected(command.worker, seen)
            self.clock.later(self.hub.delay() + slow, self.tell, event)

        self.clock.later(self.hub.delay(), answer)

    def _cancel(self, command: do.CancelJob) -> None:
        self.hub.count("cancel")
        self.checks.cancelling(command.job, self.machine)
        slow = self.plan.cancel_slow if not self.hub.is_well else 0.0

        def answer() -> None:
            error = None
            if not self.hub.cancel(command.job):
                error = HubUnavailableError("simulated: not cancelled")
            began = not command.look or self.hub.jobs[command.job].started >= 0
            began = began or self.hub.chance(self.plan.inspect_fails)
            event = ev.CancelEnded(command.job, error, began=began)
            self.clock.later(self.hub.delay(), self.tell, event)

        self.clock.later(self.hub.delay() + slow, answer)

    # --- logs ---------------------------------------------------------------------------------

    def _read(self, command: do.ReadLog) -> None:
        self.checks.reading(command)
        self._gone.discard(command.worker)  # a second job of a launch, in another process
        assert command.worker not in self._readings, "two readings of one log"
        self.hub.count("log")
        timer = self.clock.later(self.hub.delay(), self._open_log, command)
        self._readings[command.worker] = (command.reading, timer)

    def _open_log(self, command: do.ReadLog) -> None:
        if self.dead:
            return
        worker, number = command.worker, command.reading
        log = self.hub.jobs[command.job].log
        parser = self.links.of(worker).parser
        parser._reader = log.decoder  # type: ignore[assignment]
        parser.rewind()

        def heard(lines: list[str]) -> None:
            news = news_of(parser.feed(lines))
            gap, forged = parser.take_gap(), parser.take_forgery()
            if gap:
                self.hub.sometimes("frames are missed")
            if forged:
                self.hub.sometimes("a frame is forged")
            self.tell(ev.Heard(worker, news, gap=gap, starts=parser.starts, forged=forged))

        def ended() -> None:
            self._readings.pop(worker, None)
            self.tell(ev.LogEnded(worker, number, parser.take_fresh(), tuple(parser.tail)))

        reading = Reading(
            log,
            self.plan,
            self.rng,
            well=lambda: self.hub.is_well,
            sometimes=self.hub.sometimes,
            heard=heard,
            ended=ended,
        )
        self._readings[worker] = (number, reading)

    def _stop_log(self, command: do.StopLog) -> None:
        number, reading = self._readings.get(command.worker, (0, None))
        if reading is None or number != command.reading:
            return
        if isinstance(reading, Reading):
            self.clock.later(0.0, reading.stop)
        else:
            reading.cancel()
            del self._readings[command.worker]
            self.tell(ev.LogEnded(command.worker, number, said=False))

    def _forget(self, command: do.Forget) -> None:
        self._gone.add(command.worker)
        self.links.forget(command.worker)
        _, reading = self._readings.pop(command.worker, (0, None))
        if isinstance(reading, Reading):
            reading.abandon()
        elif reading is not None:
            reading.cancel()

    # --- the rest -----------------------------------------------------------------------------

    def _send(self, command: do.Send) -> None:
        for entry in command.entries:
            if entry.kind == wire.LOAD:
                self.hub.sometimes("a job is told to read a stored buffer")
                assert entry.data[-wire.NAME_BYTES :] in self._stored, "it is not stored"
        self.checks.sending(command)
        self.doors.send(command)

    def _unwrap(self, command: do.Unwrap) -> None:
        error = BrokenHubExecutor("simulated: the initializer failed")
        self.tell(ev.Broken(command.worker, error))

    def _store(self, command: do.Store) -> None:
        hub, name = self.hub, command.buffer.name
        slow = 0.0 if hub.is_well else self.rng.uniform(0.0, self.plan.store_slow)
        if hub.chance(self.plan.store_fails):
            hub.sometimes("a buffer cannot be stored")
            event: ev.Stored | ev.StoreFailed = ev.StoreFailed(
                name, HubRequestError("no quota is left")
            )
        else:
            hub.sometimes("a buffer is stored")
            event = ev.Stored(name)
        self.clock.later(hub.delay() + slow, self._store_ended, event)

    def _store_ended(self, event: ev.Stored | ev.StoreFailed) -> None:
        if isinstance(event, ev.Stored):
            assert event.name not in self._stored, "a buffer is stored twice"
            self._stored.add(event.name)
        self.tell(event)

    def _weigh_retry(self, command: do.WeighRetry) -> None:
        call, outcome, *_ = command
        flaky = self.checks.work[call.number].kind == "flaky"
        if flaky and outcome.status == outcomes.RAISED:
            self.hub.sometimes("a call that has raised is retried")
            pause = self.rng.choice((0.0, 0.01, 1.0, user.LONGEST_PAUSE))
            self.checks.retried(call, pause)
            self.tell(ev.RetryWeighed(call.id, pause))
        else:
            self.hub.sometimes("what a call has raised is not to be retried")
            self.tell(ev.RetryWeighed(call.id, None))

    def _report(self, command: do.Report) -> None:
        self.checks.report(command)

    def _finish(self, _: do.Finish) -> None:
        self.finished_at = self.clock.now


def shortened(thing: Any) -> str:
    text = repr(thing)
    return text if len(text) < 400 else text[:300] + " ... " + text[-80:]
