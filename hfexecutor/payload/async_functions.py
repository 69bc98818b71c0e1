"""Functions that nobody in a job would await."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["refuse_async"]

_ASYNC: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def refuse_async(fn: Callable[..., object]) -> None:
    """Raise TypeError if calling the function returns something that has to be awaited."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    code = getattr(fn, "__code__", None) or getattr(type(fn).__call__, "__code__", None)
    if code is not None and code.co_flags & _ASYNC:
        raise TypeError(
            f"{getattr(fn, '__qualname__', fn)!r} is an async function, and nobody would await it "
            "in the job; submit a function that does, for example with asyncio.run()"
        )
