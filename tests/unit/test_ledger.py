"""The ledger: each call gets one answer, and whoever waits for a future is always woken."""

from __future__ import annotations

from concurrent.futures import CancelledError, wait
from types import SimpleNamespace

import pytest

from hfexecutor.calls import Call, Frozen
from hfexecutor.errors import HubError
from hfexecutor.futures import HubFuture
from hfexecutor.hub.models import Hardware
from hfexecutor.ledger import Ledger
from hfexecutor.stats import Counters


class Pool:
    """Tells the ledger of cancelled futures at once, where the pool does so on its loop."""

    def __init__(self, ledger):
        self.strike = ledger.strike

    def cancelled(self, future):
        self.strike(future)


class Away:
    """A pool whose loop is busy: what it is told is heard later, if ever."""

    def cancelled(self, future):
        pass


@pytest.fixture
def ledger():
    return Ledger()


def enter(ledger, *ids, pool=None):
    calls = [Call(call_id, HubFuture(), Frozen(None, b"")) for call_id in ids]
    for call in calls:
        call.future.bind(call.id, pool or Pool(ledger))
    ledger.enter(calls)
    return calls


def ids(calls):
    return [call.id for call in calls]


def woken(future):
    return future in wait([future], timeout=0).done


# --- the queue ------------------------------------------------------------------------------


def test_calls_are_taken_in_the_order_they_were_entered(ledger):
    enter(ledger, 1, 2, 3)

    assert ids(ledger.take(2, running=True)) == [1, 2]
    assert ids(ledger.take(9, running=True)) == [3]
    assert ledger.take(1, running=True) == []


@pytest.mark.parametrize("running", [True, False])
def test_a_call_can_be_cancelled_until_it_runs(ledger, running):
    (call,) = enter(ledger, 1)
    ledger.take(1, running=running)

    assert call.future.running() == running
    assert call.future.cancel() == (not running)


@pytest.mark.parametrize("running", [True, False])
def test_cancelled_calls_are_passed_over(ledger, running):
    calls = enter(ledger, 1, 2, 3)
    calls[1].future.cancel()

    assert ids(ledger.take(2, running=running)) == [1, 3]


def test_a_cancelled_call_that_the_pool_has_not_heard_of_is_passed_over(ledger):
    calls = enter(ledger, 1, 2, pool=Away())
    calls[0].future.cancel()

    assert ids(ledger.take(2, running=True)) == [2]
    assert ledger.strike(calls[0].future) is calls[0]
    assert woken(calls[0].future)


def test_calls_that_are_put_back_come_first_and_in_their_order(ledger):
    enter(ledger, 1, 2, 3, 4)
    taken = ledger.take(3, running=True)
    ledger.put_back(taken[1:])

    assert ids(ledger.take(9, running=True)) == [2, 3, 4]


def test_what_is_answered_is_not_put_back(ledger):
    enter(ledger, 1, 2)
    taken = ledger.take(2, running=True)
    ledger.answer(taken[0], "value")
    ledger.put_back(taken)

    assert ids(ledger.queue) == [2]


def test_nobody_starts_a_job_for_calls_that_were_all_cancelled(ledger):
    calls = enter(ledger, 1, 2, 3)
    for call in (calls[1], calls[2], calls[0]):
        call.future.cancel()

    assert not ledger.queue
    assert not ledger.open


def test_nobody_starts_a_job_for_a_call_that_was_answered_while_it_was_queued_again(ledger):
    taken = enter(ledger, 1)
    ledger.put_back(ledger.take(1, running=True))
    ledger.answer(taken[0], "the first worker had done it")

    assert not ledger.queue


# --- answers --------------------------------------------------------------------------------


def test_answers_reach_futures_when_they_are_flushed(ledger):
    calls = enter(ledger, 1, 2)
    ledger.take(2, running=True)
    ledger.answer(calls[0], value=5)
    ledger.answer(calls[1], error=KeyError("no"))

    assert not any(call.future.done() for call in calls)
    ledger.flush()
    assert calls[0].future.result(0) == 5
    assert isinstance(calls[1].future.exception(0), KeyError)
    assert (ledger.counters.done, ledger.counters.failed) == (1, 1)


def test_the_first_answer_counts(ledger):
    (call,) = enter(ledger, 1)

    assert ledger.answer(call, value=1)
    assert not ledger.answer(call, value=2)
    ledger.flush()
    ledger.flush()
    assert call.future.result(0) == 1
    assert ledger.counters.done == 1


def test_a_call_that_was_given_to_nobody_can_be_answered(ledger):
    (call,) = enter(ledger, 1)
    ledger.answer(call, error=HubError("no"))
    ledger.flush()

    assert isinstance(call.future.exception(0), HubError)


def test_a_cancelled_call_takes_no_answer(ledger):
    (call,) = enter(ledger, 1)
    call.future.cancel()

    assert not ledger.answer(call, value=1)
    ledger.flush()
    assert ledger.counters.done == 0


