"""The worker's decisions, with nothing around them: what is told in, what is wanted out."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.remote import entries, frames, outcomes, pipes, plain
from hfexecutor.remote.effects import Close, Fork, Give, Kill, Load, Resume, Stop
from hfexecutor.remote.entries import Entry
from hfexecutor.remote.machine import Machine
from hfexecutor.remote.memory import Memory
from hfexecutor.remote.ranges import Range, digest_of, name_of, seal_range
from hfexecutor.remote.slot import CLOSING, READY

SEAL = frames.Seal(b"key")
MARKER = b"\0marker"


class Driver:
    """A machine, the time, and tickets that no process has taken."""

    def __init__(self, *launch, **config):
        self.now = 100.0
        self.tickets = {}
        self.number = 0
        config = Entry(entries.CONFIG, 0, 0, 1, plain.pack(config))
        self.machine = Machine(
            SEAL, [config, *launch], "01234567", take_back=self.take_back, memory=Memory()
        )
        self.machine.start(self.now)
        self.reader = frames.LineReader(SEAL)
        self.assembler = entries.Assembler()
        self.words = []  # what was said as JSON

    def take_back(self, slot):
        tickets, self.tickets[slot] = self.tickets.get(slot, []), []
        return tickets

    def step(self):
        """Do what any driver does; return the effects."""
        effects = self.machine.step(self.now)
        for effect in effects:
            if isinstance(effect, Give):
                self.tickets.setdefault(effect.slot, []).extend(effect.calls)
        return effects

    def fork(self, slot=0):
        """Let a process start, and be ready."""
        self.machine.forked(slot, MARKER)
        self.result(slot, pipes.READY, 0)

    def take(self, slot=0):
        """Let the process begin its next call."""
        return self.tickets[slot].pop(0)

    def result(self, slot, status, call, seconds=0.0, payload=b"", *, began=0.0):
        self.machine.output(slot, MARKER, self.now)
        assert self.machine.output_is_complete(slot)
        self.machine.result(slot, (status, call, began, seconds, payload), self.now)

    def run(self, call, slot=0, seconds=0.0):
        """Let the process run a call that it was given."""
        assert self.take(slot) == call
        self.result(slot, outcomes.VALUE, call, seconds)

    def end(self, slot=0, code=-9):
        self.machine.ended(slot, 4711, code, self.now)

    def tell(self, kind, *ids, seal=SEAL, number=None):
        """Send a message; return status and reply."""
        self.number = self.number + 1 if number is None else number
        body = entries.pack([Entry(kind, 0, 0, 1, entries.pack_ids(ids))])
        status, reply = self.machine.message(frames.seal_message(seal, self.number, body), self.now)
        return (
            entries.unpack(frames.open_reply(SEAL, self.number, reply)) if status == 200 else status
        )

    def submit(self, *launch):
        self.number += 1
        message = frames.seal_message(SEAL, self.number, entries.pack(launch))
        assert self.machine.message(message, self.now)[0] == 200

    def given_back(self, reply):
        (entry,) = (entry for entry in reply if entry.kind == entries.RECALL)
        return list(entries.unpack_ids(entry.data))

    def said(self):
        """Return what was written into the log: calls with their outcomes, and all else by kind."""
        text = b""
        while chunk := self.machine.log.chunk():
            text += chunk
        said = []
        for line in text.decode().splitlines():
            found = self.reader.feed(line)
            said += [found.plain] if found.plain is not None else []
            for part in found.entries:
                entry = self.assembler.feed(part)
                if entry is not None and entry.kind == entries.OUTCOME:
                    said.append((entry.call, outcomes.decode(entry.data)))
                elif entry is not None:
                    said.append(entry.kind)
                    if entry.kind in {entries.HELLO, entries.INSTALL, entries.LOADED}:
                        self.words.append(plain.unpack(entry.data))
        return said

    def ended(self):
        """Return the calls whose outcomes were written, with their statuses."""
        self.now += 0.1  # outcomes wait for company
        self.step()
        return [(item[0], item[1].status) for item in self.said() if isinstance(item, tuple)]


def silence(driver):
    """Ask for how many milliseconds nobody was in touch; empty where nobody ever was."""
    (entry,) = driver.tell(entries.CONTACT)
    return entries.unpack_ids(entry.data)


def call(number, function=0, limit=0.0):
    head = entries.call_head(function, limit=limit)
    return Entry(entries.CALL, number, 0, 1, head + b"pickle")


def calls(count, first=1, limit=0.0):
    return [call(number, limit=limit) for number in range(first, first + count)]


def warm(*launch, **config):
    """Return a driver whose processes are ready, and given many micro-calls at once."""
    driver = Driver(*calls(80, 10_001), **config)
    for slot in range(len(driver.step())):
        driver.fork(slot)
    while driver.step():
        for slot, tickets in driver.tickets.items():
            while tickets:
                driver.run(tickets[0], slot)
    driver.now += 1
    driver.step()
    driver.said()
    driver.submit(*launch)
    driver.step()
    return driver


# --- from call to outcome


def test_a_call_is_given_and_its_outcome_written():
    driver = Driver(call(1))
    assert driver.step() == [Fork(0, cloudpickle=False)]
    driver.machine.forked(0, MARKER)
    assert driver.step() == [Give(0, [(pipes.CALL, 1, call(1).data)], [1])]
    driver.result(0, pipes.READY, 0)
    driver.run(1)
    assert driver.ended() == [(1, outcomes.VALUE)]
    assert driver.step() == []
    assert repr(driver.machine) == "<Machine [<Slot 0 ready [0 calls]>] [0 waiting, 1 answered]>"


def test_a_function_is_given_once_to_each_process():
    function = Entry(entries.FUNCTION, 7, 0, 1, b"cloudpickle of it")
    driver = Driver(function, call(1, 7), call(2, 7), slots=1)
    assert driver.step() == [Fork(0, cloudpickle=True)]
    driver.fork()
    (first,) = driver.step()
    assert [item[0] for item in first.items] == [pipes.FUNCTION, pipes.CALL]
    driver.run(1, seconds=1.0)
    (second,) = driver.step()
    assert [item[0] for item in second.items] == [pipes.CALL]


def test_only_as_many_processes_are_started_as_there_are_calls():
    driver = Driver(*calls(2), slots=4)
    assert driver.step() == [Fork(0, cloudpickle=False), Fork(1, cloudpickle=False)]
    assert not any(isinstance(effect, Fork) for effect in driver.step())


def test_one_process_is_started_before_there_is_any_call():
    assert Driver(slots=4).step() == [Fork(0, cloudpickle=False)]


def test_what_a_call_prints_comes_before_its_outcome():
    driver = Driver(call(1))
    driver.step()
    driver.fork()
    driver.step()
    driver.machine.output(0, b"hel", driver.now)
    driver.machine.output(0, b"lo\n" + MARKER[:3], driver.now)
    assert not driver.machine.output_is_complete(0)
    driver.machine.output(0, MARKER[3:] + b"of the next", driver.now)
    driver.take()
    driver.machine.result(0, (outcomes.VALUE, 1, 0.0, 0.0, b""), driver.now)
    driver.step()
    said = driver.said()
    assert said[:2] == [entries.SPEAKER, "hello"]
    assert said[2][1].printed == 1


def test_a_line_that_was_begun_is_shown_after_a_while():
    driver = Driver(call(1))
    driver.step()
    driver.fork()
    driver.step()
    driver.take()
    driver.machine.output(0, b"50 %", driver.now)
    driver.step()
    assert "50 %" not in driver.said()
    driver.now = driver.machine.due()
    driver.step()
    assert driver.said() == [entries.SPEAKER, "50 %"]


# --- what was given ahead


def test_what_waits_behind_a_slow_call_is_taken_back_in_time():
    driver = warm(*calls(4))
    assert driver.machine.pool.slots[0].given.keys() == {1, 2, 3, 4}
    driver.take()
    driver.now += 0.01
    assert driver.step() == []
    assert driver.machine.pool.slots[0].given.keys() == {1}
    assert len(driver.machine.pool.queue) == 3
    driver.result(0, outcomes.VALUE, 1, 1.0)
    assert driver.step()[0].calls == [2]


def test_an_idle_process_takes_over_what_another_one_has_not_begun():
    driver = warm(*calls(20), slots=2)
    own = list(driver.tickets[1])
    driver.take(0)
    for number in own:
        driver.run(number, 1)
    rest = len(driver.tickets[0])
    given = driver.step()
    assert sorted(effect.slot for effect in given) == [0, 1]
    assert sum(len(effect.calls) for effect in given) == rest == 9


def test_the_first_calls_begin_at_once_wherever_the_others_wait():
    """One of them may wait for another: in a pool of two processes both run."""
    driver = warm(*calls(20), slots=2)

    assert {driver.take(0), driver.take(1)} == {1, 2}


def test_who_is_idle_takes_what_came_first_and_not_what_came_last():
    driver = warm(*calls(3), slots=2)
    for slot, tickets in driver.tickets.items():
        for number in list(tickets):
            driver.run(number, slot)
    driver.step()
    driver.end(1)  # its place is empty while the next calls come
    driver.submit(*calls(100, 101))
    driver.step()
    assert driver.take(0) == 101
    assert 102 in driver.machine.pool.slots[0].given

    driver.now += 0.005  # 101 is no micro-call
    driver.fork(1)
    driver.step()
    assert driver.take(1) == 102


@pytest.mark.parametrize("head", [entries.call_head(7), entries.call_head(0, 3)])
def test_a_call_is_refused_whose_function_or_packages_were_sent_in_a_former_life(head):
    """The Hub may start a job again: such a call once ended as one that cannot be unpickled."""
    driver = Driver(*calls(1))
    message = entries.pack([Entry(entries.CALL, 2, 0, 1, head + b"pickle")])
    assert driver.machine.message(frames.seal_message(SEAL, 9, message), driver.now) == (409, b"")
    driver.step()
    driver.fork()
    driver.step()
    driver.run(1)
    assert driver.ended() == [(1, outcomes.VALUE)]
    assert not driver.machine.pool.holds(2)


def test_a_recall_brings_back_what_has_not_begun():
    driver = warm(*calls(4))
    driver.take()
    assert driver.given_back(driver.tell(entries.RECALL, 1, 3)) == [3]
    assert driver.given_back(driver.tell(entries.RECALL)) == [2, 4]
    driver.result(0, outcomes.VALUE, 1)
    assert driver.ended() == [(1, outcomes.VALUE)]


# --- a kill is for one call


def test_a_call_is_killed_and_tells_that_it_was_asked():
    driver = warm(call(1))
    driver.take()
    assert driver.given_back(driver.tell(entries.KILL, 1)) == []
    assert driver.step() == [Stop(0)]
    driver.machine.stopped(0)
    assert driver.step() == [Kill(0)]
    driver.end()
    driver.now += 0.1
    driver.step()
    ((number, outcome),) = driver.said()
    assert (number, outcome.status) == (1, outcomes.DIED)
    assert outcome.details()["asked"] is True


def test_a_call_is_killed_that_a_new_process_has_begun_before_anybody_heard_that_it_is_ready():
    """The kill was forgotten: the call ran to its end."""
    driver = Driver(call(1))
    assert isinstance(driver.step()[0], Fork)
    driver.machine.forked(0, MARKER)
    driver.step()
    assert driver.take() == 1
    assert driver.given_back(driver.tell(entries.KILL, 1)) == []
    assert driver.step() == []  # it may be at its initializer, which is nobody's call
    driver.result(0, pipes.READY, 0)
    assert driver.step() == [Stop(0)]
    driver.machine.stopped(0)
    assert driver.step() == [Kill(0)]
    driver.end()
    driver.step()
    assert driver.ended() == [(1, outcomes.DIED)]


def test_a_kill_that_comes_as_its_call_ends_kills_nobody():
    """Its result was on its way: what runs by now is another call, given ahead."""
    driver = warm(*calls(3))
    assert driver.take() == 1
    assert driver.take() == 2  # it has finished 1, which nobody has heard yet
    assert driver.given_back(driver.tell(entries.KILL, 1)) == []
    assert driver.step() == [Stop(0)]
    driver.result(0, outcomes.VALUE, 1)
    driver.machine.stopped(0)
    assert driver.step()[0] == Resume(0)
    assert driver.machine.pool.slots[0].phase == READY
    driver.result(0, outcomes.VALUE, 2)
    driver.step()
    driver.run(3)
    assert driver.ended() == [(1, outcomes.VALUE), (2, outcomes.VALUE), (3, outcomes.VALUE)]


def test_a_kill_that_comes_between_two_calls_kills_nobody():
    driver = warm(*calls(2))
    driver.take()
    driver.tell(entries.KILL, 1)
    driver.step()
    driver.result(0, outcomes.VALUE, 1)
    driver.machine.stopped(0)
    assert driver.step() == [Resume(0), Give(0, [(pipes.CALL, 2, call(2).data)], [2])]


def makes_way(limit=0.0, **config):
    """Return a driver whose process is in call 1, and is let go for call 2: another world's."""
    needs = [
        Entry(entries.NEED, number, 0, 1, json.dumps({"archives": {"m": number}}).encode())
        for number in (1, 2)
    ]
    data = [entries.call_head(0, need, limit) + b"pickle" for need in (1, 2)]
    driver = Driver(*needs, Entry(entries.CALL, 1, 0, 1, data[0]), **config)
    driver.step()
    driver.fork()
    driver.step()
    driver.take()
    driver.submit(Entry(entries.CALL, 2, 0, 1, data[1]))
    assert driver.step() == [Close(0)]
    assert driver.machine.pool.slots[0].phase == CLOSING
    return driver


