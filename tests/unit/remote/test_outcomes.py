"""Outcomes: what is encoded in the job is what is decoded by the client."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.remote import outcomes
from hfexecutor.remote.outcomes import OutcomeError, Raised, decode, encode, encode_details

ANY = st.characters(exclude_categories=["Cs"])  # those of `st.text()` take a second to find

statuses = st.sampled_from([bytes([code]) for code in b"VEDTUXMI"])


@given(statuses, st.floats(0, 1e9, width=32), st.integers(0, 2**31 - 1), st.binary(max_size=100))
def test_an_outcome_comes_back(status, duration, printed, payload):
    outcome = decode(encode(status, duration, printed, payload))
    assert (outcome.status, outcome.duration) == (status, duration)
    assert (outcome.printed, outcome.payload) == (printed, payload)


@given(st.floats(0, 4e5), st.integers(0, 65535))
def test_an_outcome_says_when_and_where_its_call_ran(began, slot):
    outcome = decode(encode(outcomes.VALUE, 0.0, 0, began=began, slot=slot))
    assert outcome.slot == slot
    assert 0 <= began - outcome.began < 1.001e-4


@pytest.mark.parametrize("began", [-1.0, 1e9])
def test_a_moment_that_cannot_be_said_is_the_nearest_that_can(began):
    outcome = decode(encode(outcomes.VALUE, 0.0, 0, began=began))
    assert outcome.began == (0.0 if began < 0 else (2**32 - 1) / 10_000)


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_its_own_error(data):
    try:
        outcome = decode(data)
        assert encode(outcome.status, 0.0, outcome.printed, outcome.payload)
    except OutcomeError:
        return
    for read in (outcome.details, outcome.raised):
        try:
            read()
        except OutcomeError:
            continue


def test_a_value_is_unpickled_when_asked_for():
    assert decode(encode(outcomes.VALUE, 0.5, 3, pickle.dumps({"a": 1}))).value() == {"a": 1}


def test_details_are_plain_values():
    assert decode(encode_details(outcomes.DIED, 0, 0, {"pid": 5})).details() == {"pid": 5}


@given(st.text(ANY), st.text(ANY), st.text(ANY), st.binary(max_size=50), st.binary(max_size=50))
def test_an_exception_is_told(traceback, type_name, text, whole, parts):
    raised = Raised.decode(Raised(traceback, type_name, text, whole, parts).encode())
    assert (raised.whole, raised.parts) == (whole, parts)
    assert raised.text == text.encode("utf-8", "backslashreplace").decode()
    assert raised.type == type_name.encode("utf-8", "backslashreplace").decode()


@given(st.binary(max_size=60), st.data())
def test_a_damaged_exception_is_an_error(data, draw):
    encoded = Raised("t", "n", "x", b"w", b"p").encode()
    cut = draw.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(OutcomeError):
        Raised.decode(encoded[:cut])
    try:
        Raised.decode(data)
    except OutcomeError:
        return


def test_an_exception_that_cannot_be_loaded_is_none():
    assert Raised("t", "n", "x", b"rubbish").exception() is None
    assert Raised("t", "n", "x").exception() is None
    assert Raised("t", "n", "x", pickle.dumps("no exception")).exception() is None


class PairError(Exception):
    def __init__(self, left, right):
        super().__init__(f"{left}-{right}")


class NewError(Exception):
    def __new__(cls, *, word):
        return super().__new__(cls, word)

    def __init__(self, **_):
        super().__init__("made")


@pytest.mark.parametrize(
    ("cls", "args"),
    [(PairError, ("a-b",)), (NewError, ("made",)), (KeyError, ("k",)), (SystemExit, (3,))],
)
def test_an_exception_is_rebuilt_without_its_own_init(cls, args):
    error = outcomes.rebuild(cls, args, {"extra": 1})
    assert type(error) is cls
    assert error.args == args
    assert error.extra == 1


def test_what_python_keeps_outside_of_args_is_rebuilt():
    assert outcomes.rebuild(OSError, (2, "text", "file"), {}).filename == "file"
    assert outcomes.rebuild(SystemExit, (3,), {}).code == 3
    error = outcomes.rebuild(UnicodeDecodeError, ("utf-8", b"\xff", 0, 1, "bad"), {})
    assert error.reason == "bad"


def test_arguments_that_do_not_fit_any_more_are_kept_all_the_same():
    error = outcomes.rebuild(UnicodeDecodeError, ("utf-8", "<a lock>", 0, 1, "bad"), {})
    assert error.args[1] == "<a lock>"


def test_the_reprs_say_what_it_is():
    assert (
        repr(decode(encode(b"V", 0.25, 3, b"1234"))) == "<Outcome V in 0.250 s, 3 lines, 4 bytes>"
    )
    assert repr(Raised("t", "ValueError", "bad")) == "<Raised ValueError: 'bad'>"
