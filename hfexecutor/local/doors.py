"""Exposed ports: a loopback address per port that asks for the token and relays to the job."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .listening import LOOPBACK, cut, stop_listening
from .reverse_proxy import Proxy, ReadBuffer, Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from .injection.injector import Injector
    from .jobs import Job
    from .timings import Timings

_KEPT_AFTER_THE_END = 64  # doors of jobs that are over go on to answer (503): so many of them


@dataclass(eq=False)
class Doors:
    """All exposed ports of a hub.

    Attributes:
        token: what `Authorization: Bearer` must carry at a port that is not public.
        hub_port: the port of the hub itself, to which no door leads.
        timings: `door` and `door_rate` apply.
        injector: the faults; those of doors apply.
        count: called with the method of each request that is let in.
        connections: all that are open, on both sides.
    """

    token: bytes = field(repr=False)
    hub_port: int
    timings: Timings
    injector: Injector
    count: Callable[[str], None]
    connections: set[asyncio.Transport] = field(default_factory=set)
    _read_buffer: ReadBuffer = field(default_factory=ReadBuffer)
    _servers: dict[tuple[Job, int], asyncio.Server] = field(default_factory=dict)
    _over: deque[tuple[Job, int]] = field(default_factory=deque)

    async def open(self, job: Job) -> None:
        """Have a listener for each exposed port of a job, and for no other port of it."""
        for port in job.ports:
            if (job, port) not in self._servers:
                await self._open(job, port)
        for key in [key for key in self._servers if key[0] is job and key[1] not in job.ports]:
            self._close(key)
        job.urls = {port: self._url(job, port) for port in job.ports}

    def job_over(self, job: Job) -> None:
        """Keep the doors of a job that is over for a while."""
        self._over.extend((job, port) for port in job.ports)
        while len(self._over) > _KEPT_AFTER_THE_END:
            self._close(self._over.popleft())

    def leads_to(self, job: Job, port: int) -> bool:
        """Say whether a port of this machine is a job's, as far as one can tell.

        All jobs share the machine's ports, and so does the hub: of two jobs that expose the same
        one, the first has it.
        """
        live = (one for one, its in self._servers if its == port and not one.stage.over)
        return port != self.hub_port and next(live, None) is job

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
        target = Target(
            job=job,
            port=port,
            authorization=b"Bearer " + self.token,
            timings=self.timings,
            injector=self.injector,
            reachable=lambda: self.leads_to(job, port),
            count=self.count,
            connections=self.connections,
            read_buffer=self._read_buffer,
        )
        server = await loop.create_server(lambda: Proxy(target), LOOPBACK, 0)
        self._servers[job, port] = server

    def _close(self, key: tuple[Job, int]) -> None:
        server = self._servers.pop(key, None)
        if server is not None:
            stop_listening(server)

    def _url(self, job: Job, port: int) -> str:
        return f"http://{LOOPBACK}:{self._servers[job, port].sockets[0].getsockname()[1]}"
