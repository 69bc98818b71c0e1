"""Functions taken apart and put together again."""

from __future__ import annotations

import types

import pytest

from hfexecutor.remote.function_state import (
    attributes,
    make,
    marshalled,
    set_attributes,
    unmarshalled,
)


def rebuilt(fn):
    """Return what another process would make of the parts of `fn`."""
    copy = make(unmarshalled(marshalled(fn.__code__)), {"__name__": fn.__globals__["__name__"]})
    set_attributes(copy, attributes(fn))
    return copy


def plain(x):
    """Say twice."""
    return x * 2


def test_all_that_a_plain_function_is_comes_with_its_code():
    copy = rebuilt(plain)

    assert attributes(plain) == {}
    assert copy(4) == 8
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        assert getattr(copy, name) == getattr(plain, name)
    assert copy.__code__.co_filename == __file__


def test_what_was_given_to_a_function_comes_along():
    def fn(a, b=2, *, c: int = 3) -> int:
        return a + b + c

    fn.__name__, fn.__qualname__, fn.__module__, fn.__doc__ = "other", "of.other", "there", "New."
    fn.mark = "here"
    copy = rebuilt(fn)

    assert copy(1) == 6
    assert (copy.__name__, copy.__qualname__, copy.__module__) == ("other", "of.other", "there")
    assert (copy.__doc__, copy.mark) == ("New.", "here")
    assert copy.__annotations__ == fn.__annotations__
    assert copy.__kwdefaults__ == {"c": 3}


def test_a_docstring_that_was_taken_away_stays_away():
    def fn():
        """Say nothing."""

    fn.__doc__ = None

    assert rebuilt(fn).__doc__ is None


def test_cells_come_along_and_empty_ones_stay_empty():
    full = 5

    def fn():
        return full, late

    copy = rebuilt(fn)
    late = 6

    assert fn() == (5, 6)
    assert [cell.cell_contents for cell in copy.__closure__[:1]] == [5]
    with pytest.raises(NameError, match="late"):
        copy()


def test_code_with_constants_that_python_does_not_make_is_left_as_it_is():
    odd = plain.__code__.replace(co_consts=(*plain.__code__.co_consts, types.SimpleNamespace()))

    assert marshalled(odd) is odd
    assert unmarshalled(odd) is odd
