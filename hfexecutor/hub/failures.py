"""What the Hub's refusals mean, and what the user can do about each.

Input is an :class:`Answer`: status, headers and body, wherever they came from (our httpx, or the
httpx or httpx2 inside ``huggingface_hub``). Output is an error of :mod:`hfexecutor.errors` whose
message quotes the Hub and then says what to do. No token is ever part of it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hfexecutor.errors import (
    AuthenticationError,
    HubError,
    HubRequestError,
    HubUnavailableError,
    PayloadTooLargeError,
    RateLimitedError,
)
from hfexecutor.hub.settings import TRY_LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "LAUNCH_ADVICE",
    "NAMESPACE",
    "SLOWER",
    "Answer",
    "NotFoundError",
    "TooLargeError",
    "error_for",
    "may_pass",
    "redact",
]

_TOKEN: Final = re.compile(r"\b(?:hf|api_org)_[A-Za-z0-9_.-]{20,}")
_QUOTED: Final = 1_000  # characters of the Hub's own words in a message
_TIMEOUT: Final = 408
_TOO_MANY: Final = 429
_SERVER: Final = 500


class NotFoundError(HubRequestError):
    """The Hub knows no such job: for who asks about one, as nothing may be left to do."""


class TooLargeError(HubRequestError, PayloadTooLargeError):
    """The Hub finds the request too large."""


class Answer(NamedTuple):
    """An HTTP answer, reduced to what explains it. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @classmethod
    def of(cls, response: Any) -> Answer:
        """Take it from an httpx or httpx2 response (told apart by nothing, used by shape)."""
        headers = {str(key).lower(): str(value) for key, value in response.headers.items()}
        try:
            body = bytes(response.content)
        except Exception:  # a streamed body that nobody read: the headers must do
            body = b""
        return cls(int(response.status_code), headers, body)

    @property
    def words(self) -> str:
        """What the Hub says about it, as one line; empty if it says nothing readable."""
        said = self.headers.get("x-error-message") or _from_json(self.body)
        return " ".join(said.split())[:_QUOTED]

    @property
    def code(self) -> str:
        """The Hub's machine-readable word for the error, or an empty string."""
        return self.headers.get("x-error-code", "")

    @property
    def request_id(self) -> str:
        """What Hugging Face's support asks for, or an empty string."""
        return self.headers.get("x-request-id", "")


def may_pass(status: int) -> bool:
    """Tell whether the same request may well succeed a moment later."""
    return status in {_TIMEOUT, _TOO_MANY} or status >= _SERVER


def redact(text: str, *secrets: str | None) -> str:
    """Return `text` without `secrets` and without anything shaped like a Hub token."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[token]")
    return _TOKEN.sub("[token]", text)


def error_for(
    answer: Answer,
    doing: str,
    *,
    redact: Callable[[str], str] = redact,
    advice: Mapping[int, str] | None = None,
) -> HubError:
    """Return the error to raise for `answer`, which is no success.

    Args:
        answer: What the Hub said.
        doing: What was asked of it, as it reads after "could not": "launch a job in org".
        redact: Takes tokens out of the message, should the Hub quote one.
        advice: What to do about a status, where who asks knows better than this module.
    """
    kind, general = _MEANINGS.get(answer.status) or _meaning_of_class(answer.status)
    special = (advice or {}).get(answer.status, general)
    if special is NAMESPACE:  # nobody has asked about a job
        kind = HubRequestError
    said = f": {answer.words}" if answer.words else ""
    traces = [
        f"{name} {value}"
        for name, value in (("code", answer.code), ("request", answer.request_id))
        if value
    ]
    trace = f" [{', '.join(traces)}]" if traces else ""
    message = f"Could not {doing}: the Hub answered {answer.status}{said}{trace}."
    return kind(redact(f"{message} {special}".replace("..", ".").strip()))


_CREDENTIALS: Final = (
    "The token is invalid or expired: run `hf auth login`, or set HF_TOKEN to a token from "
    f"https://huggingface.co/settings/tokens. {TRY_LOCAL}"
)
_CREDITS: Final = (
    "Jobs need pre-paid credits or a subscription: https://huggingface.co/settings/billing. "
    f"{TRY_LOCAL}"
)
_RIGHTS: Final = (
    "The token may not do this in that namespace (a fine-grained token needs the permission "
    '"job.write" there: https://huggingface.co/settings/tokens), or a spending limit is '
    f"reached (https://huggingface.co/settings/billing). {TRY_LOCAL}"
)
_UNKNOWN: Final = "The Hub knows no such job (any more), or no such namespace."
NAMESPACE: Final = (
    f"Check the namespace: your user name, or an organisation that you are a member of. {TRY_LOCAL}"
)
_OPTIONS: Final = (
    "Check the options that the job was launched with (flavor, image, timeout, env, secrets, "
    f"labels). {TRY_LOCAL}"
)
_TOO_LARGE: Final = (
    "The call is too large to travel in a launch request: pass large data by reference, for "
    "example through a dataset or a bucket."
)
SLOWER: Final = "The account's request budget is spent: wait, or use fewer workers."

_MEANINGS: Final[Mapping[int, tuple[type[HubError], str]]] = {
    401: (AuthenticationError, _CREDENTIALS),
    402: (AuthenticationError, _CREDITS),
    403: (AuthenticationError, _RIGHTS),
    404: (NotFoundError, _UNKNOWN),
    413: (TooLargeError, _TOO_LARGE),
    429: (RateLimitedError, SLOWER),
}

LAUNCH_ADVICE: Final[Mapping[int, str]] = {400: _OPTIONS, 404: NAMESPACE, 422: _OPTIONS}
"""What a launch that is refused has most likely got wrong: there is no job yet to be unknown."""


def _meaning_of_class(status: int) -> tuple[type[HubError], str]:
    if may_pass(status):
        return HubUnavailableError, "See https://status.huggingface.co, or try again later."
    return HubRequestError, ""


def _from_json(body: bytes) -> str:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return _find_words(said)


def _find_words(said: object) -> str:
    match said:
        case str():
            return said
        case list():
            return "; ".join(filter(None, map(_find_words, said[:10])))
        case {"error": words} | {"message": words} | {"errors": words} if words:
            return _find_words(words)
    return ""
