"""Many calls, and many threads that submit them."""

from __future__ import annotations

import threading
from concurrent.futures import as_completed

import contract_calls as calls

TIMEOUT = calls.DEADLINE


def test_many_calls_all_end_rightly(kind, executor):
    futures = {executor.submit(calls.double, n): n for n in range(kind.many)}

    for future in as_completed(futures, TIMEOUT):
        assert future.result() == 2 * futures[future]


def test_many_mapped_values_come_in_order(kind, executor):
    results = executor.map(calls.double, range(kind.many), timeout=TIMEOUT, chunksize=10)

    assert list(results) == [2 * n for n in range(kind.many)]


def test_many_threads_submit_at_once(kind, executor):
    threads_count = 8
    each = kind.many // threads_count
    start = threading.Barrier(threads_count)
    seen: dict[int, list[int]] = {}

    def submit_all(name: int) -> None:
        start.wait(TIMEOUT)
        futures = [executor.submit(calls.add, name, n) for n in range(each)]
        seen[name] = [future.result(TIMEOUT) for future in futures]

    threads = [threading.Thread(target=submit_all, args=(1000 * n,)) for n in range(threads_count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)

    assert seen == {
        1000 * name: [1000 * name + n for n in range(each)] for name in range(threads_count)
    }


def test_submitting_and_shutting_down_race_cleanly(make):
    executor = make(2)
    started = threading.Event()
    futures, errors = [], []

    def submit_until_refused() -> None:
        try:
            while True:
                futures.append(executor.submit(calls.nothing))
                started.set()
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=submit_until_refused)
    thread.start()
    started.wait(TIMEOUT)
    executor.shutdown(wait=True, cancel_futures=True)
    thread.join(TIMEOUT)

    assert errors == ["cannot schedule new futures after shutdown"]
    assert all(future.done() for future in futures)
