"""Where endpoint and token come from when the user names none.

Both are found the way ``huggingface_hub`` finds them, at the time of the call, so that a script
behaves the same whichever of the two it uses.
"""

from __future__ import annotations

import os
import re
from typing import Final
from urllib.parse import urlsplit

from hfexecutor.errors import AuthenticationError

__all__ = ["LOCAL", "TRY_LOCAL", "check_user", "resolve_endpoint", "resolve_token"]

LOCAL: Final = "local"
"""The endpoint that means the embedded Hub."""

TRY_LOCAL: Final = (
    'To try it without an account: HubExecutor(endpoint="local"), or HFEXECUTOR_ENDPOINT=local.'
)


def resolve_endpoint(endpoint: str | None = None) -> str:
    """Return the Hub's address without a slash at the end, or ``"local"`` as it is.

    Args:
        endpoint: What the user asked for. None reads ``HFEXECUTOR_ENDPOINT``, then what
            ``huggingface_hub`` would use (``HF_ENDPOINT``, else https://huggingface.co).

    Raises:
        TypeError: It is no string.
        ValueError: It is no ``http(s)://host[:port][/path]``.
    """
    if endpoint is not None and not isinstance(endpoint, str):
        raise TypeError(
            f"endpoint must be a URL such as 'https://huggingface.co', or {LOCAL!r} for the "
            f"embedded Hub, not {endpoint!r}"
        )
    chosen = endpoint or os.environ.get("HFEXECUTOR_ENDPOINT") or _hub_default()
    chosen = chosen.strip().rstrip("/")
    if chosen == LOCAL:
        return LOCAL
    if not _is_address(chosen):
        raise ValueError(
            f"endpoint must be a URL such as https://huggingface.co, or {LOCAL!r} for the embedded "
            f"Hub; got {chosen!r}"
        )
    return chosen


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # reads it
    except ValueError:
        return False
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"\s", url):
        return False
    return not (parts.query or parts.fragment)


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
    if not _is_token(found):
        raise AuthenticationError(
            "The Hugging Face token has characters in it that no token has (a line break, a space, "
            f"quotes of a word processor?). Copy it again, or run `hf auth login`. {TRY_LOCAL}"
        )
    return found


def _is_token(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def check_user(token: str | None, door_token: str | None, namespace: str | None) -> None:
    """Check who is to run jobs for the mistakes people make. A token is never shown.

    Raises:
        TypeError: One of them is neither a string nor None.
        ValueError: `namespace` is empty, or no name: a URL, a repository's id. Or `door_token`
            cannot be a token.
    """
    for name, value, default in (
        ("token", token, "the one that huggingface_hub finds"),
        ("door_token", door_token, "the same as for the Hub"),
    ):
        if value is not None and not isinstance(value, str):
            raise TypeError(
                f"{name} must be a string, or None for {default}, not {type(value).__name__}"
            )
    if door_token is not None and not _is_token(door_token):
        raise ValueError("door_token is no token: it is empty, or has odd characters in it")
    if namespace is None:
        return
    hint = f"not {namespace!r}; leave it out to run jobs as the token's own user"
    if not isinstance(namespace, str):
        raise TypeError(f"namespace must be a string, the name of a user or organisation, {hint}")
    if not re.fullmatch(r"[\w.-]+", namespace, re.ASCII):
        raise ValueError(f"namespace must be the name of a user or an organisation, {hint}")


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
