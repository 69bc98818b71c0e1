"""Faults of logs on their way in: what jobs write is spoiled before it gets there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfexecutor.local import faults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfexecutor.local.logs import Log

_RAW_LINE_ENDS = "odd \u2028 line \u2029 ends \x85 here\n".encode()


class FaultyWriter:
    """Stands between a job and its log, and spoils what is written."""

    def __init__(self, log: Log, spoiling: Sequence[faults.Fault]) -> None:
        self._log = log
        self._faults = spoiling
        self._partial = b""
        self._lines = 0

    def feed(self, data: bytes) -> None:
        """Take what the job wrote."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._log.feed(b"".join(self._spoil(line + b"\n") for line in lines))

    def flush(self) -> None:
        """Hand on a last line without a line end."""
        self._log.feed(self._partial)
        self._partial = b""
        self._log.flush()

    def _spoil(self, line: bytes) -> bytes:
        self._lines += 1
        for fault in self._faults:
            line = _spoiled(fault, line, self._lines)
        return line


def _spoiled(fault: faults.Fault, line: bytes, number: int) -> bytes:
    match fault:
        case faults.Noise(data=data, every=every, within=within) if number % every == 0:
            at = len(line) // 2 if within else 0
            return line[:at] + data + line[at:]
        case faults.SplitLines(size=size):
            pieces = [line[at : at + size] for at in range(0, len(line) - 1, size)]
            return b"\n".join(pieces).removesuffix(b"\n") + b"\n"
        case faults.RawLineEnds(every=every) if number % every == 0:
            return _RAW_LINE_ENDS + line
        case _:
            return line


WRITE_FAULTS = (faults.Noise, faults.SplitLines, faults.RawLineEnds)
