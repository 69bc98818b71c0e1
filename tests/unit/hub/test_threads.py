import asyncio
import os
import threading
import warnings

import pytest

from hfexecutor.hub import threads as helpers
from hfexecutor.hub.threads import in_thread, make_ready


def test_what_the_function_returns_or_raises_arrives():
    async def main():
        assert await in_thread(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await in_thread(lambda: 1 / 0)

    asyncio.run(main())


def test_a_function_that_hangs_is_left_behind_and_keeps_nobody_from_exiting():
    release, threads = threading.Event(), []

    def hang():
        threads.append(threading.current_thread())
        release.wait(10)

    async def main():
        while not threads:  # on a busy machine it may not have begun by then, and never does
            with pytest.raises(TimeoutError):
                await in_thread(hang, 0.05)

    asyncio.run(main())
    assert threads[0].daemon
    release.set()  # its end comes after the loop's, and disturbs nobody


def test_a_late_result_disturbs_nobody():
    release = threading.Event()

    async def main():
        with pytest.raises(TimeoutError):
            await in_thread(lambda: release.wait(10), 0.01)
        release.set()
        await asyncio.sleep(0.02)

    asyncio.run(main())


@pytest.fixture
def fresh(monkeypatch):
    """Threads of this test's own."""
    made = helpers._Threads()
    monkeypatch.setattr(helpers, "_threads", made)
    return made


@pytest.fixture
def ready(fresh, monkeypatch):
    """Threads of this test's own, two of which stay: as in Python 3.12."""
    monkeypatch.setattr(helpers, "_READY", 2)
    return fresh


def name_of_thread():
    return threading.current_thread()


def test_calls_one_after_the_other_share_threads(fresh):
    async def main():
        return {await in_thread(name_of_thread) for _ in range(20)}

    # A thread that has reported may not be back yet when the next call wants one: not always two.
    assert len(asyncio.run(main())) < 10


@pytest.mark.parametrize("stay", [0, 2])
def test_calls_at_the_same_time_have_a_thread_each_which_ends_when_idle(fresh, monkeypatch, stay):
    monkeypatch.setattr(helpers, "_READY", stay)
    monkeypatch.setattr(helpers, "_IDLE", 0.05)
    all_there = threading.Barrier(16, timeout=10)

    def meet():
        all_there.wait()
        return threading.current_thread()

    async def main():
        return await asyncio.gather(*(in_thread(meet) for _ in range(16)))

    threads = asyncio.run(main())
    assert len(set(threads)) == 16
    for thread in threads:
        if sum(one.is_alive() for one in threads) > stay:
            thread.join(0.5)
    assert sum(one.is_alive() for one in threads) == stay
    assert asyncio.run(main())  # those that stay take work still, and others are started


def no_more_threads(monkeypatch):
    start = threading.Thread.start

    def refuse(thread):
        if thread.name == "hfexecutor-helper":
            raise RuntimeError("can't create new thread at interpreter shutdown")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)


def test_when_no_thread_can_be_started_calls_wait_for_those_that_are_there(ready, monkeypatch):
    """As in Python 3.12, once a script has ended."""

    async def main():
        make_ready(asyncio.get_running_loop())
        no_more_threads(monkeypatch)
        return await asyncio.gather(*(in_thread(lambda n=n: n) for n in range(50)))

    assert asyncio.run(main()) == list(range(50))


def test_a_call_that_nobody_waits_for_any_more_is_not_begun(ready, monkeypatch):
    release, begun = threading.Event(), []

    async def main():
        make_ready(asyncio.get_running_loop())
        no_more_threads(monkeypatch)
        held = [asyncio.create_task(in_thread(release.wait)) for _ in range(helpers._READY)]
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await in_thread(lambda: begun.append(1), 0.05)
        release.set()
        await asyncio.gather(*held)
        await in_thread(lambda: None)

    asyncio.run(main())
    assert begun == []


def test_a_fork_has_threads_of_its_own(fresh):
    async def main():
        return await in_thread(lambda: 7, 10)

    assert asyncio.run(main()) == 7
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of a fork with threads
        pid = os.fork()
    if pid == 0:
        os._exit(asyncio.run(main()))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
