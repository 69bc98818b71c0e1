"""Exceptions in a real worker process: they keep their type, and the next call works."""

from __future__ import annotations

import pytest
from worker_process import outcomes


@pytest.mark.parametrize(
    "error",
    [
        ValueError("wrong", 1),
        KeyError("key"),
        OSError(2, "No such file", "name"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        StopIteration("value"),
        ExceptionGroup("several", [ValueError(1), ExceptionGroup("inner", [TypeError(2)])]),
        BaseExceptionGroup("base", [KeyboardInterrupt()]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_comes_back_as_itself(run, error):
    def fail(error):
        raise error

    outcome = run(fail, error)

    again = outcome.exception()
    assert outcome.status == outcomes.RAISED
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert repr(again.args) == repr(error.args)
    if isinstance(error, OSError):
        assert (again.errno, again.filename) == (2, "name")


def test_the_traceback_begins_in_the_users_function(run):
    def fail():
        def deeper():
            raise ValueError("below")

        try:
            deeper()
        except ValueError as error:
            raise KeyError("above") from error

    text = run(fail).raised().traceback

    assert text.startswith("Traceback (most recent call last):\n")
    assert "ValueError: below" in text
    assert "direct cause" in text
    assert text.endswith("KeyError: 'above'\n")
    assert "in deeper" in text
    assert "hfexecutor_remote" not in text
    assert "_perform" not in text


def test_notes_come_along(run):
    def fail():
        error = ValueError("noted")
        error.add_note("a note")
        raise error

    outcome = run(fail)
    assert outcome.exception().__notes__ == ["a note"]
    assert "a note" in outcome.raised().traceback


def test_an_exception_that_wants_two_arguments_keeps_its_type(run):
    def fail():
        class PairError(Exception):
            def __init__(self, left, right):
                super().__init__(f"{left} and {right}")
                self.left = left
                self.right = right

        raise PairError("a", "b")

    again = run(fail).exception()
    assert type(again).__name__ == "PairError"
    assert str(again) == "a and b"
    assert (again.left, again.right) == ("a", "b")


def test_an_exception_that_adds_to_its_message_is_not_made_twice(run):
    def fail():
        class WrapError(Exception):
            def __init__(self, name):
                super().__init__(f"cannot read {name}")

        raise WrapError("x")

    assert str(run(fail).exception()) == "cannot read x"


def test_an_attribute_that_cannot_be_pickled_becomes_its_repr(run):
    def fail():
        import threading

        error = ValueError("held")
        error.lock = threading.Lock()
        error.fine = 5
        raise error

    again = run(fail).exception()
    assert type(again) is ValueError
    assert again.fine == 5
    assert "lock" in again.lock


def test_an_oserror_with_an_init_of_its_own_keeps_its_errno(run):
    def fail():
        class DiskError(OSError):
            def __init__(self, disk):
                super().__init__(28, "full", disk)

        raise DiskError("sda")

    again = run(fail).exception()
    assert type(again).__name__ == "DiskError"
    assert (again.errno, again.filename) == (28, "sda")


def test_an_exception_that_is_false_is_an_exception(run):
    def fail():
        class FalsyError(Exception):
            def __bool__(self):
                return False

            def __len__(self):
                return 0

        raise FalsyError("false")

    outcome = run(fail)
    assert outcome.status == outcomes.RAISED
    assert type(outcome.exception()).__name__ == "FalsyError"


def test_an_exception_without_a_text_is_told(run):
    def fail():
        class MuteError(Exception):
            def __str__(self):
                raise RuntimeError("no text")

            __repr__ = __str__

        raise MuteError("x")

    outcome = run(fail)
    assert outcome.status == outcomes.RAISED
    assert "MuteError" in outcome.raised().type
    assert "MuteError" in outcome.raised().traceback
    assert type(outcome.exception()).__name__ == "MuteError"


def test_an_exception_that_cannot_travel_at_all_is_told_in_words(run):
    def fail():
        import threading

        class StuckError(Exception):
            lock = threading.Lock()

        raise StuckError("stuck")

    outcome = run(fail)
    assert outcome.exception() is None
    assert "StuckError" in outcome.raised().type
    assert outcome.raised().text == "stuck"


def test_a_deep_recursion_is_an_exception(run):
    def fail():
        def again():
            again()

        again()

    outcome = run(fail)
    assert isinstance(outcome.exception(), RecursionError)
    assert len(outcome.raised().traceback) < 10_000
