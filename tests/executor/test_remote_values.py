"""Results that stay in the bucket, and go from job to job without passing through the client."""

from __future__ import annotations

import asyncio
import doctest
import gc
import os
import pickle
import time

import pytest

pytest.importorskip("hf_xet")
from huggingface_hub import HfApi

from hfexecutor import (
    ExecutorView,
    HubExecutor,
    HubUnavailableError,
    JobLostError,
    RemoteValue,
    UnpicklableCallError,
)
from hfexecutor.bucket_paths import VALUES_BUCKET
from hfexecutor.events import CallEnded, Transferring
from hfexecutor.local import LocalHub
from hfexecutor.local import faults as f
from hfexecutor.local.volumes.probe import hindrance
from hfexecutor.payload import remote_value
from hfexecutor.runtime import values, values_bucket

from .conftest import MODES, WARM_FIRST, until

pytestmark = [
    pytest.mark.skipif(hindrance() is not None, reason="nothing can be mounted here"),
    pytest.mark.usefixtures("no_progress_bars"),
]

SIZE = 5 << 20  # more than stays in an outcome
MAKE = "POST /api/buckets/{namespace}/{repo}"
BATCH = "POST /api/buckets/{namespace}/{repo}/batch"
LOOK = "POST /api/buckets/{namespace}/{repo}/paths-info"  # before each download


@pytest.fixture(scope="module")
def kept(hub):
    with HubExecutor(2, endpoint=hub.endpoint, token=hub.token, bucket=True) as executor:
        yield executor


def results(hub: LocalHub, executor: HubExecutor) -> dict[str, int]:
    """Return the paths of the results that are in the bucket of this run, and their sizes."""
    api, nonce = HfApi(endpoint=hub.endpoint, token=hub.token), executor._pool.connection.nonce
    bucket, prefix = f"{hub.namespace}/{VALUES_BUCKET}", f"{nonce}/results/"
    tree = api.list_bucket_tree(bucket, prefix=prefix, recursive=True)
    return {entry.path: entry.size for entry in tree if entry.path != f"{prefix}run"}


def spoil(hub: LocalHub, executor: HubExecutor) -> None:
    """Put something else into the place of the one result."""
    until(lambda: results(hub, executor))
    bucket = f"{hub.namespace}/{VALUES_BUCKET}"
    add = [(os.urandom(size), path) for path, size in results(hub, executor).items()]
    HfApi(endpoint=hub.endpoint, token=hub.token).batch_bucket_files(bucket, add=add)


def filled(byte: int) -> bytearray:
    return bytearray([byte]) * SIZE


def more(value: bytearray) -> bytearray:
    value[0] += 1
    return value


def edge(value: bytearray) -> tuple[int, int, int]:
    return len(value), value[0], value[-1]


def the_type_of(value: object) -> str:
    return type(value).__name__


@WARM_FIRST
def test_values_go_from_job_to_job_and_the_client_has_none_of_them(hub, make, mode):
    looks, ends, moved = hub.requests[LOOK], [], []
    with make(bucket=True, reuse_workers=MODES[mode]) as executor:
        executor.events.listen(lambda event: ends.append(event.error), kinds=(CallEnded,))
        executor.events.listen(moved.append, kinds=(Transferring,))
        first = list(executor.map(filled, [1, 2], keep="remote"))
        second = list(executor.map(more, first, keep="remote"))
        assert list(executor.map(edge, second)) == [(SIZE, 2, 1), (SIZE, 3, 2)]
        assert executor.submit(lambda: edge(first[1])).result() == (SIZE, 2, 2)
        inner = {"of": [second[0], first[0], second[0]]}
        assert executor.submit(lambda v: [edge(one) for one in v["of"]], inner).result() == [
            (SIZE, 2, 1),
            (SIZE, 1, 1),
            (SIZE, 2, 1),
        ]
        assert hub.requests[LOOK] == looks  # nothing was downloaded,
        assert moved == []  # and nothing large came through a door
        assert ends == [None] * 8
        until(lambda: len(results(hub, executor)) == 4)
        assert second[1].get() == b"\3" + b"\2" * (SIZE - 1)
        assert hub.requests[LOOK] > looks
    assert results(hub, executor) == {}
    with pytest.raises(RuntimeError, match=r"bytearray, 5,242,\d+ bytes.* run that is over"):
        second[0].get()


def test_a_handle_tells_size_and_type_and_gets_a_new_value_each_time(kept):
    value = kept.with_options(keep="remote").submit(filled, 7).result()
    assert type(value) is RemoteValue
    assert repr(value).startswith("<RemoteValue bytearray, 5,242,")
    assert value.size > SIZE
    one, other = value.get(), value.get()
    one[0] = 0
    assert other == filled(7)
    with pytest.raises(TypeError, match="nowhere else"):
        pickle.dumps(value)


