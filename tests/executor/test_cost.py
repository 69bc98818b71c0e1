"""What jobs cost, and may cost."""

from __future__ import annotations

import logging
import time

import pytest

from hfexecutor import CostLimitError
from hfexecutor.hub.hardware import DOOR_HOURLY
from hfexecutor.runtime import runner

MINUTE = (0.01 + DOOR_HOURLY) / 60  # of cpu-basic with a door


def test_it_is_what_the_hub_bills(make, hub):
    with make(2) as executor:
        assert str(executor.cost()) == "$0.0000 so far"
        list(executor.map(pow, range(8), range(8)))
        during = executor.cost()
    after = executor.cost(billed=True)

    assert during.hourly == pytest.approx(60 * MINUTE * len(during.jobs), rel=0.01)
    assert "an hour for" in str(during)
    assert after.hourly == 0.0
    assert {job.id for job in after.jobs} >= {job.id for job in during.jobs}
    assert all(job.billed is not None and not job.running for job in after.jobs)
    # A minute for each, unless this machine was too slow to be done with it in one.
    assert after.billed == pytest.approx(after.dollars, rel=0.02)
    assert after.dollars == pytest.approx(sum(job.dollars for job in after.jobs))
    assert executor.stats().dollars == after.dollars


def test_no_job_is_launched_that_the_limit_does_not_pay_for(make, hub):
    before = hub.requests["POST /api/jobs/{namespace}"]
    with make(max_cost=MINUTE / 2) as executor:
        with pytest.raises(CostLimitError, match="does not pay for a single minute of cpu-basic"):
            executor.submit(pow, 2, 5).result()

    assert hub.requests["POST /api/jobs/{namespace}"] == before


def test_a_dear_flavor_wants_a_word(make, hub):
    before = hub.requests["POST /api/jobs/{namespace}"]
    with make(flavor="h200x8") as executor:
        with pytest.raises(CostLimitError, match=r"costs \$40.00 an hour.*confirm_price=True"):
            executor.submit(pow, 2, 5).result()

    assert hub.requests["POST /api/jobs/{namespace}"] == before


def test_there_are_as_many_jobs_as_can_be_paid(make, hub):
    before = hub.requests["POST /api/jobs/{namespace}"]
    with make(8, max_cost=2.5 * MINUTE) as executor:
        assert len(list(executor.map(time.sleep, [0.05] * 40))) == 40

    assert hub.requests["POST /api/jobs/{namespace}"] == before + 2


def test_the_most_that_may_be_spent_is_said_at_the_start(make, caplog):
    with caplog.at_level(logging.INFO, "hfexecutor"), make(4, timeout="1h") as executor:
        executor.submit(pow, 2, 5).result()

    assert "up to 4 x cpu-basic at $0.02/h; at most $0.08 in 1 h" in caplog.messages


@pytest.mark.slow  # a minute of the Hub is a minute
def test_nothing_runs_past_the_limit(make, hub, monkeypatch):
    rules = runner.RULES._replace(
        end_ahead=48.0
    )  # and this one is nearly over after twelve seconds
    monkeypatch.setattr(runner, "RULES", rules)
    with make(2, max_cost=2.5 * MINUTE) as executor:
        quick = [executor.submit(pow, n, 2) for n in range(10)]
        endless = [executor.submit(time.sleep, 1000) for _ in range(3)]

        assert [future.result() for future in quick] == [n * n for n in range(10)]
        for future in endless:
            with pytest.raises(CostLimitError, match=r"max_cost=\$0\.0008"):
                future.result()
        assert executor.cost().dollars <= 2.5 * MINUTE
    cost = executor.cost(billed=True)

    assert cost.billed <= 2.5 * MINUTE
    assert hub.running == 0
