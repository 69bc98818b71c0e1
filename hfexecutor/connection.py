"""The way to one Hub: endpoint, token, namespace, and the keys of this run."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from hfexecutor.errors import HubRequestError
from hfexecutor.hub.client import HubClient
from hfexecutor.hub.threads import in_thread
from hfexecutor.package import build_package
from hfexecutor.remote.frames import Seal

if TYPE_CHECKING:
    from hfexecutor.hub.models import Hardware

__all__ = ["LAUNCH_LABEL", "RUN_LABEL", "Connection"]

RUN_LABEL = "hfexecutor-run"
LAUNCH_LABEL = "hfexecutor-launch"


class Connection:
    """A Hub that has accepted our token, and what identifies this run there.

    The run is named by a public nonce in a label of all its jobs. The key that authenticates
    what goes to and comes from them is derived from the token and that nonce, so whoever has the
    token can pick the run up again, and nobody else can; each launch has a key of its own, so a
    job cannot speak for another.
    """

    def __init__(self, *, endpoint: str, token: str, namespace: str | None, give_up: float) -> None:
        self.nonce = secrets.token_hex(16)
        self.hub = HubClient(
            endpoint=endpoint, token=token, namespace=namespace, give_up_after=give_up
        )
        self.hardware: dict[str, Hardware] = {}
        self._run_key = _derive(token.encode(), b"hfexecutor:" + self.nonce.encode())

    def __repr__(self) -> str:
        return f"<Connection {self.hub.endpoint} {self.hub.namespace}>"

    @property
    def labels(self) -> dict[str, str]:
        """What all jobs of this run, and no others, are labelled with."""
        return {RUN_LABEL: self.nonce}

    async def open(self, flavor: str) -> None:
        """Check token, namespace and flavor, before anything costs money.

        Raises:
            HubExecutorError: the Hub does not accept one of them, or cannot be reached.
        """
        hardware, *_ = await asyncio.gather(
            self.hub.hardware(),
            self.hub.resolve_namespace(),
            self.hub.prepare(),
            in_thread(build_package),  # it is kept; and no launch has to wait for it
        )
        self.hardware = {item.name: item for item in hardware}
        if self.hardware and flavor not in self.hardware:
            known = ", ".join(self.hardware)
            raise HubRequestError(f"the Hub has no flavor {flavor!r}. It offers: {known}")

    def launch_key(self, launch_id: str) -> bytes:
        """Return the key of one launch."""
        return _derive(self._run_key, launch_id.encode())

    def seal(self, launch_id: str) -> Seal:
        """Return the seal of one launch."""
        return Seal(self.launch_key(launch_id))


def _derive(key: bytes, name: bytes) -> bytes:
    return hmac.new(key, name, hashlib.sha256).digest()
