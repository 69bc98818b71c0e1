"""The progress of a whole run, made of its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hfexecutor import events
from hfexecutor.progress.display import Display
from hfexecutor.progress.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfexecutor.progress.tally import Jobs

__all__ = ["RunProgress"]

_KINDS: Final = frozenset(
    {
        events.CallsSubmitted, events.CallsEnded, events.CallRetried, events.CallCancelled,
        events.JobCreated, events.JobStarted, events.JobEnded, events.RunEnded,
        events.Transferring,
    }
)  # fmt: skip


class RunProgress:
    """Listens to a run and shows it, from its first call to its end.

    Args:
        title: Of the run.
        jobs: Tells of its jobs.
        bar: Whether its progress is shown.
        lines: Whether what its calls print is.

    Attributes:
        kinds: The events that it wants to hear of.
    """

    def __init__(
        self, title: str, jobs: Callable[[], Jobs | None], *, bar: bool, lines: bool
    ) -> None:
        self._tally = Tally(jobs)
        self._display = Display(title, self._tally, bar=bar)
        self._started = False
        self.kinds = _KINDS | {events.CallPrinted} if lines else _KINDS

    def __call__(self, event: events.Event) -> None:
        """Take an event."""
        match event:
            case events.CallsSubmitted(calls=calls):
                self._tally.add(len(calls))
                if not self._started:
                    self._started = True
                    self._display.start()
            case events.CallsEnded(ended=ended):
                self._tally.end(len(ended), sum(end.error is not None for end in ended))
            case events.CallRetried():
                self._tally.retry()
            case events.CallCancelled():
                self._tally.cancel(1)
            case events.CallPrinted(call=call, text=text):
                self._display.print(f"[call {call}] {text}")
            case events.Transferring():
                self._tally.move(event)
            case events.RunEnded():
                self._display.close()
        self._display.nudge()
