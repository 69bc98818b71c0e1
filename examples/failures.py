"""What each kind of failure looks like, and that the next call works each time.

Every row makes one call fail in its own way. The first question an error's type answers is whose
fault it was; the message says what to do next. Runs on the embedded Hub unless
HFEXECUTOR_ENDPOINT says otherwise.

    python examples/failures.py
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from hfexecutor import (
    CallDiedError,
    CallTimeoutError,
    HubExecutor,
    RemoteCallError,
    UnpicklableCallError,
    UnpicklableResultError,
)


class TwoArgumentsError(Exception):
    """Cannot be rebuilt from its message alone, as pickle would do."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")


def divide(a: int, b: int) -> float:
    return a / b


def refuse() -> None:
    raise TwoArgumentsError(7, "two arguments")


def count_to(n: int) -> Iterator[int]:
    yield from range(n)


def crash() -> None:
    ctypes.string_at(0)


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# What fails, how it is called, and the types that may come of it.
ROWS: list[tuple[str, Callable[..., Any], tuple[Any, ...], tuple[type[BaseException], ...]]] = [
    ("an exception", divide, (1, 0), (ZeroDivisionError,)),
    ("an awkward exception", refuse, (), (TwoArgumentsError, RemoteCallError)),
    ("sys.exit(3)", sys.exit, (3,), (SystemExit,)),
    ("os._exit(3)", os._exit, (3,), (CallDiedError,)),
    ("a segmentation fault", crash, (), (CallDiedError,)),
    ("killed, as when out of memory", be_killed, (), (CallDiedError,)),
    ("longer than call_timeout", time.sleep, (60,), (CallTimeoutError,)),
    ("an argument that cannot travel", print, (threading.Lock(),), (UnpicklableCallError,)),
    ("a result that cannot travel", count_to, (3,), (UnpicklableResultError,)),
]


def attempt(executor: HubExecutor, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Return what the call raises, or its result."""
    try:
        return executor.submit(function, *args).result()
    except BaseException as error:
        return error


def main() -> int:
    surprises = 0
    endpoint = os.environ.get("HFEXECUTOR_ENDPOINT", "local")
    with HubExecutor(max_workers=2, endpoint=endpoint, call_timeout=2) as executor:
        for title, function, args, expected in ROWS:
            ended = attempt(executor, function, args)
            works = executor.submit(divide, 6, 3).result() == 2  # noqa: PLR2004
            as_expected = isinstance(ended, expected) and works
            surprises += not as_expected
            print(f"{'' if as_expected else 'UNEXPECTED '}{title}: {type(ended).__name__}")
            print(f"    {str(ended).splitlines()[0] if str(ended) else ''}")
        error = attempt(executor, divide, (1, 0))
        print("\nThe cause of an exception is its traceback in the job:")
        print(textwrap.indent(str(error.__cause__).strip('\n"'), "    "))
    return min(surprises, 1)


if __name__ == "__main__":
    sys.exit(main())
