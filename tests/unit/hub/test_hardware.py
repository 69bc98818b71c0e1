"""What is said of a flavor before it is rented."""

import pytest

from hfexecutor.hub.hardware import ceiling, crowding, price_problem, unknown_flavor
from hfexecutor.hub.models import Hardware

KNOWN = ["cpu-basic", "cpu-upgrade", "t4-small", "a10g-large", "a100-large"]
MACHINES = {
    "cpu-basic": Hardware(name="cpu-basic", cpu="2 vCPU", ram="16 GB"),
    "odd": Hardware(name="odd", cpu="many", ram=""),
    "bare": Hardware(name="bare", cpu="2 vCPU"),
}


@pytest.mark.parametrize(
    ("flavor", "nearest"),
    [("cpu-basics", "cpu-basic"), ("CPU-Upgrade ", "cpu-upgrade"), ("a100", "a100-large")],
)
def test_a_typo_is_told_the_nearest(flavor, nearest):
    message = unknown_flavor(flavor, KNOWN)

    assert message.startswith(f"the Hub has no flavor {flavor!r}. Did you mean {nearest!r}")
    assert "hf jobs hardware" in message
    assert "t4-small" not in message


def test_what_is_like_nothing_is_told_all():
    assert unknown_flavor("warp", KNOWN).endswith(f"It offers: {', '.join(KNOWN)}")


def test_more_calls_than_a_machine_can_serve_are_told_with_figures():
    assert crowding("cpu-basic", 100, MACHINES) == (
        "100 calls at once share one cpu-basic (2 vCPU, 16 GB, 160 MB for each); "
        'slots_per_job="auto" runs one on each vCPU'
    )
    assert "100 calls" in crowding("bare", 100, MACHINES)


@pytest.mark.parametrize(
    ("flavor", "slots"),
    [("cpu-basic", 16), ("cpu-basic", "auto"), ("odd", 100), ("nobody-knows", 100)],
)
def test_what_may_be_meant_is_not_warned_of(flavor, slots):
    assert crowding(flavor, slots, MACHINES) is None


@pytest.mark.parametrize(
    ("hourly", "options", "words"),
    [
        (0.03, {}, None),
        (None, {}, None),
        (None, {"max_cost": 5.0}, "max_cost cannot be kept: the Hub lists no price for it"),
        (0.03, {"max_cost": 0.0001}, "does not pay for a single minute of it at $0.03 an hour"),
        (0.03, {"max_cost": 0.001}, None),
        (40.0, {}, "max_cost=40, or confirm_price=True"),
        (40.0, {"max_cost": 5.0}, None),
        (40.0, {"confirmed": True}, None),
    ],
)
def test_a_price_that_nobody_agreed_to_is_refused(hourly, options, words):
    problem = price_problem("it", hourly, **{"max_cost": None, "confirmed": False} | options)

    assert (problem is None) if words is None else words in (problem or "")


def test_what_may_be_rented_at_most_is_one_line():
    def line(max_cost):
        return ceiling([("cpu-upgrade", 0.03, 2)], timeout=43_200.0, max_cost=max_cost)

    assert line(None) == "up to 2 x cpu-upgrade at $0.04/h; at most $0.96 in 12 h"
    assert line(0.5) == "up to 2 x cpu-upgrade at $0.04/h; at most $0.50 (max_cost)"
    assert line(50.0) == line(None)


def test_of_several_flavors_the_dearest_is_what_may_have_to_be_paid():
    words = ceiling([("a100-large", 2.5, 4), ("l40sx4", 8.3, 1)], timeout=3600.0, max_cost=None)

    assert (
        words == "up to 4 x a100-large at $2.51/h or 1 x l40sx4 at $8.31/h; at most $10.04 in 1 h"
    )
