"""Many calls of all kinds, with children that crash: each ends once, as it should."""

from __future__ import annotations

import random

import cloudpickle
from worker_process import WorkerProcess, by_value, entries, outcomes

CALLS = 600


def act(number, deed):  # noqa: C901 - it is a table, and has to travel as one function
    import os
    import sys
    import threading
    import time

    if deed == "nap":
        time.sleep(0.003)
    elif deed == "print":
        print("call", number)
    elif deed == "fail":
        raise ValueError(number)
    elif deed == "exit":
        os._exit(number % 100 + 1)
    elif deed == "kill":
        os.kill(os.getpid(), 9)
    elif deed == "quit":
        sys.exit(number)
    elif deed == "close":
        os.closerange(0, 256)
    elif deed == "large":
        return bytes(300_000)
    elif deed == "lock":
        return threading.Lock()
    elif deed == "fork" and os.fork() == 0:
        os._exit(0)
    return number


EXPECTED = {
    "nothing": outcomes.VALUE,
    "nap": outcomes.VALUE,
    "print": outcomes.VALUE,
    "fail": outcomes.RAISED,
    "exit": outcomes.DIED,
    "kill": outcomes.DIED,
    "quit": outcomes.RAISED,
    "close": outcomes.VALUE,
    "large": outcomes.VALUE,
    "lock": outcomes.UNPICKLABLE,
    "fork": outcomes.VALUE,
}
WEIGHTS = [200, 30, 30, 20, 8, 8, 5, 3, 3, 3, 2]


def test_each_call_ends_as_it_should_whatever_the_others_do():
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    deeds = {i: chance.choices(list(EXPECTED), WEIGHTS)[0] for i in range(1, CALLS + 1)}
    function = entries.Entry(entries.FUNCTION, 5, 0, 1, cloudpickle.dumps(by_value(act)))

    def call(number):
        arguments = cloudpickle.dumps(((number, deeds[number]), {}))
        return entries.Entry(entries.CALL, number, 0, 1, entries.call_head(5) + arguments)

    with WorkerProcess(function, slots=3) as worker:
        waiting = list(deeds)
        while waiting or len(worker.outcomes) < CALLS:
            some, waiting = waiting[:50], waiting[50:]
            worker.tell(*map(call, some))
            if chance.random() < 0.3:
                again = worker.given_back(worker.tell(worker.order_of(entries.RECALL)))
                waiting += again
            # One more than there are, if any is to come: all others may have been given back.
            most = min(len(worker.outcomes), CALLS - len(waiting) - 1)
            worker.until(lambda most=most: len(worker.outcomes) > most)
        worker.tell(worker.order_of(entries.LEAVE))
        assert worker.bye() == {"why": "asked", "calls": CALLS, "returned": False}
        for number, deed in deeds.items():
            outcome = worker.outcomes[number]
            assert outcome.status == EXPECTED[deed], (number, deed, outcome)
            if deed == "exit":
                assert outcome.details()["exitcode"] == number % 100 + 1
            elif deed == "fail":
                assert outcome.exception().args == (number,)
            elif outcome.status == outcomes.VALUE and deed != "large":
                assert outcome.value() == number
            if deed == "print":
                assert worker.text(number) == [f"call {number}"]
            else:
                assert worker.text(number) == []
        assert worker.errors == b""
