"""One question to the Hub, from any thread, through a client of its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from hfexecutor.errors import HubUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from hfexecutor.hub.client import HubClient

__all__ = ["ask"]

T = TypeVar("T")


def ask(
    open_hub: Callable[[], HubClient],
    question: Callable[[HubClient], Coroutine[Any, Any, T]],
    patience: float,
) -> T:
    """Return what a question to the Hub is answered with.

    Args:
        open_hub: Makes the client; called in the loop that it lives in.
        question: What to ask.
        patience: Seconds to wait.

    Raises:
        HubError: The Hub refuses it, or does not answer.
    """

    async def answer() -> T:
        async with open_hub() as hub:
            try:
                return await asyncio.wait_for(question(hub), patience)
            except TimeoutError:
                raise HubUnavailableError(
                    f"the Hub does not answer within {patience:g} seconds"
                ) from None

    def run() -> T:  # in a loop of the stdlib, whichever the program has chosen for its own
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            return runner.run(answer())

    with ThreadPoolExecutor(1) as thread:  # the caller may have a loop of its own
        return thread.submit(run).result()
