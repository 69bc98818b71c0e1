"""Calls in a real worker process: values, what a call finds around it; then the next one works."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
from worker_process import by_value, entries, frames, outcomes


def test_a_value_comes_back(run):
    outcome = run(lambda a, b: {"sum": a + b}, 1, b=2)

    assert outcome.status == outcomes.VALUE
    assert outcome.value() == {"sum": 3}
    assert outcome.printed == 0


def test_the_duration_is_the_calls_own(run):
    def slow():
        import time

        time.sleep(0.05)

    assert 0.05 <= run(slow).duration < 2


def test_a_class_of_the_callers_main_comes_back(run):
    def make():
        class Point:
            def __init__(self, x):
                self.x = x

        return Point(5)

    assert run(make).value().x == 5


@pytest.mark.parametrize("kind", ["generator", "lock", "socket"])
def test_a_result_that_cannot_be_pickled_is_told(run, kind):
    def make(kind):
        import socket
        import threading

        return {"generator": (i for i in [1]), "lock": threading.Lock(), "socket": socket}[kind]

    def make_socket():
        import socket

        return socket.socket()

    outcome = run(make_socket) if kind == "socket" else run(make, kind)

    details = outcome.details()
    assert outcome.status == outcomes.UNPICKLABLE
    assert kind in details["type"]
    assert kind in details["repr"]
    assert "pickle" in details["error"]
    assert str(Path(outcomes.__file__).parent) not in details["traceback"]
    assert "NotPlain" not in details["traceback"]


def test_the_repr_of_an_unpicklable_result_is_bounded(run):
    def make():
        class Long:
            def __repr__(self):
                return "x" * 10_000_000

            def __reduce__(self):
                raise ValueError("never")

        return Long()

    details = run(make).details()
    assert len(details["repr"]) < 1000
    assert details["error"] == "ValueError: never"


def test_a_result_whose_pickling_ends_the_interpreter_is_told(run):
    def make():
        class Quitter:
            def __reduce__(self):
                raise SystemExit(5)

        return Quitter()

    assert run(make).status == outcomes.UNPICKLABLE


def test_a_call_that_cannot_be_unpickled_is_told(worker, run):
    number = worker.number + 1
    data = entries.call_head(0) + b"cno_such_module\nname\n."
    worker.tell(entries.Entry(entries.CALL, number, 0, 1, data))
    outcome = worker.outcome(number)

    assert outcome.status == outcomes.BAD_CALL
    assert outcome.details()["type"] == "ModuleNotFoundError"
    assert "no_such_module" in outcome.details()["error"]
    assert "hfexecutor_remote" not in outcome.details()["traceback"]
    run(math.sqrt, 4)


def test_a_call_is_refused_whose_function_never_came(worker, run):
    """It may have come to the supervisor before this one, of which nobody here knows."""
    worker.number += 1
    data = entries.call_head(12345) + b"."
    body = entries.pack([entries.Entry(entries.CALL, worker.number, 0, 1, data)])
    assert worker.post(frames.seal_message(worker.seal, worker.number, body))[0] == 409
    run(math.sqrt, 4)


# --- functions that travel apart


def test_a_function_is_unpickled_once_and_keeps_what_it_keeps(worker):
    import cloudpickle

    def count(step, seen=[]):  # noqa: B006 - that is the point
        seen.append(step)
        return len(seen)

    function = entries.Entry(entries.FUNCTION, 7, 0, 1, cloudpickle.dumps(by_value(count)))

    def call(number):
        data = entries.call_head(7) + cloudpickle.dumps(((1,), {}))
        return entries.Entry(entries.CALL, number, 0, 1, data)

    first = worker.number + 100
    worker.tell(function, call(first), call(first + 1))
    worker.tell(call(first + 2))

    assert [worker.outcome(first + i).value() for i in range(3)] == [1, 2, 3]


def test_what_cloudpickle_needs_for_rare_things_is_there_when_it_is_needed(run):
    def make():
        import dataclasses
        import inspect
        import logging
        import platform
        import typing
        import uuid

        @dataclasses.dataclass
        class Point:
            x: int

        T = typing.TypeVar("T", bound=int)
        name = str(inspect.signature(Point)), platform.python_implementation(), uuid.uuid4()
        return Point(5), logging.getLogger("some.name"), logging.getLogger(), T, name

    import logging
    import platform

    point, logger, root, variable, name = run(make).value()
    assert point.x == 5
    assert type(point)(6) == type(point)(6)
    assert logger is logging.getLogger("some.name")
    assert root is logging.getLogger()
    assert variable.__bound__ is int
    assert name[:2] == ("(x: 'int') -> None", platform.python_implementation())


def test_modules_that_were_represented_are_themselves_in_calls(run):
    def look():
        import sys

        import inspect  # isort: skip
        import logging  # isort: skip
        import platform  # isort: skip
        import uuid  # isort: skip

        return [type(module).__name__ for module in (inspect, logging, platform, uuid)] + [
            name for name, module in sys.modules.items() if type(module).__name__ == "Later"
        ]

    assert run(look).value() == ["module"] * 4


def test_the_worker_is_like_a_script(run):
    def look():
        import sys

        import __main__

        return __main__.__dict__.get("package"), sys.argv, sys.path[0], sys.stdin.read()

    assert run(look).value() == (None, ["-c"], "", "")


def test_python_is_the_one_that_was_started(run):
    def version():
        import sys

        return sys.version_info[:2]

    assert run(version).value() == sys.version_info[:2]
