"""Messages to jobs, and large outcomes from them: what is lost on the way there, and back.

They travel as bytes, sealed and opened by what seals and opens them in earnest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.remote import entries as wire
from hfexecutor.remote import frames, seals
from hfexecutor.remote.ranges import RANGE_BYTES, Range, seal_range, unpack_reply
from hfexecutor.runtime.arrivals import Arrivals
from hfexecutor.runtime.news import news_of

if TYPE_CHECKING:
    from .hub import Hub, Job
    from .links import Links

Tell = Callable[[ev.Event], None]
_OK, _UNKNOWN, _DENIED = 200, 404, 401


class Doors:
    """The doors of all jobs."""

    def __init__(
        self,
        hub: Hub,
        links: Links,
        tell: Tell,
        forgotten: Callable[[str], bool],
        is_open: Callable[[int], bool],
    ) -> None:
        self._is_open = is_open
        self.hub = hub
        self._links = links
        self._tell = tell
        self._forgotten = forgotten
        self._arrivals = Arrivals()
        self._away_until = -1.0
        self.messages = 0
        self.listens = 0
        self.ranges = 0
        if hub.plan.door_outage:
            self._plan_outage()

    def _plan_outage(self) -> None:
        rng = self.hub.rng
        self.hub.clock.later(rng.expovariate(self.hub.plan.door_outage / 2), self._go_away)

    def _go_away(self) -> None:
        if not self.hub.is_well:
            self.hub.sometimes("all doors are away")
            self.go_away_for(self.hub.rng.choice((0.3, 3.0, 30.0)))
            self._plan_outage()

    def go_away_for(self, seconds: float) -> None:
        """Have all doors answer nothing for a while."""
        self._away_until = self.hub.clock.now + seconds

    @property
    def is_away(self) -> bool:
        """Whether no door answers just now."""
        return self._away_until > self.hub.clock.now and not self.hub.is_well

    # --- messages -----------------------------------------------------------------------------

    def send(self, command: do.Send) -> None:
        """Carry a message, or lose it."""
        hub, plan, rng = self.hub, self.hub.plan, self.hub.rng
        self.messages += 1
        job = hub.jobs[command.job]
        assert command.worker == job.worker, "a message goes to another's job"
        assert command.door == f"https://{job.id}--{job.command.port}.example"
        begun = hub.clock.now
        there = plan.rtt / 2 * rng.uniform(0.8, 1.5)
        if hub.chance(plan.door_lost) or (self._away_until > begun and not hub.is_well):
            self._fail_later(there, command, ev.DoorFailure.UNREACHABLE)
        elif hub.chance(plan.door_dropped):
            self._fail_later(2 * there, command, ev.DoorFailure.AMBIGUOUS)
        elif hub.chance(plan.door_rejects):
            self._fail_later(2 * there, command, ev.DoorFailure.REJECTED, _DENIED)
        elif hub.chance(plan.door_hangs):
            hub.sometimes("a message hangs")
            if rng.random() < 0.5:
                late = rng.uniform(0.0, 1.5 * command.patience)
                hub.clock.later(late, self._arrive, job, command)
            self._fail_later(command.patience, command, ev.DoorFailure.AMBIGUOUS)
        else:
            hub.clock.later(there, self._deliver, job, command, begun)

    def _deliver(self, job: Job, command: do.Send, begun: float) -> None:
        hub = self.hub
        if hub.clock.now < job.door_known_at:
            hub.sometimes("a new address is not known yet")
            self._fail(command, ev.DoorFailure.REJECTED, _UNKNOWN)
            return
        answer = self._arrive(job, command)
        if answer is None:
            self._fail(command, ev.DoorFailure.UNREACHABLE)
            return
        if hub.chance(hub.plan.door_twice):
            again = hub.rng.choice((0.0, 0.1, 5.0))
            hub.clock.later(again, self._arrive, job, command)
        back = hub.plan.rtt / 2 * hub.rng.uniform(0.8, 1.5)
        if hub.chance(hub.plan.door_unanswered):
            self._fail_later(back, command, ev.DoorFailure.AMBIGUOUS)
        elif hub.chance(hub.plan.door_forged):
            hub.sometimes("an answer is forged")
            self._fail_later(back, command, ev.DoorFailure.FORGED)
        else:
            hub.clock.later(back, self._answer, command, answer, begun)

    def _arrive(self, job: Job, command: do.Send) -> tuple[int, bytes] | None:
        """Give a message to the supervisor; None: nobody is there."""
        seal = job.seal
        message = frames.seal_message(seal, command.number, wire.pack(command.entries))
        before = len(job.supervisor.running) if job.supervisor is not None else 0
        answer = job.message(message)
        if answer is None or answer[0] != _OK:
            known = answer is None or job.restarted or command.number in job.messages
            assert known, f"a worker lacks what {command} refers to"
            return answer
        if any(entry.kind == wire.DROP for entry in command.entries):
            self.hub.sometimes("a worker is told to forget buffers")
        if command.number in job.messages:
            self.hub.sometimes("a message arrives twice")
        else:
            job.messages.add(command.number)
            self._look_at(command, frames.open_reply(seal, command.number, answer[1]), before)
        return answer

    def _look_at(self, command: do.Send, reply: memoryview, before: int) -> None:
        for entry in command.entries:
            if entry.kind == wire.RECALL:
                asked = set(wire.unpack_ids(entry.data))
                said = wire.unpack(reply)
                back = {
                    call
                    for entry in said
                    if entry.kind == wire.RECALL
                    for call in wire.unpack_ids(entry.data)
                }
                self.hub.sometimes("a recall brings calls back" if back else "a recall is in vain")
                if asked - back:
                    self.hub.sometimes("a recall crosses a start")
            elif entry.kind == wire.KILL:
                self.hub.sometimes("a call is killed through the door" if before else "a late kill")

    def _answer(self, command: do.Send, answer: tuple[int, bytes], begun: float) -> None:
        if self._forgotten(command.worker):
            return
        status, reply = answer
        if status != _OK:
            self._fail(command, ev.DoorFailure.REJECTED, status)
            return
        seal = self._links.of(command.worker).seal
        news = news_of(wire.unpack(frames.open_reply(seal, command.number, reply)))
        seconds = self.hub.clock.now - begun
        self._tell(ev.Answered(command.worker, command.number, news, seconds))

    def _fail_later(
        self, seconds: float, command: do.Send, failure: ev.DoorFailure, status: int = 0
    ) -> None:
        self.hub.clock.later(seconds, self._fail, command, failure, status)

    def _fail(self, command: do.Send, failure: ev.DoorFailure, status: int = 0) -> None:
        if not self._forgotten(command.worker):
            text = f"simulated: {failure.value} {status}"
            self._tell(ev.Unanswered(command.worker, command.number, failure, status, text))

    # --- ranges of buffers --------------------------------------------------------------------

    def send_range(self, command: do.SendRange) -> None:
        """Carry a range, perhaps twice, perhaps changed, or lose it."""
        hub, plan, rng = self.hub, self.hub.plan, self.hub.rng
        self.ranges += 1
        job = hub.jobs[command.job]
        there = plan.rtt / 2 * rng.uniform(0.8, 3.0)
        if hub.chance(plan.door_lost + plan.door_dropped) or self.is_away:
            hub.clock.later(2 * there, self._range_fails, command)
            return
        if hub.chance(plan.door_twice):
            hub.clock.later(rng.choice((0.0, 0.1, 5.0)), self._range_arrives, job, command)
        if hub.chance(plan.door_hangs):
            hub.clock.later(rng.uniform(0.0, 30.0), self._range_arrives, job, command)
            hub.clock.later(rng.choice((1.0, 30.0)), self._range_fails, command)
        else:
            hub.clock.later(there, self._deliver_range, job, command)

    def _deliver_range(self, job: Job, command: do.SendRange) -> None:
        hub, plan = self.hub, self.hub.plan
        answer = self._range_arrives(job, command)
        back = plan.rtt / 2 * hub.rng.uniform(0.8, 1.5)
        lost = hub.chance(plan.door_unanswered + plan.door_forged)
        if answer is None or answer[0] != _OK or lost:
            hub.clock.later(back, self._range_fails, command)
            return
        seal = self._links.of(command.worker).seal
        why = unpack_reply(frames.open_reply(seal, command.number, answer[1]))
        event: ev.RangeKept | ev.RangeRefused = ev.RangeKept(*_who(command))
        if why:
            hub.sometimes("a job has no room for a buffer")
            event = ev.RangeRefused(*_who(command), why)
        hub.clock.later(back, self._tell_of_range, event)

    def _range_arrives(self, job: Job, command: do.SendRange) -> tuple[int, bytes] | None:
        buffer, start = command.buffer, command.part * RANGE_BYTES
        part = Range(buffer.name, buffer.size, command.part, buffer.digests[command.part])
        data = bytes(buffer.data[start : start + RANGE_BYTES])
        message = seal_range(job.seal, command.number, part) + data
        if self.hub.chance(self.hub.plan.range_corrupt):
            self.hub.sometimes("a range arrives changed")
            place = self.hub.rng.randrange(len(message))
            how = self.hub.rng.choice(("changed", "cut"))
            rest = message[place + 1 :] if how == "changed" else b""
            message = message[:place] + bytes([message[place] ^ 1]) + rest
            answer = job.range(message)
            assert answer is None or answer[0] != _OK, "what was changed is believed"
            return answer
        return job.range(message)

    def _range_fails(self, command: do.SendRange) -> None:
        self.hub.sometimes("a range does not arrive")
        self._tell_of_range(ev.RangeFailed(*_who(command), "simulated"))

    def _tell_of_range(self, event: ev.RangeKept | ev.RangeFailed | ev.RangeRefused) -> None:
        if not self._forgotten(event.worker):
            self._tell(event)

    # --- requests that stand ------------------------------------------------------------------

    def listen(self, command: do.Listen) -> None:
        """Carry a request that stands, and its answer, or lose one of them."""
        hub, plan = self.hub, self.hub.plan
        self.listens += 1
        there = plan.rtt / 2 * hub.rng.uniform(0.8, 1.5)
        standing = _Standing(self, command)
        if hub.chance(plan.door_lost + plan.door_dropped + plan.door_rejects):
            hub.clock.later(2 * there, standing.end)
            return
        patience = command.patience if hub.is_well else plan.door_patience
        hub.clock.later(min(patience, command.patience), standing.end)
        if not hub.chance(plan.door_hangs):
            hub.clock.later(there, standing.arrive)
        if hub.chance(plan.door_twice):
            hub.clock.later(there + hub.rng.choice((0.0, 0.1, 5.0)), standing.arrive)

    def listened(self, command: do.Listen, reply: bytes) -> None:
        """Tell what a request that stood has brought."""
        if self._forgotten(command.worker):
            return
        link = self._links.of(command.worker)
        said = wire.unpack(frames.open_reply(link.seal, command.number, reply))
        entries = tuple(link.parser.told(said))
        (position,) = (entry.call for entry in entries if entry.kind == wire.POSITION)
        news = news_of(entries)
        if any(isinstance(item, ev.Done) and self._is_open(item.call) for item in news):
            self.hub.sometimes("an outcome comes before its line of the log")
        self._tell(ev.Listened(command.worker, command.number, position, news))

    def listen_failed(self, command: do.Listen) -> None:
        """Tell that a request that stood broke off."""
        if not self._forgotten(command.worker):
            self.hub.sometimes("a request that stands breaks off")
            self._tell(ev.ListenFailed(command.worker, command.number, "simulated"))

    # --- large outcomes -----------------------------------------------------------------------

    def fetch(self, command: do.Fetch) -> None:
        """Fetch a range of a large outcome."""
        hub, plan = self.hub, self.hub.plan
        self.messages += 1
        seconds = plan.rtt * hub.rng.uniform(0.8, 3.0)
        fails = hub.chance(plan.door_lost + plan.door_dropped + plan.door_unanswered)
        fails = fails or (self._away_until > hub.clock.now and not hub.is_well)
        fails = fails or hub.chance(plan.fetch_fails)
        hub.clock.later(seconds, self._fetch, command, fails)

    def _fetch(self, command: do.Fetch, fails: bool) -> None:
        worker, number, call = command.worker, command.number, command.call
        if self._forgotten(worker):
            return
        job, link = self.hub.jobs[command.job], self._links.of(worker)
        span = wire.pack_ids([command.start, command.stop])
        order = wire.Entry(wire.FETCH, call, 0, 1, span)
        message = frames.seal_message(link.seal, number, wire.pack((order,)))
        answer = None if fails else job.message(message)
        if answer is None or answer[0] != _OK or not self._receive(command, *answer[1]()):
            self.hub.sometimes("a range is not fetched")
            self._tell(ev.FetchFailed(worker, number, call, "simulated"))
            return
        news = self._arrivals.take(command.key, call, command.stop - command.start)
        if any(isinstance(item, ev.Done) for item in news):
            self.hub.sometimes("a large outcome is fetched")
        self._tell(ev.Fetched(worker, number, call, news))

    def _receive(self, command: do.Fetch, mac: bytes, data: bytes) -> bool:
        """Put a range into its place, and say whether all of it is right."""
        head, body = bytearray(mac), bytes(data)
        if self.hub.chance(self.hub.plan.door_forged):
            self.hub.sometimes("a range is not as it was sent")
            where = self.hub.rng.randrange(len(head) + len(body))
            head, body = _changed(head, body, where)
        views = self._arrivals.of(command.key).views(command.start, command.stop)
        start = 0
        for view in views:
            piece = body[start : start + len(view)]
            view[: len(piece)] = piece
            start += len(view)
        if len(body) != start:
            return False
        try:
            seals.check_reply(self._links.of(command.worker).seal, command.number, head, views)
        except frames.FrameError:
            return False
        return True


def _changed(head: bytearray, body: bytes, where: int) -> tuple[bytearray, bytes]:
    whole = bytearray(head + body)
    whole[where] ^= 1
    return whole[: len(head)], bytes(whole[len(head) :])


def _who(command: do.SendRange) -> tuple[str, int]:
    return command.worker, command.number


class _Standing:
    """One request that stands, until it is answered once or broken off."""

    def __init__(self, doors: Doors, command: do.Listen) -> None:
        self._doors = doors
        self._command = command
        self._over = False

    def arrive(self) -> None:
        """Reach the door."""
        doors, command = self._doors, self._command
        job = doors.hub.jobs[command.job]
        if doors.is_away or doors.hub.clock.now < job.door_known_at:
            self.end()
            return
        wish = wire.pack_ids([command.position, int(1000 * command.seconds)])
        order = wire.Entry(wire.LISTEN, 0, 0, 1, wish)
        job.listen(frames.seal_message(job.seal, command.number, wire.pack((order,))), self._answer)

    def _answer(self, status: int, reply: bytes) -> None:
        hub, plan = self._doors.hub, self._doors.hub.plan
        back = plan.rtt / 2 * hub.rng.uniform(0.8, 1.5)
        lost = hub.chance(plan.door_unanswered + plan.door_forged)
        if status != _OK or lost or self._doors.is_away:
            hub.clock.later(back, self.end)
        else:
            hub.clock.later(back, self._bring, reply)

    def _bring(self, reply: bytes) -> None:
        if not self._over:
            self._over = True
            self._doors.listened(self._command, reply)

    def end(self) -> None:
        """Break off."""
        if not self._over:
            self._over = True
            self._doors.listen_failed(self._command)
