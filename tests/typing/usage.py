# pyright: strict
"""What type checkers make of the public interface. It is checked by test_types, and never run.

A line with ``type: ignore`` is one that has to be refused: one that is not needed is an error.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Iterator
from typing import Any, assert_type

from hfexecutor import (
    ExecutorView,
    HubExecutor,
    HubFuture,
    RemoteValue,
    RemoteView,
    Stats,
    as_completed,
    wait,
)


def area(width: float, height: float = 1.0) -> float:
    return width * height


def words(text: str, *, most: int | None = None) -> list[str]:
    return text.split()[:most]


async def later() -> int:
    return 1


def submitting(executor: HubExecutor) -> None:
    future = executor.submit(area, 2.0, height=3.0)
    assert_type(future, HubFuture[float])
    assert_type(future.result(), float)
    assert_type(future.exception(timeout=1), BaseException | None)
    assert_type(future.job_id, str | None)
    assert_type(executor.submit(words, "a b", most=1).result(timeout=1.5), list[str])
    assert_type(executor.submit(lambda: 1).result(), int)
    assert_type(executor.submit(dict[str, int]).result(), dict[str, int])

    executor.submit(area, "wide")  # type: ignore[arg-type]
    executor.submit(area)  # type: ignore[call-arg]
    executor.submit(words, "a b", least=1)  # type: ignore[call-arg]
    executor.submit(fn=area)  # type: ignore[call-arg]


def a_callback_gets_the_same_kind(future: HubFuture[str]) -> None:
    def tell(done: HubFuture[str]) -> None:
        print(done.job_url, done.result().upper())

    def tell_any(done: concurrent.futures.Future[str]) -> None:
        print(done.result().upper())

    def tell_numbers(done: HubFuture[int]) -> None:
        print(done.result() + 1)

    future.add_done_callback(tell)
    future.add_done_callback(tell_any)
    future.add_done_callback(lambda done: done.logs())
    future.add_done_callback(tell_numbers)  # type: ignore[arg-type]


def mapping(executor: HubExecutor) -> None:
    assert_type(executor.map(area, [1.0, 2.0], [3.0, 4.0]), Iterator[float])
    assert_type(list(executor.map(words, ["a b"], chunksize=2, timeout=9)), list[list[str]])
    assert_type(executor.map(len, ["a"], ordered=False, buffersize=3), Iterator[int])
    either = executor.map(len, ["a"], return_exceptions=True)
    assert_type(either, Iterator[int | BaseException])
    assert_type([one for one in either if isinstance(one, int)], list[int])
    assert_type(executor.starmap(area, [(1.0, 2.0)]), Iterator[float])
    maybe = executor.starmap(len, ["a"], return_exceptions=executor.stats().done > 1)
    assert_type(maybe, Iterator[int | BaseException])
    executor.map(area, [1.0], chunk=2)  # type: ignore[call-overload]
    executor.map(area, [1.0], chunksize="2")  # type: ignore[call-overload]
    executor.starmap(area, 1.0)  # type: ignore[call-overload]


def with_other_options(executor: HubExecutor) -> None:
    view = executor.with_options(call_timeout="5m", retry_on=(ConnectionError,), max_retries=1)
    assert_type(view, ExecutorView)
    assert_type(view.submit(area, 2.0, height=3.0), HubFuture[float])
    assert_type(view.submit_keyed("a", area, 2.0), HubFuture[float])
    assert_type(view.map(area, [1.0, 2.0], [3.0, 4.0]), Iterator[float])
    assert_type(view.with_options(dependencies=["numpy"]), ExecutorView)
    assert_type(view.with_options(flavor=["a10g-small", "t4-small"]), ExecutorView)
    view.with_options(flavor=3)  # type: ignore[call-overload]
    with view as same:
        assert_type(same, ExecutorView)
    view.submit(area, "wide")  # type: ignore[arg-type]
    executor.with_options(max_workers=3)  # type: ignore[call-overload]
    executor.with_options(retry_on=int)  # type: ignore[arg-type]


def leaving_results_remote(executor: HubExecutor) -> None:
    assert_type(executor.map(words, ["a b"], keep="remote"), Iterator[RemoteValue[list[str]]])
    either = executor.starmap(len, ["a"], keep="remote", return_exceptions=True)
    assert_type(either, Iterator[RemoteValue[int] | BaseException])
    view = executor.with_options(keep="remote", call_timeout=60)
    assert_type(view, RemoteView)
    value = view.submit(area, 2.0, height=3.0).result()
    assert_type(value, RemoteValue[float])
    assert_type(value.get(), float)
    assert_type(value.size, int)
    assert_type(view.map(len, ["a"], ordered=False), Iterator[RemoteValue[int]])
    maybe = view.starmap(len, ["a"], return_exceptions=True)
    assert_type(maybe, Iterator[RemoteValue[int] | BaseException])
    assert_type(view.with_options(max_retries=0), RemoteView)
    assert_type(view.with_options(keep=None), ExecutorView)
    view.submit(area, "wide")  # type: ignore[arg-type]
    executor.map(len, ["a"], keep="here")  # type: ignore[call-overload]
    view.map(len, ["a"], chunksize=2)  # type: ignore[call-overload]


def waiting(executor: HubExecutor, plain: list[concurrent.futures.Future[int]]) -> None:
    futures = [executor.submit(words, text) for text in ("a b", "c")]
    for future in as_completed(futures, timeout=60):
        assert_type(future, HubFuture[list[str]])
    done, not_done = wait(futures, return_when=concurrent.futures.FIRST_COMPLETED)
    assert_type(done, set[HubFuture[list[str]]])
    assert_type(not_done, set[HubFuture[list[str]]])
    assert_type(wait(set(futures)).done, set[HubFuture[list[str]]])
    by_future = {executor.submit(len, "abc"): "abc"}
    assert_type([by_future[future] for future in as_completed(by_future)], list[str])

    assert_type(list(as_completed(plain)), list[concurrent.futures.Future[int]])
    as_completed([1, 2])  # type: ignore[type-var]


def any_executor(executor: concurrent.futures.Executor) -> concurrent.futures.Future[float]:
    return executor.submit(area, 1.0)


def making() -> Stats:
    with HubExecutor(2, flavor="cpu-basic", timeout="30m", slots_per_job="auto") as executor:
        assert_type(executor, HubExecutor)
        any_executor(executor)
        return executor.stats()


async def awaiting(executor: HubExecutor) -> None:
    assert_type(await asyncio.wrap_future(executor.submit(area, 1.0)), float)
    loop = asyncio.get_running_loop()
    assert_type(await loop.run_in_executor(executor, words, "a b"), list[str])
    async with HubExecutor() as entered:
        assert_type(entered, HubExecutor)
        async for one in entered.amap(words, ["a b"], ordered=False):
            assert_type(one, list[str])
        async for either in entered.amap(len, ["a b"], return_exceptions=True):
            assert_type(either, int | BaseException)


def initializer(level: str, *rest: Any) -> None: ...


HubExecutor(initializer=initializer, initargs=("INFO", 1), env={"A": "1"}, secrets=["HF_TOKEN"])
HubExecutor(flavor=["a100-large", "l40sx1"], scheduling_timeout="10m")
HubExecutor(flavor=("a100-large",), scheduling_timeout=60)
HubExecutor(flavor=["cpu-basic", "cpu-xl"], on_memory_error="next flavor")
HubExecutor(on_memory_error="again")  # type: ignore[arg-type]
HubExecutor(flavor=[1])  # type: ignore[list-item]
HubExecutor(flavour="cpu-basic")  # type: ignore[call-arg]
