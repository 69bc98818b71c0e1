"""``map``: order, laziness, chunks, the buffer, time limits, and what is left behind."""

from __future__ import annotations

import itertools

import contract_calls as calls
import pytest

TIMEOUT = calls.DEADLINE


def test_results_come_in_the_order_of_the_input(executor):
    assert list(executor.map(calls.slow_for_even, range(5))) == [0, 1, 2, 3, 4]


def test_several_iterables_end_with_the_shortest(executor):
    assert list(executor.map(calls.add, [1, 2, 3], itertools.count(10))) == [11, 13, 15]


def test_no_input_gives_no_output(executor):
    assert list(executor.map(calls.double, [])) == []


def test_calls_are_submitted_before_a_result_is_asked_for(make, gate):
    results = make(2).map(calls.meet, [gate.address] * 2, "ab")
    gate.arrived(2)
    gate.open()

    assert list(results) == ["a", "b"]


def test_results_are_yielded_while_later_calls_still_run(make, gate):
    results = make(1).map(calls.meet_unless_first, [gate.address] * 3, range(3))

    assert next(results) == 0
    gate.open()
    assert list(results) == [1, 2]


def test_map_returns_an_iterator(executor):
    results = executor.map(calls.double, [1, 2])

    assert iter(results) is results
    assert next(results) == 2
    assert next(results) == 4
    with pytest.raises(StopIteration):
        next(results)


def test_an_exception_comes_at_its_place(executor):
    results = executor.map(calls.fail_at, [2] * 4, range(4))

    assert next(results) == 0
    assert next(results) == 1
    with pytest.raises(calls.CustomError):
        next(results)
    with pytest.raises(StopIteration):  # as a generator that has raised
        next(results)


@pytest.mark.parametrize("chunksize", [1, 2, 3, 7, 100])
def test_chunks_change_nothing_but_the_speed(executor, chunksize):
    results = executor.map(calls.double, range(7), chunksize=chunksize)

    assert list(results) == [0, 2, 4, 6, 8, 10, 12]


def test_an_exception_in_a_chunk_keeps_its_type(kind, executor):
    results = executor.map(calls.fail_at, [1] * 4, range(4), chunksize=4)

    with pytest.raises(calls.CustomError) as caught:
        list(results)
    if kind.remote:
        assert "fail_at" in str(caught.value.__cause__)


@pytest.mark.parametrize("chunksize", [0, -1])
def test_a_chunk_is_not_empty(kind, executor, chunksize):
    if not kind.chunks:
        pytest.skip("threads ignore chunksize")
    with pytest.raises(ValueError, match="chunksize must be >= 1"):
        executor.map(calls.double, [1], chunksize=chunksize)


def test_a_time_limit_that_is_kept_changes_nothing(executor):
    assert list(executor.map(calls.double, [1, 2], timeout=TIMEOUT)) == [2, 4]


def test_a_time_limit_ends_the_iteration(make, gate):
    results = make(1).map(calls.meet, [gate.address] * 2, timeout=0.05)
    gate.arrived(1)

    with pytest.raises(TimeoutError):
        next(results)
    gate.open()


def test_a_timeout_error_of_the_call_is_its_own(executor):
    results = executor.map(calls.fail, [TimeoutError("the call's own")], timeout=TIMEOUT)

    with pytest.raises(TimeoutError, match="the call's own"):
        next(results)


@pytest.mark.parametrize("chunksize", [1, 2])
@pytest.mark.parametrize("leave", ["close", "drop"])
def test_leaving_early_cancels_what_has_not_begun(
    kind, make, gate, tmp_path, signatures, chunksize, leave
):
    executor = make(1)
    path, count = str(tmp_path / "ran"), 300 * chunksize
    gates = [gate.address] * count
    results = executor.map(
        calls.meet_and_sign, gates, [path] * count, range(count), chunksize=chunksize
    )
    for _ in range(chunksize if kind.chunks else 1):
        gate.arrived(1)
        gate.let_one_pass()
    assert next(results) == 0
    gate.arrived(1)
    if leave == "close":
        results.close()
    del results
    gate.open()
    executor.shutdown()

    assert len(signatures()) < count / 2  # what a worker was given ahead has begun


def test_a_failure_cancels_what_has_not_begun(make, gate, tmp_path, signatures):
    executor = make(1)
    path = str(tmp_path / "ran")
    first = executor.map(calls.meet_or_fail, [gate.address], [calls.CustomError()])
    rest = executor.map(calls.sign, [path] * 300, range(300), timeout=0)
    gate.arrived(1)
    with pytest.raises(TimeoutError):
        next(rest)
    gate.open()
    with pytest.raises(calls.CustomError):
        next(first)
    executor.shutdown()

    assert len(signatures()) < 150


def test_map_after_shutdown_fails_at_once(make):
    executor = make(1)
    executor.shutdown()

    with pytest.raises(RuntimeError, match=r"^cannot schedule new futures after shutdown$"):
        executor.map(calls.double, [1])


class Source:
    """An endless input that counts how much of it was taken."""

    def __init__(self):
        self.taken = 0

    def __iter__(self):
        for number in itertools.count():
            self.taken = number + 1
            yield number


@pytest.fixture
def buffering(kind):
    if not kind.buffers:
        pytest.skip("the stdlib's executors have a buffersize from Python 3.14 on")


@pytest.mark.usefixtures("buffering")
class TestBuffer:
    def test_the_input_is_taken_as_the_results_are(self, executor):
        source = Source()
        results = executor.map(calls.double, source, buffersize=3)

        assert source.taken == 3
        assert next(results) == 0
        assert source.taken == 4
        assert next(results) == 2
        assert source.taken == 5

    @pytest.mark.parametrize("buffersize", [1, 2, 5, 100])
    def test_any_size_gives_the_same_results(self, executor, buffersize):
        results = executor.map(calls.double, range(5), buffersize=buffersize)

        assert list(results) == [0, 2, 4, 6, 8]

    def test_none_means_that_all_input_is_taken_at_once(self, executor):
        taken = []
        results = executor.map(calls.double, map(taken.append, range(3)), buffersize=None)

        assert len(taken) == 3
        results.close()

    def test_an_empty_input_is_fine(self, executor):
        assert list(executor.map(calls.double, [], buffersize=2)) == []

    def test_it_goes_with_chunks(self, executor):
        results = executor.map(calls.double, range(9), chunksize=2, buffersize=2)

        assert list(results) == [2 * n for n in range(9)]

    @pytest.mark.parametrize("buffersize", [0, -1])
    def test_it_is_positive(self, executor, buffersize):
        with pytest.raises(ValueError, match="buffersize"):
            executor.map(calls.double, [1], buffersize=buffersize)

    @pytest.mark.parametrize("buffersize", ["1", 1.0])
    def test_it_is_a_whole_number(self, executor, buffersize):
        with pytest.raises(TypeError, match="buffersize"):
            executor.map(calls.double, [1], buffersize=buffersize)

    def test_it_does_not_keep_the_executor_alive(self, make_unheld, released):
        executor = make_unheld(1)
        results = executor.map(calls.double, range(3), buffersize=1)
        assert next(results) == 0
        gone = released.watch(executor)
        del executor

        assert list(results) == [2]  # the buffered one; nobody submits the next
        assert released.now(gone)
