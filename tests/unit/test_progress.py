"""How far it has come: counted, in words, and on the screens that it is shown on."""

from __future__ import annotations

import doctest
import io
import logging
import re
import sys
import threading
from concurrent.futures import Future

import pytest

from hfexecutor import events
from hfexecutor.progress import words
from hfexecutor.progress.display import Display
from hfexecutor.progress.maps import MapProgress
from hfexecutor.progress.run import RunProgress
from hfexecutor.progress.screens import Pipe, Terminal, screen
from hfexecutor.progress.tally import Jobs, Standing, Tally
from hfexecutor.progress.words import around_bar, sentence

JOBS = Jobs(2, 1, 3, 0.0012)
MIDWAY = Standing(37, 2, 100, 12.0, 21.0, JOBS)
OVER = Standing(100, 2, 100, 33.0, None, Jobs(0, 0, 3, 1.5), over=True)
START = Standing(0, 0, 100, 5.0, None, Jobs(0, 3, 3, 0.0))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


# --- counting --------------------------------------------------------------------------------


def test_what_is_left_is_reckoned_from_when_a_job_works():
    clock = Clock()
    jobs = [Jobs(0, 1, 1, 0.0)]
    tally = Tally(lambda: jobs[0], clock=clock)
    tally.add(10)
    clock.now = 8.0
    assert tally.standing().left is None
    jobs[0] = Jobs(1, 0, 1, 0.0)
    assert tally.standing().left is None
    clock.now = 12.0
    tally.end(2, 1)

    standing = tally.standing()
    assert (standing.done, standing.failed, standing.total) == (2, 1, 10)
    assert (standing.seconds, standing.left) == (12.0, 16.0)
    assert tally.standing(over=True).left is None


def test_what_is_cancelled_is_not_expected():
    tally = Tally(expected=10)
    tally.add(4)
    assert tally.standing().total == 10
    tally.cancel(1)
    assert tally.standing().total == 9
    tally.no_more()
    assert tally.standing().total == 3
    tally.end(2, 0)
    assert not tally.is_complete
    tally.end(1, 0)
    assert tally.is_complete


# --- words -----------------------------------------------------------------------------------


def test_the_docstrings_tell_the_truth():
    assert doctest.testmod(words).failed == 0


@pytest.mark.parametrize("standing", [MIDWAY, OVER, START])
@pytest.mark.parametrize("width", [40, 50, 60, 80, 100, 200])
def test_a_bar_has_room(standing, width):
    left, right = around_bar("a title that is not short", standing, width)

    assert len(left) + len(right) + 4 <= width
    assert f"{standing.done}/100" in right


def test_while_no_job_runs_it_says_what_is_waited_for():
    for width in (50, 80):
        assert "3 jobs scheduling" in around_bar("work", START, width)[1]


def test_a_sentence_says_it_all():
    assert sentence("work", OVER) == "work: 100 of 100 done, 2 failed, 3 jobs, $1.50, after 0:33"
    plain = Standing(1, 0, 2, 0.0, None, None)
    assert sentence("work", plain) == "work: 1 of 2 done, after 0:00"


# --- a pipe ----------------------------------------------------------------------------------


