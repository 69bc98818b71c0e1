"""What threads wait for: woken as by the stdlib's own, and safe to interrupt."""

from __future__ import annotations

import threading
import time
import weakref
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from hfexecutor import condition as module
from hfexecutor.condition import Condition, Latch
from hfexecutor.futures import HubFuture

from ..interrupts import (  # noqa: TID252 - tests are no package
    in_another_thread,
    interrupted_at_each_point,
    needs_instructions,
)


def test_a_future_of_ours_has_all_that_the_stdlibs_has():
    ours, theirs = vars(HubFuture()), vars(Future())

    assert ours.pop("_condition") is not None
    assert theirs.pop("_condition") is not None
    assert ours == theirs


@pytest.mark.parametrize("timeout", [None, 10])
def test_who_waits_is_woken(timeout):
    condition, woken = Condition(), []

    def wait():
        with condition:
            woken.append(condition.wait(timeout))

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with condition:
            condition.notify_all()

    assert woken == [True, True, True]


@pytest.mark.parametrize("timeout", [-1, 0, 0.001, 0.05])
def test_it_says_when_nobody_came(monkeypatch, timeout):
    monkeypatch.setattr(module, "FIRST_PIECE", 0.01)
    condition = Condition()
    with condition:
        assert condition.wait(timeout) is False
    latch = Latch()
    assert latch.wait(timeout) is False
    assert not latch._waiting  # who waits again and again leaves nothing behind


def test_who_is_notified_between_two_pieces_is_woken(monkeypatch):
    """The first piece is over, and the one who notifies is faster to take the lock."""
    condition, notified = Condition(), []

    def notify():
        with condition:
            notified.append(True)
            condition.notify_all()

    class Slow(threading.Condition):
        def __init__(self, lock):
            super().__init__(lock)
            take_again = self._acquire_restore

            def take_again_late(state):
                if not notified:
                    in_another_thread(lambda: [notify()])
                take_again(state)

            self._acquire_restore = take_again_late

    monkeypatch.setattr(module, "FIRST_PIECE", 0.001)
    monkeypatch.setattr(module, "threading", SimpleNamespace(Condition=Slow))
    begun = time.monotonic()
    with condition:
        assert condition.wait(10) is True
        assert time.monotonic() < begun + 5
        assert condition.wait(0.01) is False  # once


def test_a_condition_that_was_waited_for_goes_with_its_last_reference():
    condition = Condition()
    with condition:
        condition.wait(0)
    there = weakref.ref(condition)
    del condition

    assert there() is None


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


@pytest.mark.parametrize("timeout", [None, 10])
def test_a_latch_wakes_all_who_wait_and_holds_nobody_afterwards(timeout):
    latch, woken = Latch(), []
    threads = [threading.Thread(target=lambda: woken.append(latch.wait(timeout))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert not latch.happened()
    latch.release()
    for thread in threads:
        thread.join()

    assert woken == [True, True, True]
    assert latch.happened()
    assert not latch._waiting
    latch.release()
    assert latch.wait(timeout)


@needs_instructions
def test_a_latch_is_of_use_wherever_ctrl_c_strikes_who_waits():
    latches = []

    def wait(interrupt):
        latches.append(Latch())
        try:
            interrupt.arm()
            latches[-1].wait(0.001)
        except KeyboardInterrupt:
            pass

    points = list(interrupted_at_each_point(wait))

    assert len(points) > 5
    for latch in latches:
        in_another_thread(lambda latch=latch: (latch.release(), latch.wait()))


@needs_instructions
@pytest.mark.parametrize("make", [Condition, threading.Condition])
def test_a_condition_is_of_use_wherever_ctrl_c_strikes_who_waits(make):
    conditions = []

    def wait(interrupt):
        conditions.append(make())
        try:
            interrupt.arm()
            with conditions[-1]:
                conditions[-1].wait(0.001)
        except KeyboardInterrupt:
            pass
        except RuntimeError as error:  # in the stdlib's part: between letting go and waiting
            assert "un-acquired" in str(error)  # noqa: PT017 - it is none at most points

    points = list(interrupted_at_each_point(wait))

    free = [in_another_thread(lambda one=one: one.acquire(timeout=0)) for one in conditions]
    held = [where for where, is_free in zip(points, free, strict=False) if not is_free]
    assert len(points) > 10
    assert bool(held) == (make is threading.Condition), held
