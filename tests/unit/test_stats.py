"""What an executor has cost, as far as a price list can tell."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hfexecutor import HubExecutor


@pytest.fixture
def stats_of():
    """Return the figures of an executor whose jobs were up for two hours at a cent an hour."""

    def stats_of(unit="hour", **options):
        # Nobody is asked at that address before the first call.
        with HubExecutor(endpoint="https://hub.test", token="hf_x", **options) as executor:
            counters = executor._pool.scheduler.ledger.counters
            counters.seconds = 7200.0
            counters.price(SimpleNamespace(unit_cost_micro_usd=10_000, unit_label=unit))
            return executor.stats()

    return stats_of


def test_the_door_of_a_job_costs_as_much_as_the_cheapest_flavor(stats_of):
    assert stats_of().dollars == pytest.approx(0.04)


def test_a_job_for_one_call_has_no_door(stats_of):
    assert stats_of(reuse_workers=False).dollars == pytest.approx(0.02)


def test_a_door_alone_is_no_estimate(stats_of):
    assert stats_of(unit="fortnight").dollars is None