@pytest.mark.slow
def test_what_the_documentation_of_the_handle_says():
    assert doctest.testmod(remote_value).failed == 0


def test_a_small_result_is_in_its_handle_and_is_used_in_the_same_way(hub):
    executor = HubExecutor(1, endpoint=hub.endpoint, token=hub.token, bucket=True)
    with executor:
        powers = list(executor.starmap(pow, [(2, 5), (2, 6)], keep="remote"))
        assert list(executor.map(abs, powers)) == [32, 64]
        assert results(hub, executor) == {}
        table = executor.with_options(keep="remote").submit(bytes, 1_000_000).result()
        assert executor.submit(len, table).result() == 1_000_000
        assert repr(powers[0]) == "<RemoteValue 5 bytes, in this process>"
    assert (powers[0].get(), table.get()) == (32, bytes(1_000_000))


def test_the_other_maps_and_views_have_handles_as_well(kept):
    async def main(executor: HubExecutor) -> list[int]:
        return [one.get() async for one in executor.amap(pow, [2, 3], [5, 2], keep="remote")]

    assert asyncio.run(main(kept)) == [32, 9]
    view = kept.with_options(keep="remote")
    assert [one.get() for one in view.starmap(pow, [(2, 6)])] == [64]
    again = kept.with_options(max_retries=0).map(pow, [2], [7], keep="remote", buffersize=1)
    assert [one.get() for one in again] == [128]


def test_what_a_call_raises_is_raised(kept):
    with pytest.raises(ZeroDivisionError):
        kept.with_options(keep="remote").submit(divmod, 1, 0).result()
    found = list(kept.map(int, ["1", "x"], keep="remote", return_exceptions=True))
    assert found[0].get() == 1
    assert isinstance(found[1], ValueError)


def test_a_callback_may_get_it_in_the_pools_own_thread(kept):
    seen = []
    future = kept.with_options(keep="remote").submit(filled, 3)
    future.add_done_callback(lambda done: seen.append(done.result().get()))
    until(lambda: seen)
    assert seen == [filled(3)]


def test_a_handle_is_of_one_executor(kept):
    value = kept.with_options(keep="remote").submit(filled, 1).result()
    shared = kept.share([value])
    assert kept.submit(lambda values: edge(values[0]), shared).result() == (SIZE, 1, 1)
    with HubExecutor(1, endpoint="local") as other:
        with pytest.raises(UnpicklableCallError, match="another executor: pass its get"):
            other.submit(len, value).result()
    with pytest.raises(UnpicklableCallError, match="not to an initializer: pass its get"):
        HubExecutor(1, endpoint="local", initializer=len, initargs=(value,))


def test_what_cannot_be_is_refused_before_anything_is_submitted(kept):
    view = kept.with_options(keep="remote")
    with HubExecutor(1, endpoint="local") as other:
        for ask in (
            lambda: other.map(len, ["a"], keep="remote"),
            lambda: other.with_options(keep="remote"),
        ):
            with pytest.raises(ValueError, match="make the executor with bucket=True"):
                ask()
        with pytest.raises(ValueError, match=r"keep must be \"remote\" .* not 'here'"):
            other.map(len, ["a"], keep="here")
    for maps in (kept, view):
        for options, words in (({"chunksize": 2}, "chunksize=2"), ({"resume": "a"}, "resume=")):
            with pytest.raises(ValueError, match=words):
                maps.map(len, ["a"], keep="remote", **options)
    with pytest.raises(ValueError, match="chunksize=2"):
        view.map(len, ["a"], chunksize=2)
    with pytest.raises(ValueError, match="are for later runs"):
        view.submit_keyed("a", len, "a")
    plain = view.with_options(keep=None)
    assert plain.submit(len, "abc").result() == 3
    assert repr(view).startswith("<RemoteView (keep) of <HubExecutor")
    assert type(plain) is ExecutorView


# --- how long a file is there ---------------------------------------------------------------------


def wait_for(path):
    while not os.path.exists(path):  # noqa: PTH110 - it travels by value
        time.sleep(0.01)


