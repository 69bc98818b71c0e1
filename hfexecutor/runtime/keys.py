"""The keys of a run: derived from the token and what its jobs' labels say, and kept nowhere.

So whoever has the token can pick a run up again from its jobs alone, and nobody else can; and a job
has the key of its own launch, so it cannot speak for another one.
"""

from __future__ import annotations

import hashlib
import hmac

from hfexecutor.remote.frames import Seal

__all__ = ["RunKeys", "key_of_results"]


class RunKeys:
    """The keys of one run.

    Args:
        token: The Hub token that the run was started with.
        nonce: The run's, as the label ``hfexecutor-run`` of all its jobs has it.
    """

    __slots__ = ("_key",)

    def __init__(self, token: str, nonce: str) -> None:
        self._key = _derive(token.encode(), b"hfexecutor:" + nonce.encode())

    def __repr__(self) -> str:
        return "<RunKeys>"

    def of(self, launch: str) -> bytes:
        """Return the key of one launch, by its label ``hfexecutor-launch``."""
        return _derive(self._key, launch.encode())

    def seal(self, launch: str) -> Seal:
        """Return the seal of one launch."""
        return Seal(self.of(launch))


def key_of_results(token: str) -> bytes:
    """Return the key of the results that are kept for later runs with the same token."""
    return _derive(token.encode(), b"hfexecutor results")


def _derive(key: bytes, name: bytes) -> bytes:
    return hmac.new(key, name, hashlib.sha256).digest()
