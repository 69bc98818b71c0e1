"""The ledger: every call whose future is not done, and the answers on their way to futures.

Answers are entered one by one while something is being worked out, and given out together by
:meth:`Ledger.flush` when all state is settled: a future's callbacks are users' code, and may do
anything, submit new calls among it.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from hfexecutor.errors import CallStoppedError
from hfexecutor.stats import Counters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hfexecutor.calls import Call
    from hfexecutor.futures import HubFuture, Printed

__all__ = ["Ledger", "killed", "with_note"]

logger = logging.getLogger("hfexecutor")


class Ledger:
    """Calls from `submit` to their answer. `queue` has those that nobody was given yet."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.queue: deque[Call] = deque()
        self.open: dict[int, Call] = {}
        self._answers: list[tuple[Call, Any, BaseException | None]] = []

    def enter(self, calls: Iterable[Call]) -> None:
        """Take new calls."""
        for call in calls:
            self.open[call.id] = call
            self.queue.append(call)

    def take(self, count: int, *, running: bool) -> list[Call]:
        """Take up to `count` calls that are still wanted off the queue.

        With `running` their futures are marked as running: they can be cancelled no longer. A call
        that may have killed a worker gets no company: it is taken alone, or left.
        """
        calls: list[Call] = []
        while self.queue and len(calls) < count:
            if self.queue[0].lost and calls:
                break
            call = self.queue.popleft()
            if call.id not in self.open or call.future.cancelled():
                continue
            if not running or self.set_running(call):
                calls.append(call)
        return calls

    @property
    def risky(self) -> bool:
        """Whether the next call may have killed a worker."""
        return bool(self.queue) and self.queue[0].lost > 0

    def put_back(self, calls: Iterable[Call]) -> None:
        """Put calls at the head of the queue, in their order; leave out what is answered."""
        again = []
        for call in calls:
            if call.killed:
                self.answer(call, error=killed())
            elif call.id in self.open:
                again.append(call)
        self.queue.extendleft(reversed(again))

    def set_running(self, call: Call) -> bool:
        """Mark a call's future as running; False when it was cancelled in the last moment."""
        future = call.future
        if future.running():  # a second attempt, or seen before
            return True
        if _state(future) in {"PENDING", "CANCELLED"}:
            if future.set_running_or_notify_cancel():
                return True
            self.counters.cancelled += 1
        self.open.pop(call.id, None)
        return False

    def strike(self, future: HubFuture[Any]) -> Call | None:
        """Strike a cancelled call out and wake who waits for it; None if that was done before."""
        call = self.open.pop(future.call_id, None)
        if call is not None:
            if _state(future) == "CANCELLED":
                future.set_running_or_notify_cancel()
            future.release()
            self.counters.cancelled += 1
            self._trim()
        return call

    def _trim(self) -> None:
        """Drop calls that nobody wants any more: no job is to be started for them."""
        while self.queue and self.queue[0].id not in self.open:
            self.queue.popleft()

    def answer(self, call: Call, value: Any = None, error: BaseException | None = None) -> bool:
        """Enter a call's answer; False if it has one, or was cancelled."""
        if self.open.pop(call.id, None) is None:
            return False
        self._answers.append((call, value, error))
        self._trim()
        return True

    def flush(self) -> None:
        """Give the answers to their futures."""
        answers, self._answers = self._answers, []
        for call, value, error in answers:
            future = call.future
            if not self.set_running(call):
                continue
            self.counters.note(error)
            future.release()
            try:
                if error is None:
                    future.set_result(value)
                else:
                    future.set_exception(error)
            except BaseException:  # a callback's, which the stdlib lets through: none of ours
                logger.exception("a future's callback wanted to end the thread")

    def fail_all(self, error: BaseException) -> None:
        """Enter `error` as the answer of every open call."""
        for call in list(self.open.values()):
            self.answer(call, error=with_note(error))
        self.queue.clear()

    def printed(self, call_id: int) -> Printed | None:
        """Return the place for what a call prints, None when it is no open call."""
        call = self.open.get(call_id)
        return call.future.printed() if call is not None else None


def _state(future: HubFuture[Any]) -> str:
    """Return the state in the stdlib's words; no public method tells CANCELLED from notified."""
    return future._state  # noqa: SLF001


def killed() -> CallStoppedError:
    """Return the end of a call that was killed while nobody ran it."""
    return CallStoppedError("the call was killed, as asked")


def with_note(error: BaseException, *notes: str) -> BaseException:
    """Return an error for one more future, with `notes` after its text.

    Each gets its own: a traceback must not grow with each future that raises it.
    """
    try:
        copy = type(error)(" ".join([str(error), *notes]))
    except Exception:  # a constructor with arguments of its own
        return error
    copy.__cause__ = error.__cause__
    return copy
