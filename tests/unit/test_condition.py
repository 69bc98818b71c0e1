"""A future's condition: the stdlib's own, made when somebody waits."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from hfexecutor.condition import Condition
from hfexecutor.futures import HubFuture


def test_a_future_of_ours_has_all_that_the_stdlibs_has():
    ours, theirs = vars(HubFuture()), vars(Future())

    assert ours.pop("_condition") is not None
    assert theirs.pop("_condition") is not None
    assert ours == theirs


def test_who_waits_is_woken():
    condition, woken = Condition(), []

    def wait():
        with condition:
            woken.append(condition.wait(10))

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with condition:
            condition.notify_all()

    assert woken == [True, True, True]


def test_it_says_when_nobody_came():
    condition = Condition()
    with condition:
        assert condition.wait(0.001) is False


def test_its_lock_is_taken_more_than_once_by_its_owner_and_by_nobody_else():
    condition, taken = Condition(), []
    with condition, condition:
        other = threading.Thread(target=lambda: taken.append(condition.acquire(blocking=False)))
        other.start()
        other.join()

    assert taken == [False]
    assert condition.acquire(blocking=False)
    condition.release()


def test_nobody_waits_without_the_lock():
    with pytest.raises(RuntimeError):
        Condition().wait(0.001)
