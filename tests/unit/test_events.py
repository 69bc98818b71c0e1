"""Events as listeners get them, and as the log has them."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from hfexecutor import HubExecutor
from hfexecutor.events import (
    CallEnd,
    CallEnded,
    CallsEnded,
    Events,
    JobsLaunched,
    JobStarted,
    PackagesNeeded,
    RunDetached,
    RunEnded,
    RunInterrupted,
    RunStarted,
    Trouble,
)

WAY_BACK = "hfexecutor attach nightly"
LINES = [
    (
        RunStarted(0.0, "nightly", WAY_BACK),
        "run nightly; to get back to it: hfexecutor attach nightly",
    ),
    (RunStarted(0.0, "nightly", ""), "run nightly"),
    (
        RunDetached(0.0, "nightly", WAY_BACK),
        ("run nightly goes on without this process; to get back to it: hfexecutor attach nightly"),
    ),
    (
        RunInterrupted(0.0, "nightly", WAY_BACK, "KeyboardInterrupt left the with block"),
        (
            "run nightly is being stopped: KeyboardInterrupt left the with block; what it has "
            "done: hfexecutor attach nightly"
        ),
    ),
    (JobsLaunched(0.0, 4, "cpu-upgrade"), "launching 4 jobs on cpu-upgrade"),
    (JobStarted(0.0, "j1", "https://x/j1", 5.84, 2), "job j1 is up after 5.8 s: https://x/j1"),
    (PackagesNeeded(0.0, ("numpy==2.1",)), "jobs install numpy==2.1 before they run what needs it"),
    (CallEnded(0.0, 7, "j1", 0.25, None), "call 7 is done after 0.250 s"),
    (CallEnded(0.0, 7, "j1", 0.25, "ValueError"), "call 7 raised ValueError after 0.250 s"),
    (RunEnded(0.0, 1, 0, 1, 2.0, None), "run over: 1 call, 1 job, 2.0 s"),
    (
        RunEnded(0.0, 1200, 3, 4, 61.0, 0.0123),
        "run over: 1,200 calls, 3 failed, 4 jobs, 61.0 s, $0.0123 at most",
    ),
]


@pytest.mark.parametrize(("event", "line"), LINES, ids=lambda one: type(one).__name__)
def test_an_event_reads_as_a_line(event, line):
    assert str(event) == line
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.at = 1.0


def test_listeners_hear_everything_until_they_stop(caplog):
    events, heard, all_heard = Events(), [], []

    def complain(event):
        raise ValueError(event)

    assert not events.are_heard(Trouble)
    events.listen(complain)
    stop = events.listen(heard.append)
    events.listen(all_heard.append)
    assert events.are_heard(Trouble)
    events.tell(first := Trouble(0.0, "first"))
    stop()
    stop()
    events.tell(second := Trouble(0.0, "second"))

    assert heard == [first]
    assert all_heard == [first, second]
    assert [record.exc_info[0] for record in caplog.records] == [ValueError, ValueError]


def test_a_listener_hears_the_kinds_that_it_asks_for():
    events, heard = Events(), []
    stop = events.listen(heard.append, kinds=[RunEnded])
    events.tell(Trouble(0.0, "first"))
    events.tell(over := RunEnded(0.0, 0, 0, 0, 0.0, None))

    assert heard == [over]
    assert (events.are_heard(RunEnded), events.are_heard(Trouble)) == (True, False)
    stop()
    assert not events.are_heard(RunEnded)


def test_what_comes_many_at_a_time_is_heard_by_who_asks_for_it_alone():
    events, all_heard, heard = Events(), [], []
    events.listen(all_heard.append)
    assert not events.are_heard(CallsEnded)
    events.listen(heard.append, kinds=[CallsEnded])
    events.tell(many := CallsEnded(0.0, (CallEnd(7, "j1", 0.5, None, 1.0, 0),)))

    assert str(many) == "1 call ended"
    assert heard == [many]
    assert all_heard == []


def test_an_iterator_yields_what_comes_up_to_the_end():
    events = Events()
    iterator = iter(events)
    told = [Trouble(0.0, "a"), RunEnded(0.0, 0, 0, 0, 0.0, None)]
    thread = threading.Thread(target=lambda: [events.tell(event) for event in told])
    thread.start()

    assert list(iterator) == told
    thread.join()
    assert not events.are_heard(Trouble)
    assert list(events) == told[1:]  # it is over, whoever asks


def test_an_executor_that_never_ran_anything_ends_too():
    with HubExecutor(1, endpoint="local") as executor:
        pass

    (event,) = executor.events
    assert (event.calls, event.jobs, event.dollars) == (0, 0, 0.0)
