"""A HubFuture is a Future that knows its job, what its call printed, and how to be stopped."""

from __future__ import annotations

import pydoc
import re
import weakref
from concurrent.futures import CancelledError, Future, wait
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hfexecutor import futures
from hfexecutor.futures import LEFT_OUT, MOST_KEPT, HubFuture, PoolFuture, Printed
from hfexecutor.remote.outcomes import UNTERMINATED
from hfexecutor.remote.output import Output
from hfexecutor.runtime.launch_request import PRINT_CAP

JOB = SimpleNamespace(id="123", url="https://hub/jobs/me/123")


class Pool:
    def __init__(self):
        self.heard = []

    def cancelled(self, future):
        self.heard.append(("cancelled", future.call_id))

    def kill(self, future):
        self.heard.append(("kill", future.call_id))

    def awaited(self):
        self.heard.append("awaited")


@pytest.fixture
def pool():
    return Pool()


@pytest.fixture
def future(pool):
    future = PoolFuture()
    future.bind(7, pool)
    return future


def shown(future):
    return re.sub(r" at 0x\w+", "", repr(future))


def test_it_is_a_future(future):
    assert isinstance(future, Future)
    future.set_running_or_notify_cancel()
    future.set_result(5)
    assert wait([future], timeout=0).done == {future}
    assert future.result() == 5


def test_its_help_lists_what_its_users_call_and_nothing_else():
    added = {name for name in dir(HubFuture) if not name.startswith("_")} - set(dir(Future))

    assert added == {"job_id", "job_url", "logs", "kill"}
    assert "the pool" not in pydoc.render_doc(HubFuture)


def test_it_knows_its_job_once_there_is_one(future):
    assert (future.job_id, future.job_url) == (None, None)
    future.started_in(JOB)
    assert (future.job_id, future.job_url) == ("123", "https://hub/jobs/me/123")


def test_its_repr_tells_state_and_job(future):
    assert shown(future) == "<HubFuture state=pending>"
    future.started_in(JOB)
    future.set_running_or_notify_cancel()
    assert shown(future) == "<HubFuture state=running job=123>"
    future.set_result(5)
    assert shown(future) == "<HubFuture state=finished returned int job=123>"


def test_a_pending_future_is_as_small_as_the_stdlibs():
    assert vars(PoolFuture()).keys() == vars(Future()).keys()


class NothingWrong(Exception):
    def __bool__(self):
        return False


@pytest.mark.parametrize("kind", [KeyError, NothingWrong])
def test_what_the_call_raised_is_raised_and_nothing_is_kept(kind):
    future = PoolFuture()
    future.set_exception(kind("a"))
    gone = weakref.ref(future)
    with pytest.raises(kind):
        future.result(0)
    del future

    assert gone() is None


def test_a_call_may_return_none():
    future = PoolFuture()
    future.set_result(None)

    assert future.result(0) is None


@pytest.mark.parametrize("cancel", [True, False])
def test_a_result_that_is_not_there_is_waited_for_no_longer_than_told(cancel):
    future = PoolFuture()
    if cancel:
        future.cancel()
    with pytest.raises(CancelledError if cancel else TimeoutError):
        future.result(0)


# --- stopping -------------------------------------------------------------------------------


def test_the_pool_hears_once_of_a_cancelled_call(future, pool):
    assert future.cancel()
    assert future.cancel()
    assert pool.heard == [("cancelled", 7)]


def test_a_running_call_is_not_cancelled(future, pool):
    future.set_running_or_notify_cancel()

    assert not future.cancel()
    assert pool.heard == []


def test_to_kill_a_pending_call_is_to_cancel_it(future, pool):
    assert future.kill()
    assert future.cancelled()
    assert pool.heard == [("cancelled", 7)]


def test_a_running_call_can_be_killed(future, pool):
    future.set_running_or_notify_cancel()

    assert future.kill()
    assert pool.heard == [("kill", 7)]


def test_a_call_that_is_done_cannot_be_killed(future, pool):
    future.set_running_or_notify_cancel()
    future.set_result(None)

    assert not future.kill()
    assert pool.heard == []


def test_a_future_whose_executor_is_gone_can_be_cancelled_and_killed(future, pool):
    future.release()

    assert future.cancel()
    assert pool.heard == []


# --- what it printed ------------------------------------------------------------------------


def test_nothing_is_printed_at_first(future):
    assert future.logs() == ""


def test_lines_are_told_in_order(future):
    for number in (2, 0, 1):
        future.printed().add(number, f"line {number}")

    assert future.logs() == "line 0\nline 1\nline 2\n"


def test_parts_of_a_long_line_are_joined():
    printed = Printed()
    for number, text in enumerate("abcd"):
        printed.add(number, text)
    printed.join(0)
    printed.join(2)

    assert printed.text() == "ab\ncd\n"


def test_an_empty_line_is_a_line():
    printed = Printed()
    printed.add(0, "")
    printed.add(1, "end")

    assert printed.text() == "\nend\n"


