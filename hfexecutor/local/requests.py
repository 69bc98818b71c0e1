"""Bodies of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import ApiError

if TYPE_CHECKING:
    from starlette.requests import Request

_MAX_BODY = 4 << 20


async def body(request: Request, most: int = _MAX_BODY) -> bytes:
    """Read a body, if it is not too large.

    Raises:
        ApiError: 413.
    """
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > most:
            raise ApiError(413, "Payload too large")
    return bytes(data)
