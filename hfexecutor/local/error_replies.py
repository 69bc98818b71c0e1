"""Errors as the Hub words them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from .errors import ApiError


def error_reply(error: ApiError) -> JSONResponse:
    """Return an error as the Hub words it."""
    message = error.message.encode(errors="replace").decode()  # it may quote names of a request
    text = "".join(sign if " " <= sign <= "~" else "?" for sign in message)
    headers = {"X-Error-Message": text}
    if error.code:
        headers["X-Error-Code"] = error.code
    return JSONResponse({"error": message}, error.status, headers)
