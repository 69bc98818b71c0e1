"""Where jobs have no door, what is large goes through a private bucket, and none of it stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("hf_xet")
from huggingface_hub import HfApi

from hfexecutor import HubExecutor, HubUnavailableError, JobLostError, PayloadTooLargeError
from hfexecutor.bucket_paths import VALUES_BUCKET
from hfexecutor.local import LocalHub
from hfexecutor.local import faults as f
from hfexecutor.local.volumes.probe import hindrance
from hfexecutor.runtime import values_bucket

from .conftest import until

pytestmark = [
    pytest.mark.skipif(hindrance() is not None, reason="nothing can be mounted here"),
    pytest.mark.usefixtures("no_progress_bars"),
]


SIZE = 5 << 20  # more than a launch request, and than a log
MAKE = "POST /api/buckets/{namespace}/{repo}"
BATCH = "POST /api/buckets/{namespace}/{repo}/batch"
CONTENT = "POST /xet/{key}/v1/xorbs/default/{hash}"
JOBS = "POST /api/jobs/{namespace}"


def without_door(hub: LocalHub, **options) -> HubExecutor:
    options = {"reuse_workers": False, "max_workers": 2} | options
    return HubExecutor(endpoint=hub.endpoint, token=hub.token, **options)


def files(hub: LocalHub, executor: HubExecutor) -> dict[str, int]:
    """Return what is in the bucket of this run."""
    api, nonce = HfApi(endpoint=hub.endpoint, token=hub.token), executor._pool.connection.nonce
    bucket = f"{hub.namespace}/{VALUES_BUCKET}"
    tree = api.list_bucket_tree(bucket, prefix=f"{nonce}/", recursive=True)
    return {entry.path.removeprefix(f"{nonce}/"): entry.size for entry in tree}


def swapped(data: bytes) -> bytearray:
    return bytearray(data[::-1])


def test_large_values_go_there_and_back(hub):
    data = os.urandom(SIZE)
    with without_door(hub) as executor:
        assert executor.submit(swapped, data).result() == data[::-1]
        assert (
            HfApi(endpoint=hub.endpoint, token=hub.token)
            .bucket_info(f"{hub.namespace}/{VALUES_BUCKET}")
            .private
        )
        left = [len(executor.name), SIZE]
        until(lambda: sorted(files(hub, executor).values()) == left)  # no result any more
    assert files(hub, executor) == {}


@pytest.mark.slow
def test_what_several_calls_refer_to_is_uploaded_once(hub):
    value = bytearray(os.urandom(SIZE))
    before = hub.requests[CONTENT]
    with without_door(hub) as executor:
        shared = executor.share(value)
        assert list(executor.map(len, [value, shared, bytes(value)])) == [SIZE] * 3
        assert len([path for path in files(hub, executor) if path.startswith("arguments/")]) == 1
    assert hub.requests[CONTENT] - before <= 2  # with the run's name


@pytest.mark.slow
def test_a_bucket_is_mounted_once_a_value_was_large_or_it_is_asked_for(hub):
    with without_door(hub) as executor:
        assert executor.submit(pow, 2, 5).result() == 32
        assert files(hub, executor) == {}
        assert executor.submit(bytes, SIZE).result() == bytes(SIZE)  # through the log
        assert files(hub, executor) == {}
        assert executor.submit(pow, 2, 5).result() == 32
        assert list(files(hub, executor)) == ["results/run"]
    with without_door(hub, bucket=True) as executor:
        assert executor.submit(pow, 2, 5).result() == 32
        assert list(files(hub, executor)) == ["results/run"]
    assert files(hub, executor) == {}


def mounted() -> list[str]:
    root = Path("/hfexecutor")
    return sorted(path.name for path in root.iterdir()) if root.is_dir() else []


def test_jobs_with_a_door_mount_it_where_that_is_asked_for(hub):
    """Large values go through the door all the same, where no call asks for anything else."""
    with without_door(hub, reuse_workers=True) as executor:
        assert executor.submit(mounted).result() == []
    with without_door(hub, reuse_workers=True, bucket=True) as executor:
        assert executor.submit(mounted).result() == ["arguments", "results"]
        assert executor.submit(swapped, bytes(SIZE)).result() == bytes(SIZE)
        assert sorted(files(hub, executor)) == ["arguments/run", "results/run"]
    assert files(hub, executor) == {}


def test_jobs_with_a_door_do_without_a_bucket_that_is_refused(hub_with):
    with hub_with(f.Refuse(403, message="no right to buckets", route=MAKE)) as hub:
        with without_door(hub, reuse_workers=True, bucket=True) as executor:
            assert executor.submit(swapped, bytes(SIZE)).result() == bytes(SIZE)


def test_the_files_go_after_errors_as_well(hub):
    with pytest.raises(ZeroDivisionError), without_door(hub) as executor:
        assert executor.submit(len, bytes(SIZE)).result() == SIZE
        raise ZeroDivisionError
    assert files(hub, executor) == {}


def test_what_was_swept_while_the_run_had_no_job_is_stored_again(hub, monkeypatch):
    value = os.urandom(SIZE)
    with without_door(hub, bucket=True) as executor:
        assert executor.submit(len, value).result() == SIZE
        nonce, before = executor._pool.connection.nonce, files(hub, executor)
        api, bucket = (
            HfApi(endpoint=hub.endpoint, token=hub.token),
            f"{hub.namespace}/{VALUES_BUCKET}",
        )
        api.batch_bucket_files(bucket, delete=[f"{nonce}/{path}" for path in before])
        monkeypatch.setattr(values_bucket, "TRUSTED", 0.0)  # it was long ago
        assert executor.submit(swapped, value).result(20) == value[::-1]
        until(lambda: files(hub, executor) == before)


def test_an_upload_that_is_under_way_at_the_end_leaves_nothing(hub_with):
    with hub_with(f.Slow(route=BATCH, seconds=1.0, nth=1)) as hub:
        with pytest.raises(ZeroDivisionError), without_door(hub) as executor:
            executor.submit(len, bytes(SIZE))
            until(lambda: hub.requests[BATCH])
            raise ZeroDivisionError
        until(lambda: hub.requests[BATCH] == 2 and files(hub, executor) == {})


@pytest.mark.slow
def test_where_the_hub_exposes_no_port():
    with LocalHub(faults=[f.Refuse(400, message="no ports here", route=JOBS, times=1)]) as hub:
        with without_door(hub, reuse_workers=True) as executor:
            assert len(executor.submit(swapped, bytes(SIZE)).result()) == SIZE
        assert files(hub, executor) == {}


@pytest.mark.slow
def test_a_job_that_is_detached_leaves_its_result_for_who_attaches(hub):
    data = os.urandom(SIZE)
    executor = without_door(hub, name="left-in-a-bucket")
    executor.submit(swapped, data)
    executor.shutdown(detach=True)
    attached = {"endpoint": hub.endpoint, "token": hub.token}
    with HubExecutor.attach("left-in-a-bucket", **attached) as run:
        assert run.futures[1].result(60) == data[::-1]


# --- faults ---------------------------------------------------------------------------------------


def test_a_bucket_that_is_refused_launches_nothing_for_what_is_large(hub_with):
    with hub_with(f.Refuse(403, message="no right to buckets", route=MAKE)) as hub:
        with without_door(hub, bucket=True) as executor:
            with pytest.raises(PayloadTooLargeError) as raised:
                executor.submit(len, bytes(SIZE)).result()
            for word in ("5,242,", "at most 500,000", "no right to buckets", "reuse_workers=True"):
                assert word in str(raised.value)
            assert executor.stats().jobs_started == 0
            assert executor.submit(pow, 2, 5).result() == 32
            assert executor.submit(bytes, SIZE).result() == bytes(SIZE)  # through the log after all


def test_with_the_option_off_there_is_no_bucket(hub_with):
    with hub_with() as hub:
        with without_door(hub, bucket=False) as executor:
            with pytest.raises(PayloadTooLargeError, match=r"5,242,\d+ bytes .*bucket=False"):
                executor.submit(len, bytes(SIZE)).result()
            assert executor.stats().jobs_started == 0
            assert executor.submit(bytes, SIZE).result() == bytes(SIZE)  # through the log after all
        assert MAKE not in hub.requests


def test_a_result_for_which_there_is_no_room_anywhere_is_an_error(hub_with):
    with hub_with() as hub, without_door(hub, bucket=False) as executor:
        with pytest.raises(PayloadTooLargeError, match="bucket=False") as raised:
            executor.submit(bytes, 65 << 20).result()
        assert "at most 67,108,864" in str(raised.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", [f.Reset(route=CONTENT, times=1), f.Refuse(503, route=BATCH, times=2)]
)
def test_an_upload_that_fails_is_tried_again(hub_with, monkeypatch, fault):
    monkeypatch.setattr(values_bucket, "_PAUSE", 0.01)
    with hub_with(fault) as hub, without_door(hub) as executor:
        assert executor.submit(len, os.urandom(SIZE)).result() == SIZE


def test_an_upload_that_goes_on_failing_is_an_error(hub_with, monkeypatch):
    monkeypatch.setattr(values_bucket, "_PAUSE", 0.01)
    quota = f.FailOperation(error="storage quota exceeded")
    with hub_with(quota) as hub, without_door(hub) as executor:
        with pytest.raises(PayloadTooLargeError, match="quota exceeded"):
            executor.submit(len, bytes(SIZE)).result()
        assert executor.stats().jobs_started == 0


@pytest.mark.slow
def test_a_result_may_show_late(hub_with):
    with hub_with(f.LateWrites(seconds=1.0)) as hub, without_door(hub, bucket=True) as executor:
        assert len(executor.submit(bytes, SIZE).result()) == SIZE


@pytest.mark.slow
def test_a_result_that_never_shows_is_an_error(hub_with, monkeypatch):
    monkeypatch.setattr(values_bucket, "LATE", -1.0)
    with hub_with(f.LoseWrites()) as hub, without_door(hub, bucket=True) as executor:
        with pytest.raises(JobLostError, match=r"5,242,\d+ bytes"):
            executor.submit(bytes, SIZE).result()


@pytest.mark.slow
def test_a_result_that_is_spoilt_on_its_way_is_read_again(hub_with):
    with (
        hub_with(f.SpoilContent(at=100, times=1)) as hub,
        without_door(hub, bucket=True) as executor,
    ):
        assert executor.submit(bytes, SIZE).result() == bytes(SIZE)


def test_a_result_that_somebody_has_changed_is_never_taken_for_it(hub, monkeypatch):
    """The job says what it has written; who can write into the bucket cannot say otherwise."""
    monkeypatch.setattr(values_bucket, "LATE", -1.0)
    look, changed = values_bucket.ValuesBucket._size, []

    def change(self: values_bucket.ValuesBucket, path: str) -> int | None:
        until(lambda: look(self, path))  # it may be there a moment after the job has said so
        size = look(self, path)
        if size and not changed:
            changed.append(path)
            api = HfApi(endpoint=hub.endpoint, token=hub.token)
            api.batch_bucket_files(self._id, add=[(os.urandom(size), path)])
        return size

    monkeypatch.setattr(values_bucket.ValuesBucket, "_size", change)
    with without_door(hub, bucket=True) as executor:
        with pytest.raises(JobLostError, match="not what that was"):
            executor.submit(bytes, SIZE).result()
    assert changed


@pytest.mark.slow
def test_an_argument_that_somebody_has_changed_is_never_taken_for_it(hub):
    value = os.urandom(SIZE)
    with without_door(hub) as executor:
        assert executor.submit(len, value).result() == SIZE
        (path,) = (path for path in files(hub, executor) if path.startswith("arguments/"))
        bucket, nonce = f"{hub.namespace}/{VALUES_BUCKET}", executor._pool.connection.nonce
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        api.batch_bucket_files(bucket, add=[(os.urandom(SIZE), f"{nonce}/{path}")])
        with pytest.raises(HubUnavailableError, match="is not what was put there"):
            executor.submit(bytes, value).result()


@pytest.fixture
def hub_with():
    def start(*faults: f.Fault) -> LocalHub:
        return LocalHub(faults=list(faults))

    return start