def test_what_no_idle_process_can_run_stays_where_it_was_given_ahead():
    needs = [
        Entry(entries.NEED, number, 0, 1, json.dumps({"archives": {"m": number}}).encode())
        for number in (1, 2)
    ]

    def needing(number, need):
        return Entry(entries.CALL, number, 0, 1, entries.call_head(0, need) + b"pickle")

    driver = Driver(*needs, needing(1, 1), needing(2, 2), slots=2)
    driver.step()
    driver.fork(0)
    driver.fork(1)
    driver.step()
    driver.run(1, 0)
    driver.run(2, 1)
    driver.step()
    driver.submit(*(needing(number, 1) for number in (3, 4)))
    (give,) = driver.step()
    assert give.calls == [3, 4]
    assert driver.step() == []  # process 1 is idle, and has another version of the module


def test_a_call_is_killed_whose_process_is_let_go():
    driver = makes_way()
    driver.tell(entries.KILL, 1)
    assert driver.step() == [Stop(0)]
    driver.machine.stopped(0)
    assert driver.step() == [Kill(0)]
    driver.end()
    assert driver.step() == [Fork(0, cloudpickle=False)]
    assert driver.ended() == [(1, outcomes.DIED)]


def test_a_call_times_out_whose_process_is_let_go():
    driver = makes_way(limit=5.0)
    driver.now += 5.0
    assert driver.step() == [Stop(0)]
    driver.machine.stopped(0)
    assert driver.step() == [Kill(0)]


