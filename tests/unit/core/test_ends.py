"""One walk over the calls of a worker that is over, and what each verdict amounts to."""

import random

import pytest
from core_stories import make_call

from hfexecutor.core import commands as do
from hfexecutor.core.call import CallOptions
from hfexecutor.core.ends import Ends, Verdict
from hfexecutor.core.events import JobSeen
from hfexecutor.core.rules import Limits, Rules
from hfexecutor.core.state import State
from hfexecutor.core.worker import Worker
from hfexecutor.errors import CallStoppedError, HubUnavailableError, JobLostError


@pytest.fixture
def world():
    """A worker that holds calls 1 to 3; the third has lost a worker before."""
    limits, rules = Limits(), Rules()
    state = State(limits, rules, claim=lambda _: True, rng=random.Random(1))
    worker = Worker(
        "w",
        slots=1,
        one_shot=False,
        port=1,
        limits=limits,
        times=state.pending.times,
        rules=rules,
        jitter=float,
        now=0.0,
    )
    worker.job = JobSeen("job", "RUNNING")
    state.workers["w"] = worker
    state.budget.open("w", "", door=True)
    calls = [make_call(1), make_call(2), make_call(3, lost=1)]
    for call in calls:
        call.options = CallOptions(max_retries=1)
    state.pending.enter(calls)
    queue = state.pending.queue(("",))
    worker.give(queue.dequeue(2, 1e9) + queue.dequeue(1, 1e9), 0.0)
    return state, Ends(state), worker


def ended(state):
    return {c.call.id: type(c.error) for c in state.commands if isinstance(c, do.Fail)}


@pytest.mark.parametrize(
    ("verdict", "lost", "bounced", "failed"),
    [
        (Verdict.UNTRIED, [0, 0, 1], [0, 0, 0], {}),
        (Verdict.BOUNCED, [0, 0, 1], [1, 1, 1], {}),
        (Verdict.LOST, [1, 1, 2], [0, 0, 0], {3: JobLostError}),
        (Verdict.KILLED, [0, 0, 1], [0, 0, 0], dict.fromkeys((1, 2, 3), CallStoppedError)),
    ],
)
def test_each_verdict(world, verdict, lost, bounced, failed):
    state, ends, worker = world
    calls = list(worker.held.values())

    again = ends.empty(worker, lambda _: verdict)

    assert [call.lost for call in calls] == lost
    assert [call.bounced for call in calls] == bounced
    assert ended(state) == failed
    assert again == state.pending.waiting == 3 - len(failed)
    assert not worker.held


def test_the_calls_keep_their_order_and_go_first(world):
    state, ends, worker = world
    state.pending.enter([make_call(4)])

    ends.empty(worker, lambda call: Verdict.LOST if call.id == 1 else Verdict.UNTRIED)

    assert [c.id for _ in range(4) for c in state.pending.queue(("",)).dequeue(2, 1e9)] == [
        1,
        2,
        3,
        4,
    ]


def test_a_call_that_was_to_be_stopped_does_not_run_again(world):
    state, ends, worker = world
    worker.held[2].killed = True

    ends.empty(worker, lambda _: Verdict.UNTRIED)

    assert ended(state) == {2: CallStoppedError}


def test_an_error_of_the_launch_is_what_they_end_with(world):
    state, ends, worker = world

    ends.pass_on(worker, HubUnavailableError("busy"), attempted=True)

    assert ended(state) == {3: HubUnavailableError}
    assert not state.workers
    assert state.counters.retried == 2
