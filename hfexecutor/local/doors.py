"""Exposed ports: a loopback address per port that asks for the token and relays to the job."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .listening import LOOPBACK, cut, stop_listening
from .relay import Client

if TYPE_CHECKING:
    from collections.abc import Callable

    from .jobs import Job
    from .plan import Plan
    from .timings import Timings

_KEPT_AFTER_THE_END = 64  # doors of jobs that are over go on to answer (503): so many of them


@dataclass(eq=False)
class Doors:
    """All exposed ports of a hub.

    Attributes:
        token: what `Authorization: Bearer` must carry at a port that is not public.
        timings: `door` and `door_rate` apply.
        plan: the faults; those of doors apply.
        count: called with the method of each request that is let in.
        connections: all that are open, on both sides.
    """

    token: bytes = field(repr=False)
    timings: Timings
    plan: Plan
    count: Callable[[str], None]
    connections: set[asyncio.Transport] = field(default_factory=set)
    _servers: dict[tuple[str, int], asyncio.Server] = field(default_factory=dict)
    _over: deque[tuple[str, int]] = field(default_factory=deque)

    async def open(self, job: Job) -> None:
        """Have a listener for each exposed port of a job, and for no other port of it."""
        for port in job.ports:
            if (job.id, port) not in self._servers:
                await self._open(job, port)
        for key in [key for key in self._servers if key[0] == job.id and key[1] not in job.ports]:
            self._close(key)
        job.urls = {port: self._url(job, port) for port in job.ports}

    def job_over(self, job: Job) -> None:
        """Keep the doors of a job that is over for a while."""
        self._over.extend((job.id, port) for port in job.ports)
        while len(self._over) > _KEPT_AFTER_THE_END:
            self._close(self._over.popleft())

    def close(self) -> None:
        """Close all listeners and connections."""
        for key in list(self._servers):
            self._close(key)
        self.cut()

    def cut(self) -> None:
        """Cut all connections."""
        for transport in list(self.connections):
            cut(transport)

    async def _open(self, job: Job, port: int) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Client(self, job, port), LOOPBACK, 0)
        self._servers[job.id, port] = server

    def _close(self, key: tuple[str, int]) -> None:
        server = self._servers.pop(key, None)
        if server is not None:
            stop_listening(server.sockets[0])
            server.close()

    def _url(self, job: Job, port: int) -> str:
        return f"http://{LOOPBACK}:{self._servers[job.id, port].sockets[0].getsockname()[1]}"
