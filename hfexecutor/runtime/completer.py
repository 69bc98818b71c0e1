"""Futures: where outcomes are unpickled, and users' callbacks run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from hfexecutor.core.events import Broken, RetryWeighed
from hfexecutor.errors import HubExecutorError
from hfexecutor.failures import in_short
from hfexecutor.results import add_notes, unwrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfexecutor.core import commands as do
    from hfexecutor.core.call import Call
    from hfexecutor.core.events import Event
    from hfexecutor.futures import PoolFuture
    from hfexecutor.payload.remote_value import Content
    from hfexecutor.remote.outcomes import Outcome

__all__ = ["Completer", "claim"]

logger = logging.getLogger("hfexecutor")


def claim(call: Call) -> bool:
    """Mark a call's future as running; False if it was cancelled before."""
    future = call.future
    state: str = future._state  # noqa: SLF001 - as in `_state`; this is asked for each call
    if state == "PENDING" or state == "CANCELLED":  # noqa: PLR1714 - by far the fastest
        claimed: bool = future.set_running_or_notify_cancel()
        return claimed
    return state == "RUNNING"


class Completer:
    """Give calls' futures their ends.

    A future's callbacks are a user's code, and may do anything, submit new calls among it: so no
    state of ours changes while they run.

    Args:
        tell: Takes events to the core.
        keep: Takes the outcomes of calls whose results are kept for later runs.
        content: Returns what handles stand for, of the outcome of a call and where it ran.

    Attributes:
        done: Futures that got a value.
        failed: Futures that got an error.
    """

    def __init__(
        self,
        tell: Callable[[Event], None],
        keep: Callable[[Any, Outcome], None] | None = None,
        content: Callable[[Outcome, str], Content] | None = None,
    ) -> None:
        self._tell = tell
        self._keep = keep
        self._content = content
        self.done = 0
        self.failed = 0

    def started(self, command: do.Started) -> None:
        """Tell futures their job."""
        for call in command.calls:
            call.future.started_in(command.job)

    def complete(self, command: do.Complete) -> None:
        """Give outcomes to their futures, which are running."""
        for call, outcome, where, _ in command.completions:
            future = call.future
            if call.is_backup:
                future.replace_printed(call.printed)
            future.printed_in_all(outcome.printed, unterminated=outcome.unterminated)  # type: ignore[attr-defined]
            if call.kept_as is not None and self._keep is not None:
                self._keep(call.kept_as, outcome)  # type: ignore[arg-type]
            handle = None if call.make_handle is None else self._handle_of(call)
            value, error = unwrap(outcome, where, call.attachments, handle)  # type: ignore[arg-type]
            self._resolve(future, value, error)
            del value

    def _handle_of(self, call: Call) -> Callable[[Outcome, str], Any]:
        content = self._content
        assert content is not None
        return lambda outcome, where: call.make_handle(content(outcome, where))

    def weigh_retry(self, command: do.WeighRetry) -> None:
        """Say whether what a call has raised is what its user wants to see retried."""
        call, outcome, where, _ = command
        attempt = call.raised  # the next one is the one after that
        error = unwrap(outcome, where, call.attachments)[1]  # type: ignore[arg-type]
        pause = None if error is None else call.options.retry.pause(error, attempt)
        if error is not None and pause is not None:
            text = f"attempt {attempt} ended with {in_short(error)}; {where}"
            call.future.attempts = (*call.future.attempts, text)
        self._tell(RetryWeighed(call.id, pause))

    def fail(self, command: do.Fail) -> None:
        """End a future with an error, unless it was cancelled."""
        if claim(command.call):
            self._resolve(command.call.future, None, command.error)
        else:
            command.call.future.release()

    def cancel(self, command: do.CancelFuture) -> None:
        """Cancel a future that is not running."""
        future = command.call.future
        future.cancel()
        self._wake(future)

    def notify(self, command: do.NotifyCancelled) -> None:
        """Wake who waits for a future that was cancelled."""
        self._wake(command.call.future)

    def unwrap(self, command: do.Unwrap) -> None:
        """Say why no call can run in a job."""
        error = unwrap(command.outcome, command.where)[1]  # type: ignore[arg-type]
        if not isinstance(error, HubExecutorError):
            error = HubExecutorError(f"{command.where} says that no call can run, and not why")
        self._tell(Broken(command.worker, error))

    def _resolve(self, future: PoolFuture[Any], value: Any, error: BaseException | None) -> None:
        future.release()
        try:
            if error is None:
                self.done += 1
                future.set_result(value)
            else:
                self.failed += 1
                if future.attempts:
                    add_notes(error, future.attempts)
                future.set_exception(error)
        except BaseException:  # a callback's, which the stdlib lets through: none of ours
            logger.exception("a future's callback wanted to end the thread")

    def _wake(self, future: PoolFuture[Any]) -> None:
        future.release()
        if _state(future) == "CANCELLED":
            future.set_running_or_notify_cancel()


def _state(future: PoolFuture[Any]) -> str:
    """Return the state in the stdlib's words; no public method tells CANCELLED from notified."""
    return future._state  # noqa: SLF001