def test_a_kill_that_comes_as_its_call_ends_lets_its_process_end():
    driver = makes_way()
    driver.tell(entries.KILL, 1)
    driver.step()
    driver.result(0, outcomes.VALUE, 1)
    driver.machine.stopped(0)
    assert driver.step() == [Resume(0)]  # and not another Close
    assert driver.machine.pool.slots[0].phase == CLOSING


def test_a_call_that_has_not_begun_is_given_up_and_nobody_is_stopped():
    driver = warm(*calls(2))
    driver.take()
    assert driver.given_back(driver.tell(entries.KILL, 2)) == [2]
    assert driver.step() == []


def test_who_is_killed_besides_the_call_that_it_is_in_loses_nothing():
    driver = warm(*calls(3))
    driver.take()
    driver.tell(entries.KILL, 1)
    driver.step()
    driver.machine.stopped(0)
    driver.step()
    driver.end()
    assert driver.step() == [Fork(0, cloudpickle=False)]
    driver.fork()
    assert driver.step()[0].calls == [2]


def test_a_call_that_dies_while_it_is_to_be_killed_was_killed_as_asked():
    driver = warm(call(1))
    driver.take()
    driver.tell(entries.KILL, 1)
    driver.step()
    driver.end(code=1)
    driver.now += 0.1
    driver.step()
    ((_, outcome),) = driver.said()
    assert outcome.details()["asked"] is True


