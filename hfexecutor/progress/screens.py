"""Where it is shown: a terminal, a notebook, or a pipe that somebody reads later."""

from __future__ import annotations

import contextlib
import html
import math
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

from hfexecutor.progress.streams import guard, is_terminal
from hfexecutor.progress.words import around_bar, sentence

if TYPE_CHECKING:
    from hfexecutor.progress.tally import Standing

__all__ = ["Nowhere", "Screen", "screen"]

FIRST_LINE: Final = 10.0  # seconds until a pipe has its first line
LONGEST: Final = 300.0  # seconds between two, at most


class Screen(Protocol):
    """Shows how far it has come."""

    def show(self, standing: Standing) -> None:
        """Show it in the place of what was shown before."""

    def end(self, standing: Standing) -> None:
        """Show it for the last time."""


class Nowhere:
    """Shows nothing."""

    def show(self, standing: Standing) -> None:
        """Show nothing."""

    def end(self, standing: Standing) -> None:
        """Leave nothing."""


class Terminal:
    """A bar in the last line of a terminal.

    Args:
        title: What is under way.
    """

    def __init__(self, title: str) -> None:
        from tqdm import tqdm  # type: ignore[import-untyped] # noqa: PLC0415 - for bars alone

        self._title = title
        self._screen = guard(tqdm.get_lock)
        self._hidden = False
        with self._screen.lock():
            self._screen.enter(self)
            # To sys.stderr as it is by now: that is how others' tqdm.write finds this bar.
            # Rows are said because a terminal that does not know its size has none.
            self._bar: tqdm[Any] = tqdm(
                file=sys.stderr, miniters=1, total=1, bar_format="{bar}", ncols=80, nrows=20
            )
            self._bar.clear(nolock=True)

    def show(self, standing: Standing) -> None:
        """Draw the bar, unless somebody has begun a line there and not ended it."""
        with self._screen.lock():
            if self._screen.line_is_open:
                return
            bar = self._bar
            bar.ncols = _columns() - 1  # one less, or some terminals begin a new line
            left, right = around_bar(self._title, standing, bar.ncols)
            bar.bar_format = f"{_braced(left)}{{bar}}{_braced(right)}"
            bar.total, bar.n = max(standing.total, 1), standing.done
            self._hidden = False
            bar.refresh(nolock=True)

    def end(self, standing: Standing) -> None:
        """Leave the bar as a line like others."""
        with self._screen.lock():
            if self._screen.line_is_open:
                sys.stderr.write("\n")
            self.show(standing)
            self._bar.close()
            self._screen.leave(self)

    def hide(self) -> None:
        """Take the bar off."""
        if not self._hidden:
            self._hidden = True
            self._bar.clear(nolock=True)


class Notebook:
    """A bar below a notebook's cell, which stays there when the notebook is saved.

    Args:
        title: What is under way.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._handle: Any = None

    def show(self, standing: Standing) -> None:
        """Show it in the place of what was shown before."""
        from IPython.display import HTML, display  # noqa: PLC0415 - here it is there

        left, right = around_bar("", standing, math.inf)  # type: ignore[arg-type]
        bar = f'<progress max="{max(standing.total, 1)}" value="{standing.done}"></progress>'
        words = f"{html.escape(left.strip('| '))} {bar} {html.escape(right.strip('| '))}"
        title = f"{html.escape(self._title)}: " if self._title else ""
        shown = HTML(f'<div style="font-family: monospace">{title}{words}</div>')
        if self._handle is None:
            self._handle = display(shown, display_id=True)
        else:
            self._handle.update(shown)

    def end(self, standing: Standing) -> None:
        """Show it for the last time."""
        self.show(standing)


class Pipe:
    """A line now and then, for who reads it later: the first after 10 s, then ever more seldom.

    Args:
        title: What is under way.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._next = FIRST_LINE
        self._pause = FIRST_LINE

    def show(self, standing: Standing) -> None:
        """Write a line if it is time for one."""
        if standing.seconds >= self._next:
            self._write(standing)
            self._pause = min(2 * self._pause, LONGEST)
            self._next = standing.seconds + self._pause

    def end(self, standing: Standing) -> None:
        """Write the last line."""
        self._write(standing)

    def _write(self, standing: Standing) -> None:
        sys.stderr.write(f"{sentence(self._title, standing)}\n")
        sys.stderr.flush()


def screen(title: str) -> Screen:
    """Return where a person looks."""
    if _in_notebook():
        return Notebook(title)
    return Terminal(title) if is_terminal(sys.stderr) else Pipe(title or "calls")


def _in_notebook() -> bool:
    """Say whether this is a notebook's kernel: it can show more than text."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def _columns() -> int:
    """Return how wide the terminal is, 80 columns if it does not say."""
    columns = 0
    with contextlib.suppress(OSError, ValueError):
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    return columns or shutil.get_terminal_size().columns


def _braced(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
