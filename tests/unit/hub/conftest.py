"""What the tests of the Hub client share: time that never waits, a job as the Hub says it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from hfexecutor.hub.client import HubClient

ENDPOINT = "https://hub.test"
TOKEN = "hf_" + "a1B2" * 8
ADA = "5e9ecfc04957053f60648a3e"


class FakeClock:
    """Time passes when somebody sleeps, and at no other moment."""

    def __init__(self) -> None:
        self.time = 1_000.0
        self.sleeps: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def raw_job() -> Callable[..., dict[str, Any]]:
    """Make the JSON of a job."""

    def make(job_id: str = "687fb701029421ae5549d998", **changes: Any) -> dict[str, Any]:
        job: dict[str, Any] = {
            "type": "job",
            "id": job_id,
            "createdAt": "2026-05-12T14:58:23.645Z",
            "createdBy": {"id": ADA, "name": "ada"},
            "initiator": {"id": ADA, "name": "ada", "type": "user"},
            "dockerImage": "ghcr.io/astral-sh/uv:python3.11-bookworm",
            "command": ["uv", "run", "python", "-S", "-c", "print(1)"],
            "arguments": [],
            "environment": {"SECRET_SAUCE": "ketchup"},
            "flavor": "cpu-basic",
            "owner": {"id": "5e9ecfc04957053f60648a3e", "name": "org", "type": "org"},
            "status": {"stage": "RUNNING", "message": None},
            "labels": {"hfexecutor-run": "abc"},
        }
        return job | changes

    return make


@pytest.fixture
def talk(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a coroutine function with a client whose time is the fake clock's."""
    # Nobody is connected to, so nobody needs to be trusted: it saves 40 ms in every test.
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    monkeypatch.setattr("httpx.create_ssl_context", lambda: bare)

    def run(act: Callable[[HubClient], Any], **options: Any) -> Any:
        async def main() -> Any:
            settings = {"namespace": "org", "give_up_after": 300.0} | options
            async with HubClient(endpoint=ENDPOINT, token=TOKEN, clock=clock, **settings) as client:
                return await act(client)

        return asyncio.run(main())

    return run