def test_a_process_that_stands_by_itself_is_no_concern():
    driver = warm(call(1))
    driver.take()
    driver.machine.stopped(0)
    assert driver.step() == []
    assert driver.machine.pool.slots[0].phase == READY


def test_a_call_that_takes_too_long_is_killed():
    driver = Driver(call(1, limit=5))
    driver.step()
    driver.fork()
    driver.step()
    driver.take()
    assert driver.machine.pool.due() == driver.now + 5
    driver.now += 5
    assert driver.step() == [Stop(0)]
    driver.machine.stopped(0)
    assert driver.step() == [Kill(0)]
    driver.end()
    driver.step()
    ((_, outcome),) = (item for item in driver.said() if isinstance(item, tuple))
    assert (outcome.status, outcome.details()) == (outcomes.TIMEOUT, {"seconds": 5})


def test_each_call_has_a_limit_of_its_own():
    driver = Driver(call(1), call(2, limit=5))
    driver.step()
    driver.fork()
    driver.step()
    driver.take()
    driver.now += 100
    driver.step()
    driver.result(0, outcomes.VALUE, 1)
    driver.step()
    driver.take()
    assert driver.machine.pool.due() == driver.now + 5


def test_a_timeout_that_comes_as_its_call_ends_kills_nobody():
    driver = warm(*calls(3, limit=0.005))
    driver.take()
    driver.now += 0.005
    assert driver.step() == [Stop(0)]
    driver.result(0, outcomes.VALUE, 1, 0.004)
    driver.take()
    driver.machine.stopped(0)
    assert driver.step()[0] == Resume(0)
    assert driver.machine.due() > driver.now
    driver.result(0, outcomes.VALUE, 2, 0.004)
    assert driver.ended() == [(1, outcomes.VALUE), (2, outcomes.VALUE)]


@given(st.floats(0.0001, 1e6), st.floats(0, 1e9))
def test_what_is_due_is_done_and_not_due_again(timeout, now):
    """Whatever the rounding: a moment that has come must not come again and again."""
    driver = Driver(call(1, limit=timeout), idle_timeout=timeout)
    driver.now = now
    driver.step()
    driver.fork()
    driver.step()
    driver.take()
    driver.said()
    for _ in range(40):
        due = driver.machine.due()
        if due == math.inf:
            break
        driver.now = max(driver.now, due)
        while effects := driver.step():
            for effect in effects:
                if effect == Stop(0):
                    driver.machine.stopped(0)
                elif effect == Kill(0):
                    driver.end()
        due = driver.machine.due()
        assert due > driver.now or driver.machine.over
    assert driver.machine.over


# --- processes that end


def test_a_process_that_dies_ends_with_its_call_and_loses_no_other():
    driver = warm(*calls(3))
    driver.take()
    driver.machine.output(0, b"last words", driver.now)
    driver.end(code=-11)
    assert driver.step() == [Fork(0, cloudpickle=False)]
    driver.now += 0.1
    driver.step()
    speaker, line, (number, outcome) = driver.said()
    assert (speaker, line, number) == (entries.SPEAKER, "last words", 1)
    assert outcome.details() == {
        "pid": 4711, "during": "call", "asked": False, "exitcode": None, "signal": 11
    }  # fmt: skip
    driver.fork()
    assert driver.step()[0].calls == [2]


