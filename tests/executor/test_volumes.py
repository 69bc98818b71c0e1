"""Calls read and write volumes."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("hf_xet")

from huggingface_hub import HfApi

from hfexecutor import HubExecutor
from hfexecutor.local import LocalHub
from hfexecutor.local.volumes.probe import hindrance

pytestmark = [
    pytest.mark.skipif(hindrance() is not None, reason="nothing can be mounted here"),
    pytest.mark.usefixtures("no_progress_bars"),
]


def doubled(place):
    text = Path(place, "in").read_text()
    Path(place, "out").write_text(2 * text)
    return text


def test_a_call_reads_and_writes_a_bucket():
    with LocalHub() as hub:
        api, bucket = HfApi(endpoint=hub.endpoint, token=hub.token), f"{hub.namespace}/data"
        api.create_bucket(bucket)
        api.batch_bucket_files(bucket, add=[(b"one", "sub/in")])
        with HubExecutor(
            max_workers=1,
            endpoint=hub.endpoint,
            token=hub.token,
            volumes=[f"hf://buckets/{bucket}/sub:/place"],
        ) as executor:
            assert executor.submit(doubled, "/place").result(timeout=60) == "one"
        sizes = {one.path: one.size for one in api.list_bucket_tree(bucket, recursive=True)}
        assert sizes == {"sub/in": 3, "sub/out": 6}
