"""The thread that draws, and prints what calls print."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from typing import TYPE_CHECKING

from hfexecutor.condition import Latch
from hfexecutor.progress.screens import Nowhere, screen

if TYPE_CHECKING:
    from hfexecutor.progress.tally import Tally

__all__ = ["Display"]

logger = logging.getLogger("hfexecutor")

PAUSE = 0.1  # seconds between two drawings, at least
TICK = 1.0  # seconds between two drawings while nothing happens: clocks go on, and so do costs
PATIENCE = 5.0  # seconds for which one waits for the last drawing


class Display:
    """Shows how far it has come, until it is closed or everything has ended.

    Args:
        title: What is under way.
        tally: Is counted elsewhere.
        bar: Whether there is anything to see but the lines that are printed.
    """

    def __init__(self, title: str, tally: Tally, *, bar: bool = True) -> None:
        self._title = title
        self._tally = tally
        self._bar = bar
        # In C, as the main thread shares it with the executor's: see `hfexecutor.condition`.
        self._news: queue.SimpleQueue[str | None] = queue.SimpleQueue()  # lines; None: other news
        self._nudged = False  # that there are others has been said since the last drawing
        self._closing = Latch()
        # A daemon: no drawing is worth an interpreter that does not end.
        self._thread = threading.Thread(target=self._run, name="hfexecutor-progress", daemon=True)

    def start(self) -> None:
        """Begin to show."""
        self._thread.start()

    def nudge(self) -> None:
        """Note that there is something new."""
        if not self._nudged:
            self._nudged = True
            self._news.put(None)

    def print(self, line: str) -> None:
        """Print a line, soon."""
        self._news.put(line)

    def close(self) -> None:
        """Show it for the last time; return when that was done."""
        self._closing.release()
        self._news.put(None)
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(PATIENCE)

    def _run(self) -> None:
        try:
            self._show()
        except Exception as error:  # a stream that was closed: calls go on without
            logger.debug("progress cannot be shown any more: %r", error)

    def _show(self) -> None:
        shown = screen(self._title) if self._bar else Nowhere()
        try:
            while not self._closing.happened() and not self._tally.is_complete:
                self._print_lines()
                self._nudged = False  # first: what comes while it is drawn is drawn next
                shown.show(self._tally.standing())
                self._closing.wait(PAUSE)
                with contextlib.suppress(queue.Empty):
                    self._print(self._news.get(timeout=TICK))
            self._print_lines()
        finally:
            shown.end(self._tally.standing(over=True))

    def _print_lines(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._print(self._news.get_nowait())

    @staticmethod
    def _print(news: str | None) -> None:
        if news is not None:
            print(news, flush=True)  # noqa: T201 - the user asked for it
