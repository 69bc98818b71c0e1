"""The pool of processes: which call goes where, who is started, killed, replaced. Pure.

It is told what has happened, and leaves what is to be done in `effects`. It knows no process, but
for one question that can only be answered at once: which of its calls a process has not begun.
"""

from __future__ import annotations

from math import inf

from . import outcomes, pipes, plain
from .effects import Close, Fork, Give, Kill, Resume, Stop
from .entries import INSTALL, Entry, buffers_of, head_of, limit_of, need_of
from .environments import FAILED, Environments
from .environments import READY as AT_HAND
from .schedule import SLOW, Queue, deal
from .slot import CLOSING, EMPTY, FORKING, KILLED, READY, STARTING, STOPPING, Slot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import Any

    from .buffer_cache import BufferCache
    from .buffers import Buffer
    from .config import Config
    from .effects import Effect, Install
    from .log import Log
    from .pipes import Result

__all__ = ["Pool"]

_FAILED_STARTS = 3  # processes in a row that end before they can take a call
_FORK_AGAIN_SECONDS = 1.0
_STALE_SECONDS = 0.01  # without a result: then what was given ahead is taken back
_IN_INITIALIZER, _IN_START, _IN_CALL = "initializer", "start", "call"


class Pool:
    """Slots, and the queue that feeds them.

    Args:
        config: how many slots, how long a call may take, how many of them a process.
        log: takes outcomes, and lines that calls print.
        take_back: returns those calls of a slot that its process has not begun, and now never will.
        initializer: whether processes begin with one.
        buffers: what is here of buffers.
        folder: where packages are installed.

    Attributes:
        buffers: see above.
        queue: calls that no process has.
        environments: what calls need, and what is here of it.
        origin: the moment from which on outcomes reckon when their calls began.
        slots: the places of processes.
        answered: how many calls have ended.
        broken: the initializer has failed: no process will ever run a call.
        effects: what is to be done.
    """

    def __init__(
        self,
        config: Config,
        log: Log,
        take_back: Callable[[int], Iterable[int]],
        *,
        initializer: bool,
        buffers: BufferCache,
        folder: str = "",
    ) -> None:
        self.buffers = buffers
        self._log = log
        self._ask = take_back
        self._most_calls = config.max_tasks_per_child
        self._starts_with = _IN_INITIALIZER if initializer else _IN_START
        self._needs_of_initializer = config.initializer_needs
        self._failed_starts = 0
        self._fork_again_at = inf  # and not before
        self._due = inf  # see `due`
        self._install_began = 0.0
        self._first = True  # one process is started before there is any call
        self._closed = False
        self._folder = folder
        self.queue = Queue()
        self.environments = Environments()
        self.origin = 0.0
        self.slots = [Slot(index, config.print_cap) for index in range(config.slots)]
        self.answered = 0
        self.broken = False
        self.effects: list[Effect] = []

    @property
    def busy(self) -> bool:
        """Whether any call waits or runs."""
        if self.queue:
            return True
        for slot in self.slots:  # noqa: SIM110 - asked at each step, and any() takes longer
            if slot.given:
                return True
        return False

    @property
    def held(self) -> list[int]:
        """The calls that wait or run."""
        return [*self.queue, *(call for slot in self.slots for call in slot.given)]

    def holds(self, call: int) -> bool:
        """Say whether the call waits or runs."""
        if call in self.queue:
            return True
        for slot in self.slots:  # noqa: SIM110 - asked for each call, and any() takes as long again
            if call in slot.given:
                return True
        return False

    def has_all_for(self, data: bytes) -> bool:
        """Say whether function, need and buffers are here that a call's data names."""
        function, need, _, count, _ = head_of(data)
        return (
            (not function or function in self.queue.functions)
            and (not need or self.environments.knows(need))
            and (not count or all(name in self.buffers for name in buffers_of(data)))
        )

    # --- what the client wants ------------------------------------------------------------------

    def recall(self, calls: Collection[int]) -> list[int]:
        """Give up what has not begun of `calls`, of all if that is empty; return which ones."""
        for slot in self.slots:  # what was given ahead has not begun either, and counts as queued
            self._take_back(slot)
        return self.queue.remove(calls) if calls else self.queue.clear()

    def kill(self, calls: Collection[int]) -> list[int]:
        """Kill what runs of `calls`; return those that had not even begun, which are given up."""
        given_up = self.recall(calls) if calls else []
        for slot in self.slots:
            # What is left after the recall has begun, also in a process of which nobody has heard
            # yet that it is ready: it is halted as soon as it says so.
            if slot.first in calls:
                self._condemn(slot, slot.first, outcomes.DIED)
        return given_up

    def close(self) -> None:
        """Start no process any more, and tell of no end of one; what they have said counts."""
        self._closed = True

    # --- what processes do ----------------------------------------------------------------------

    def forked(self, index: int, marker: bytes) -> None:
        """Note that a slot has a process now."""
        self.slots[index].start(marker)

    def fork_failed(self, index: int, now: float) -> None:
        """Note that a slot could not have a process: perhaps later."""
        self.slots[index].phase = EMPTY
        self._fork_again_at = now + _FORK_AGAIN_SECONDS
        self._due = min(self._due, self._fork_again_at)

    def output(self, index: int, data: bytes, now: float) -> None:
        """Take what a process has printed."""
        slot = self.slots[index]
        if lines := slot.output.feed(data, now):
            self._show(slot.current, lines)
            self._expect(slot)

    def result(self, index: int, result: Result, now: float) -> None:
        """Take a call's result, or the news that the process is ready, after all it printed."""
        status, call, began, duration, payload = result
        slot = self.slots[index]
        if lines := slot.output.end_call():
            self._show(slot.current, lines)
        printed = slot.output.total
        slot.given.pop(call, None)
        # The next one, if it was given any ahead: nobody says when a call begins.
        slot.began = now
        slot.stale_at = now + _STALE_SECONDS if len(slot.given) > 1 else inf
        if slot.phase == STARTING:
            slot.phase = READY
            self._halt_condemned(slot)
        if call:
            slot.pace.note(duration)
            slot.finished += 1
            outcome = outcomes.encode(
                status, duration, printed, payload, began=began - self.origin, slot=index
            )
            self._tell(call, outcome, now)
            # One that is being halted is closed when it stands.
            if slot.finished == self._most_calls and slot.phase == READY:
                self._close(slot)
        elif status == pipes.READY:
            self._failed_starts = 0
        else:
            self._tell(0, outcomes.encode(status, duration, printed, payload), now)
        if lines := slot.output.next_call(now):
            self._show(slot.current, lines)
        if lines or slot.given:
            self._expect(slot)

    def stopped(self, index: int) -> None:
        """Decide about a process that stands still, and of which all was heard that it has said."""
        slot = self.slots[index]
        if slot.phase != STOPPING:  # a call has stopped itself, say
            return
        # First: what is left is the call that it is in, and nothing that others could run is lost.
        self._take_back(slot)
        if slot.current in slot.condemned:
            slot.phase = KILLED
            self.effects.append(Kill(index))
            return
        slot.condemned.clear()  # what it was to be killed in was over already
        slot.phase = CLOSING if slot.closed else READY
        self._expect(slot)
        self.effects.append(Resume(index))
        if self._most_calls is not None and slot.finished >= self._most_calls:
            self._close(slot)

    def ended(self, index: int, pid: int, code: int, now: float) -> None:
        """Clear up after a process that has ended, and of which all was heard that it has said."""
        slot = self.slots[index]
        self._take_back(slot)
        call, phase = slot.first, slot.phase
        self._show(call, slot.output.end_call())
        printed, began = slot.output.total, slot.began
        # It may have died by itself in the moment before our signal: it ended as was asked for.
        status = slot.condemned.get(call, b"") if phase in {STOPPING, KILLED} else b""
        limit = limit_of(slot.given[call]) if call else None
        slot.clear()
        # What was wanted of that process must not hit the next one in its place.
        self.effects = [effect for effect in self.effects if effect.slot != index]
        if self._closed:
            return
        if status == outcomes.TIMEOUT:
            details = {"seconds": limit}
            outcome = outcomes.encode_details(
                status, now - began, printed, details, began=began - self.origin, slot=index
            )
            self._tell(call, outcome, now)
        elif call:
            self._died(
                call,
                pid,
                code,
                _IN_CALL,
                now,
                began=began,
                slot=index,
                printed=printed,
                asked=bool(status),
            )
        elif phase == STARTING:
            self._failed_to_start(pid, code, now)

    # --- decisions ------------------------------------------------------------------------------

    def due(self) -> float:
        """Return before when :meth:`step` has nothing to do unless something happens; inf: ever.

        It may have nothing to do then either: what is over is noticed when its moment has come.
        """
        return self._due

    def step(self, now: float) -> None:
        """Decide what is to be done now that all is known that has happened."""
        # Calls that are taken back are dealt out in the same step, and processes started only for
        # those that nobody could be given.
        if self._due <= now:
            self._look(now)
        if self._starts_with == _IN_INITIALIZER:
            self._let_initialize()
        if self._due < inf:  # else nothing was given ahead
            self._share(now)
        waits = bool(self.queue)
        if waits:
            self._deal(now)
        if waits or self._first:
            self._start_missing()

    def _expect(self, slot: Slot) -> None:
        """Look at a slot in time: it has something due that it had not."""
        self._due = min(self._due, slot.stale_at, slot.output.flush_at, self._ends_at(slot))

    def _look(self, now: float) -> None:
        """Do what is due, and find out what is next."""
        if self._fork_again_at <= now:
            self._fork_again_at = inf  # also if no process is wanted now: it would be due for ever
        self._due = self._fork_again_at
        for slot in self.slots:
            if slot.output.flush_at <= now:
                self._show(slot.current, slot.output.flush(now))
            if slot.stale_at <= now:
                slot.pace.depth = 1  # it is in a call that is no micro-call
                self._take_back(slot)
            if self._ends_at(slot) <= now:
                self._condemn(slot, slot.current, outcomes.TIMEOUT)
            self._expect(slot)

    # --- what calls need ------------------------------------------------------------------------

    def installed(self, now: float) -> None:
        """Note that what was to be installed is."""
        self._tell_of_install(now, ended=True)
        self.environments.installed()

    def install_failed(self, why: str, now: float) -> None:
        """Note that it could not be, and what uv says of it."""
        self._tell_of_install(now, ended=True, failed=True)
        self._install(self.environments.install_failed(why), now)

    def _install(self, install: Install | None, now: float) -> None:
        if install is not None:
            self.effects.append(install)
            self._install_began = now
            self._tell_of_install(now)

    def _tell_of_install(self, now: float, *, ended: bool = False, failed: bool = False) -> None:
        """Say that an installation has begun, or how long it took: calls may have waited for it."""
        began = self._install_began
        seconds = now - began if ended else None
        words = {"began": began - self.origin, "seconds": seconds, "failed": failed}
        self._log.add(Entry(INSTALL, 0, 0, 1, plain.pack(words)))

    def environment_path(self, environment: int) -> str:
        """Return the directory of an environment."""
        return f"{self._folder}/environment-{environment}"

    def _fail_unmet(self, number: int, now: float) -> None:
        """End the calls whose packages cannot be installed."""
        need = self.environments.need(number)
        details = {"requirements": list(need.requirements.values()), "error": need.failure}
        outcome = outcomes.encode_details(
            outcomes.NOT_INSTALLED, 0.0, 0, details, began=now - self.origin
        )
        for call in self.queue.take(len(self.queue), number):
            self._tell(call, outcome, now)

    def _lacking(self, slot: Slot, number: int) -> list[tuple[bytes, int, bytes]]:
        """Return the items that add what a call needs to a process's search path."""
        environment, archives = slot.world.add(self.environments.need(number))
        items = [
            (pipes.ARCHIVE, archive, self.environments.archives[archive])
            for archive in archives
            if archive in self.environments.archives
        ]
        if environment is not None:
            path = self.environment_path(environment).encode()
            items.append((pipes.ENVIRONMENT, environment, path))
        return items

    def _let_initialize(self) -> None:
        """Tell new processes to run the initializer, once what it needs is here.

        Every call needs what the initializer does, so what the first one needs is enough.
        """
        for slot in self.slots:
            if slot.phase != STARTING or slot.may_initialize:
                continue
            ready = [n for n in self.queue.needs() if self.environments.need(n).state == AT_HAND]
            if not ready and (self.queue or self._needs_of_initializer):
                return
            slot.may_initialize = True
            items = self._lacking(slot, ready[0]) if ready else []
            self.effects.append(Give(slot.index, [*items, (pipes.INITIALIZER, 0, b"")], []))

    def _make_room(self, number: int, slots: list[Slot]) -> None:
        """Let processes end that cannot run the calls that wait, for others to take their place."""
        need = self.environments.need(number)
        coming = sum(slot.phase in {EMPTY, CLOSING} for slot in self.slots)
        unfit = [s for s in slots if s.phase == READY and not s.world.suits(need)]
        # Who was given least has least to do before it can end.
        for slot in sorted(unfit, key=lambda slot: len(slot.given)):
            if coming >= self.queue.waiting(number):
                return
            coming += 1
            self._take_back(slot)
            self._close(slot)

    def _close(self, slot: Slot) -> None:
        """Let a process end when it has done what it has."""
        slot.phase = CLOSING
        if not slot.closed:
            slot.closed = True
            self.effects.append(Close(slot.index))

    @staticmethod
    def _ends_at(slot: Slot) -> float:
        """Return when the time of what a slot runs is over; infinity: never, or it runs nothing."""
        return slot.began + limit_of(slot.given[slot.first]) if slot.given and slot.runs else inf

    def _share(self, now: float) -> None:
        """Take back what was given ahead, where somebody is idle who could run it."""
        slots = self._takers()
        idle = [slot for slot in slots if not slot.given]
        if not idle:
            return
        for slot in slots:  # what was given ahead would have to wait there, and not here
            # What waits here came later. But micro-calls are through in no time, and to ask
            # for them each time that somebody is idle would cost more than it is worth.
            waits = not self.queue or now - slot.began > SLOW
            ahead = len(slot.given) > 1 and slot.phase == READY
            if ahead and waits and self._could_run(idle, slot):
                self._take_back(slot)

    def _deal(self, now: float) -> None:
        """Give the calls that wait to the processes that are here."""
        needs = self.queue.needs()
        # First, for it may turn out that what calls wait for is there already.
        if not self._closed:
            self._install(self.environments.next_install(needs), now)
        slots = self._takers()
        for number in needs:
            state = self.environments.need(number).state
            if state == AT_HAND:
                self._deal_out(number, slots, now)
            elif state == FAILED:
                self._fail_unmet(number, now)

    def _could_run(self, idle: list[Slot], slot: Slot) -> bool:
        """Say whether an idle process can run any of the calls that a slot was given ahead.

        If none can, those would be given to the slot again, taken back again, and so on for ever.
        """
        _, *ahead = slot.given.values()
        needs = [self.environments.need(number) for number in set(map(need_of, ahead))]
        return any(other.world.suits(need) for other in idle for need in needs)

    def _deal_out(self, number: int, slots: list[Slot], now: float) -> None:
        """Give calls with one need to the processes that can run them."""
        need = self.environments.need(number)
        fit = [slot for slot in slots if slot.takes_calls and slot.world.suits(need)]
        rooms = [(len(slot.given), slot.room(self._most_calls)) for slot in fit]
        counts = deal(self.queue.waiting(number), rooms)
        shares = [(slot, count) for slot, count in zip(fit, counts, strict=True) if count]
        first: dict[int, dict[int, bytes]] = {}
        if len(shares) > 1:
            # The first calls are those that begin at once: none of them waits behind another one,
            # which may take long, while later ones begin elsewhere.
            idle = [slot for slot, _ in shares if not slot.given]
            first = {slot.index: self.queue.take(1, number) for slot in idle}
        for slot, count in shares:
            calls = first.get(slot.index, {})
            calls.update(self.queue.take(count - len(calls), number))
            if calls:
                self._give(slot, calls, now, number)
        if not fit:
            self._make_room(number, slots)

    def _takers(self) -> list[Slot]:
        """Return the places of processes that may be given calls."""
        at_once = self._starts_with == _IN_START
        return [
            slot for slot in self.slots if slot.takes_calls and (at_once or slot.may_initialize)
        ]

    def _give(self, slot: Slot, calls: dict[int, bytes], now: float, need: int) -> None:
        """Give calls with one need to a process, with what it does not have yet."""
        if not slot.given:
            slot.began = now
            if slot.phase == READY and (lines := slot.output.begin_call()):
                self._show(0, lines)
        items = self._lacking(slot, need) if need else []
        functions = self.queue.functions
        for call, data in calls.items():
            function, _, limit, _, _ = head_of(data)
            if function not in slot.known and function in functions:
                slot.known.add(function)
                items.append((pipes.FUNCTION, function, functions[function]))
            items.append((pipes.CALL, call, data))
            if limit > 0:  # it begins now, or later
                self._due = min(self._due, now + limit)
        slot.given.update(calls)
        if len(slot.given) > 1 and slot.stale_at == inf:
            slot.stale_at = slot.began + _STALE_SECONDS
            self._due = min(self._due, slot.stale_at)
        self.effects.append(Give(slot.index, items, list(calls)))

    def _take_back(self, slot: Slot) -> None:
        """Put what a process has not begun back to where it came from."""
        slot.stale_at = inf
        if slot.given:
            calls = [call for call in self._ask(slot.index) if call in slot.given]
            self.queue.put_back({call: slot.given.pop(call) for call in calls})

    def _start_missing(self) -> None:
        """Start the processes that are needed."""
        waits_to_fork = self._fork_again_at < inf
        if waits_to_fork or self._closed or self.broken or not (self.queue or self._first):
            return
        starting = sum(
            1 for slot in self.slots if slot.phase in {FORKING, STARTING} and not slot.given
        )
        for slot in self.slots:
            if slot.phase == EMPTY and (starting < len(self.queue) or self._first):
                slot.phase = FORKING
                self._first = False
                starting += 1
                self.effects.append(Fork(slot.index, cloudpickle=self.queue.wants_cloudpickle))

    def _condemn(self, slot: Slot, call: int, status: bytes) -> None:
        """Have the process killed, if it still is in this call when it stands."""
        slot.condemned.setdefault(call, status)
        self._halt_condemned(slot)

    def _halt_condemned(self, slot: Slot) -> None:
        if slot.runs and slot.current in slot.condemned:
            slot.phase = STOPPING
            self.effects.append(Stop(slot.index))

    def _failed_to_start(self, pid: int, code: int, now: float) -> None:
        self._failed_starts += 1
        if self._starts_with == _IN_INITIALIZER:
            self._died(0, pid, code, _IN_INITIALIZER, now)
        elif self._failed_starts >= _FAILED_STARTS and self.queue:
            # One call is told, and the others wait: what keeps processes from starting may pass.
            self._failed_starts = 0
            for call in self.queue.take(1, self.queue.needs()[0]):
                self._died(call, pid, code, _IN_START, now)

    def _died(
        self,
        call: int,
        pid: int,
        code: int,
        during: str,
        now: float,
        *,
        began: float | None = None,
        slot: int = 0,
        printed: int = 0,
        asked: bool = False,
    ) -> None:
        details: dict[str, Any] = {"pid": pid, "during": during, "asked": asked}
        details["exitcode"] = code if code >= 0 else None
        details["signal"] = -code if code < 0 else None
        began = now if began is None else began
        outcome = outcomes.encode_details(
            outcomes.DIED, now - began, printed, details, began=began - self.origin, slot=slot
        )
        self._tell(call, outcome, now)

    def _tell(self, call: int, outcome: Buffer, now: float) -> None:
        self._log.outcome(call, outcome, now)
        if call:
            self.answered += 1
        else:  # no process can be started, so no call will ever run here
            self.broken = True

    def _show(self, call: int, lines: Iterable[tuple[int, bool, bytes]]) -> None:
        for number, joined, text in lines:
            self._log.show(call, number, joined, text)
