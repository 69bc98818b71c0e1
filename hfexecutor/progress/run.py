"""The progress of a whole run, made of its events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfexecutor import events
from hfexecutor.progress.display import Display
from hfexecutor.progress.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfexecutor.progress.tally import Jobs

__all__ = ["RunProgress"]


class RunProgress:
    """Listens to a run and shows it, from its first call to its end.

    Args:
        title: Of the run.
        jobs: Tells of its jobs.
        bar: Whether its progress is shown.
        lines: Whether what its calls print is.
    """

    def __init__(
        self, title: str, jobs: Callable[[], Jobs | None], *, bar: bool, lines: bool
    ) -> None:
        self._tally = Tally(jobs)
        self._display = Display(title, self._tally, bar=bar)
        self._lines = lines
        self._started = False

    def __call__(self, event: events.Event) -> None:
        """Take an event."""
        match event:
            case events.CallsSubmitted(calls=calls):
                self._tally.add(len(calls))
                if not self._started:
                    self._started = True
                    self._display.start()
            case events.CallEnded(error=error):
                self._tally.end(1, int(error is not None))
            case events.CallRetried():
                self._tally.retry()
            case events.CallCancelled():
                self._tally.cancel(1)
            case events.CallPrinted(call=call, text=text):
                if self._lines:
                    self._display.print(f"[call {call}] {text}")
            case events.RunEnded():
                self._display.close()
        self._display.nudge()
