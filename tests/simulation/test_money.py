"""`max_cost` holds: a hundred runs with hundreds of workers, billed by the model of the Hub."""

from __future__ import annotations

import random

import pytest

from .plan import Plan
from .run import run

FEW = range(2)
MANY = [range(first, first + 4) for first in range(0, 100, 4)]  # any process may take some


def plan_of(seed: int) -> Plan:
    """Return a run that a limit ends early, or does not, with troubles of many kinds.

    Without those in which a job runs that nobody can know of, or end: those no limit can reach.
    """
    rng = random.Random(f"money {seed}")
    hourly, slots = rng.choice((0.01, 0.6, 10.0, 40.0)), rng.choice((1, 1, 2, 4))
    workers, durations = (
        rng.choice((100, 150, 200)),
        rng.choice(((2.0, 40.0), (20.0,), (0.1, 70.0))),
    )
    calls = rng.randint(3, 6) * workers // 2
    minutes = calls * sum(durations) / len(durations) / 60 / slots  # that all of it takes
    door = 0.01

    def perhaps(*values: float) -> float:
        return rng.choice(values) if rng.random() < 0.4 else 0.0

    return Plan(
        seed=seed,
        calls=calls,
        batch=rng.choice((50, calls)),
        durations=durations,
        workers=workers,
        slots=slots,
        retries=rng.choice((0, 2, 2)),
        max_cost=rng.uniform(0.3, 1.5) * minutes * (hourly + door) / 60,
        hourly=hourly,
        door_hourly=door,
        idle_timeout=rng.choice((5.0, 60.0)),
        cold=rng.choice(((0.5, 2.0), (5.0, 8.0), (0.2, 30.0))),
        stage_lag=rng.choice((0.0, 1.3)),
        capacity=rng.choice((0, 0, 50)),
        job_killed=perhaps(0.05, 0.3),
        kill_after=20.0,
        job_stillborn=perhaps(0.05),
        never_starts=perhaps(0.1),
        list_lag=perhaps(0.3, 3.0),
        log_lag=perhaps(0.5, 2.0),
        log_cut=perhaps(0.1),
        door_lost=perhaps(0.2),
        door_unanswered=perhaps(0.2),
        door_outage=perhaps(0.2),
        flaky=perhaps(0.1),
        retry=True,
        straggling=perhaps(0.02),
        speculate=True,
    )


def hold(seeds: range) -> int:
    """Run these, and see that each keeps its limit; return how many were ended by it."""
    ended = 0
    for seed in seeds:
        plan = plan_of(seed)
        report = run(plan)
        assert report.ok, f"seed {seed}: {report}"
        minute = (plan.hourly + plan.door_hourly) / 60
        assert report.dollars <= plan.max_cost + minute, f"seed {seed}: {report}"
        ended += report.ends["CostLimitError"] > 0
    return ended


def test_the_limit_holds_with_hundreds_of_workers() -> None:
    assert hold(FEW) > 0


@pytest.mark.slow
@pytest.mark.parametrize("seeds", MANY, ids=str)
def test_the_limit_holds_over_a_hundred_seeds(seeds: range) -> None:
    assert hold(seeds) > 0, "most limits are reached"
