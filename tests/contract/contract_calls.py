"""What the contract suite calls in its executors, and how it holds a call at a known point.

Processes of the stdlib import this module by its name; jobs have no such file, so the suite's
conftest has cloudpickle send it along by value.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
import weakref
from collections.abc import Iterable
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any, NoReturn

ADDRESS = tuple[str, int]
DEADLINE = 60.0  # seconds after which a test that waits fails; no test comes near it


def nothing() -> None:
    return None


def echo(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def same(value: Any) -> Any:
    return value


def double(value: int) -> int:
    return 2 * value


def add(a: int, b: int, c: int = 0) -> int:
    return a + b + c


def process_id() -> int:
    return os.getpid()


class CustomError(Exception):
    pass


class FalsyError(Exception):
    """An exception that is false and empty, which ``if exception:`` mistakes for none."""

    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0


def fail(error: BaseException) -> NoReturn:
    raise error


def fail_below_here(text: str) -> NoReturn:
    _deeper_frame(text)


def _deeper_frame(text: str) -> NoReturn:
    raise CustomError(text)


def fail_with_a_cause() -> NoReturn:
    try:
        raise KeyError("the cause underneath")
    except KeyError as error:
        raise ValueError("the error on top") from error


def fail_with_a_note() -> NoReturn:
    error = ValueError("noted")
    error.add_note("a note of the call's own")
    raise error


def fail_at(bad: int, value: int) -> int:
    if value == bad:
        raise CustomError(value)
    return value


def meet(gate: ADDRESS, result: Any = None) -> Any:
    """Tell the gate that this call runs, and return only when the gate is open."""
    try:
        with socket.create_connection(gate, timeout=DEADLINE) as connection:
            connection.recv(1)
    except ConnectionError:
        pass  # the gate is open already
    return result


def meet_or_fail(gate: ADDRESS, error: BaseException) -> NoReturn:
    meet(gate)
    raise error


def meet_unless_first(gate: ADDRESS, number: int) -> int:
    return number if number == 0 else meet(gate, number)


def sign(path: str, result: Any = None) -> Any:
    """Leave a line that says this call ran, in a file that all calls append to."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{result}\n")
    return result


def meet_and_sign(gate: ADDRESS, path: str, result: Any = None) -> Any:
    """Wait for the gate, and last long enough for a word that stops others to overtake them."""
    meet(gate)
    time.sleep(0.06)  # so few are handed ahead, and that word may be three seconds late
    return sign(path, result)


FAIL, PASS = -1, -2


def sign_and_meet(path: str, gate: ADDRESS, number: int) -> int:
    """Leave a line that says this call began; fail, pass, or return when the gate is open."""
    sign(path, number)
    if number == FAIL:
        raise CustomError(number)
    return number if number == PASS else meet(gate, number)


def meet_and_kill_the_job(gate: ADDRESS) -> NoReturn:
    """Take the whole job along: the process that watches over this one, too."""
    meet(gate)
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(DEADLINE)
    raise AssertionError("the job goes on")


def slow_for_even(value: int) -> int:
    time.sleep(0.05 if value % 2 == 0 else 0)
    return value


class Thing:
    """Something a weak reference can be taken of, on both sides; as large as one likes."""

    def __init__(self, name: str = "thing", size: int = 0) -> None:
        self.name = name
        self.load = os.urandom(size)

    def told(self, *_args: Any) -> str:
        return self.name


def make_thing(name: str = "thing") -> Thing:
    return Thing(name)


def make_large_thing(size: int) -> Thing:
    return Thing("large", size)


def name_of(thing: Thing) -> str:
    return thing.name


def keep_thing_for(seconds: float, thing: Thing) -> str:
    time.sleep(seconds)
    return thing.name


def die_with(_thing: Thing) -> NoReturn:
    os._exit(3)


def fail_with(_thing: Thing) -> NoReturn:
    raise ValueError("this always fails")


def kill_the_job_with(_thing: Thing) -> NoReturn:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(DEADLINE)
    raise AssertionError("the job goes on")


class LargeError(Exception):
    """An exception that carries a thing."""

    def __init__(self, thing: Thing) -> None:
        super().__init__(thing)
        self.thing = thing


def fail_with_thing(size: int) -> NoReturn:
    raise LargeError(Thing("raised", size))


_UNSET = "unset"


def remember(value: str) -> None:
    """Serve as an initializer: the mark is on ``sys``, which all calls of a process share."""
    sys.contract_mark = value


def remembered() -> str:
    return getattr(sys, "contract_mark", _UNSET)


def forget() -> None:
    sys.__dict__.pop("contract_mark", None)


def fail_to_initialize() -> NoReturn:
    raise ValueError("this initializer always fails")


def settle(futures: Iterable[Future[Any]]) -> None:
    """Return when each has ended in any way (`wait` would miss what the stdlib cancels)."""
    for future in futures:
        with contextlib.suppress(CancelledError):
            future.exception(DEADLINE)


def begun(future: Future[Any]) -> None:
    """Return when its executor knows that the call runs: word from a job takes its time."""
    deadline = time.monotonic() + DEADLINE
    while not future.running() and time.monotonic() < deadline:
        time.sleep(0.001)


def watch(thing: Any, event: Any) -> None:
    """Set the event when nobody holds the thing any more."""
    weakref.finalize(thing, event.set)
