import asyncio
import threading

import pytest

from hfexecutor.hub.threads import in_thread


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
        with pytest.raises(TimeoutError):
            await in_thread(hang, 0.05)

    asyncio.run(main())
    assert threads[0].daemon
    release.set()  # its end comes after the loop's, and disturbs nobody
    threads[0].join()


def test_a_late_result_disturbs_nobody():
    release = threading.Event()

    async def main():
        with pytest.raises(TimeoutError):
            await in_thread(lambda: release.wait(10), 0.01)
        release.set()
        await asyncio.sleep(0.02)

    asyncio.run(main())
