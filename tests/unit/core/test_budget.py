"""What jobs cost, and that a limit holds."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.core.budget import Budget, Prices
from hfexecutor.core.events import JobSeen
from hfexecutor.core.rules import Rules

RULES = Rules()
JOB = JobSeen("job", "COMPLETED")


def budget(most: float | None = None, *, job: float = 0.6, door: float = 0.0) -> Budget:
    made = Budget(most, RULES)
    made.prices["cpu"] = Prices(job=job, door=door)
    return made


def running(made: Budget, worker: str, since: float, *, door: bool = False) -> None:
    made.open(worker, "cpu", door=door)
    made.sent(worker, since)


def test_a_minute_that_has_begun_is_billed_in_full():
    made = budget(job=0.6, door=0.6)
    running(made, "a", 0.0)
    running(made, "b", 0.0, door=True)

    assert made.spent(1.0) == pytest.approx(0.03)
    assert made.spent(60.0) == pytest.approx(0.03)
    assert made.spent(61.0) == pytest.approx(0.06)
    assert made.rate(1.0) == pytest.approx(1.8)


def test_what_was_never_sent_or_never_existed_costs_nothing():
    made = budget(1.0)
    made.open("a", "cpu", door=False)
    assert made.spent(1000.0) == 0.0
    assert made.due == math.inf

    running(made, "b", 0.0)
    made.close("b", 1000.0, None)
    assert made.spent(1000.0) == 0.0


def test_waiting_for_hardware_is_not_billed():
    made = budget()
    running(made, "a", 0.0)
    made.waits("a", 600.0)
    made.waits("a", 500.0)  # an older list

    made.close("a", 630.0, JOB)
    assert made.past == pytest.approx(0.01)


def test_a_launch_that_is_repeated_may_have_worked_the_first_time():
    made = budget()
    running(made, "a", 0.0)
    made.sent("a", 70.0)

    assert made.spent(71.0) == pytest.approx(0.02)


def test_jobs_that_are_wanted_count_before_they_exist():
    made = budget(0.05)
    assert made.affords("cpu", door=False) == 5
    for worker in "abcde":
        made.open(worker, "cpu", door=False)
    assert made.affords("cpu", door=False) == 0

    made.close("a", 0.0, None)
    assert made.affords("cpu", door=False) == 1


def test_a_minute_is_granted_before_it_begins_or_the_job_is_ended():
    made = budget(0.02)
    running(made, "a", 0.0)

    assert made.due == 55.0
    assert made.expire(54.9, {"a"}) == []
    assert made.expire(55.0, {"a"}) == []
    assert made.due == 115.0
    assert made.expire(115.0, {"a"}) == ["a"]
    assert made.due == math.inf


def test_idle_jobs_go_first():
    made = budget(0.03)
    running(made, "idle", 0.0)
    running(made, "busy", 1.0)

    assert made.expire(56.0, {"busy"}) == ["idle"]
    made.close("idle", 57.0, JOB)
    assert made.due == 116.0  # the other one has its second minute


def test_without_a_limit_nothing_is_ever_due():
    made = budget(None)
    running(made, "a", 0.0)

    assert made.affords("cpu", door=True) == math.inf
    assert made.due == math.inf
    assert made.expire(1e6, ()) == []


def test_without_a_price_nothing_can_be_reckoned():
    made = Budget(None, RULES)
    running(made, "a", 0.0)

    assert made.spent(1000.0) == 0.0


@given(seed=st.integers(0, 2**32), most=st.floats(0.0, 3.0), jobs=st.integers(1, 60))
def test_the_limit_holds_whenever_jobs_really_begin_and_end(seed, most, jobs):
    """The Hub bills by its own times; the budget only knows when it asked, saw and was told."""
    rng = random.Random(seed)
    made = budget(most, job=rng.choice([0.01, 0.4, 4.0]), door=0.01)
    begun: dict[str, float] = {}
    billed = now = 0.0

    def bill(worker: str, at: float) -> float:
        began = begun.pop(worker)
        made.close(worker, now, JOB)
        return max(1, math.ceil((at - began) / 60)) * made.hourly("cpu", door=True) / 60

    for number in range(jobs * 2):
        now += rng.expovariate(1 / 20)
        while made.due <= now:  # the clock rings in time
            at = made.due
            busy = {worker for worker in begun if rng.random() < 0.7}
            for worker in made.expire(at, busy):
                billed += bill(worker, at + rng.random() * RULES.end_ahead)
        if made.affords("cpu", door=True) and rng.random() < 0.6:
            worker = str(number)
            made.open(worker, "cpu", door=True)
            made.sent(worker, now)
            begun[worker] = now + rng.choice([0.0, rng.random() * 4])
        elif begun and rng.random() < 0.3:
            billed += bill(rng.choice(sorted(begun)), now)
        assert billed + made.hourly("cpu", door=True) / 60 * len(begun) <= most + 1e-6

    for worker in list(begun):
        billed += bill(worker, now)
    assert billed <= most + 1e-6