def test_processes_that_never_start_fail_one_call_after_the_other():
    driver = Driver(*calls(2))
    for _ in range(6):
        assert driver.step()[0] == Fork(0, cloudpickle=False)
        driver.machine.forked(0, MARKER)
        driver.step()
        driver.end(code=7)
    driver.step()
    ended = [item for item in driver.said() if isinstance(item, tuple)]
    assert [(number, outcome.status) for number, outcome in ended] == [
        (1, outcomes.DIED),
        (2, outcomes.DIED),
    ]
    assert (ended[0][1].details()["during"], ended[0][1].details()["exitcode"]) == ("start", 7)
    assert not driver.machine.pool.busy


def test_what_was_given_to_a_process_that_died_before_it_began_comes_first_again():
    driver = Driver(*calls(3))
    driver.step()
    driver.machine.forked(0, MARKER)
    assert driver.step()[0].calls == [1]
    driver.end(code=7)
    assert driver.ended() == []
    assert list(driver.machine.pool.queue.take(9)) == [1, 2, 3]


def test_a_fork_that_fails_is_tried_again_later():
    driver = Driver(call(1))
    assert driver.step() == [Fork(0, cloudpickle=False)]
    driver.machine.fork_failed(0, driver.now)
    assert driver.step() == []
    assert driver.machine.due() == driver.now + 1.0
    driver.now += 1.0
    assert driver.step() == [Fork(0, cloudpickle=False)]


def test_a_fork_that_failed_is_due_once_even_if_no_process_is_wanted_any_more():
    driver = Driver(call(1))
    driver.step()
    driver.machine.fork_failed(0, driver.now)
    driver.step()
    driver.tell(entries.RECALL)
    driver.now += 1.0
    assert driver.step() == []
    assert driver.machine.due() > driver.now


def test_an_initializer_that_ends_its_process_ends_the_worker():
    driver = Driver(Entry(entries.INIT, 0, 0, 1, b"pickle"), call(1))
    driver.step()
    driver.machine.forked(0, MARKER)
    driver.end(code=3)
    assert driver.step() == []
    assert driver.ended() == [(0, outcomes.DIED)]
    assert driver.machine.over


def test_an_initializer_that_raises_ends_the_worker():
    driver = Driver(Entry(entries.INIT, 0, 0, 1, b"pickle"), call(1))
    driver.step()
    driver.machine.forked(0, MARKER)
    driver.result(0, outcomes.INITIALIZER, 0, payload=b"why")
    assert driver.ended() == [(0, outcomes.INITIALIZER)]
    assert driver.machine.over


# --- max_tasks_per_child


def test_a_process_is_replaced_after_its_share_of_calls():
    driver = Driver(*calls(5), max_tasks_per_child=2)
    driver.step()
    driver.fork()
    for number in (1, 2):
        (give,) = driver.step()
        assert give.calls == [number]
        driver.run(number)
    assert driver.step() == [Close(0)]
    assert driver.machine.pool.slots[0].phase == CLOSING
    driver.end(code=70)
    assert driver.step() == [Fork(0, cloudpickle=False)]
    driver.fork()
    assert driver.step()[0].calls == [3]
    assert [item for item in driver.ended() if item[0] > 1] == [(2, outcomes.VALUE)]


def test_nothing_is_given_ahead_beyond_a_process_share():
    driver = Driver(*calls(200), max_tasks_per_child=90)
    driver.step()
    driver.fork()
    for number in range(1, 91):
        driver.step()
        driver.run(number)
        assert driver.machine.pool.slots[0].given.keys() <= set(range(1, 91))
    assert driver.step() == [Close(0)]


# --- when and where


def test_an_outcome_says_in_which_slot_its_call_began_and_when():
    driver = Driver(call(1), call(2), slots=2)  # since 100.0
    driver.step()
    driver.fork(0)
    driver.fork(1)
    driver.step()
    driver.now += 1
    driver.take(1)
    driver.result(1, outcomes.VALUE, 2, 0.5, began=100.25)
    driver.take(0)
    driver.now += 1
    driver.end(0, code=-9)  # this one's process says nothing any more
    driver.now += 0.1
    driver.step()

    ended = dict(item for item in driver.said() if isinstance(item, tuple))
    assert (ended[2].began, ended[2].slot, ended[2].duration) == (0.25, 1, 0.5)
    assert (ended[1].began, ended[1].slot, ended[1].duration) == (0.0, 0, 2.0)


def test_hello_says_when_the_machine_began():
    driver = Driver()
    driver.machine.greet(None, None, driver.now, clock=1234.5)
    driver.step()
    driver.said()

    (hello,) = driver.words
    assert hello["clock"] == 1234.5


@pytest.mark.parametrize("port", [None, 8000])
def test_hello_is_written_before_anything_else_is_done(port):
    """The first call that is given may be the end of the worker."""
    driver = Driver()
    driver.machine.greet(port, None, driver.now)
    driver.said()

    assert [hello["door"] for hello in driver.words] == [port]


