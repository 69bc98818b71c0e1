"""Requests that httpx does not announce in the log.

httpx, and httpx2 inside ``huggingface_hub``, log each request at INFO. A run makes hundreds that
its user knows nothing of; what is worth a word our own loggers say. Levels and handlers are the
user's, so they are left alone: only the records of our own requests are dropped.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["UnloggedClient", "unlogged"]

_ours: Final = contextvars.ContextVar("hfexecutor's own request", default=False)


@contextlib.contextmanager
def unlogged() -> Iterator[None]:
    """Keep requests that are made within out of httpx's log."""
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)


class UnloggedClient(httpx.AsyncClient):
    """A client whose requests are not announced."""

    async def send(self, *args: Any, **kwargs: Any) -> httpx.Response:
        """Send as httpx does."""
        with unlogged():
            return await super().send(*args, **kwargs)


def _is_not_ours(_: logging.LogRecord) -> bool:
    return not _ours.get()


for _name in ("httpx", "httpx2"):
    logging.getLogger(_name).addFilter(_is_not_ours)
