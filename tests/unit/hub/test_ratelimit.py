import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.hub.ratelimit import Budget, Limiter, Window, parse_retry_after, parse_window


@pytest.mark.parametrize(
    ("ratelimit", "policy", "expected"),
    [
        ('"api";r=0;t=120', '"api";q=1000;w=300', Window(0, 120, 1000)),
        ('"api";r=912;t=240', "", Window(912, 240)),
        ('"api"; r=5 ; t=10', '"api"; q=1000; w=300', Window(5, 10, 1000)),
        ('"pages";r=3;t=9, "api";r=2;t=8', '"pages";q=50, "api";q=70', Window(2, 8, 70)),
        ("api;r=1;t=2", "api;q=3", Window(1, 2, 3)),
        ('"api";r="7";t=1.5', "", Window(7, 1.5)),
        ('"api";T=1;R=2', "", Window(2, 1)),
        ('"api";r=1;t=99999999', "", Window(1, 86_400)),
        ('"api";r=-1;t=-1', "", Window(0, 0)),
        ('"api";r=1', "", None),
        ('"api"', "", None),
        ("limit=100, remaining=5, reset=3", "", None),
        ('"api";r=x;t=y', "", None),
        ("", "", None),
    ],
)
def test_the_headers_are_read_with_all_their_oddities(ratelimit, policy, expected):
    assert parse_window({"ratelimit": ratelimit, "ratelimit-policy": policy}) == expected


HEADER = st.text('ab"; ,=rtqw019.-\0é', max_size=60)


@given(HEADER, HEADER, HEADER)
def test_no_header_is_a_reason_to_fail(ratelimit, policy, retry_after):
    headers = {"ratelimit": ratelimit, "ratelimit-policy": policy, "retry-after": retry_after}
    window, seconds = parse_window(headers), parse_retry_after(headers)

    assert window is None or 0 <= window.reset <= 86_400
    assert seconds is None or 0 <= seconds <= 86_400


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "17"}, 17),
        ({"retry-after": "17", "ratelimit": '"api";r=0;t=99'}, 17),
        ({"ratelimit": '"api";r=0;t=99'}, 99),
        ({"ratelimit": '"api";r=4;t=99'}, None),  # the budget is not why
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "9" * 50}, 86_400),
        ({}, None),
    ],
)
def test_the_time_to_stay_away_is_what_the_hub_names(headers, seconds):
    assert parse_retry_after(headers) == seconds


def test_nobody_waits_while_much_is_left():
    budget = Budget()
    budget.observe(Window(900, 300, 1000), 0)
    for _ in range(600):
        assert budget.delay(0) == 0
        budget.spend(0)


def test_a_low_budget_lasts_until_the_window_turns():
    budget, now, sent = Budget(), 0.0, 0
    budget.observe(Window(60, 300, 1000), 0)
    while now < 300:
        now += budget.delay(now)
        budget.spend(now)
        sent += 1

    assert 45 <= sent <= 55  # of 60: the others are for cancels


def test_a_spent_budget_lets_only_cancels_through():
    budget = Budget()
    budget.observe(Window(0, 120, 1000), 0)

    budget.spend(0)

    assert budget.delay(1) == pytest.approx(119)
    assert budget.delay(1, urgent=True) == 0


def test_a_new_window_is_a_new_budget():
    budget = Budget()
    budget.observe(Window(0, 120, 1000), 0)
    budget.spend(0)

    assert budget.delay(121) == 0
    budget.observe(Window(1000, 300, 1000), 5)
    assert budget.delay(6) == 0


def test_after_a_429_everybody_waits_and_cancels_go_first():
    budget = Budget()
    budget.hold(30, now=0)

    assert budget.delay(10, urgent=True) == pytest.approx(20)
    assert budget.delay(10) > budget.delay(10, urgent=True)
    assert budget.delay(31) == 0


def test_a_shorter_hold_does_not_end_a_longer_one():
    budget = Budget()
    budget.hold(30, now=0)
    budget.hold(1, now=0)

    assert budget.delay(0, urgent=True) == 30


def admissions(clock, limiter, *urgent, deadline=10_000):
    order = []

    async def one(number, hurry):
        if await limiter.admit(deadline, urgent=hurry):
            order.append((number, clock.now()))

    async def main():
        await asyncio.gather(*(one(number, hurry) for number, hurry in enumerate(urgent)))

    asyncio.run(main())
    return order


def test_the_limiter_admits_in_the_order_of_asking_and_cancels_first(clock):
    limiter = Limiter(clock)
    limiter.hold(30)
    order = admissions(clock, limiter, False, False, True, False, True)

    assert [number for number, _ in order[:2]] == [2, 4]
    assert [number for number, _ in order[2:]] == [0, 1, 3]
    assert all(time >= 1_030 for _, time in order)


def test_the_limiter_spaces_requests_when_little_is_left(clock):
    limiter = Limiter(clock)
    limiter.observe({"ratelimit": '"api";r=20;t=100', "ratelimit-policy": '"api";q=1000'})
    times = [time for _, time in admissions(clock, limiter, *[False] * 4)]

    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(9 <= gap <= 13 for gap in gaps), gaps


def test_who_cannot_go_in_time_hears_so_at_once(clock):
    limiter = Limiter(clock)
    limiter.hold(600)

    assert admissions(clock, limiter, False, True, deadline=clock.now() + 300) == []
    assert clock.sleeps == []


def test_the_limiter_tells_what_is_left(clock):
    limiter = Limiter(clock)
    limiter.observe({"ratelimit": '"api";r=20;t=100', "ratelimit-policy": '"api";q=1000'})

    assert repr(limiter) == "<Limiter <Budget 20 of 1000 left>>"