@pytest.mark.parametrize("fails", [False, True])
def test_an_installation_is_said_when_it_begins_and_when_it_ends(fails):
    need = {"requirements": {"a": "a==1"}}
    driver = Driver(
        Entry(entries.NEED, 1, 0, 1, json.dumps(need).encode()),
        Entry(entries.CALL, 1, 0, 1, entries.call_head(0, 1) + b"pickle"),
    )
    driver.now += 2
    driver.step()
    driver.now += 3
    if fails:
        driver.machine.install_failed("there is no a", driver.now)
    else:
        driver.machine.installed(driver.now)
    driver.step()
    driver.now += 0.1
    driver.step()

    assert driver.said().count(entries.INSTALL) == 2
    assert driver.words == [
        {"began": 2.0, "seconds": None, "failed": False},
        {"began": 2.0, "seconds": 3.0, "failed": fails},
    ]


def test_what_another_installation_has_brought_is_seen_although_nothing_else_happens():
    needs = enumerate(({"a": "a==1", "b": "b==1"}, {"a": "a==2"}, {"a": "a==1"}), 1)
    driver = Driver(
        *(
            Entry(entries.NEED, number, 0, 1, json.dumps({"requirements": need}).encode())
            for number, need in needs
        ),
        *(
            Entry(entries.CALL, number, 0, 1, entries.call_head(0, number) + b"pickle")
            for number in (1, 2, 3)
        ),
    )
    driver.step()
    driver.machine.installed(driver.now)
    driver.step()
    driver.fork()
    driver.step()
    driver.run(1)
    driver.step()
    driver.machine.install_failed("there is no such a", driver.now)

    (give,) = (effect for effect in driver.step() if isinstance(effect, Give))
    assert give.calls == [3]


# --- the end of the worker


def test_it_leaves_when_it_has_had_nothing_to_do_for_long():
    driver = Driver(call(1), idle_timeout=60)
    driver.step()
    driver.fork()
    driver.step()
    driver.run(1)
    driver.step()
    leaves_at = driver.now + 60
    while driver.machine.due() < leaves_at:  # that the call was here need not be said any more
        driver.now = driver.machine.due()
        driver.step()
        assert not driver.machine.over
    driver.now = driver.machine.due()
    assert driver.now == leaves_at
    driver.step()
    assert driver.machine.over
    driver.said()
    driver.machine.take_leave(driver.now)
    assert driver.said()[-1] == entries.BYE


def test_it_waits_for_the_first_visit_before_it_counts_as_idle():
    driver = Driver(idle_timeout=1)
    driver.step()
    driver.machine.greet(8000, None, driver.now)
    driver.step()
    driver.now += 20
    driver.step()
    assert not driver.machine.over
    driver.tell(entries.ACK)
    driver.step()
    driver.now += 0.9
    driver.step()
    assert not driver.machine.over
    driver.now += 0.1
    driver.step()
    assert driver.machine.over


def test_it_does_not_wait_for_ever_for_a_first_visit():
    driver = Driver(idle_timeout=1)
    driver.step()
    driver.machine.greet(8000, None, driver.now)
    driver.step()
    driver.now += 30
    driver.step()
    assert driver.machine.over


def keeps(**config):
    """Return a driver with an outcome that nobody has, and nothing to do."""
    driver = Driver(call(1), **config)
    driver.step()
    driver.fork()
    driver.step()
    driver.run(1)
    driver.step()
    return driver


def is_over_after(driver, seconds):
    driver.now += seconds
    driver.step()
    return driver.machine.over


def test_it_stays_for_an_outcome_that_nobody_has_as_long_as_it_may_be_kept():
    driver = keeps(idle_timeout=1, keep_for=100)

    assert not is_over_after(driver, 99)
    assert is_over_after(driver, 1)


def test_it_leaves_once_the_outcome_was_fetched():
    driver = keeps(idle_timeout=5, keep_for=100)
    assert not is_over_after(driver, 3)
    driver.tell(entries.ACK, 1)

    assert not is_over_after(driver, 1)
    assert is_over_after(driver, 1)


def test_it_leaves_at_once_when_a_late_client_has_fetched_everything():
    driver = keeps(idle_timeout=5, keep_for=100)
    assert not is_over_after(driver, 50)
    driver.tell(entries.ACK, 1)

    assert is_over_after(driver, 0)


def test_it_never_keeps_for_less_than_it_would_stay_anyway():
    driver = keeps(idle_timeout=50, keep_for=1)

    assert not is_over_after(driver, 49)
    assert is_over_after(driver, 1)


def test_a_call_that_takes_its_time_is_named_in_the_log():
    driver = Driver(call(1), call(2), idle_timeout=60)
    driver.step()
    driver.fork()
    driver.step()
    driver.run(1)
    driver.step()
    driver.said()
    driver.now += 1.0
    driver.step()
    assert driver.said() == [entries.HELD]
    driver.run(2)
    driver.now += 1.0
    driver.step()
    assert [item[0] for item in driver.said()] == [2]


