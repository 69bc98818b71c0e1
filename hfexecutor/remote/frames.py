"""Frames: authenticated bodies as lines of a log.

A frame is one line, recognised anywhere within a line of the log::

    #hfx1:<stream>:<number>:<base64 of the body>:<mac>;

`stream` is 8 hexadecimal digits, random for each start of a supervisor; frames are numbered from
0 in it. A frame has at most 8,192 bytes, so that no container runtime cuts it in two. The log is
hostile: whoever can print can print a line that looks like a frame, so a body is looked at only
after its MAC was found right.
"""

from __future__ import annotations

import binascii

from .entries import Entry, FrameError, entry_size, pack, split, unpack
from .seals import Seal, compare_digest, framed, open_message, open_reply, seal_message, seal_reply

TYPE_CHECKING = False  # importing typing would cost a job's start several milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "MAX_BODY",
    "MAX_LINE",
    "FrameError",
    "Line",
    "LineReader",
    "LineWriter",
    "Seal",
    "open_message",
    "open_reply",
    "seal_message",
    "seal_reply",
]

MAX_LINE = 8192
_MARK = "#hfx1:"
_MAC_CHARS = 22
_STREAM_CHARS = 8
_NUMBER_CHARS = 20
_AROUND = len(_MARK) + _STREAM_CHARS + _NUMBER_CHARS + _MAC_CHARS + len(":::;")
MAX_BODY = (MAX_LINE - _AROUND) // 4 * 3


class LineWriter:
    """Write entries as frames. `stream` is 8 hexadecimal digits, new for each supervisor."""

    def __init__(self, seal: Seal, stream: str) -> None:
        self._seal = seal
        self._stream = stream.encode()
        self._signed = framed(b"up") + framed(self._stream)
        self.number = 0

    def lines(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        """Yield the frames that hold `entries`, in order, without line ends.

        They are made one by one, so a large entry does not need a multiple of its memory. All
        have to be taken before the next ones are asked for, for they are numbered in that order.
        """
        waiting: list[Entry] = []
        size = 0
        for entry in entries:
            for part in split(entry, MAX_BODY):
                length = entry_size(part)
                if size + length > MAX_BODY:
                    yield self._line(waiting)
                    waiting, size = [], 0
                waiting.append(part)
                size += length
        if waiting:
            yield self._line(waiting)

    def _line(self, entries: list[Entry]) -> bytes:
        number = b"%d" % self.number
        self.number += 1
        body = pack(entries)
        mac = self._seal.mac(self._signed + framed(number), body)
        return b"#hfx1:%b:%b:%b:%b;" % (
            self._stream,
            number,
            binascii.b2a_base64(body, newline=False),
            _mac_text(mac),
        )


def _mac_text(mac: bytes) -> bytes:
    text = binascii.b2a_base64(mac, newline=False)
    return text.rstrip(b"=").replace(b"+", b"-").replace(b"/", b"_")


class Line:
    """What a line of the log says.

    Attributes:
        entries: of all authentic frames in the line, in order.
        plain: the text around them, None when there is nothing but frames.
        forged: something in it has the shape of a frame and is not authentic.
        stream: of the last authentic frame, None without one.
        number: of the last authentic frame, None without one.
    """

    __slots__ = ("entries", "forged", "number", "plain", "stream")

    def __init__(self, plain: str | None) -> None:
        self.entries: list[Entry] = []
        self.plain = plain
        self.forged = False
        self.stream: str | None = None
        self.number: int | None = None

    def __repr__(self) -> str:
        forged = " forged" if self.forged else ""
        return f"<Line {self.stream}:{self.number} {self.entries} {self.plain!r}{forged}>"


class LineReader:
    """Find the frames in the lines of a log. Takes any text and never raises."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def feed(self, text: str) -> Line:
        """Return what the line `text` says (with or without its line end)."""
        line = Line(text)
        start, done = text.find(_MARK), 0
        plain = []
        while start >= 0:
            end = self._take(line, text, start)
            if end:
                plain.append(text[done:start])
                done = end
            start = text.find(_MARK, end or start + len(_MARK))
        if plain:
            plain.append(text[done:])
            rest = "".join(plain)
            line.plain = rest if rest.strip() else None
        return line

    def _take(self, line: Line, text: str, start: int) -> int:
        """Add the frame at `start` to `line` and return where it ends, 0 if there is none."""
        fields = _find_fields(text, start)
        if fields is None:
            return 0
        stream, number, body, mac, end = fields
        entries = self._open(stream, number, body, mac)
        if entries is None:
            line.forged = True
            return 0
        line.entries += entries
        line.stream, line.number = stream, int(number)
        return end

    def _open(self, stream: str, number: str, body: str, mac: str) -> list[Entry] | None:
        """Return the entries of an authentic frame, else None."""
        try:
            data = binascii.a2b_base64(body, strict_mode=True)
            head = framed(b"up") + framed(stream.encode()) + framed(number.encode())
            ours = _mac_text(self._seal.mac(head, data))
            return unpack(data) if compare_digest(ours, mac.encode()) else None
        except ValueError:  # no base64, no text that can be encoded, no body of ours
            return None


def _find_fields(text: str, start: int) -> tuple[str, str, str, str, int] | None:
    """Return stream, number, body, mac and end of what has the shape of a frame at `start`."""
    limit = start + MAX_LINE
    first = start + len(_MARK) + _STREAM_CHARS
    if text[first : first + 1] != ":":
        return None
    second = text.find(":", first + 1, first + 2 + _NUMBER_CHARS)
    third = text.find(":", second + 1, limit) if second > 0 else -1
    end = third + 1 + _MAC_CHARS
    number = text[first + 1 : second]
    if third < 0 or end >= limit or text[end : end + 1] != ";" or not number.isdecimal():
        return None
    stream = text[start + len(_MARK) : first]
    return stream, number, text[second + 1 : third], text[third + 1 : end], end + 1
