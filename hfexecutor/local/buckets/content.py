"""A bucket's file, or a range of it, as an ASGI response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response, StreamingResponse

from .ranges import Span, asked_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from typing import Any

    from .bucket import File

    Reader = Callable[[int, int], Iterator[bytes]]
    InThread = Callable[..., Awaitable[Any]]


def response(
    file: File,
    read: Reader,
    asked: str | None,
    headers: dict[str, str],
    *,
    body: bool,
    in_thread: InThread,
) -> Response:
    """Return the answer to a request for a file.

    Args:
        file: the file.
        read: reads it, from where to where.
        asked: the header Range.
        headers: what is told of the file besides.
        body: whether the bytes are sent, too.
        in_thread: calls what waits for bytes.
    """
    span = asked_for(asked, file.size) if file.size else Span(0, 0)
    if span is None:
        headers = headers | {"Content-Range": f"bytes */{file.size}"}
        return JSONResponse({"error": "Range not satisfiable"}, 416, headers)
    headers |= {
        "Accept-Ranges": "bytes",
        "Content-Length": str(span.end - span.start),
        "ETag": f'"{file.xet_hash}"',
    }
    status, kind = 200, file.content_type or "application/octet-stream"
    if span != Span(0, file.size):
        headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{file.size}"
        status = 206
    if not body:
        return Response(None, status, headers, kind)
    return StreamingResponse(_bytes(read, span, in_thread), status, headers, kind)


async def _bytes(read: Reader, span: Span, in_thread: InThread) -> AsyncIterator[bytes]:
    pieces = await in_thread(read, span.start, span.end)
    while (piece := await in_thread(next, pieces, None)) is not None:
        yield piece
