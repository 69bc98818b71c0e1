"""Ctrl-C wherever it can strike: nothing hangs, and no job is left running."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

import pytest

from hfexecutor import HubExecutor
from hfexecutor.local import LocalHub
from hfexecutor.progress.display import Display
from hfexecutor.progress.tally import Tally

from ..interrupts import (  # noqa: TID252 - tests are no package
    Interrupt,
    in_another_thread,
    interrupted_at_each_point,
    needs_instructions,
)
from .conftest import until

pytestmark = needs_instructions


def test_a_pool_hears_of_calls_wherever_ctrl_c_struck_who_told_it_something(
    warm: HubExecutor,
) -> None:
    done = warm.submit(pow, 2, 3)
    assert done.result(30) == 8

    def tell(interrupt: Interrupt) -> None:
        try:
            interrupt.arm()
            warm._pool.kill(done)
        except KeyboardInterrupt:
            pass

    points = 0
    for where in interrupted_at_each_point(tell):
        until(lambda: not warm._pool._awake, 10)  # or the next one relies on a wake-up of before
        assert warm.submit(pow, 2, 3).result(30) == 8, where
        points += 1
    assert points > 5


def test_a_signals_handler_stops_a_pool_that_the_main_thread_was_about_to_wake(
    warm: HubExecutor,
) -> None:
    future = warm.submit(time.sleep, 60)
    until(future.running)
    warm._pool._awake = True  # as where `_put` was interrupted
    warm._pool.abort("the process was terminated")
    until(lambda: not warm._pool._awake, 10)  # it heard, and not only when something else woke it
    warm._pool.join(10)
    assert not warm._pool.alive


def test_progress_hears_news_wherever_ctrl_c_struck_who_told_it_some() -> None:
    displays = []

    def tell(interrupt: Interrupt) -> None:
        displays.append(Display("work", Tally()))
        try:
            interrupt.arm()
            displays[-1].nudge()
            displays[-1].print("a line")
            displays[-1].close()
        except KeyboardInterrupt:
            pass

    points = list(interrupted_at_each_point(tell))

    assert len(points) > 5
    for display in displays:
        in_another_thread(lambda one=display: (one.nudge(), one.close()))


@pytest.mark.slow
def test_a_with_block_stops_its_jobs_wherever_ctrl_c_strikes_its_end(
    make: Callable[..., HubExecutor], hub: LocalHub
) -> None:
    def leave(interrupt: Interrupt) -> None:
        try:
            with make(1) as executor:
                future = executor.submit(time.sleep, 0.3)
                while not future.running():
                    time.sleep(0.001)
                executor.shutdown = interrupted(executor.shutdown, interrupt)  # type: ignore[method-assign]
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)  # the thread's own end is none of it
        assert future.done()

    def interrupted(shutdown: Callable[..., None], interrupt: Interrupt) -> Callable[..., None]:
        def armed(**how: bool) -> None:
            interrupt.arm()
            shutdown(**how)

        return armed

    def in_time(interrupt: Interrupt) -> None:
        thread = threading.Thread(target=leave, args=[interrupt], daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive(), f"it hangs: {interrupt.where}"

    points = 0
    for where in interrupted_at_each_point(in_time):
        assert hub.running == 0, where
        points += 1
    assert points > 40
