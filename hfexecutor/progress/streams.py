"""A terminal that has bars in its last lines, and prints of anybody above them.

While there is a bar, ``sys.stdout`` and ``sys.stderr``, and the handlers of logs that write to
them, go through a :class:`Guarded` stream: what is printed takes the bar off first. It is drawn
again by its own thread, as soon as the line that was begun has ended.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Guarded", "guard", "is_terminal"]


class Bar(Protocol):
    """What can be taken off the screen."""

    def hide(self) -> None: ...


class Guarded:
    """A stream in front of bars; for everything but writing it is the stream itself."""

    def __init__(self, stream: TextIO, screen: Screen) -> None:
        self._stream = stream
        self._screen = screen

    def write(self, text: str) -> int:
        """Take the bars off, and write."""
        # A bar writes without ending its line, and moves about: so bars of this kind, ours and
        # others, go straight through. They see to each other by themselves.
        if sys._getframe(1).f_globals.get("__name__", "").startswith("tqdm."):  # noqa: SLF001
            return self._stream.write(text)
        with self._screen.lock():
            return self._screen.write(self._stream, text)

    def writelines(self, lines: Any) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Screen:
    """The bars of this process, and the streams that are guarded for them.

    Args:
        lock: Returns the lock under which anybody draws.
    """

    def __init__(self, lock: Callable[[], Any]) -> None:
        self.lock = lock
        self.line_is_open = False  # somebody has begun a line, and not ended it
        self._bars: list[Bar] = []
        self._guarded: dict[str, Guarded] = {}
        self._handlers: list[tuple[logging.StreamHandler[Any], TextIO]] = []

    def enter(self, bar: Bar) -> None:
        """Have prints make room for a bar."""
        if not self._bars:
            self._guard()
        self._bars.append(bar)

    def leave(self, bar: Bar) -> None:
        """Have them do so no longer; the last one leaves all streams as they were."""
        self._bars.remove(bar)
        if not self._bars:
            self._release()

    def write(self, stream: TextIO, text: str) -> int:
        """Write, above the bars."""
        if not self.line_is_open:
            for bar in self._bars:
                bar.hide()
        if text:
            self.line_is_open = not text.endswith("\n")
        return stream.write(text)

    def _guard(self) -> None:
        self.line_is_open = False
        streams: dict[int, Guarded] = {}
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if is_terminal(stream):
                guarded = streams[id(stream)] = self._guarded[name] = Guarded(stream, self)
                setattr(sys, name, guarded)
        for logger in (logging.getLogger(), logging.getLogger("hfexecutor")):
            for handler in logger.handlers:
                if isinstance(handler, logging.StreamHandler) and id(handler.stream) in streams:
                    self._handlers.append((handler, handler.stream))
                    handler.setStream(streams[id(handler.stream)])

    def _release(self) -> None:
        for name, guarded in self._guarded.items():
            if getattr(sys, name) is guarded:  # else somebody has put another one there
                setattr(sys, name, guarded._stream)  # noqa: SLF001 - this module's own
        for handler, stream in self._handlers:
            if isinstance(handler.stream, Guarded):
                handler.setStream(stream)
        self._guarded.clear()
        self._handlers.clear()


_screens: list[Screen] = []
_making = threading.Lock()


def guard(lock: Callable[[], Any]) -> Screen:
    """Return the screen of this process."""
    with _making:
        if not _screens:
            _screens.append(Screen(lock))
        return _screens[0]


def is_terminal(stream: object) -> bool:
    """Say whether a person sits in front of a stream, as far as anybody can tell."""
    try:
        return bool(cast("TextIO", stream).isatty())
    except (AttributeError, ValueError):  # there is none, it is closed
        return False