def test_callbacks_may_enter_and_answer_calls(ledger):
    (first,) = enter(ledger, 1)
    later = []

    def callback(_):
        later.extend(enter(ledger, 2))
        ledger.answer(later[0], value="second")

    first.future.add_done_callback(callback)
    ledger.answer(first, value="first")
    ledger.flush()

    assert not later[0].future.done()
    ledger.flush()
    assert later[0].future.result(0) == "second"


def test_a_future_lets_its_pool_go(ledger):
    calls = enter(ledger, 1, 2)
    calls[0].future.cancel()
    ledger.answer(calls[1])
    ledger.flush()

    assert [call.future._pool for call in calls] == [None, None]


# --- who waits is woken ---------------------------------------------------------------------


def test_who_waits_for_a_cancelled_call_is_woken(ledger):
    (call,) = enter(ledger, 1)
    call.future.cancel()

    assert woken(call.future)
    assert ledger.counters.cancelled == 1
    assert ledger.strike(call.future) is None
    assert ledger.counters.cancelled == 1


def test_who_waits_is_woken_when_a_callback_cancels_what_is_about_to_be_answered(ledger):
    first, second = enter(ledger, 1, 2)
    first.future.add_done_callback(lambda _: second.future.cancel())
    ledger.fail_all(HubError("no token"))
    ledger.flush()

    assert woken(second.future)
    with pytest.raises(CancelledError):
        second.future.result(0)
    assert (ledger.counters.failed, ledger.counters.cancelled) == (1, 1)


@pytest.mark.parametrize("heard", ["before", "after"])
def test_who_waits_is_woken_when_a_call_is_cancelled_as_a_worker_begins_it(ledger, heard):
    (call,) = enter(ledger, 1, pool=Away())
    ledger.take(1, running=False)
    call.future.cancel()

    if heard == "before":
        ledger.strike(call.future)
    assert not ledger.set_running(call)
    if heard == "after":
        ledger.strike(call.future)
    assert woken(call.future)
    assert not ledger.open
    assert ledger.counters.cancelled == 1


def test_a_second_attempt_finds_its_future_running(ledger):
    (call,) = enter(ledger, 1)

    assert ledger.set_running(call)
    assert ledger.set_running(call)


# --- the end --------------------------------------------------------------------------------


def test_all_open_calls_fail_with_errors_of_their_own(ledger):
    calls = enter(ledger, 1, 2, 3)
    ledger.take(1, running=True)
    error = HubError("no token")
    error.__cause__ = cause = OSError("no file")
    ledger.fail_all(error)
    ledger.flush()

    errors = [call.future.exception(0) for call in calls]
    assert [(type(error), str(error)) for error in errors] == [(HubError, "no token")] * 3
    assert len({id(error) for error in errors}) == 3
    assert all(error.__cause__ is cause for error in errors)
    assert not ledger.open
    assert not ledger.queue


def test_an_error_that_cannot_be_copied_ends_all_calls_nevertheless(ledger):
    class PickyError(Exception):
        def __init__(self, *, response):
            super().__init__(f"answer {response}")

    calls = enter(ledger, 1, 2)
    ledger.fail_all(PickyError(response=500))
    ledger.flush()

    assert [str(call.future.exception(0)) for call in calls] == ["answer 500"] * 2


def test_only_open_calls_have_a_place_for_what_they_print(ledger):
    (call,) = enter(ledger, 1)
    place = ledger.printed(1)

    assert place is call.future.printed()
    assert ledger.printed(2) is None
    ledger.answer(call)
    assert ledger.printed(1) is None


# --- figures --------------------------------------------------------------------------------


def snapshot(counters):
    return counters.snapshot(pending=1, running=2, requests=3, running_seconds=30.0)


def test_the_figures_of_a_run_are_told():
    counters = Counters()
    counters.seconds = 60.0
    counters.note(None)
    counters.note(KeyError())
    figures = snapshot(counters)

    assert (figures.done, figures.failed, figures.seconds) == (1, 1, 90.0)
    assert (figures.pending, figures.jobs_running, figures.requests) == (1, 2, 3)


@pytest.mark.parametrize(
    ("unit", "dollars"), [("second", 0.09), ("minute", 0.0015), ("hour", 0.000025)]
)
def test_dollars_follow_from_the_price_and_its_unit(unit, dollars):
    counters = Counters()
    counters.seconds = 60.0
    counters.price(SimpleNamespace(unit_cost_micro_usd=1000, unit_label=unit))

    assert snapshot(counters).dollars == pytest.approx(dollars)


@pytest.mark.parametrize("hardware", [None, "a fortnight"])
def test_without_a_price_there_are_no_dollars(hardware):
    counters = Counters()
    if hardware is not None:
        hardware = SimpleNamespace(unit_cost_micro_usd=1000, unit_label=hardware)
    counters.price(hardware)

    assert snapshot(counters).dollars is None


def test_the_price_list_of_the_hub_has_the_fields_that_figures_need():
    assert {"unit_cost_micro_usd", "unit_label"} <= set(Hardware.model_fields)
