"""A bucket's file, or a range of it, as an ASGI response."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response, StreamingResponse

from .ranges import Span, asked_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from .bucket import File

    Reader = Callable[[int, int], Iterator[bytes]]


def response(
    file: File, read: Reader, asked: str | None, headers: dict[str, str], *, body: bool
) -> Response:
    """Return the answer to a request for a file.

    Args:
        file: the file.
        read: reads it, from where to where.
        asked: the header Range.
        headers: what is told of the file besides.
        body: whether the bytes are sent, too.
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
    return StreamingResponse(_bytes(read, span), status, headers, kind)


async def _bytes(read: Reader, span: Span) -> AsyncIterator[bytes]:
    pieces = await asyncio.to_thread(read, span.start, span.end)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
