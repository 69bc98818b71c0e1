import asyncio
import logging

import pytest

from hfexecutor.errors import HubRequestError, HubUnavailableError, RateLimitedError
from hfexecutor.hub.retry import TransientError, persist


def attempts(*outcomes):
    """Return an attempt that goes through `outcomes`, raising what is an exception."""
    left = list(outcomes)

    async def attempt():
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return attempt


async def at_once(seconds):
    """Have no rate limit."""


def run(attempt, clock, give_up_after=300.0, admit=at_once):
    return asyncio.run(
        persist(
            attempt,
            "list the jobs of org",
            admit=admit,
            clock=clock,
            give_up_after=give_up_after,
            advice=lambda: "Look at the plug.",
        )
    )


def test_what_succeeds_is_returned_at_once(clock):
    assert run(attempts("fine"), clock) == "fine"
    assert clock.sleeps == []


def test_what_may_pass_is_tried_again_with_growing_pauses(clock):
    trouble = [TransientError("HTTP 503")] * 5

    assert run(attempts(*trouble, "fine"), clock) == "fine"
    assert len(clock.sleeps) == 5
    assert clock.sleeps[0] < 1.1
    assert clock.sleeps[4] > 7
    assert sum(clock.sleeps) < 30


def test_a_pause_is_as_long_as_the_hub_asks_for(clock):
    run(attempts(TransientError("HTTP 429", limited=True, wait=77), "fine"), clock)

    assert clock.sleeps == [77]


def test_a_hub_that_names_no_time_is_not_stormed(clock):
    run(attempts(*[TransientError("HTTP 429", limited=True, wait=0)] * 3, "fine"), clock)

    assert min(clock.sleeps) >= 0.5


def test_in_the_end_the_error_says_what_was_seen_how_often_and_for_how_long(clock):
    with pytest.raises(HubUnavailableError) as caught:
        run(attempts(TransientError("HTTP 503: maintenance")), clock)

    message = str(caught.value)
    assert message.startswith("Could not list the jobs of org: tried ")
    assert "times in " in message
    assert message.endswith("seen last: HTTP 503: maintenance. Look at the plug.")
    assert 240 < sum(clock.sleeps) <= 300


def test_a_rate_limit_that_does_not_end_is_named_as_such(clock):
    with pytest.raises(RateLimitedError, match=r"HTTP 429.*fewer workers"):
        run(attempts(TransientError("HTTP 429", limited=True, wait=200)), clock)


def test_a_wait_that_is_too_long_is_not_begun(clock):
    with pytest.raises(RateLimitedError, match="tried once"):
        run(attempts(TransientError("HTTP 429", limited=True, wait=301)), clock)
    assert clock.sleeps == []


@pytest.mark.parametrize("error", [HubRequestError("no"), ValueError("bug"), KeyError("bug")])
def test_everything_else_is_final(error, clock):
    with pytest.raises(type(error)):
        run(attempts(error, "never reached"), clock)
    assert clock.sleeps == []


def test_the_reason_of_a_pause_is_logged_and_louder_when_it_persists(clock, caplog):
    caplog.set_level(logging.INFO, "hfexecutor.hub")
    run(attempts(*[TransientError("HTTP 502")] * 3, "fine"), clock)

    assert [record.levelname for record in caplog.records] == ["INFO", "INFO", "WARNING"]
    assert "Could not list the jobs of org: HTTP 502; next try in " in caplog.text


def test_a_process_that_stood_still_during_a_try_has_not_used_up_its_patience(clock):
    """Its machine slept: the connection is dead, and the network takes a moment to be back."""
    tries = iter([3600.0, 5.0, 5.0])

    async def attempt():
        seconds = next(tries, None)
        if seconds is None:
            return "fine"
        clock.time += seconds
        raise TransientError("connection reset")

    assert run(attempt, clock, give_up_after=60.0) == "fine"


def test_what_it_takes_to_fail_counts(clock):
    async def attempt():
        clock.time += 10.0
        raise TransientError("no answer within 10 s")

    began = clock.time
    with pytest.raises(HubUnavailableError, match="tried 5 times in"):
        run(attempt, clock, give_up_after=60.0)
    assert clock.time - began <= 60.0


def test_what_a_later_try_waits_for_the_rate_limit_counts(clock):
    """Others' requests are told to wait, again and again."""
    most = []

    async def admit(seconds):
        most.append(seconds)
        await clock.sleep(min(seconds, 100.0))

    began = clock.time
    with pytest.raises(HubUnavailableError, match="tried 4 times in"):
        run(attempts(TransientError("HTTP 503")), clock, admit=admit)

    assert most[0] == 300.0
    assert most == sorted(most, reverse=True)
    # The first one counts from its failure on; the clock's pauses are sums of chance, rounded.
    assert clock.time - began <= 100.0 + 300.0 + 1e-6
