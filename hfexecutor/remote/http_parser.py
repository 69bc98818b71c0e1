"""The door's HTTP/1.1: a parser that is bounded in every way and never raises. Pure.

It takes what a client of this library needs: ``POST /`` and ``POST /range`` with a Content-Length,
and ``GET /`` for whoever wants to know that somebody is at home. Anything else is refused with a
status, and the connection is of no use after that.
"""

from __future__ import annotations

from .ranges import PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    # method, path, whether the connection may be used again, size of the body
    _Head = tuple[str, str, bool, int]

__all__ = ["MAX_BODY", "MAX_HEAD", "Parser", "Request", "response", "response_head"]

MAX_HEAD = 16 << 10
MAX_BODY = 16 << 20
_MAX_DIGITS = 12
_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    411: b"Length Required",
    413: b"Content Too Large",
    417: b"Expectation Failed",
    431: b"Request Header Fields Too Large",
    505: b"HTTP Version Not Supported",
}


class Request:
    """A request, or the reason to refuse one.

    Attributes:
        status: 200 for a request, else what to refuse it with.
        method: GET or POST.
        path: what was asked for.
        body: of a POST.
        keep: the connection may be used again.
    """

    __slots__ = ("body", "keep", "method", "path", "status")

    def __init__(
        self,
        status: int,
        method: str = "",
        body: bytes | bytearray = b"",
        *,
        path: str = "/",
        keep: bool = False,
    ) -> None:
        self.status = status
        self.method = method
        self.path = path
        self.body = body
        self.keep = keep

    def __repr__(self) -> str:
        return f"<Request {self.status} {self.method} {len(self.body)} bytes>"


def response(status: int, body: bytes = b"", *, keep: bool = False) -> bytes:
    """Return a response."""
    return response_head(status, len(body), keep=keep) + body


def response_head(status: int, size: int, *, keep: bool) -> bytes:
    """Return what stands before the body of a response."""
    connection = b"" if keep else b"Connection: close\r\n"
    return b"HTTP/1.1 %d %b\r\nContent-Length: %d\r\n%b\r\n" % (
        status,
        _REASONS[status],
        size,
        connection,
    )


class _RefusedError(Exception):
    """This head is refused."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Parser:
    """Find the requests in what a connection gives.

    Args:
        spare: bodies that nobody needs any more; one of the right size is used again.
    """

    def __init__(self, spare: list[bytearray] | None = None) -> None:
        self._spare = [] if spare is None else spare
        self._data = b""  # of a head, or after a request
        self._last: tuple[bytes | None, _Head] = (None, ("", "", False, 0))  # head, and its sense
        self._head: Request | None = None  # its body is awaited
        self._body = bytearray()
        self._got = 0
        self._refused = False

    @property
    def begun(self) -> bool:
        """Whether a request has begun and is not complete."""
        return self._head is not None or bool(self._data)

    @property
    def awaited(self) -> int:
        """How large the body that is awaited is, 0 for none."""
        return len(self._body)

    def space(self) -> memoryview | None:
        """Return where the rest of a body can be read into (then call :meth:`filled`)."""
        return memoryview(self._body)[self._got :] if self._head is not None else None

    def filled(self, count: int) -> Iterator[Request]:
        """Yield the request if `count` bytes more complete its body."""
        self._got += count
        if self._head is not None and self._got == len(self._body):
            request, self._head = self._head, None
            request.body, self._body = self._body, bytearray()
            yield request

    def feed(self, data: bytes) -> Iterator[Request]:
        """Take bytes; yield the requests that they complete, and at most one refusal, last."""
        self._data += data
        while not self._refused:
            if self._head is not None:
                more, have = self._data[: len(self._body) - self._got], self._got
                self._data = self._data[len(more) :]
                self._body[have : have + len(more)] = more
                yield from self.filled(len(more))
            if self._head is not None or not self._data:
                return
            end = self._data.find(b"\r\n\r\n", 0, MAX_HEAD)
            if end < 0:
                if len(self._data) >= MAX_HEAD:
                    yield self._refuse(431)
                return
            head, self._data = self._data[:end], self._data[end + 4 :]
            if head != self._last[0]:  # on one connection most are the same to the letter
                try:
                    self._last = head, _parse_head(head)
                except _RefusedError as refused:
                    yield self._refuse(refused.status)
                    return
            method, path, keep, size = self._last[1]
            request = Request(200, method, path=path, keep=keep)
            if len(self._data) >= size:
                request.body, self._data = self._data[:size], self._data[size:]
                yield request
            else:
                self._head, self._body, self._got = request, self._room(size), 0

    def _room(self, size: int) -> bytearray:
        for index, body in enumerate(self._spare):
            if len(body) == size:
                return self._spare.pop(index)
        return bytearray(size)

    def _refuse(self, status: int) -> Request:
        self._refused, self._data, self._head = True, b"", None
        return Request(status)


def _parse_head(head: bytes) -> _Head:
    """Return what a head says of the request that it begins."""
    try:
        lines = head.decode("ascii").split("\r\n")
        method, target, version = lines[0].split(" ")
    except ValueError:  # not ASCII, or not three words
        raise _RefusedError(400) from None
    fields = _parse_fields(lines[1:])
    if version not in {"HTTP/1.1", "HTTP/1.0"}:
        raise _RefusedError(505 if version.startswith("HTTP/") else 400)
    if method not in {"GET", "POST"}:
        raise _RefusedError(405)
    path = target.partition("?")[0]
    if path != "/" and (path, method) != (PATH, "POST"):
        raise _RefusedError(404)
    if "expect" in fields:
        raise _RefusedError(417)
    size = _body_size(method, fields)
    options = fields.get("connection", "").lower()
    keep = "close" not in options if version == "HTTP/1.1" else "keep-alive" in options
    return method, path, keep, size


def _parse_fields(lines: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name != name.strip():
            raise _RefusedError(400)
        if name == "content-length" and fields.get(name, value.strip()) != value.strip():
            raise _RefusedError(400)
        fields[name] = value.strip()
    return fields


def _body_size(method: str, fields: dict[str, str]) -> int:
    length = fields.get("content-length")
    if "transfer-encoding" in fields or (length is None and method == "POST"):
        raise _RefusedError(411)
    if length is None:
        return 0
    if not length.isdecimal() or (method == "GET" and length.strip("0")):
        raise _RefusedError(400)
    if len(length) > _MAX_DIGITS or int(length) > MAX_BODY:
        raise _RefusedError(413)
    return int(length)