def test_who_asks_for_everything_hears_what_it_holds():
    driver = Driver(call(1), call(2))
    driver.step()
    driver.fork()
    driver.step()
    reply = driver.tell(entries.AGAIN)

    (held,) = [entry for entry in reply if entry.kind == entries.HELD]
    assert sorted(entries.unpack_ids(held.data)) == [1, 2]
    assert not any(entry.kind == entries.HELD for entry in driver.tell(entries.AGAIN, 1))


def key(number, text):
    return entries.Entry(entries.KEY, number, 0, 1, entries.pack_key(bytes(32), text))


def test_a_key_is_told_with_all_that_is_told_of_its_call():
    driver = Driver(key(1, "one"), call(1), key(2, "two"), call(2), call(3), idle_timeout=60)
    driver.step()
    driver.fork()
    driver.step()
    driver.run(1)
    driver.step()
    told, (number, _) = driver.said()
    assert (told, number) == (entries.KEY, 1)
    driver.now += 1.0
    driver.step()
    assert driver.said() == [entries.HELD, entries.KEY]

    told = [(e.kind, e.call) for e in driver.tell(entries.AGAIN)]
    assert told[:4] == [
        (entries.HELD, 0), (entries.KEY, 2), (entries.KEY, 1), (entries.OUTCOME, 1),
    ]  # fmt: skip


def test_a_key_is_forgotten_with_the_outcome_that_somebody_has():
    driver = Driver(key(1, "one"), call(1), idle_timeout=60)
    driver.step()
    driver.fork()
    driver.step()
    driver.run(1)
    driver.step()
    driver.tell(entries.ACK, 1)
    assert list(driver.machine.log.keys_of((1,))) == []


@pytest.mark.parametrize("text", ["", "shard-1", "\udc80 no text", "\0", "x" * 10_000, "é" * 300])
def test_any_text_is_a_key_and_a_long_one_is_told_in_part(text):
    data = entries.pack_key(b"d" * 32, text)
    assert len(data) <= 32 + 4 * 200
    digest, told = entries.unpack_key(data)
    assert digest == b"d" * 32
    assert told == text[:200].encode("utf-8", "replace").decode()


def test_what_is_too_short_for_a_key_is_none():
    with pytest.raises(entries.FrameError):
        entries.unpack_key(b"d" * 31)


def test_it_leaves_when_it_is_told_to_and_has_done_its_calls():
    driver = Driver(call(1))
    driver.step()
    driver.fork()
    driver.step()
    driver.tell(entries.LEAVE)
    driver.step()
    assert not driver.machine.over
    driver.run(1)
    driver.step()
    assert driver.machine.over


def test_a_fetch_that_is_sent_again_does_not_hold_it():
    driver = Driver(call(1), idle_timeout=1, port=8000)
    driver.step()
    driver.fork()
    driver.step()
    driver.tell(entries.ACK)  # somebody comes to the door
    driver.take()
    driver.result(0, outcomes.VALUE, 1, payload=bytes(300_000))
    driver.step()
    begun = driver.now
    assert driver.machine.log.awaits_fetches
    body = entries.pack([Entry(entries.FETCH, 1, 0, 1, entries.pack_ids([0, 9]))])
    message = frames.seal_message(SEAL, 50, body)
    assert driver.machine.message(message, driver.now)[0] == 200
    for _ in range(5):
        driver.now += 20
        assert driver.machine.message(message, driver.now)[0] == 200
        driver.step()
    assert driver.now > begun + 60
    assert not driver.machine.log.awaits_fetches


def test_what_nobody_fetches_holds_it_no_longer_than_until_that_is_written():
    driver = Driver(call(1), idle_timeout=1, port=8000)
    driver.step()
    driver.fork()
    driver.step()
    driver.tell(entries.ACK)  # somebody comes to the door, once
    driver.take()
    driver.result(0, outcomes.VALUE, 1, payload=bytes(300_000))
    driver.step()
    for _ in range(100):
        if driver.machine.over or driver.machine.due() == math.inf:
            break
        driver.now = driver.machine.due()  # nothing else ever happens
        driver.step()
    assert driver.machine.over


def test_who_comes_without_the_key_is_reported_once_a_minute():
    driver = Driver(idle_timeout=1000)
    driver.step()
    for _ in range(3):
        assert driver.tell(entries.LEAVE, seal=frames.Seal(b"other")) == 403
    driver.step()
    assert driver.said() == [entries.REFUSED]
    driver.now += 60
    assert driver.tell(entries.LEAVE, seal=frames.Seal(b"other")) == 403
    driver.step()
    assert driver.said() == [entries.REFUSED]
    assert not driver.machine.over


def test_effects_say_what_they_are():
    assert repr(Give(1, [(b"C", 2, b"x")], [2])) == "Give(1, [(b'C', 2, b'x')], [2])"
    assert repr(Stop(3)) == "Stop(3)"
    assert Stop(1) != Kill(1)
    assert Stop(1) != Stop(2)


# --- who only looks


