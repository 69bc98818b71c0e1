"""Processes that run calls: they take tickets, print, hang, die, and are halted and killed.

The model keeps the rules that `hfexecutor/remote/machine.py` names in its docstring, and fails
where a real process would hang or go wrong: a ticket without its item, a call whose function or
package never came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from hfexecutor.core.call import number_of
from hfexecutor.remote import entries as wire
from hfexecutor.remote import outcomes, pipes

from .user import DEATHS, KILLED, NEEDS

if TYPE_CHECKING:
    import random

    from hfexecutor.remote.machine import Machine

    from .clock import Clock, Timer
    from .user import Work

START = 0.02  # seconds from the fork to the first word
OVERHEAD = 0.00003  # seconds of a call besides its own
OPEN = 3  # each third call leaves its last line without an end
INITIALIZER_FAILED, SUPERVISOR_GONE = 1, 70  # exit codes


class Child:
    """One process, from its fork to its end.

    Args:
        clock: the time.
        rng: chance, for delays.
        slot: where it runs.
        machine: is told what it says.
        marker: what it writes after each call's output.
        work: what each call does, by its id.
        initializer: it begins with one: "well", "fails", or none.
        most_calls: that it may run in its life; 0: any number.
        packages: what is installed, by environment.
        mimic: makes lines that look like the supervisor's.
        began: called with a call that begins.
        said: called when there is something to hear.
        outcome: called with a call of which the result is heard.
        ended: called with itself and its exit code.
        job_dies: called when a call takes the job along.
        flavor: the number of that of the job.
    """

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        slot: int,
        *,
        machine: Machine,
        marker: bytes,
        work: dict[int, Work],
        initializer: str,
        most_calls: int,
        packages: dict[int, set[str]],
        mimic: Callable[[], bytes],
        began: Callable[[int], None],
        said: Callable[[int], None],
        outcome: Callable[[int], None],
        ended: Callable[[Child, int], None],
        job_dies: Callable[[], None],
        flavor: int,
    ) -> None:
        self.clock = clock
        self.rng = rng
        self.slot = slot
        self._machine = machine
        self._marker = marker
        self._work = work
        self._initializer = initializer
        self._most_calls = most_calls
        self._packages = packages
        self._mimic = mimic
        self._began = began
        self._said = said
        self._outcome = outcome
        self._ended = ended
        self._job_dies = job_dies
        self._flavor = flavor
        self.call = 0  # that it runs
        self.began_at = 0.0
        self.alive = True
        self.results: list[pipes.Result] = []  # in its pipe
        self.output = bytearray()  # in its pipe
        self._tickets: deque[int] = deque()
        self._items: deque[tuple[bytes, int, bytes]] = deque()
        self._functions: set[int] = set()
        self._environments: list[int] = []
        self._archives: set[int] = set()
        self._calls = 0
        self._idle = False
        self._closing = False
        self._halted = False
        self._doing: Callable[[], None] | None = None
        self._timer: Timer | None = None
        self._due = 0.0
        self._go(START, self._start)

    @property
    def is_working(self) -> bool:
        """Whether it runs a call, or is about to."""
        return self.alive and not self._idle

    # --- time: what it is doing takes some, and stands while it is halted -----------------------

    def _go(self, seconds: float, then: Callable[[], None]) -> None:
        self._doing = then
        if self._halted:
            self._due = seconds
        else:
            self._due = self.clock.now + seconds
            self._timer = self.clock.at(self._due, self._done)

    def _done(self) -> None:
        doing, self._timer, self._doing = self._doing, None, None
        assert doing is not None
        doing()

    def vanish(self) -> None:
        """Be gone, and tell nobody: the job is over."""
        self.alive = False
        if self._timer is not None:
            self._timer.cancel()

    # --- what the supervisor does to it ---------------------------------------------------------

    def give(self, items: Iterable[tuple[bytes, int, bytes]], calls: Iterable[int]) -> None:
        """Take items, and then tickets."""
        self._items.extend(items)
        self._tickets.extend(calls)
        if self._idle and self.alive and (self._tickets or self._initializer):
            self._idle = False
            self._go(self.rng.choice((0.0, 0.0, 0.0003)), self._next)

    def take_back(self) -> list[int]:
        """Let go of the tickets that it has not taken."""
        tickets = list(self._tickets)
        self._tickets.clear()
        return tickets

    def close(self) -> None:
        """Get no more tickets."""
        self._closing = True
        if self._idle and self.alive:
            self._idle = False
            self._go(0.0, self._next)

    def halt(self) -> None:
        """Be halted, after a moment in which it may go on."""
        self.clock.later(self.rng.choice((0.0, 0.0, 0.0004)), self._stand)

    def _stand(self) -> None:
        if not self.alive:
            return
        self._halted = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._due -= self.clock.now  # what is left
        self.hear()
        self._machine.stopped(self.slot)
        self._said(self.slot)

    def go_on(self) -> None:
        """Go on, if it was halted."""
        if self._halted and self.alive:
            self._halted = False
            if self._doing is not None:
                self._go(self._due, self._doing)

    def kill(self) -> None:
        """Be killed, in a moment."""
        self.clock.later(self.rng.choice((0.0, 0.0002)), self.die, KILLED)

    def die(self, code: int) -> None:
        """End; that is noticed a moment later."""
        if self.alive:
            self.vanish()
            self.clock.later(self.rng.choice((0.0, 0.0002)), self._ended, self, code)

    def hear(self) -> None:
        """Tell the machine all that it has said, a call's output before its result."""
        machine, slot, now = self._machine, self.slot, self.clock.now
        results, self.results = self.results, []
        for result in results:
            if call := result[1]:
                self._outcome(call)
            self.hear_output()
            assert machine.output_is_complete(slot), "a result without its marker"
            machine.result(slot, result, now)
        self.hear_output()

    def hear_output(self) -> None:
        """Tell the machine what it has printed, up to the next marker."""
        if self.output and not self._machine.output_is_complete(self.slot):
            data, self.output = bytes(self.output), bytearray()
            self._machine.output(self.slot, data, self.clock.now)

    # --- its own life ---------------------------------------------------------------------------

    def _start(self) -> None:
        if not self._initializer:
            self._say((pipes.READY, 0, 0.0, 0.0, b""))
        self._next()

    def _initialize(self) -> None:
        """Run the initializer once the supervisor allows it."""
        while self._items:
            kind, number, _ = self._items.popleft()
            if kind == pipes.INITIALIZER:
                fails, self._initializer = self._initializer == "fails", ""
                self._go(0.05, self._fail if fails else self._start)
                return
            self._keep(kind, number)
        self._idle = True

    def _fail(self) -> None:
        self._say((outcomes.INITIALIZER, 0, 0.0, 0.0, b"the initializer has failed"))
        self.die(INITIALIZER_FAILED)

    def _say(self, result: pipes.Result) -> None:
        self.output += self._marker
        self.results.append(result)
        self._said(self.slot)

    def _keep(self, kind: bytes, number: int) -> None:
        if kind == pipes.FUNCTION:
            self._functions.add(number)
        elif kind == pipes.ENVIRONMENT:
            self._environments.append(number)
        elif kind == pipes.ARCHIVE:
            self._archives.add(number)

    def _next(self) -> None:
        """Take a ticket and begin its call; wait if there is none."""
        if self._initializer:
            self._initialize()
        elif self._tickets:
            self._begin(self._tickets.popleft())
        elif self._closing:
            self.die(SUPERVISOR_GONE)
        else:
            self._idle = True

    def _begin(self, call: int) -> None:
        while True:
            assert self._items, f"the ticket of call {call} came without its item"
            kind, number, data = self._items.popleft()
            if kind == pipes.CALL and number == call:
                break
            self._keep(kind, number)
        work = self._work[number_of(call)]
        function = wire.head_of(data)[0]
        assert function == work.function, f"call {call} has function {function}"
        assert function in self._functions, f"call {call} needs function {function}: not sent"
        self._look_for_needs(call, NEEDS[work.need])
        self._calls += 1
        assert not self._most_calls or self._calls <= self._most_calls, "more than its share"
        self.call, self.began_at = call, self.clock.now
        self._began(call)
        if work.prints:
            self.output += lines_of(number_of(call), 0, work.prints // 2)
            if work.mimics:
                self.output += self._mimic()
            self._said(self.slot)
        if work.kind == "hang":
            self._doing = None
        else:
            self._go(OVERHEAD + work.lasts(attempt_of(call)), self._finish)

    def _look_for_needs(self, call: int, need: dict[str, Any]) -> None:
        here = set[str]().union(*(self._packages[number] for number in self._environments))
        assert len(self._environments) <= 1, f"environments {self._environments} in one process"
        lacking = {*need.get("requirements", {}).values()} - here
        lacking |= {*need.get("archives", {}).values()} - self._archives
        assert not lacking, f"call {call} lacks {lacking}"

    def _finish(self) -> None:
        call, number = self.call, number_of(self.call)
        work = self._work[number]
        if work.prints:
            rest = lines_of(number, work.prints // 2, work.prints)
            self.output += rest if number % OPEN else rest[:-1]
        if work.kind == "killjob":
            self._job_dies()
        elif work.dies(self._flavor):
            self.die(DEATHS[work.kind])
        else:
            attempt = attempt_of(call)
            status = outcomes.RAISED if work.raises(attempt) else outcomes.VALUE
            self.call = 0
            lasted = work.lasts(attempt)
            self._say((status, call, self.began_at, lasted, value_of(number, work)))
            self._next()


def attempt_of(call: int) -> int:
    """Return how many attempts of a call there were before this one."""
    return call >> 40


def value_of(call: int, work: Any) -> bytes:
    """Return the payload of a call's outcome."""
    value = b"%d" % call
    return value if work.size <= len(value) else value.ljust(work.size, b".")


def lines_of(call: int, first: int, end: int) -> bytes:
    """Return these lines of what a call prints."""
    return b"".join(b"%d:%d\n" % (call, number) for number in range(first, end))