def test_a_second_attempt_replaces_what_the_first_printed(future):
    printed = future.printed()
    for number in range(4):
        printed.add(number, "old")
    printed.join(0)
    for number in range(2):
        printed.add(number, "new")
    future.printed_in_all(2)

    assert future.logs() == "new\nnew\n"


def test_how_many_lines_there_are_is_no_news_to_a_call_that_printed_nothing(future):
    future.printed_in_all(0)

    assert future.logs() == ""
    assert "_printed" not in vars(future)


def test_a_log_that_does_not_end_is_kept_in_part_and_that_is_said_once():
    printed = Printed()
    for number in range(2_000):
        printed.add(number, f"{number:<1000}")
    lines = printed.text().splitlines()

    assert lines[-1] == LEFT_OUT
    assert [int(line) for line in lines[:-1]] == list(range(len(lines) - 1))
    assert PRINT_CAP < len(printed.text()) < MOST_KEPT + len(LEFT_OUT) + 2
    printed.end(len(lines) - 1)
    assert LEFT_OUT not in printed.text()  # those lines were never the call's


def test_a_line_longer_than_anything_a_job_prints_is_left_out():
    printed = Printed()
    printed.add(0, "a")
    printed.add(1, "b" * MOST_KEPT)
    printed.end(2)

    assert printed.text() == f"a\n{LEFT_OUT}\n"


def test_joins_take_no_memory_of_their_own():
    printed = Printed()
    for number in range(1_000):
        printed.join(number)
        printed.add(number, "x" * MOST_KEPT)
        printed.join(number)

    assert (printed._lines, printed._open) == ({}, set())


LINES = st.lists(st.tuples(st.booleans(), st.integers(0, 12), st.text("ab", max_size=8)))


@given(LINES, st.integers(0, 14))
@example([(False, 0, "a" * 8), (False, 1, "a" * 8), (False, 1, "b")], 2)
def test_what_is_kept_is_bounded_and_whole_unless_it_says_so(lines, count):
    """Against a plain dict: lines in any order, some of them joined, none proven to be a job's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(futures, "MOST_KEPT", 30)
        printed, plain, joined, most = Printed(), {}, set(), 0
        for goes_on, number, text in lines:
            printed.add(number, text)
            plain[number] = text
            most = max(most, sum(len(line) + 1 for line in plain.values()))
            joined.discard(number)
            if goes_on:
                printed.join(number)
                joined.add(number)
            assert printed._size == sum(len(line) + 1 for line in printed._lines.values()) <= 30
            assert printed._open <= printed._lines.keys() < {*range(printed._end), -1}
        printed.end(count)

    whole = {number: text for number, text in plain.items() if number < count}
    kept = "".join(t if n in joined else f"{t}\n" for n, t in sorted(whole.items()))
    if not printed.text().endswith(LEFT_OUT + "\n"):
        assert printed.text() == kept
    else:
        assert printed._lines.items() <= whole.items()
        assert most > 30


MUCH = {
    "nothing but newlines": b"\n",
    "short lines": b"1\n",
    "no newline": b"x",
    "no text": b"\xff",
    "long characters": "\N{SNOWMAN}".encode(),
    "lines of some length": b"y" * 700 + b"\n",
}


def shown_by_a_job(name, cap):
    """Return the lines that a job shows of much output, and how many they are in all."""
    output, lines, data = Output(cap), [], MUCH[name] * (2 * cap // len(MUCH[name]))
    for start in range(0, len(data), 3_000):
        lines += output.feed(data[start : start + 3_000])
        lines += output.flush()
    lines += output.end()
    return lines, output.total


@pytest.mark.parametrize("old", MUCH)
@pytest.mark.parametrize("new", MUCH)
def test_all_that_an_honest_job_shows_is_kept_also_after_another_attempt(old, new, monkeypatch):
    monkeypatch.setattr(futures, "MOST_KEPT", MOST_KEPT // 16)  # the same, but faster
    printed = Printed()
    for name in (old, new):
        lines, total = shown_by_a_job(name, PRINT_CAP // 16)
        for number, goes_on, text in lines:
            if goes_on:
                printed.join(number - 1)
            printed.add(number, text.decode())
    count, unterminated = total & ~UNTERMINATED, bool(total & UNTERMINATED)
    printed.end(count, unterminated=unterminated)

    whole = "".join(text.decode() + "\n" * (not unterminated) for _, _, text in lines)
    assert len(printed._lines) == count
    assert LEFT_OUT not in printed.text()
    assert printed.text().replace("\n", "") == whole.replace("\n", "")


def test_a_line_that_the_log_says_after_the_call_has_ended_is_as_open_as_it_was():
    """Its outcome comes through the door, and the log says everything once more."""
    printed = Printed()
    printed.add(0, "yes")
    printed.end(1, unterminated=True)
    printed.add(0, "yes")
    assert printed.text() == "yes"


def test_its_owner_hears_in_the_waiting_thread_that_it_is_awaited(future, pool):
    for wait_for_it in (future.result, future.exception):
        with pytest.raises(TimeoutError):
            wait_for_it(0)
    future.release()
    with pytest.raises(TimeoutError):
        future.result(0)

    assert pool.heard == ["awaited", "awaited"]