def test_a_pipe_has_a_line_now_and_then(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    pipe = screen("work")
    assert isinstance(pipe, Pipe)
    for second in range(3600):
        pipe.show(Standing(second, 0, 3600, float(second), None, None))
    pipe.end(Standing(3600, 0, 3600, 3600.0, None, None, over=True))

    lines = stream.getvalue().splitlines()
    seconds = [int(re.search(r": ([\d,]+) of", line)[1].replace(",", "")) for line in lines]
    assert seconds[:5] == [10, 30, 70, 150, 310]
    assert len(lines) < 20
    assert seconds[-1] == 3600
    assert "\r" not in stream.getvalue()


# --- a terminal ------------------------------------------------------------------------------


class Teletype(io.StringIO):
    """A terminal of 80 columns, and what can be read on it at last."""

    def isatty(self):
        return True

    def lines(self):
        lines, row, column = [""], 0, 0
        for part in re.findall(r"\x1b\[A|.|\n", self.getvalue()):
            if part == "\x1b[A":
                row -= 1
            elif part == "\r":
                column = 0
            elif part == "\n":
                row, column = row + 1, 0
                lines += [""] * (row == len(lines))
            else:
                line = lines[row].ljust(column)
                lines[row] = line[:column] + part + line[column + 1 :]
                column += 1
        return [line.rstrip() for line in lines]


@pytest.fixture
def at_terminal(monkeypatch):
    """Return a function that puts one in the place of pytest's streams: no earlier than a test."""

    def at_terminal():
        monkeypatch.setenv("COLUMNS", "80")
        teletype = Teletype()
        monkeypatch.setattr(sys, "stdout", teletype)
        monkeypatch.setattr(sys, "stderr", teletype)
        return teletype

    return at_terminal


def test_what_is_printed_stands_above_the_bar(at_terminal):
    terminal = at_terminal()
    bar = screen("work")
    assert isinstance(bar, Terminal)
    bar.show(START)
    print("first")
    bar.show(MIDWAY)
    print("begun ", end="")
    bar.show(MIDWAY)
    print("and ended")
    print("second", file=sys.stderr)
    bar.show(MIDWAY)
    bar.end(OVER)
    print("after")

    first, ended, second, shown, after, _ = terminal.lines()
    assert (first, ended, second, after) == ("first", "begun and ended", "second", "after")
    assert re.fullmatch(r"work 100%\|\S+\| 100/100 \[0:33, 2 failed, 3 jobs, \$1\.50\]", shown)


def test_the_streams_are_left_as_they_were(at_terminal):
    terminal = at_terminal()
    handler = logging.StreamHandler()
    logging.getLogger("hfexecutor").addHandler(handler)
    try:
        bars = [Terminal("one"), Terminal("two")]
        assert sys.stdout is not terminal
        assert (sys.stdout.encoding, sys.stdout.isatty()) == (terminal.encoding, True)
        bars[0].show(MIDWAY)
        logging.getLogger("hfexecutor").warning("told")
        for bar in bars:
            bar.end(OVER)
    finally:
        logging.getLogger("hfexecutor").removeHandler(handler)

    assert sys.stdout is terminal
    assert sys.stderr is terminal
    assert handler.stream is terminal
    assert "told" in terminal.lines()


def test_an_end_in_the_middle_of_a_line_begins_a_new_one(at_terminal):
    terminal = at_terminal()
    bar = Terminal("work")
    bar.show(MIDWAY)
    print("begun", end="")
    bar.end(OVER)

    begun, shown, _ = terminal.lines()
    assert begun == "begun"
    assert shown.startswith("work 100%|")


def test_a_bar_of_somebody_else_goes_through(at_terminal):
    terminal = at_terminal()
    tqdm = pytest.importorskip("tqdm")
    bar = Terminal("work")
    bar.show(MIDWAY)
    other = tqdm.tqdm(total=10)
    other.update(10)
    other.close()
    bar.end(OVER)

    assert "10/10" in terminal.getvalue()


def test_a_stream_that_is_closed_ends_no_run(at_terminal):
    terminal = at_terminal()
    tally = Tally()
    display = Display("work", tally)
    tally.add(1)
    terminal.close()
    display.start()
    display.close()

    assert not [one for one in threading.enumerate() if one.name == "hfexecutor-progress"]


# --- a run, a map ----------------------------------------------------------------------------


def test_a_run_is_shown_from_its_events(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    shown = RunProgress("nightly", lambda: JOBS, bar=True, lines=True)
    shown(events.CallsSubmitted(0.0, (1, 2, 3)))
    shown(events.CallPrinted(0.0, 1, "j", "hello"))
    ends = [(1, "j", 1.0, None, None, None), (2, "j", 1.0, "ValueError", None, None)]
    shown(events.CallsEnded(0.0, tuple(events.CallEnd(*end) for end in ends)))
    shown(events.CallCancelled(0.0, 3))
    shown(events.RunEnded(0.0, 2, 1, 3, 1.0, 0.1))

    assert stream.getvalue().startswith("nightly: 2 of 2 done, 1 failed, 3 jobs, $0.0012, after ")
    assert out.getvalue() == "[call 1] hello\n"


def test_of_printed_lines_hears_who_shows_them():
    told = events.Events()
    bar = RunProgress("nightly", lambda: JOBS, bar=True, lines=False)
    told.listen(bar, kinds=bar.kinds)
    assert not told.are_heard(events.CallPrinted)  # none is made for nothing
    lines = RunProgress("nightly", lambda: JOBS, bar=False, lines=True)
    told.listen(lines, kinds=lines.kinds)

    assert told.are_heard(events.CallPrinted)


def test_a_run_shows_large_values_for_as_long_as_they_are_on_their_way():
    tally = Tally(lambda: JOBS)
    tally.move(events.Transferring(0.0, 0, 0, 30_000_000, 50_000_000))
    standing = tally.standing()
    assert ", 30 of 50 MB down, " in sentence("work", standing)
    assert ", 30 of 50 MB down, " in around_bar("work", standing, 90)[1]
    assert ", 30 of 50 MB down]" in around_bar("work", standing, 50)[1]
    assert "MB" not in around_bar("work", standing, 40)[1]
    assert "MB" not in sentence("work", tally.standing(over=True))
    tally.move(events.Transferring(0.0))
    assert tally.standing().moving is None


def test_lines_alone_show_nothing_else(monkeypatch):
    stream, out = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", out)
    shown = RunProgress("nightly", lambda: None, bar=False, lines=True)
    shown(events.CallsSubmitted(0.0, (1,)))
    shown(events.CallPrinted(0.0, 1, "j", "hello"))
    shown(events.RunEnded(0.0, 1, 0, 1, 1.0, 0.1))

    assert (stream.getvalue(), out.getvalue()) == ("", "[call 1] hello\n")


def test_a_map_ends_by_itself_when_all_is_done(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    future = Future()
    tally = Tally()
    shown = MapProgress("work", tally, lambda _future, items: items)
    shown.add(future, 5)
    shown.no_more()
    (thread,) = [one for one in threading.enumerate() if one.name == "hfexecutor-progress"]
    future.set_result(None)
    thread.join(60)

    assert stream.getvalue().startswith("work: 5 of 5 done, 5 failed")
    shown.close()
    assert stream.getvalue().count("\n") == 1


def test_what_the_hub_says_of_its_hardware_stands_there_while_no_job_runs():
    jobs = Jobs(0, 2, 2, 0.0, "waiting for\na100-large \x1b[2J" + "x" * 200)
    told = sentence("work", Standing(0, 0, 9, 5.0, None, jobs))

    assert "2 jobs scheduling: waiting for a100-large [2Jxxx" in told
    assert len(told) < 200
    assert "x" not in around_bar("", Standing(0, 0, 9, 5.0, None, jobs), 60)[1]
    assert ": waiting" not in sentence(
        "work", Standing(0, 0, 9, 5.0, None, jobs._replace(running=1))
    )


def test_what_runs_again_is_counted_and_told():
    tally = Tally()
    tally.add(2)
    tally.retry()
    tally.end(1, 0)
    assert tally.standing().retried == 1
    assert "1 of 2 done, 1 retried" in sentence("work", tally.standing())
