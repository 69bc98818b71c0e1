"""A bounded parser for the heads of HTTP/1.1 requests, and a counter for their bodies. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_HEAD = 32 * 1024
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(rb"[!-~]+")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_VERSION = re.compile(rb"HTTP/1\.[01]")


class HeadError(Exception):
    """Say that a head is not one, or that its framing is ambiguous."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request; names of headers are in lower case."""

    method: bytes
    target: bytes
    version: bytes
    headers: tuple[tuple[bytes, bytes], ...]

    def get(self, name: bytes) -> bytes | None:
        """Return the value of a header that may come once."""
        values = [value for key, value in self.headers if key == name]
        if len(values) > 1:
            raise HeadError(f"more than one {name.decode()} header")
        return values[0] if values else None

    @property
    def length(self) -> int | None:
        """The length of the body; None: chunked."""
        coding, length = self.get(b"transfer-encoding"), self.get(b"content-length")
        if coding is not None:
            if length is not None or coding.lower() != b"chunked":
                raise HeadError("ambiguous length of the body")
            return None
        if length is None:
            return 0
        if not _LENGTH.fullmatch(length):
            raise HeadError("invalid content-length header")
        return int(length)

    @property
    def upgrade(self) -> bool:
        """Whether the connection is to speak another protocol after this request."""
        return b"upgrade" in (self.get(b"connection") or b"").lower()

    def without(self, *names: bytes) -> bytes:
        """Return the bytes of this head without some of its headers."""
        lines = [b"%s %s %s" % (self.method, self.target, self.version)]
        lines += [b"%s: %s" % pair for pair in self.headers if pair[0] not in names]
        return b"\r\n".join([*lines, b"", b""])


def parse(head: bytes) -> Head:
    """Parse a head (without the empty line that ends it).

    Raises:
        HeadError: it is not one.
    """
    first, *lines = head.split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or not _TOKEN.fullmatch(words[0]) or not _TARGET.fullmatch(words[1]):  # noqa: PLR2004
        raise HeadError("malformed request line")
    if not _VERSION.fullmatch(words[2]):
        raise HeadError("unknown protocol version")
    return Head(words[0], words[1], words[2], tuple(map(_header, lines)))


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    value = value.strip(b" \t")
    if not colon or not _TOKEN.fullmatch(name) or any(byte in value for byte in b"\r\n\0"):
        raise HeadError("malformed header")
    return name.lower(), value


class Body:
    """Says how much of what arrives still belongs to the body of a request."""

    def __init__(self, length: int | None) -> None:
        self._left = length or 0
        self._chunked = length is None
        self._line = b""
        self._trailer = False
        self.done = length == 0

    def take(self, data: bytes) -> int:
        """Return how many of these bytes are the body's; sets `done` at its end."""
        if not self._chunked:
            taken = min(self._left, len(data))
            self._left -= taken
            self.done = self._left == 0
            return taken
        at = 0
        while at < len(data) and not self.done:
            at = self._take_chunk(data, at)
        return at

    def _take_chunk(self, data: bytes, at: int) -> int:
        if self._left:
            taken = min(self._left, len(data) - at)
            self._left -= taken
            return at + taken
        end = data.find(b"\n", at)
        piece = data[at:] if end < 0 else data[at : end + 1]
        self._line += piece
        if len(self._line) > MAX_HEAD:
            raise HeadError("line of a chunk too long")
        if end >= 0:
            self._end_of_line(self._line.rstrip(b"\r\n"))
            self._line = b""
        return at + len(piece)

    def _end_of_line(self, line: bytes) -> None:
        if self._trailer:
            self.done = not line
            return
        try:
            size = int(line.split(b";")[0].strip(), 16)
        except ValueError:
            raise HeadError("malformed chunk") from None
        if size < 0:
            raise HeadError("malformed chunk")
        self._left = size + 2 if size else 0  # with the line end after the chunk
        self._trailer = size == 0