def test_who_looks_is_told_for_how_long_nobody_was_in_touch():
    driver = Driver(*calls(2))

    assert silence(driver) == ()
    driver.submit(call(3))
    driver.now += 90
    assert silence(driver) == (90_000,)
    driver.now += 10
    assert silence(driver) == (100_000,)  # who asked is nobody


def test_a_request_that_stands_is_somebody_in_touch():
    driver = Driver(*calls(2))
    body = entries.pack([Entry(entries.LISTEN, 0, 0, 1, entries.pack_ids([0, 200_000]))])
    assert driver.machine.message(frames.seal_message(SEAL, 1, body), driver.now, 7) is None
    driver.number = 1
    driver.now += 90

    assert silence(driver) == (0,)


def test_who_only_looks_does_not_take_what_is_large_from_the_log():
    driver = Driver(*calls(1))
    silence(driver)
    assert not driver.machine.log.fetched
    driver.submit(call(2))
    assert driver.machine.log.fetched


@pytest.mark.parametrize("runs", [False, True])
def test_a_call_that_comes_twice_runs_once(runs):
    driver = Driver(call(1))
    driver.step()
    if runs:
        driver.fork()
        driver.step()
        driver.take()
    driver.submit(call(1))
    driver.step()
    if not runs:
        driver.fork()
        driver.step()
        assert driver.take() == 1
    driver.result(0, outcomes.VALUE, 1)
    driver.step()
    driver.submit(call(1))
    driver.step()
    assert driver.tickets[0] == []
    assert driver.machine.pool.answered == 1


# --- buffers that are files -----------------------------------------------------------------------

CONTENT = bytes(1000)
NAME = name_of(len(CONTENT), [digest_of(CONTENT)])
LOAD = Entry(entries.LOAD, 7, 0, 1, entries.pack_ids([len(CONTENT)]) + NAME)


def mounted(**config):
    driver = Driver(port=80, arguments="/files", idle_timeout=5.0, **config)
    driver.machine.greet(80, None, driver.now)
    driver.step()
    driver.said()
    return driver


def loaded(driver):
    """Return what was said of orders to read files, as (number, why)."""
    driver.step()
    driver.words.clear()
    driver.said()
    return [(word["number"], word["why"]) for word in driver.words]


def has_it(driver):
    return NAME in driver.machine.pool.buffers


def test_a_buffer_is_read_from_its_file_and_that_is_said():
    driver = mounted()
    driver.submit(LOAD)
    assert Load(7, NAME) in driver.step()
    assert (has_it(driver), loaded(driver)) == (False, [])
    driver.machine.loaded(7, "")
    assert (has_it(driver), loaded(driver)) == (True, [(7, "")])
    driver.submit(LOAD._replace(call=8))  # it is here
    assert loaded(driver) == [(8, "")]


def test_why_a_file_cannot_be_read_is_said_and_it_can_come_otherwise():
    driver = mounted()
    driver.submit(LOAD)
    driver.step()
    driver.machine.loaded(7, "not there")
    assert (has_it(driver), loaded(driver)) == (False, [(7, "not there")])
    send_range(driver)
    assert has_it(driver)


def send_range(driver):
    driver.number += 1
    head = seal_range(SEAL, driver.number, Range(NAME, len(CONTENT), 0, digest_of(CONTENT)))
    assert driver.machine.range(head + CONTENT, driver.now)[0] == 200


def test_a_job_that_has_mounted_nothing_says_so():
    driver = Driver(port=80)
    driver.submit(LOAD)
    ((number, why),) = loaded(driver)
    assert (number, "no such folder" in why) == (7, True)


def test_one_that_comes_through_the_door_meanwhile_is_read_no_more():
    driver = mounted()
    driver.submit(LOAD)
    driver.step()
    send_range(driver)
    assert has_it(driver)
    driver.machine.loaded(7, "")
    assert loaded(driver) == []
    assert has_it(driver)


def test_one_that_is_dropped_meanwhile_is_not_here():
    driver = mounted()
    driver.submit(LOAD)
    driver.submit(Entry(entries.DROP, driver.number, 0, 1, NAME))
    assert not any(isinstance(effect, Load) for effect in driver.step())
    driver.submit(LOAD._replace(call=8))
    driver.step()
    driver.machine.loaded(7, "")  # of the former order
    assert not has_it(driver)
    driver.machine.loaded(8, "")
    assert has_it(driver)


def test_a_worker_that_reads_a_file_is_not_idle():
    driver = mounted()
    driver.submit(LOAD)
    driver.now += 60
    driver.step()
    assert not driver.machine.over
    driver.machine.loaded(7, "")
    driver.step()
    driver.now = driver.machine.due()
    driver.step()
    assert driver.machine.over


def test_a_buffer_for_which_there_is_no_room_is_not_read():
    driver = mounted()
    driver.submit(Entry(entries.LOAD, 7, 0, 1, entries.pack_ids([1 << 60]) + NAME))
    ((number, why),) = loaded(driver)
    assert (number, "free" in why) == (7, True)
