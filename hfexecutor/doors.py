"""Doors: which workers can be reached through their port, and what silent ones are asked there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hfexecutor.feeding import feed, fetch
from hfexecutor.remote import entries as wire
from hfexecutor.stages import TERMINAL, Phase

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from hfexecutor.calls import Call
    from hfexecutor.errors import HubExecutorError
    from hfexecutor.scheduler import Scheduler
    from hfexecutor.worker import Worker

__all__ = ["Doors"]

logger = logging.getLogger("hfexecutor")

SHUT_DOORS = 3  # workers in a row whose door cannot be used before doors are given up
DOOR_WAIT = 20.0  # seconds that a door may take until it answers for the first time
TROUBLE = 1.0  # seconds of failing messages after which a worker is given no more calls
PULSE = 1.0  # seconds between two looks at workers that owe outcomes
LONGEST_PROBE = 30.0  # seconds of silence after which a worker is asked, at the most
PROBE_GRACE = 3.0  # seconds that what it then says has to come through its log
_OUTCOMES = (wire.OUTCOME, wire.LARGE)


class Doors:
    """The doors of a run's workers."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._shut_doors = 0
        self._proven = False  # a door has answered
        self._pulsing: asyncio.TimerHandle | None = None

    def watch_over(self) -> None:
        """Look after workers that are silent, from now on and for as long as calls are open."""
        if self._pulsing is None and self._scheduler.ledger.open:
            self._pulsing = self._scheduler.later(PULSE, self._pulse)

    def look_for(self, worker: Worker) -> None:
        """Find out where a worker that has come up can be reached."""
        if worker.one_shot:
            return
        if worker.door_shut:
            assert worker.hello is not None
            logger.warning("%s has no door: %s", worker.describe(), worker.hello.get("door_error"))
            self._unusable()
        else:
            self._scheduler.watch.nudge()
            self.stage_seen(worker)

    def stage_seen(self, worker: Worker) -> None:
        """Open the door of a worker whose address has become known."""
        job = worker.job
        if worker.door is not None or worker.one_shot or worker.door_shut or not worker.hello:
            return
        if worker.phase is Phase.RUNNING and job is not None and not job.expose_urls:
            self._note_missing_address(worker)
        elif job is not None and job.expose_urls and worker.phase not in TERMINAL:
            worker.door = job.expose_urls[0]
            self._scheduler.spawn(feed(self._scheduler, worker))
            # The first message shows whether it can be used. It asks for no outcomes: those on
            # their way through the log come behind what their calls have printed.
            worker.order(wire.ACK)
            _kill(worker)
            self._scheduler.pump()

    def _note_missing_address(self, worker: Worker) -> None:
        """Give up on a door whose address the Hub does not tell, list after list."""
        now = self._scheduler.now()
        worker.unaddressed_since = worker.unaddressed_since or now
        if now - worker.unaddressed_since > DOOR_WAIT:
            logger.warning("the Hub tells no address for the door of %s", worker.describe())
            self.failed(worker)

    def answered(self, worker: Worker, reply: Iterable[wire.Entry]) -> None:
        """Take the answer to a message: the calls given back go to somebody else."""
        self._shut_doors = 0
        self._proven = worker.door_answered = True
        if worker.troubled:
            worker.troubled = False
            _kill(worker)
        self._scheduler.ledger.counters.messages += 1
        if told := [entry for entry in reply if entry.kind in _OUTCOMES]:
            self._scheduler.heard(worker, told)
        for entry in reply:
            if entry.kind == wire.RECALL:
                worker.recalling = False
                calls = [worker.drop(call_id) for call_id in wire.unpack_ids(entry.data)]
                self._scheduler.ledger.put_back(call for call in calls if call is not None)
            elif entry.kind == wire.STATE:
                worker.take_state(entry)
        self._scheduler.pump()

    def fetch(self, worker: Worker, entry: wire.Entry) -> None:
        """Get a large outcome of which a worker has announced the size."""
        call = entry.call
        if call not in self._scheduler.ledger.open:  # answered meanwhile, or cancelled
            worker.acknowledge(call)
        elif call in worker.held and call not in worker.fetching and worker.door is not None:
            worker.fetching.add(call)
            (size,) = wire.unpack_ids(entry.data)
            self._scheduler.spawn(fetch(self._scheduler, worker, call, size))

    def _pulse(self) -> None:
        """Look after workers that are silent, for as long as calls are open."""
        self._pulsing = None
        for worker in self._scheduler.crew.live:
            if worker.hello is None:
                self._listen_again(worker)
            elif worker.takes_calls:
                self._probe(worker)
        self.watch_over()

    def _listen_again(self, worker: Worker) -> None:
        """Open the log of a job anew that runs and was not heard: its HELLO may have been missed.

        Without it nobody knows of its door, so nothing else can be asked. Each time the patience is
        twice as long, because a job may have a lot to install before it says something.
        """
        now = self._scheduler.now()
        silence = now - worker.progress_at
        if worker.phase is not Phase.RUNNING or silence < worker.probe_after:
            return
        if worker.deadline is not None:
            worker.probe_after = 2 * silence
            logger.info("nothing heard of %s, opening its log again", worker.describe())
            worker.deadline.reschedule(now)

    def _probe(self, worker: Worker) -> None:
        """Ask a silent worker whether it has said something meanwhile.

        A log may lag, be a window that moved on, or stall without breaking off. What the worker
        keeps unacknowledged it says again; should even that not arrive, its log is opened anew.
        """
        now, since = self._scheduler.now(), worker.progress_at
        if not worker.held or now - max(since, worker.asked_at) < worker.probe_after:
            return
        worker.probe_after = min(2 * worker.probe_after, LONGEST_PROBE)
        worker.ask_again(now)
        self._scheduler.later(PROBE_GRACE, self._judge_silence, worker, since)

    def _judge_silence(self, worker: Worker, progress: float) -> None:
        if worker.unheard and worker.progress_at == progress and worker.deadline is not None:
            logger.info("the log of %s has stalled, opening it again", worker.describe())
            worker.deadline.reschedule(self._scheduler.now())

    def troubled(self, worker: Worker, seconds: float) -> None:
        """Hear that a door has not answered for a while: it gets no new calls meanwhile."""
        worker.troubled = seconds > TROUBLE
        if seconds > DOOR_WAIT and not worker.door_answered:
            self.failed(worker)

    def failed(self, worker: Worker) -> None:
        """Give a door up: the worker answers what it has, leaves when idle, and gets no more."""
        if worker.door_shut:
            return
        worker.door_shut = True
        worker.door = None
        worker.mail.set()
        self.returned(worker.take_unsent())
        self._unusable()
        self._scheduler.pump()

    def returned(self, calls: Iterable[Call]) -> None:
        """Take calls back that were never delivered."""
        self._scheduler.ledger.put_back(calls)

    def refused(self, error: HubExecutorError) -> None:
        """Hear that the Hub starts no job with an exposed port."""
        logger.warning("no job with a port can be started, going on without: %s", error)
        self._scheduler.one_shot = True

    def _unusable(self) -> None:
        self._shut_doors += 1
        enough = SHUT_DOORS if self._proven else 1
        if self._shut_doors >= enough and not self._scheduler.one_shot:
            logger.warning("jobs cannot be reached through their port: going on with one-shot jobs")
            self._scheduler.one_shot = True


def _kill(worker: Worker) -> None:
    """Tell a worker that can be reached now which of its calls were killed meanwhile."""
    if killed := [call.id for call in worker.held.values() if call.killed]:
        worker.order(wire.KILL, killed)
