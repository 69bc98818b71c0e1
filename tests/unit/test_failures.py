"""The summary of what has failed."""

from __future__ import annotations

from concurrent.futures import Future

from hfexecutor.failures import Failures
from hfexecutor.futures import PoolFuture

TIMES = "\N{MULTIPLICATION SIGN}"


class Job:
    id, url = "job-1", "https://hub/jobs/me/job-1"


def printed(*lines):
    future = PoolFuture()
    future.started_in(Job)
    for number, line in enumerate(lines):
        future.printed().add(number, line)
    return future


def test_it_names_the_kinds_the_first_call_its_job_and_its_last_words():
    failures = Failures()
    failures.calls = 100
    failures.note(40, ValueError("bad  shape\nin row 3"), printed("other"))
    failures.note(17, KeyError("x"), printed("a", "b", "c", "d"))
    failures.note(50, ValueError("another"), printed())

    assert str(failures) == (
        f"3 of 100 calls failed: 2 {TIMES} ValueError: bad shape in row 3, 1 {TIMES} KeyError: 'x'"
        "; first in call 17 (counted from 0), https://hub/jobs/me/job-1; it printed last:\n"
        "    b\n    c\n    d"
    )


def test_it_is_false_while_nothing_has_failed():
    failures = Failures()
    failures.calls = 3
    assert not failures
    failures.note(0, ValueError(), Future())
    assert failures
    assert (
        str(failures)
        == f"1 of 3 calls failed: 1 {TIMES} ValueError; first in call 0 (counted from 0)"
    )


def test_it_stays_short_whatever_is_raised():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    failures = Failures()
    for number in range(20):
        failures.note(number, type(f"Error{number}", (Exception,), {})("long " * 1000), Future())
    failures.note(20, Mute(), Future())

    assert f"16 {TIMES} others" in str(failures)
    assert len(str(failures)) < 1000
