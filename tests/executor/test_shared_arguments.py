"""What many jobs would be sent is uploaded once, to a bucket that they mount, or sent after all."""

from __future__ import annotations

import os
import time

import pytest

pytest.importorskip("hf_xet")
from huggingface_hub import HfApi

from hfexecutor import HubExecutor
from hfexecutor.bucket_paths import VALUES_BUCKET
from hfexecutor.core.call import Buffer
from hfexecutor.core.rules import Rules
from hfexecutor.hub.client import HubClient
from hfexecutor.local import LocalHub
from hfexecutor.local import faults as f
from hfexecutor.local.volumes.probe import hindrance
from hfexecutor.runtime import runner, values_bucket

pytestmark = [
    pytest.mark.skipif(hindrance() is not None, reason="nothing can be mounted here"),
    pytest.mark.usefixtures("no_progress_bars"),
]

SIZE = 3 << 20
MAKE = "POST /api/buckets/{namespace}/{repo}"
JOBS = "POST /api/jobs/{namespace}"


@pytest.fixture(autouse=True)
def low_thresholds(monkeypatch):
    monkeypatch.setattr(runner, "RULES", Rules(shared_bytes=SIZE, shared_jobs=(3, 2)))


@pytest.fixture
def sent(monkeypatch):
    """The ranges that go out through doors."""
    ranges, fetch = [], HubClient.fetch

    async def counted(client, door, query, *, timeout):  # noqa: ASYNC109 - its signature
        if query.path:
            ranges.append(query.path)
        await fetch(client, door, query, timeout=timeout)

    monkeypatch.setattr(HubClient, "fetch", counted)
    return ranges


def executor_at(hub: LocalHub, **options) -> HubExecutor:
    options = {"max_workers": 3, "slots_per_job": 1} | options
    return HubExecutor(endpoint=hub.endpoint, token=hub.token, **options)


def arguments(hub: LocalHub, executor: HubExecutor) -> list[int]:
    """Return the sizes of the arguments of this run in the bucket."""
    api, nonce = HfApi(endpoint=hub.endpoint, token=hub.token), executor._pool.connection.nonce
    bucket, prefix = f"{hub.namespace}/{VALUES_BUCKET}", f"{nonce}/arguments/"
    tree = api.list_bucket_tree(bucket, prefix=prefix, recursive=True)
    return [entry.size for entry in tree if not entry.path.endswith("/run")]


def first_and_length(data: bytearray) -> tuple[int, int]:
    time.sleep(0.2)  # so that each job gets some
    data[0] ^= 1  # it is the call's own
    return data[0], len(data)


def test_what_several_jobs_need_is_uploaded_once_and_read_from_there(hub, sent):
    value = bytearray(os.urandom(SIZE))
    with executor_at(hub) as executor:
        expected = [(value[0] ^ 1, SIZE)] * 12
        assert list(executor.map(first_and_length, [value] * 12)) == expected
        assert executor.stats().jobs_started == 3
        assert sent == []
        assert arguments(hub, executor) == [SIZE]
    assert arguments(hub, executor) == []


@pytest.mark.slow
def test_jobs_that_mount_the_bucket_read_later_arguments_as_well(hub, sent):
    with executor_at(hub, bucket=True) as executor:
        for _ in range(2):
            value = os.urandom(SIZE)
            assert list(executor.map(max, [value] * 6)) == [max(value)] * 6
            assert len(sent) <= 3  # the first call may be on its way before there is a second one
        assert arguments(hub, executor) == [SIZE] * 2
        sent.clear()
        assert executor.submit(max, os.urandom(SIZE)).result() == 255  # one job needs it
        assert len(sent) == 3
        assert executor.stats().jobs_started <= 3


@pytest.mark.slow
def test_a_value_of_one_job_goes_through_its_door(hub, sent):
    values = [os.urandom(SIZE) for _ in range(3)]
    with executor_at(hub) as executor:
        assert list(executor.map(max, values)) == [255] * 3
        assert len(sent) >= 9  # one that is recalled goes to another job as well
        assert not any(w.launch.mounts for w in executor._pool.machine.workers.values())


@pytest.mark.parametrize(
    "fault",
    [
        f.Refuse(403, message="no right to buckets", route=MAKE),
        pytest.param(f.FailOperation(error="storage quota exceeded"), marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_stored_goes_through_doors_and_that_is_said_once(
    fault, sent, monkeypatch, caplog
):
    monkeypatch.setattr(values_bucket, "_PAUSE", 0.01)
    value = os.urandom(SIZE)
    with LocalHub(faults=[fault]) as hub, executor_at(hub) as executor:
        for _ in range(2):
            assert (
                list(executor.map(first_and_length, [bytearray(value)] * 6))
                == [(value[0] ^ 1, SIZE)] * 6
            )
    assert 3 <= len(sent) <= 9
    said = [record for record in caplog.records if "not through a bucket" in record.message]
    assert [record.levelname for record in said] == ["WARNING"]


@pytest.mark.slow
def test_a_hub_that_refuses_what_is_mounted_gets_launches_without(sent):
    value = os.urandom(SIZE)
    refuse = f.Refuse(400, message="no volumes here", route=JOBS, times=1)
    with LocalHub(faults=[refuse]) as hub, executor_at(hub, bucket=True) as executor:
        assert list(executor.map(max, [value] * 4)) == [255] * 4
        assert sent
        assert not executor._pool.machine.one_shot


@pytest.mark.parametrize("wrong", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_file_that_is_not_there_or_wrong_is_sent_instead(hub, sent, monkeypatch, wrong):
    """Nothing that is there for it is taken; the calls begin as soon as they can."""

    def put(bucket: values_bucket.ValuesBucket, buffer: Buffer) -> None:
        if wrong:
            add = [(bytes(SIZE), bucket._path_of(buffer))]
            bucket._open().batch_bucket_files(bucket._id, add=add, token=bucket.token)
            bucket.used = True

    monkeypatch.setattr(values_bucket.ValuesBucket, "put", put)
    if not wrong:  # it would be waited for
        rules = Rules(shared_bytes=SIZE, shared_jobs=(3, 2), load=0.3)
        monkeypatch.setattr(runner, "RULES", rules)
    value = os.urandom(SIZE)
    with executor_at(hub) as executor:
        assert list(executor.map(max, [value] * 6)) == [255] * 6
        assert len(sent) in {3, 6, 9}
        assert executor.stats().retried == 0
    assert arguments(hub, executor) == []
