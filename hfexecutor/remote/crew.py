"""The children together: who gets which call, who is started, stopped, replaced."""

from __future__ import annotations

import os

from . import outcomes
from .pickling import load_cloudpickle
from .schedule import Queue, deal
from .slots import Slot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import Any

    from .config import Config
    from .loop import Loop
    from .settling import Pipes

__all__ = ["Crew"]

_FAILED_STARTS = 3  # children in a row that end before they can take a call
_FORK_AGAIN_SECONDS = 1.0
_STALE_SECONDS = 0.01  # without an answer: then what was given ahead is taken back
_IN_INITIALIZER, _IN_START, _IN_CALL = "initializer", "start", "call"


class Crew:
    """The slots and the queue that feeds them.

    Args:
        loop: tells the time.
        config: how many slots, how long a call may take.
        initializer: whether children begin with one.
        on_outcome: called with call, status, duration, printed lines, payload. The status
            INITIALIZER, and DIED for call 0, mean that no child can be started.
        on_ready: called when a child is ready.
        on_line: called with call, number, whether it goes on the last line, and text.
    """

    def __init__(
        self,
        loop: Loop,
        config: Config,
        *,
        initializer: bool,
        on_outcome: Callable[[int, bytes, float, int, bytes | bytearray], None],
        on_ready: Callable[[], None],
        on_line: Callable[[int, int, bool, bytes], None],
    ) -> None:
        self._loop = loop
        self._call_timeout = config.call_timeout
        self._starts_with = _IN_INITIALIZER if initializer else _IN_START
        self._on_outcome = on_outcome
        self._on_ready = on_ready
        self._failed_starts = 0
        self._stopped = False
        self._first = True  # one child is started before there is any call
        self.queue = Queue()
        self.slots = [
            Slot(loop, config.print_cap, self._hear, on_line) for _ in range(config.slots)
        ]

    @property
    def running(self) -> int:
        """How many slots have a call."""
        return sum(1 for slot in self.slots if slot.given)

    @property
    def held(self) -> int:
        """How many calls have not begun, as far as that is known."""
        ahead = sum(max(0, len(slot.given) - 1) for slot in self.slots)
        return len(self.queue) + ahead

    @property
    def busy(self) -> bool:
        """Whether any call is held or running."""
        return bool(self.queue) or any(slot.given for slot in self.slots)

    def holds(self, call: int) -> bool:
        """Say whether the call is waiting or running."""
        if call in self.queue:
            return True
        for slot in self.slots:  # noqa: SIM110 - asked for each call, and any() takes as long again
            if call in slot.given:
                return True
        return False

    # --- work ---------------------------------------------------------------------------------

    def deal(self) -> None:
        """Give calls to the children that are here."""
        slots = [slot for slot in self.slots if slot.pid and not slot.killed]
        if not self.queue and any(not slot.given for slot in slots):
            self._take_back(slot for slot in slots if len(slot.given) > 1 and slot.ready)
        if not self.queue:
            return
        room = [(len(slot.given), slot.pace.depth if slot.ready else 1) for slot in slots]
        for slot, count in zip(slots, deal(len(self.queue), room), strict=True):
            if count:
                slot.give(self.queue.take(count), self.queue.functions)

    def settle(self) -> None:
        """Set the clock for what has to be watched; to be called after each round."""
        busy = [slot.began for slot in self.slots if slot.given and slot.ready]
        if self._call_timeout is not None:
            self._loop.at(min(busy) + self._call_timeout if busy else None, self._enforce_timeout)
        ahead = [slot.began for slot in self.slots if len(slot.given) > 1]
        self._loop.at(min(ahead) + _STALE_SECONDS if ahead else None, self._take_back_stale)

    def recall(self, calls: Collection[int]) -> list[int]:
        """Give up what has not begun of `calls`, of all if that is empty; return which ones."""
        self._take_back(self.slots)
        return self.queue.remove(calls) if calls else self.queue.clear()

    def kill(self, calls: Collection[int]) -> list[int]:
        """Kill what runs of `calls`; return those that had not even begun, which are given up."""
        given_up = self.recall(calls) if calls else []
        for slot in self.slots:
            if slot.current in calls:
                slot.kill(outcomes.DIED)
        return given_up

    def _take_back(self, slots: Iterable[Slot]) -> None:
        for slot in slots:
            self.queue.put_back(slot.take_back())

    def _take_back_stale(self) -> None:
        limit = self._loop.clock() - _STALE_SECONDS
        for slot in self.slots:
            if len(slot.given) > 1 and slot.began <= limit:
                slot.pace.depth = 1
                self.queue.put_back(slot.take_back())

    def _enforce_timeout(self) -> None:
        limit = self._loop.clock() - (self._call_timeout or 0.0)
        for slot in self.slots:
            if slot.given and slot.ready and slot.began <= limit:
                slot.kill(outcomes.TIMEOUT)

    def _hear(
        self,
        status: bytes,
        call: int,
        duration: float,
        printed: int,
        payload: bytes | bytearray,
    ) -> None:
        if call or status == outcomes.INITIALIZER:
            self._on_outcome(call, status, duration, printed, payload)
        else:
            self._failed_starts = 0
            self._on_ready()

    # --- children -----------------------------------------------------------------------------

    def fork_missing(self) -> Pipes | None:
        """Start the children that are needed. Returns a child's pipes in that child only."""
        for slot in self.slots:
            if self._stopped or not (self.queue or self._first):
                break
            if slot.pid:
                continue
            if self.queue.wants_cloudpickle:
                load_cloudpickle()  # once here, and not in each child
            try:
                pipes = slot.fork()
            except OSError:  # no memory, no process, no descriptor: perhaps later
                self._loop.at(self._loop.clock() + _FORK_AGAIN_SECONDS, _wake)
                break
            if pipes is not None:
                return pipes
            self._first = False
            self.deal()
        return None

    def reap(self) -> None:
        """Clear up after all children that have ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)  # orphans of calls, too
            except ChildProcessError:
                return
            if not pid:
                return
            for slot in self.slots:
                if slot.pid == pid:
                    self._bury(slot, os.waitstatus_to_exitcode(status))

    def stop(self) -> None:
        """Kill all children and start no more. What they have answered is heard."""
        self._stopped = True
        for slot in self.slots:
            slot.hear_all()
            slot.kill()

    def _bury(self, slot: Slot, code: int) -> None:
        pid, why, was_ready = slot.pid, slot.killed, slot.ready
        duration = self._loop.clock() - slot.began
        call, printed, left = slot.bury()
        self.queue.put_back(left)
        if self._stopped:
            return
        if why == outcomes.TIMEOUT and call:
            payload = outcomes.json_payload({"seconds": self._call_timeout})
            self._on_outcome(call, why, duration, printed, payload)
        elif call:
            self._died(
                call, pid, code, _IN_CALL, duration=duration, printed=printed, asked=bool(why)
            )
        elif not was_ready and not why:
            self._failed_to_start(pid, code)

    def _failed_to_start(self, pid: int, code: int) -> None:
        self._failed_starts += 1
        if self._starts_with == _IN_INITIALIZER:
            self._died(0, pid, code, _IN_INITIALIZER)
        elif self._failed_starts >= _FAILED_STARTS and self.queue:
            self._failed_starts = 0
            (call,) = self.queue.take(1)
            self._died(call, pid, code, _IN_START)

    def _died(
        self,
        call: int,
        pid: int,
        code: int,
        during: str,
        *,
        duration: float = 0.0,
        printed: int = 0,
        asked: bool = False,
    ) -> None:
        details: dict[str, Any] = {"pid": pid, "during": during, "asked": asked}
        details["exitcode"] = code if code >= 0 else None
        details["signal"] = -code if code < 0 else None
        payload = outcomes.json_payload(details)
        self._on_outcome(call, outcomes.DIED, duration, printed, payload)


def _wake() -> None:
    """Wake the loop, which then tries again."""
