"""What a job says of a value in the bucket is no path."""

from __future__ import annotations

import pytest

from hfexecutor.runtime.values_bucket import ValuesBucket

NONCE = "0123456789abcdef" * 2
BUCKET = ValuesBucket("http://hub", "me", NONCE, "run")


def test_a_value_lies_in_the_folder_of_its_run():
    assert BUCKET.path_of({"name": "f" * 32}) == f"{NONCE}/results/{'f' * 32}"


@pytest.mark.parametrize("name", ["run", "", f"../../{'0' * 32}/arguments/{'f' * 64}", 3, None])
def test_no_job_can_have_anything_else_read_or_removed(name):
    with pytest.raises(ValueError, match="is no name of a value"):
        BUCKET.get({"name": name, "size": 1, "layout": [], "digest": ""})
