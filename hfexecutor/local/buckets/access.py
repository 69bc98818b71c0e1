"""Who may read and write the bytes of a bucket, and for how long."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hfexecutor.local.errors import ApiError

if TYPE_CHECKING:
    from .bucket import Bucket

_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a client has to know.

    Attributes:
        url: of the API to the bytes.
        token: what to send there.
        expires: when that ends, in seconds since 1970.
    """

    url: str
    token: str = field(repr=False)
    expires: int


class Access:
    """Makes tokens, and knows them again without keeping any.

    Args:
        base_url: of the hub.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._secret = secrets.token_bytes(32)

    def to(self, bucket: Bucket, *, write: bool) -> Endpoint:
        """Return how the bytes of a bucket are read, or read and written."""
        expires = int(time.time()) + _SECONDS
        scope = "write" if write else "read"
        token = f"{scope}.{expires}.{self._sign(bucket.key, scope, str(expires))}"
        return Endpoint(f"{self._base_url}/xet/{bucket.key}", token, expires)

    def address(self, bucket_key: str, xorb: str) -> str:
        """Return an address at which anybody can read a xorb for a while."""
        expires = str(int(time.time()) + _SECONDS)
        signature = self._sign(bucket_key, xorb, expires)
        return f"{self._base_url}/xet/{bucket_key}/xorbs/{xorb}/{expires}/{signature}"

    def check(self, bucket_key: str, authorization: str, *, write: bool) -> None:
        """Compare what was sent with what a token would be.

        Raises:
            ApiError: 401, it is none, or no longer; 403, it is one for reading.
        """
        scope, _, rest = authorization.removeprefix("Bearer ").partition(".")
        expires, _, signature = rest.partition(".")
        self._compare(signature, bucket_key, scope, expires)
        if write and scope != "write":
            raise ApiError(403, "The token is for reading only")

    def check_address(self, bucket_key: str, xorb: str, expires: str, signature: str) -> None:
        """Raise an ApiError unless an address is one of ours, and still good."""
        self._compare(signature, bucket_key, xorb, expires)

    def _compare(self, signature: str, *words: str) -> None:
        right = hmac.compare_digest(signature.encode(errors="replace"), self._sign(*words).encode())
        if not right or int(words[-1]) < time.time():
            raise ApiError(401, "Invalid or expired token")

    def _sign(self, *words: str) -> str:
        return hmac.new(self._secret, "\n".join(words).encode(), hashlib.sha256).hexdigest()
