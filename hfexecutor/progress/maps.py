"""The progress of one map, made of its futures."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from hfexecutor.progress.display import Display

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from hfexecutor.progress.tally import Tally

__all__ = ["MapProgress"]


class MapProgress:
    """Shows how many items of a map are done, until all are or nobody wants them any more.

    Args:
        title: Of the map.
        tally: Counts items.
        failed: Returns how many items of a call have failed, of so many.
    """

    def __init__(self, title: str, tally: Tally, failed: Callable[[Future[Any], int], int]) -> None:
        self._tally = tally
        self._failed = failed
        self._display = Display(title, tally)
        self._started = False

    def add(self, future: Future[Any], items: int) -> None:
        """Count a call of so many items."""
        self._tally.add(items)
        if not self._started:
            self._started = True
            self._display.start()
        future.add_done_callback(functools.partial(self._ended, items))

    def no_more(self) -> None:
        """Note that all were submitted."""
        self._tally.no_more()
        self._display.nudge()

    def _ended(self, items: int, future: Future[Any]) -> None:
        if future.cancelled():
            self._tally.cancel(items)
        else:
            self._tally.end(items, self._failed(future, items))
        self._display.nudge()

    def close(self) -> None:
        """Show it for the last time."""
        self._display.close()
