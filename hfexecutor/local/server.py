"""A hub's core: an event loop in a thread of its own, with the API served in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from .api import PUBLIC, Api
from .doors import Doors
from .injection.injector import Injector
from .injection.routes import RouteFaults
from .listening import cut, listen, reset, stop_listening
from .middleware import Budget, Envelope, OnlyFromHere, is_page
from .router import Entrance, Later, Routes, router
from .storage import Storage
from .store import Store

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Iterator
    from typing import IO

    from starlette.types import Scope

    from .faults import Fault
    from .identity import Identity
    from .runners import Runner
    from .settings import Settings

_ROUNDS = 5  # of the loop, in which what was accepted becomes a task, and a connection then
_CLOSE_SECONDS = 15.0
_KEEP_ALIVE_SECONDS = 75


class Core:
    """Everything of a hub that lives in its thread.

    `LocalHub` holds a core and closes it; a core never refers to its `LocalHub`, so that the
    garbage collector can find an abandoned one.
    """

    def __init__(
        self,
        settings: Settings,
        identity: Identity,
        listener: socket.socket,
        runner: Runner,
        folder: str,
        *,
        held: IO[bytes],
    ) -> None:
        self.requests: Counter[str] = Counter()
        self.injector = Injector(settings.seed)
        self.injector.add(settings.faults)
        self.store: Store
        self._storage: Storage | None = None
        self._settings = settings
        self._identity = identity
        self._listener = listener
        self._runner = runner
        self._folder = folder
        self._held = held
        self._port = listener.getsockname()[1]
        self._pid = os.getpid()
        # Not what a program has chosen, as uvloop: the doors rely on what this one does.
        self._loop = asyncio.SelectorEventLoop()
        self._server: asyncio.Server | None = None
        self._state = ServerState()
        self._tasks: set[asyncio.Task[None]] = set()
        self._down = asyncio.Lock()
        self._thread = threading.Thread(target=self._run, name="LocalHub", daemon=True)

    # ------------------------------------------------------------------ from any thread

    def start(self) -> None:
        """Start the thread; requests are accepted when this returns."""
        self._thread.start()
        try:
            self._call(self._open())
        except BaseException:
            self._listener.close()
            self._loop.call_soon_threadsafe(self._loop.stop)
            raise

    def inject(self, faults: tuple[Fault, ...]) -> None:
        """Add faults."""
        self._loop.call_soon_threadsafe(self.injector.add, faults)
        self._call(_nothing())

    def behave(self) -> None:
        """Drop all faults."""
        self._loop.call_soon_threadsafe(self.injector.clear)
        self._call(_nothing())

    def restart(self, down: float) -> None:
        """Take the API down and, after so many seconds, up again."""
        self._call(self._go_down(down), down + _CLOSE_SECONDS)

    def close(self) -> None:
        """Kill all jobs and end the thread. May be called from any thread, more than once."""
        if os.getpid() != self._pid:
            return  # a fork of the process that started the hub: none of this is ours
        if threading.current_thread() is self._thread:
            self._begin(self._close_from_within())
            return
        self._break_off()
        with contextlib.suppress(RuntimeError):  # the loop has been closed already
            self._loop.call_soon_threadsafe(lambda: self._begin(self._close()))
        self._thread.join(_CLOSE_SECONDS)

    def _call(self, work: Coroutine[Any, Any, None], seconds: float = _CLOSE_SECONDS) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def _break_off(self) -> None:
        """End what would try for long to reach this hub. Takes its time: not in the hub's thread.

        Nor in a thread that would have to be started: a script that ends can start none.
        """
        if self._storage is not None:
            self._storage.close()

    # ------------------------------------------------------------------ in the hub's own thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._cut_all())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            self._held.close()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self) -> None:
        settings, me = self._settings, self._identity
        doors = Doors(
            me.token.encode(), self._port, settings.timings, self.injector, self._count_door
        )
        storage = self._storage = Storage(
            self._folder, me, settings, self.injector, abort=self._cut, reset=self._reset
        )
        self.store = Store(
            self._runner,
            storage.volumes,
            settings=settings,
            doors=doors,
            injector=self.injector,
            folder=self._folder,
        )
        api = Api(self.store, me, settings, self._cut)
        routes = Routes(api.routes(), public=PUBLIC)
        more = [Later(is_page, self._pages), Later(lambda _path: True, storage.routes)]
        route_faults = RouteFaults(self.injector, self.store, self._reset, self._restart_by_fault)
        budget = Budget(settings.rate_limit)
        entrance = Entrance(me, budget, self.requests, route_faults)
        app = Envelope(
            OnlyFromHere(router(routes, entrance, more=more)),
            settings.timings,
            budget,
        )
        self._config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            date_header=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
        self._config.load()
        await self._listen()

    def _pages(self) -> Routes:
        from .pages.site import Site  # noqa: PLC0415 - most hubs are never looked at

        site = Site(self.store, self._identity, self._settings, self._cut)
        return Routes(site.routes(), public=())

    async def _listen(self) -> None:
        self._server = await self._loop.create_server(
            self._protocol, sock=self._listener, backlog=1024
        )

    def _protocol(self) -> H11Protocol:
        return H11Protocol(config=self._config, server_state=self._state, app_state={})

    def _count_door(self, method: str) -> None:
        self.requests[f"{method} door"] += 1

    # Uvicorn's own server is not used: it would look ten times a second whether it is to end, and
    # could neither cut single connections nor come back after a restart.

    def _transports(self, scope: Scope | None = None) -> Iterator[asyncio.Transport]:
        for connection in list(self._state.connections):
            assert isinstance(connection, H11Protocol)
            if scope is None or connection.client == tuple(scope["client"]):
                yield connection.transport

    def _cut(self, scope: Scope) -> None:
        for transport in self._transports(scope):
            transport.close()

    def _reset(self, scope: Scope) -> None:
        for transport in self._transports(scope):
            reset(transport)

    def _restart_by_fault(self, down: float) -> None:
        self._begin(self._go_down(down))

    def _stop_listening(self) -> None:
        if self._server is not None:
            stop_listening(self._server)

    async def _go_down(self, down: float) -> None:
        async with self._down:  # who comes while the hub is down takes it down again after that
            self._stop_listening()
            await self._cut_all()
            await asyncio.sleep(down)
            self._listener = listen(self._port)
            await self._listen()

    async def _cut_all(self) -> None:
        """Cut all connections, also those that were accepted a moment ago."""
        for _ in range(_ROUNDS):
            for transport in self._transports():
                cut(transport)
            self.store.doors.cut()
            await asyncio.sleep(0)  # transports come, close and tell in the loop's next round

    async def _close_from_within(self) -> None:
        await asyncio.to_thread(self._break_off)
        await self._close()

    async def _close(self) -> None:
        self._stop_listening()
        await self.store.close()
        self.store.doors.close()
        await self._cut_all()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._loop.stop()


async def _nothing() -> None:
    """Be a round of the loop."""
