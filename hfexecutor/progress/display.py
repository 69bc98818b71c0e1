"""The thread that draws, and prints what calls print."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from typing import TYPE_CHECKING

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
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._news = threading.Event()
        self._closing = threading.Event()
        # A daemon: no drawing is worth an interpreter that does not end.
        self._thread = threading.Thread(target=self._run, name="hfexecutor-progress", daemon=True)

    def start(self) -> None:
        """Begin to show."""
        self._thread.start()

    def nudge(self) -> None:
        """Note that there is something new."""
        self._news.set()

    def print(self, line: str) -> None:
        """Print a line, soon."""
        self._lines.put(line)
        self._news.set()

    def close(self) -> None:
        """Show it for the last time; return when that was done."""
        self._closing.set()
        self._news.set()
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
            while not self._closing.is_set() and not self._tally.is_complete:
                self._print_lines()
                shown.show(self._tally.standing())
                self._closing.wait(PAUSE)
                self._news.wait(TICK)
                self._news.clear()
            self._print_lines()
        finally:
            shown.end(self._tally.standing(over=True))

    def _print_lines(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                print(self._lines.get_nowait(), flush=True)  # noqa: T201 - the user asked for it
