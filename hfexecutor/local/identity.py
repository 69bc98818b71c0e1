"""Who a hub takes the holder of its token for."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any

from .errors import ApiError


@dataclass(frozen=True, slots=True)
class Identity:
    """The one user of a hub: the owner of its namespace and holder of its token."""

    name: str
    token: str = field(repr=False)
    base_url: str = ""

    @property
    def user_id(self) -> str:
        """The user's id in the Hub's form."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:24]

    @property
    def _avatar(self) -> str:
        return f"{self.base_url}/avatar.svg"

    def as_owner(self) -> dict[str, Any]:
        """Return the owner of a job."""
        return {
            "id": self.user_id,
            "name": self.name,
            "type": "user",
            "avatarUrl": self._avatar,
        }

    def as_initiator(self) -> dict[str, Any]:
        """Return what started a job: its owner."""
        return self.as_owner()

    def whoami(self, since: str) -> dict[str, Any]:
        """Return the reply to `GET /api/whoami-v2`."""
        return {
            "type": "user",
            "id": self.user_id,
            "name": self.name,
            "fullname": "User of a LocalHub",
            "email": f"{self.name}@localhost",
            "emailVerified": True,
            "canPay": True,
            "billingMode": "prepaid",
            "isPro": False,
            "avatarUrl": self._avatar,
            "orgs": [],
            "auth": {
                "type": "access_token",
                "accessToken": {"displayName": "LocalHub", "role": "write", "createdAt": since},
            },
        }

    def access(self) -> dict[str, Any]:
        """Return the reply to an access check that succeeds."""
        who = {"id": self.user_id, "name": self.name}
        return {"namespace": who, "user": who}

    def check_token(self, authorization: str | None, *, needed: bool) -> None:
        """Compare the header's token with ours, in constant time.

        Raises:
            ApiError: 401, where it is missing though needed, or not ours.
        """
        if authorization is None:
            if needed:
                raise ApiError(401, "Invalid username or password.")
            return
        expected = f"Bearer {self.token}".encode()
        if not hmac.compare_digest(authorization.encode(errors="replace"), expected):
            raise ApiError(401, "Invalid credentials in Authorization header")

    def check_namespace(self, namespace: str) -> None:
        """Refuse any namespace but our own, as the Hub does.

        Raises:
            ApiError: 404.
        """
        if namespace != self.name:
            raise ApiError(404, "Sorry, we can't find the page you are looking for.")


def new_token() -> str:
    """Return a random token that looks like the Hub's."""
    return f"hf_{secrets.token_hex(17)}"
