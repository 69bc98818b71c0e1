"""Where endpoint and token come from when the user names none.

Both are found the way ``huggingface_hub`` finds them, at the time of the call, so that a script
behaves the same whichever of the two it uses.
"""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import urlsplit

from hfexecutor.errors import AuthenticationError

__all__ = ["LOCAL", "TRY_LOCAL", "resolve_endpoint", "resolve_token"]

LOCAL: Final = "local"
"""The endpoint that means the embedded Hub."""

TRY_LOCAL: Final = (
    'To try the library without an account, use HubExecutor(endpoint="local") '
    "or set HFEXECUTOR_ENDPOINT=local."
)


def resolve_endpoint(endpoint: str | None = None) -> str:
    """Return the Hub's address without a slash at the end, or ``"local"`` as it is.

    Args:
        endpoint: What the user asked for. None reads ``HFEXECUTOR_ENDPOINT``, then what
            ``huggingface_hub`` would use (``HF_ENDPOINT``, else https://huggingface.co).

    Raises:
        ValueError: It is no ``http(s)://host[:port][/path]``.
    """
    chosen = endpoint or os.environ.get("HFEXECUTOR_ENDPOINT") or _hub_default()
    chosen = chosen.strip().rstrip("/")
    if chosen == LOCAL:
        return LOCAL
    parts = urlsplit(chosen)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(
            f"endpoint must be a URL such as https://huggingface.co, or {LOCAL!r} for the embedded "
            f"Hub; got {chosen!r}"
        )
    return chosen


def resolve_token(token: str | None = None) -> str:
    """Return the token to show to the Hub.

    Args:
        token: What the user passed. None asks ``huggingface_hub`` (OIDC, ``HF_TOKEN``, the saved
            login, Colab's secrets).

    Raises:
        AuthenticationError: There is none, or it cannot be one.
    """
    found = (token if token is not None else _saved_token()) or ""
    found = found.strip()
    if not found:
        raise AuthenticationError(
            f"No Hugging Face token found. Run `hf auth login`, or set HF_TOKEN. {TRY_LOCAL}"
        )
    if not (found.isascii() and found.isprintable() and " " not in found):
        raise AuthenticationError(
            "The Hugging Face token has characters in it that no token has (a line break, a space, "
            f"quotes of a word processor?). Copy it again, or run `hf auth login`. {TRY_LOCAL}"
        )
    return found


def _hub_default() -> str:
    named = os.environ.get("HF_ENDPOINT")
    if named:
        return named
    from huggingface_hub import constants  # noqa: PLC0415  (only when nothing else was named)

    return constants.ENDPOINT


def _saved_token() -> str | None:
    from huggingface_hub import get_token  # noqa: PLC0415  (half a second, for many never needed)

    try:
        return get_token()
    except (
        Exception
    ) as error:  # whatever it trips over (OIDC, an unreadable file), the advice is one
        raise AuthenticationError(
            f"huggingface_hub could not find a token: {error}. Run `hf auth login`, or set "
            f"HF_TOKEN. {TRY_LOCAL}"
        ) from error