def test_a_file_goes_when_neither_a_handle_nor_an_open_call_refers_to_it(
    hub, make, monkeypatch, tmp_path
):
    monkeypatch.setattr(values, "_GATHER", 0.01)
    with make(1, bucket=True) as executor:
        view = executor.with_options(keep="remote")
        value, other = view.submit(filled, 1).result(), view.submit(filled, 2).result()
        busy = executor.submit(wait_for, str(tmp_path / "go"))
        waiting = executor.submit(edge, value)
        del value
        gc.collect()
        until(lambda: len(results(hub, executor)) == 2)
        assert not busy.done()
        (tmp_path / "go").touch()
        assert waiting.result() == (SIZE, 1, 1)
        until(lambda: len(results(hub, executor)) == 1)
        assert edge(other.get()) == (SIZE, 2, 2)


@pytest.mark.slow
def test_one_that_cannot_be_removed_then_is_so_in_the_end(monkeypatch):
    monkeypatch.setattr(values, "_GATHER", 0.01)
    refused = f.Refuse(403, message="not now", route=BATCH, nth=3)  # two make folders
    with LocalHub(faults=[refused]) as hub:
        executor = HubExecutor(1, endpoint=hub.endpoint, token=hub.token, bucket=True)
        with executor:
            executor.with_options(keep="remote").submit(filled, 1).result()
            gc.collect()
            until(lambda: hub.requests[BATCH] == 3)
            assert executor.submit(pow, 2, 5).result() == 32
            until(lambda: len(results(hub, executor)) == 1)  # what a job writes shows late
        assert results(hub, executor) == {}


@pytest.mark.slow
def test_what_was_handed_over_has_its_file_though_this_process_has_no_handle(hub, make):
    executor = make(1, bucket=True, name="handed-over", idle_timeout=30)
    value = executor.with_options(keep="remote").submit(filled, 1).result()
    executor.submit(time.sleep, 2.0)
    executor.submit(edge, value)
    executor.with_options(keep="remote").submit(more, value)
    executor.shutdown(detach=True)
    del value
    gc.collect()
    attached = {"endpoint": hub.endpoint, "token": hub.token}
    with HubExecutor.attach("handed-over", **attached) as run:
        assert run.futures[3].result(60) == (SIZE, 1, 1)
        assert run.futures[4].result(60)[:2] == b"\2\1"  # the value itself


# --- faults ---------------------------------------------------------------------------------------


def test_where_no_bucket_is_to_be_had_handles_hold_their_values():
    refused = f.Refuse(403, message="no right to buckets", route=MAKE)
    with LocalHub(faults=[refused]) as hub:
        executor = HubExecutor(1, endpoint=hub.endpoint, token=hub.token, bucket=True)
        with executor:
            (value,) = executor.map(filled, [1], keep="remote")
            assert "in this process" in repr(value)
            assert executor.submit(edge, value).result() == (SIZE, 1, 1)
        assert value.get() == filled(1)


def test_a_file_that_somebody_has_changed_is_never_taken_for_the_value(hub, make, monkeypatch):
    monkeypatch.setattr(values_bucket, "LATE", -1.0)
    with make(1, bucket=True) as executor:
        value = executor.with_options(keep="remote").submit(filled, 1).result()
        spoil(hub, executor)
        with pytest.raises(JobLostError, match="is not what that was"):
            value.get()


@pytest.mark.slow
def test_neither_in_a_job(hub, make):
    with make(1, bucket=True, reuse_workers=False) as executor:
        value = executor.with_options(keep="remote").submit(filled, 1).result()
        spoil(hub, executor)
        with pytest.raises(HubUnavailableError, match="is not what was put there"):
            executor.submit(edge, value).result()


@pytest.mark.slow
def test_a_file_that_shows_late_is_waited_for():
    with LocalHub(faults=[f.LateWrites(seconds=1.0)]) as hub:
        options = {"endpoint": hub.endpoint, "token": hub.token, "reuse_workers": False}
        with HubExecutor(2, bucket=True, **options) as executor:
            (value,) = executor.map(filled, [1], keep="remote")
            assert executor.submit(edge, value).result() == (SIZE, 1, 1)
            assert value.get() == filled(1)


@pytest.mark.slow
def test_a_job_has_what_the_value_needs_though_its_call_imports_nothing(hub):
    """The call that has returned it could import it, and what it had is there for the next, too."""
    numpy = pytest.importorskip("numpy")
    executor = HubExecutor(2, endpoint=hub.endpoint, token=hub.token, bucket=True, slots_per_job=1)
    with executor:
        (ones,) = executor.map(lambda n: numpy.ones(n, numpy.float32), [2 << 20], keep="remote")
        (few,) = executor.map(numpy.ones, [3], keep="remote")
        busy = [executor.submit(time.sleep, 3.0), executor.submit(the_type_of, ones)]
        assert busy[1].result() == "ndarray"
        assert executor.submit(the_type_of, few).result() == "ndarray"
        assert ones.get().sum() == 2 << 20
        assert ones.get().flags.writeable
