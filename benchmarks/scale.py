"""Does one client hold a thousand workers, and does it stay within a free account's requests?

The hub runs in a process of its own and carries jobs out without processes: each is a simulated
worker that speaks the real protocol (it reads the sealed launch message and door messages, writes
real frames into its log) and "runs" a call by waiting. All else is real: HTTP, doors, log streams,
the client. The hub counts requests and enforces the budget of a free account.

    python benchmarks/scale.py [--workers 1000] [--calls 20000] [--seconds 5]

Printed: wall time, CPU time of the client, its peak memory, requests, and how many were refused.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import multiprocessing
import resource
import secrets
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection

from hfexecutor import HubExecutor
from hfexecutor.local import INSTANT, Launch, LocalHub, Running
from hfexecutor.remote import entries as wire
from hfexecutor.remote import frames, outcomes, plain


class SimulatedWorker:
    """A job that speaks the worker's protocol, and whose calls take `seconds` of waiting."""

    def __init__(self, launch: Launch, write: Callable[[bytes], None], seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[int] = self._loop.create_future()
        self._seal = frames.Seal(bytes.fromhex(launch.secrets["HFEXECUTOR_KEY"]))
        self._lines = frames.LineWriter(self._seal, secrets.token_hex(4))
        self._write = write
        self._seconds = seconds
        self._queue: list[int] = []
        self._busy = False
        self._leaving = False
        message = self._message(launch.secrets)
        self._take(wire.unpack(frames.open_message(self._seal, message)[1]))

    @staticmethod
    def _message(given: Mapping[str, str]) -> bytes:
        names = [name for name in given if name.startswith("HFEXECUTOR_MESSAGE_")]
        names.sort(key=lambda name: int(name.rpartition("_")[2]))
        return base64.b64decode("".join(given[name] for name in names))

    pids: tuple[int, ...] = ()
    doors: Mapping[int, Callable[[bytes], bytes]]

    async def wait(self) -> int:
        return await self._over

    def kill(self) -> None:
        if not self._over.done():
            self._over.set_result(-9)

    def _take(self, entries: list[wire.Entry]) -> None:
        for entry in entries:
            if entry.kind == wire.CONFIG:
                config = plain.unpack(entry.data)
                self.doors = {config["port"]: self._answer}
                hello = {"python": "3", "cpus": 1, "slots": 1, "door": config["port"], "pid": 0}
                self._say(wire.HELLO, 0, plain.pack(hello))
            elif entry.kind == wire.CALL:
                self._queue.append(entry.call)
            elif entry.kind == wire.LEAVE:
                self._leaving = True
        self._next()

    def _next(self) -> None:
        if self._queue and not self._busy:
            self._busy = True
            self._loop.call_later(self._seconds, self._done, self._queue.pop(0))
        elif self._leaving and not self._busy and not self._over.done():
            self._say(wire.BYE, 0, b'{"why": "asked", "calls": 0}')
            self._over.set_result(0)

    def _done(self, call: int) -> None:
        self._busy = False
        value = outcomes.encode(outcomes.VALUE, self._seconds, 0, b"N.")  # the pickle of None
        self._say(wire.OUTCOME, call, value)
        self._next()

    def _say(self, kind: int, call: int, data: bytes) -> None:
        for line in self._lines.lines([wire.Entry(kind, call, 0, 1, data)]):
            self._write(line + b"\n")

    def _answer(self, body: bytes) -> bytes:
        number, content = frames.open_message(self._seal, body)
        reply: list[wire.Entry] = []
        entries = wire.unpack(content)
        for entry in entries:
            if entry.kind == wire.RECALL:
                back = [c for c in wire.unpack_ids(entry.data) if c in self._queue]
                self._queue = [c for c in self._queue if c not in back]
                reply.append(wire.Entry(wire.RECALL, 0, 0, 1, wire.pack_ids(back)))
        self._take(entries)
        return frames.seal_reply(self._seal, number, wire.pack(reply))


class SimulatedRunner:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def start(self, launch: Launch, write: Callable[[bytes], None]) -> Running:
        return SimulatedWorker(launch, write, self._seconds)

    async def close(self) -> None:
        pass


def serve(channel: Connection, seconds: float, rate_limit: int | None) -> None:
    with LocalHub(timings=INSTANT, runner=SimulatedRunner(seconds), rate_limit=rate_limit) as hub:
        channel.send((hub.endpoint, hub.token, hub.namespace))
        channel.recv()
        channel.send((dict(hub.requests), hub.running, len(hub.jobs())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each call")
    parser.add_argument("--rate-limit", type=int, default=1_000, help="per 5 minutes; 0: none")
    options = parser.parse_args()
    # Each worker is a connection or two, on both sides.
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    channel, theirs = multiprocessing.Pipe()
    hub = multiprocessing.get_context("spawn").Process(
        target=serve, args=(theirs, options.seconds, options.rate_limit or None)
    )
    hub.start()
    endpoint, token, namespace = channel.recv()
    begun = time.perf_counter()
    with HubExecutor(
        options.workers, endpoint=endpoint, token=token, namespace=namespace
    ) as executor:
        futures = [executor.submit(pow, 2, 3) for _ in range(options.calls)]
        submitted = time.perf_counter() - begun
        for future in futures:
            future.result()
        wall = time.perf_counter() - begun
        stats = executor.stats()
    ended = time.perf_counter() - begun
    channel.send(None)
    requests, running, jobs = channel.recv()
    hub.join()
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime
    doors = sum(count for name, count in requests.items() if "door" in name)
    print(f"{options.calls:,} calls of {options.seconds:g} s, up to {options.workers:,} workers")
    print(f"  submitted in {submitted:.2f} s, last result after {wall:.1f} s, ended {ended:.1f} s")
    print(f"  client CPU {cpu:.1f} s ({100 * cpu / ended:.0f} % of a core), ", end="")
    print(f"peak memory {used.ru_maxrss / 1e3:.0f} MB")
    print(f"  jobs {jobs}, left running {running}, calls retried {stats.retried}")
    print(f"  API requests {sum(requests.values()) - doors:,}, door messages {doors:,}")
    for name, count in sorted(requests.items()):
        print(f"    {count:7,} {name}")


if __name__ == "__main__":
    main()
