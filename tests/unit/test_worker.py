"""A worker's state: what it holds, what is on its way to its door, what it has said."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfexecutor import worker as workers
from hfexecutor.calls import Call, Frozen, Function
from hfexecutor.futures import HubFuture
from hfexecutor.remote import entries as wire
from hfexecutor.remote import frames
from hfexecutor.stages import Evidence, Phase, Words
from hfexecutor.worker import ACKS_AT_ONCE, MESSAGE_BYTES, Worker


def call(call_id, *, size=10, function=None, lost=0):
    made = Call(call_id, HubFuture(), Frozen(function, b"x" * size))
    made.lost = lost
    return made


def make(*aboard, one_shot=False, slots=2):
    worker = Worker(
        "0123456789abcdef",
        frames.Seal(b"k" * 32),
        slots=slots,
        one_shot=one_shot,
        printed_of=lambda _: None,
        now=100.0,
    )
    worker.board(aboard)
    return worker


def hello(**words):
    return wire.Entry(wire.HELLO, 0, 0, 1, json.dumps(words).encode())


def bye(data=b"{}"):
    return wire.Entry(wire.BYE, 0, 0, 1, data)


def job(stage="RUNNING", **more):
    job = {"id": "123", "url": "https://hub/jobs/me/123", "message": None, "cancel_reason": None}
    return SimpleNamespace(**{**job, "stage": stage, **more})


def messages(worker):
    found = []
    while worker.has_mail:
        found.append(worker.compose())
    return found


def told(entries):
    names = {wire.CALL: "call", wire.FUNCTION: "function", wire.ACK: "ack"}
    names |= {wire.KILL: "kill", wire.RECALL: "recall", wire.LEAVE: "leave"}
    return [(names[entry.kind], entry.call) for entry in entries]


# --- what is true of it ---------------------------------------------------------------------


def test_its_evidence_follows_from_stage_and_words():
    worker = make(call(1))
    assert worker.evidence == Evidence(Phase.UNCLEAR, Words.NONE)
    worker.job = job("RUNNING")
    worker.greet(hello(slots=2, door=8000))
    assert worker.evidence == Evidence(Phase.RUNNING, Words.OWING)
    worker.drop(1)
    assert worker.evidence == Evidence(Phase.RUNNING, Words.IDLE)
    worker.part(bye())
    worker.job = job("COMPLETED")
    assert worker.evidence == Evidence(Phase.OVER, Words.BYE)
    worker.give([call(2)], 0.0)
    assert worker.evidence == Evidence(Phase.OVER, Words.BYE_OWING)


def test_it_takes_calls_only_through_an_open_door():
    worker = make()
    assert not worker.takes_calls
    worker.door = "https://door"
    assert worker.takes_calls


@pytest.mark.parametrize("why", ["troubled", "leaving", "cancelled", "over", "bye"])
def test_it_takes_no_calls_when_it_is_in_trouble_or_on_its_way_out(why):
    worker = make()
    worker.door = "https://door"
    setattr(worker, why, {} if why == "bye" else True)

    assert not worker.takes_calls
    assert worker.closing == (why != "troubled")


def test_it_is_described_by_job_stage_and_page():
    worker = make()
    assert worker.describe() == "a job that was not created"
    worker.job = job("RUNNING")
    assert worker.describe() == "job 123 (stage RUNNING) https://hub/jobs/me/123"
    worker.job = job("ERROR", message="Job timeout", cancel_reason="NO_CREDITS")
    assert worker.describe() == (
        "job 123 (stage ERROR: Job timeout, cancel reason NO_CREDITS) https://hub/jobs/me/123"
    )


def test_the_end_of_its_log_is_told():
    worker = make()
    assert worker.log_tail() == ""
    list(worker.intake.feed(["a", "b"]))
    assert worker.log_tail() == "\nThe last lines of its log:\na\nb"


def test_dispatch_sees_what_it_holds():
    worker = make(call(1), slots=4)
    worker.duration, worker.round_trip = 0.5, 0.1

    assert worker.view() == (4, 1, 0.5, 0.1, False, False)
    assert worker.view(cautious=True).alone


def test_it_is_left_alone_while_it_holds_a_call_that_lost_a_worker():
    worker = make(call(1, lost=1))
    assert worker.view().risk
    worker.drop(1)
    assert not worker.view().risk
    worker.give([call(2), call(3, lost=1)], 0.0)
    assert worker.view().risk
    worker.answered(worker.held[3], 1.0, 101.0)
    assert not worker.view().risk
    assert worker.drop(3) is None
    assert not worker.view().alone


# --- what it is given -----------------------------------------------------------------------


def test_nothing_waits_for_a_new_worker_but_what_is_aboard():
    worker = make(call(1))

    assert list(worker.held) == [1]
    assert not worker.has_mail


def test_calls_travel_in_their_order_and_each_once():
    worker = make()
    worker.give([call(1), call(2)], 0.0)

    assert worker.mail.is_set()
    assert told(worker.compose()) == [("call", 1), ("call", 2)]
    assert not worker.has_mail
    assert list(worker.held) == [1, 2]


def test_a_call_that_is_cancelled_on_its_way_stays_at_home():
    worker = make()
    worker.give([call(1), call(2)], 0.0)
    worker.drop(1)

    assert messages(worker) == [worker.entries_of(call(2))]


def test_a_function_travels_once_and_before_its_first_call():
    function, aboard = Function(7, b"f"), Function(8, b"g")
    worker = make(call(1, function=aboard))
    worker.give(
        [call(2, function=function), call(3, function=function), call(4, function=aboard)], 0.0
    )

    assert told(worker.compose()) == [("function", 7), ("call", 2), ("call", 3), ("call", 4)]


def test_a_large_function_is_counted_once():
    function = Function(7, b"f" * (MESSAGE_BYTES // 2))
    worker = make()
    worker.give((call(number, function=function) for number in range(1, 100)), 0.0)

    assert len(messages(worker)) == 1


def test_orders_follow_the_calls_that_they_may_be_about():
    worker = make()
    worker.order(wire.KILL, [1])
    worker.give([call(1)], 0.0)
    worker.order(wire.LEAVE)
    entries = worker.compose()

    assert told(entries) == [("call", 1), ("kill", 0), ("leave", 0)]
    assert wire.unpack_ids(entries[1].data) == (1,)


def test_orders_wait_until_all_calls_are_on_their_way():
    worker = make()
    worker.give([call(1, size=MESSAGE_BYTES), call(2)], 0.0)
    worker.recall([2])
    sent = messages(worker)

    assert worker.recalling
    assert len(sent) > 1
    assert [entry.kind for message in sent for entry in message][-1] == wire.RECALL
    assert wire.RECALL not in [entry.kind for entry in sent[0]]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 300), max_size=12), st.integers(0, 300))
def test_calls_of_any_size_arrive_in_messages_of_a_bounded_size(sizes, function_size):
    function = Function(99, b"f" * function_size)
    calls = [call(n, size=size, function=function) for n, size in enumerate(sizes, 1)]
    worker, assembler, arrived = make(), wire.Assembler(), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "MESSAGE_BYTES", 100)
        worker.give(calls, 0.0)
        for message in messages(worker):
            assert message
            assert len(wire.pack(message)) <= 100
            for entry in filter(None, map(assembler.feed, message)):
                arrived[entry.kind, entry.call] = entry.data

    expected = {(wire.CALL, each.id): each.data for each in calls}
    if calls:
        expected[wire.FUNCTION, 99] = function.data
    assert arrived == expected


def test_acknowledgements_travel_with_what_goes_anyway():
    worker = make(call(1), call(2))
    worker.answered(worker.held[1], 1.0, 101.0)
    assert worker.has_mail
    assert not worker.mail.is_set()
    worker.give([call(3)], 0.0)
    ack, sent = worker.compose()

    assert (ack.kind, wire.unpack_ids(ack.data)) == (wire.ACK, (1,))
    assert (sent.kind, sent.call) == (wire.CALL, 3)
    assert not worker.has_mail


def test_many_acknowledgements_travel_on_their_own():
    worker = make()
    for call_id in range(ACKS_AT_ONCE - 1):
        worker.acknowledge(call_id)
    assert not worker.mail.is_set()
    worker.acknowledge(0)
    assert worker.mail.is_set()


def test_a_one_shot_worker_is_told_nothing():
    worker = make(call(1), one_shot=True)
    worker.answered(worker.held[1], 1.0, 101.0)

    assert not worker.has_mail


# --- what it says ---------------------------------------------------------------------------


def test_its_hello_tells_slots_and_door():
    worker = make(slots=1)
    worker.greet(hello(slots=8, door=8000))

    assert (worker.slots, worker.door_shut) == (8, False)


def test_a_worker_without_a_door_is_known_by_its_hello():
    worker = make()
    worker.greet(hello(slots=2, door=None, door_error="in use"))

    assert worker.door_shut
    assert worker.hello["door_error"] == "in use"


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"slots": 0}', b'{"slots": "many"}'])
def test_a_hello_of_any_shape_is_a_hello(data):
    worker = make(slots=3)
    worker.greet(wire.Entry(wire.HELLO, 0, 0, 1, data))

    assert worker.hello is not None
    assert worker.slots == 3
    assert worker.door_shut


def test_a_goodbye_wakes_who_waits_for_mail():
    worker = make()
    worker.part(bye(b"not json"))

    assert worker.bye == {}
    assert worker.mail.is_set()


def test_an_answer_is_dropped_acknowledged_and_timed():
    worker = make(call(1), call(2), call(3))
    worker.answered(worker.held[1], 2.0, 105.0)

    assert list(worker.held) == [2, 3]
    assert (worker.acks, worker.progress_at, worker.duration) == ([1], 105.0, 2.0)
    worker.answered(worker.held[2], 4.0, 106.0)
    assert worker.duration == 3.0


def test_the_mean_duration_follows_what_is_new():
    worker = make()
    for _ in range(100):
        worker.answered(call(1), 0.001, 100.0)
    for _ in range(100):
        worker.answered(call(1), 10.0, 100.0)

    assert 9.0 < worker.duration <= 10.0
