"""A range of a file as an ASGI response."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hfexecutor.local import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from starlette.types import Receive, Scope, Send

    from .ranges import Span

_PIECE = 1 << 20


class FileRange:
    """Sends a range of a file, rightly or, if faults strike, not.

    Args:
        path: of the file.
        span: of which bytes.
        size: how many there are.
        struck: the faults.
        reset: resets the connection of a request.
    """

    def __init__(
        self,
        path: Path,
        span: Span,
        size: int,
        struck: Sequence[faults.Fault],
        reset: Callable[[Scope], None],
    ) -> None:
        self._path = path
        self._span = span
        self._size = size
        self._struck = struck
        self._reset = reset

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        start, end = self._span.start, self._span.end
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", str(end - start).encode()),
            (b"content-range", f"bytes {start}-{end - 1}/{self._size}".encode()),
        ]
        await send({"type": "http.response.start", "status": 206, "headers": headers})
        cut = min(
            (one.bytes for one in self._struck if isinstance(one, faults.CutContent)), default=end
        )
        stop = min(end, start + cut)
        with self._path.open("rb") as file:
            while start < stop:
                piece = await asyncio.to_thread(_read, file, start, min(_PIECE, stop - start))
                if not piece:
                    break
                body = self._spoiled(piece, start - self._span.start)
                start += len(piece)
                await send({"type": "http.response.body", "body": body, "more_body": start < end})
        if start < end:
            self._reset(scope)
            while (await receive())["type"] != "http.disconnect":
                pass

    def _spoiled(self, piece: bytes, at: int) -> bytes:
        for one in self._struck:
            if isinstance(one, faults.SpoilContent) and 0 <= one.at - at < len(piece):
                spoiled = bytearray(piece)
                spoiled[one.at - at] ^= 0xFF
                piece = bytes(spoiled)
        return piece


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)
