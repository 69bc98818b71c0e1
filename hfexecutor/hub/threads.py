"""Wait in an event loop for a blocking call that nobody can interrupt."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_thread"]

T = TypeVar("T")


async def in_thread(function: Callable[[], T], seconds: float | None = None) -> T:
    """Return what `function` returns, run in a daemon thread of its own.

    A thread of a pool would be lost to a call that hangs, and would keep the interpreter from
    exiting; a daemon thread does neither.

    Args:
        function: What to call.
        seconds: How long to wait for it; None waits for ever.

    Raises:
        TimeoutError: It takes longer; it goes on in its thread, and nobody hears of its end.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if outcome.done():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        try:
            report: tuple[T | None, BaseException | None] = (function(), None)
        except BaseException as error:  # whatever it is, it belongs to the one who waits
            report = (None, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, *report)

    threading.Thread(target=run, name="hfexecutor-launch", daemon=True).start()
    async with asyncio.timeout(seconds):
        return await outcome
