"""What all that has to do with buckets needs: hf_xet, errors of ours, and no bars."""

from __future__ import annotations

import contextlib
import importlib.util
from typing import TYPE_CHECKING, Any

from hfexecutor.errors import HubError, HubRequestError, HubUnavailableError
from hfexecutor.hub.failures import may_pass, redact

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_xet", "hub_errors"]


def check_xet(why: str) -> None:
    """See that buckets can be read and written; `why` says for what.

    Raises:
        HubRequestError: They cannot.
    """
    if importlib.util.find_spec("hf_xet") is None:  # it need not be there for anything else
        raise HubRequestError(f"{why}, which takes hf_xet: pip install hf-xet")


@contextlib.contextmanager
def hub_errors(bucket: str, doing: str) -> Iterator[None]:
    """Turn what huggingface_hub raises into an error of ours, and have it draw no bars.

    Raises:
        HubRequestError: The Hub refuses it.
        HubUnavailableError: Anything else: it may pass.
    """
    try:
        with _silent():
            yield
    except HubError:
        raise
    except Exception as error:
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        passes = status is None or may_pass(status)
        kind = HubUnavailableError if passes else HubRequestError
        said = f"{type(error).__name__}: {error}"
        for why in _failures(response):
            if why not in said:  # newer releases of huggingface_hub say it
                said += f"; {why}"
        raise kind(redact(f"could not {doing} {bucket} ({said})")) from error


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
