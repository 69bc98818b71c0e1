"""What all that has to do with buckets needs: hf_xet, errors of ours, and no bars."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import re
from typing import TYPE_CHECKING, Any, Final

from hfexecutor.errors import HubError, HubExecutorError, HubRequestError, HubUnavailableError
from hfexecutor.hub.failures import may_pass, redact
from hfexecutor.hub.launch import load_api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingface_hub import HfApi

__all__ = ["hub_errors", "open_bucket"]

# What a disk of this machine says, and says again at once.
_OF_DISKS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_AS_HF_XET_SAYS: Final = re.compile(r"\(os error (\d+)\)")


def open_bucket(endpoint: str, bucket_id: str, token: str, *, name: str, why: str) -> HfApi:
    """Return the API, once there is a private bucket of this id.

    Args:
        endpoint: The Hub's address.
        bucket_id: Namespace and name of the bucket.
        token: Whose it is.
        name: What errors call it.
        why: What for, for an error's text.

    Raises:
        HubError: There is none, or what reads and writes buckets is not installed.
    """
    if importlib.util.find_spec("hf_xet") is None:  # it need not be there for anything else
        raise HubRequestError(f"{why}, which takes hf_xet: pip install hf-xet")
    api = load_api(endpoint)
    with hub_errors(name, "make"):
        api.create_bucket(bucket_id, private=True, exist_ok=True, token=token)
    return api


@contextlib.contextmanager
def hub_errors(bucket: str, doing: str) -> Iterator[None]:
    """Turn what huggingface_hub raises into an error of ours, and have it draw no bars.

    Raises:
        HubRequestError: The Hub refuses it.
        HubExecutorError: This machine's disk is full, or cannot be written.
        MemoryError: This machine has no room for it.
        HubUnavailableError: Anything else: it may pass, as the oddest answers do.
    """
    try:
        with _silent():
            yield
    except (HubError, MemoryError):
        raise
    except Exception as error:
        if number := _said_by_disk(error):
            why = os.strerror(number)
            raise HubExecutorError(f"could not {doing} {bucket}: on this machine, {why}") from error
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        passes = status is None or may_pass(status)
        kind = HubUnavailableError if passes else HubRequestError
        said = f"{type(error).__name__}: {error}"
        for why in _failures(response):
            if why not in said:  # newer releases of huggingface_hub say it
                said += f"; {why}"
        raise kind(redact(f"could not {doing} {bucket} ({said})")) from error


def _said_by_disk(error: Exception) -> int:
    """Return the number of an error of this machine's disk, 0 for another one."""
    said = _AS_HF_XET_SAYS.search(str(error))
    number = int(said[1]) if said is not None else getattr(error, "errno", None)
    return number if number in _OF_DISKS else 0


def _failures(response: Any) -> list[str]:
    """Return why operations of a batch have failed, of which the answer's body tells."""
    try:
        return [str(one["error"]) for one in response.json()["failed"]]
    except Exception:  # there is no answer, or it is about something else
        return []


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Have huggingface_hub draw no bars meanwhile; it can do so for the whole process alone."""
    from huggingface_hub import constants  # noqa: PLC0415 - half a second
    from huggingface_hub.utils.tqdm import (  # noqa: PLC0415
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    decided = constants.HF_HUB_DISABLE_PROGRESS_BARS is not None  # by the user's environment
    if decided or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
