"""Tables fit the terminal, and a pipe gets all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.cli.tables import Column, _width, age, dollars, table

ANY = st.characters(exclude_categories=["Cs"])  # those of `st.text()` take a second to find

COLUMNS = (
    Column("RUN", cut=True),
    Column("SCRIPT", weight=1, cut=True),
    Column("STATE"),
    Column("DONE", weight=2, right=True),
)
ROW = ("a-run-of-quite-a-long-name", "script.py", "running", "12")


@given(
    st.lists(st.tuples(*[st.text(ANY, max_size=60)] * 4), max_size=5),
    st.integers(min_value=1, max_value=200),
)
def test_no_line_is_wider_than_the_terminal(rows, width):
    lines = table(COLUMNS, rows, width)

    assert len(lines) == len(rows) + 1
    assert all(_width(line) <= width for line in lines)


@given(st.lists(st.tuples(*[st.text("abc é漢", max_size=60)] * 4), max_size=5))
def test_a_pipe_gets_everything(rows):
    lines = table(COLUMNS, rows, None)

    assert all(
        text.strip() in line for row, line in zip(rows, lines[1:], strict=True) for text in row
    )


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (60, ["RUN                         SCRIPT     STATE    DONE",
              "a-run-of-quite-a-long-name  script.py  running    12"]),
        (45, ["RUN                  SCRIPT     STATE    DONE",
              "a-run-of-quite-a-l…  script.py  running    12"]),
        (30, ["RUN              STATE    DONE",
              "a-run-of-quite…  running    12"]),
        (24, ["RUN              STATE",
              "a-run-of-quite…  running"]),
        (10, ["RUN       …", "a-run-of-…"]),
    ],
)  # fmt: skip
def test_what_is_light_goes_first_and_what_is_long_is_cut(width, lines):
    found = table(COLUMNS, [ROW], width)

    assert [line.split() for line in found] == [line.split() for line in lines]


def test_control_characters_do_nothing_to_the_terminal():
    assert "\x1b" not in "".join(table(COLUMNS, [("a\x1b[31m", "b\n", "c", "d")], 80))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h 00"),
     (90061, "1 d 1 h"), (-3, "0 s")],
)  # fmt: skip
def test_ages(seconds, words):
    assert age(seconds) == words


@pytest.mark.parametrize(
    ("amount", "words"), [(None, "?"), (0, "$0.0000"), (0.00067, "$0.0007"), (1234.5, "$1,234.50")]
)
def test_dollars(amount, words):
    assert dollars(amount) == words
