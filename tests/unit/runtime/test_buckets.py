"""What the errors of buckets mean: which of them may pass, and whose they are."""

from __future__ import annotations

import errno

import httpx
import pytest
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

from hfexecutor.errors import (
    AuthenticationError,
    HubExecutorError,
    HubRequestError,
    HubUnavailableError,
)
from hfexecutor.runtime.buckets import hub_errors


def answered(status: int) -> HfHubHTTPError:
    request = httpx.Request("GET", "https://hub.test/api/buckets/org/values")
    return HfHubHTTPError(f"{status}", response=httpx.Response(status, request=request))


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (answered(403), HubRequestError),
        (answered(404), HubRequestError),
        (answered(429), HubUnavailableError),
        (answered(503), HubUnavailableError),
        (httpx.ConnectError("refused"), HubUnavailableError),
        (ConnectionResetError(errno.ECONNRESET, "reset"), HubUnavailableError),
        (EntryNotFoundError("not there yet"), HubUnavailableError),
        (RuntimeError("Task error: Connection refused (os error 111)"), HubUnavailableError),
        (KeyError("casUrl"), HubUnavailableError),  # an answer of something in between
        (OSError(errno.ENOSPC, "No space left on device", "/tmp/x"), HubExecutorError),
        (OSError(errno.EROFS, "Read-only file system"), HubExecutorError),
        (RuntimeError("IO Error: No space left on device (os error 28)"), HubExecutorError),
        (MemoryError(), MemoryError),
        (AuthenticationError("no token"), AuthenticationError),
    ],
)
def test_what_may_pass_is_told_from_what_will_not(raised, kind):
    with pytest.raises(Exception) as caught:
        with hub_errors("the bucket of values", "read"):
            raise raised
    assert type(caught.value) is kind


def test_a_full_disk_is_named_as_this_machine_s():
    with pytest.raises(HubExecutorError) as caught:
        with hub_errors("the bucket of values", "read"):
            raise RuntimeError("Task error: IO Error: No space left on device (os error 28)")
    assert str(caught.value) == (
        "could not read the bucket of values: on this machine, No space left on device"
    )
