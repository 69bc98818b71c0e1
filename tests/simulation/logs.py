"""A job's log, and its readings: each from the start, through a window, and not always well."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hfexecutor.remote import entries as wire
from hfexecutor.remote import frames, plain

if TYPE_CHECKING:
    from .clock import Clock, Timer
    from .plan import Plan

CHUNK = 500  # lines that arrive together


class Log:
    """All lines of a job.

    Attributes:
        lines: each without its line end.
        decoder: reads frames in them.
        said: calls whose outcomes are in it, and in which line for the last time.
        bye: what it said in the end.
    """

    def __init__(self, clock: Clock, seal: frames.Seal) -> None:
        self.clock = clock
        self.lines: list[str] = []
        self.decoder = Decoder(seal)
        self.ended = False
        self.readers: list[Reading] = []
        self.said: dict[int, int] = {}
        self.bye: dict[str, Any] | None = None

    def write(self, lines: bytes) -> None:
        """Take whole lines."""
        new = lines.decode().split("\n")
        assert not new.pop(), "a line without an end"
        for number, text in enumerate(new, len(self.lines)):
            assert len(text) <= frames.MAX_LINE, "a line that is cut in two on its way"
            for entry in self.decoder.feed(text).entries:
                if entry.kind == wire.OUTCOME and entry.part == entry.parts - 1:
                    self.said[entry.call] = number
                elif entry.kind == wire.BYE:
                    self.bye = plain.unpack(entry.data)
        self.lines += new
        for reader in self.readers:
            reader.wake()

    def end(self) -> None:
        self.ended = True
        for reader in self.readers:
            reader.wake()


class Decoder:
    """The real reader of frames, which looks at each of them once, however often it is read."""

    def __init__(self, seal: frames.Seal) -> None:
        self._reader = frames.LineReader(seal)
        self._known: dict[str, frames.Line] = {}

    def feed(self, text: str) -> frames.Line:
        """Return what a line says."""
        line = self._known.get(text)
        if line is None:
            line = self._reader.feed(text)
            if line.entries:
                self._known[text] = line
        return line


class Reading:
    """One reading, with the faults that it will have.

    Args:
        heard: called with lines.
        ended: called at its end.
    """

    def __init__(
        self,
        log: Log,
        plan: Plan,
        rng: random.Random,
        *,
        well: Callable[[], bool],
        sometimes: Callable[[str], None],
        heard: Callable[[list[str]], None],
        ended: Callable[[], None],
    ) -> None:
        self.log = log
        self.plan = plan
        self.rng = rng
        self._well = well
        self._sometimes = sometimes
        self._heard = heard
        self._ended = ended
        self.is_open = True
        self._position = max(0, len(log.lines) - plan.log_window) if plan.log_window else 0
        if self._position:
            sometimes("a window hides the head of a log")
        self._timer: Timer | None = None
        self._cut_at = self._stall_at = -1
        self._endless = self._repeats = self._none = False
        self._last: list[str] = []
        if not well():
            if rng.random() < plan.log_cut:
                self._cut_at = self._position + rng.randrange(1, 60)
            if rng.random() < plan.log_stall:
                self._stall_at = self._position + rng.randrange(0, 40)
            if rng.random() < plan.log_short:
                most = len(log.lines)
                self._cut_at = rng.randint(self._position, max(self._position, most - 1))
                sometimes("a reading replays less than was there")
            self._endless = rng.random() < plan.log_endless
            self._repeats = rng.random() < plan.log_repeat
            self._none = rng.random() < plan.log_none
        log.readers.append(self)
        if self._none:
            sometimes("a log shows nothing")
            self._timer = log.clock.later(0.01, self._end)
        else:
            self.wake()

    def wake(self) -> None:
        """There may be something to read."""
        if self.is_open and self._timer is None:
            lag = 0.0 if self._well() else self.plan.log_lag
            self._timer = self.log.clock.later(lag + 0.0005, self._read)

    def _read(self) -> None:
        self._timer = None
        if self._stall_at >= 0 and self._position >= self._stall_at:
            self._sometimes("a log stalls")
            return
        lines = self.log.lines
        stops = [at for at in (self._stall_at, self._cut_at) if at >= 0]
        stop = min(len(lines), self._position + CHUNK, *stops)
        new = lines[self._position : stop]
        self._position = stop
        self._deliver(new)
        if not self.is_open:
            return
        if self._cut_at >= 0 and self._position >= self._cut_at:
            self._sometimes("a log is cut")
            self._end()
        elif self._position < len(lines):
            self.wake()
        elif self.log.ended and not (self._endless and not self._well()):
            self._end()
        elif self.log.ended:
            self._sometimes("a log goes on after its job")

    def _deliver(self, new: list[str]) -> None:
        if new:
            if self._repeats:
                self._sometimes("lines come twice")
                new = self._last[-3:] + new + new[-2:]
            self._last = new
            self._heard(new)

    def stop(self) -> None:
        """Be stopped by the client."""
        if self.is_open:
            self._end()

    def abandon(self) -> None:
        """Be dropped by the client, without a word."""
        self.is_open = False
        if self._timer is not None:
            self._timer.cancel()
        if self in self.log.readers:
            self.log.readers.remove(self)

    def _end(self) -> None:
        self.abandon()
        self._ended()
