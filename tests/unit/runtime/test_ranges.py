"""Over real connections that are cut, hang and corrupt at any byte, the value is right."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import itertools
import pickle
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfexecutor.core.events import Done
from hfexecutor.core.fetching import Fetching, Key
from hfexecutor.core.rules import Rules
from hfexecutor.hub.ranges import CutError, Query, Ranges
from hfexecutor.remote import buffers, entries, frames, memory, outcomes, seals
from hfexecutor.runtime.arrivals import Arrivals, CrowdedError

SEAL = frames.Seal(b"key")
CALL, PATIENCE = 7, 0.2


class Fault(NamedTuple):
    """What becomes of one answer, from its byte `at` on."""

    kind: str
    at: int


class Server:
    """A door that has one outcome; answers come to the faults that are waiting, in turn."""

    def __init__(self) -> None:
        self.data = b""
        self.faults: deque[Fault] = deque()
        self.connections = 0
        self._over = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), client.makefile("rb") as file:
            while self._answer(client, file):
                pass

    def _answer(self, client: socket.socket, file: Any) -> bool:
        size = 0
        while line := file.readline().strip():
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        if not size:
            return False
        number, body = frames.open_message(SEAL, file.read(size))
        start, stop = entries.unpack_ids(entries.unpack(body)[0].data)
        piece = self.data[start:stop]
        reply = seals.reply_head(SEAL, number, piece) + piece
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(reply)
        fault = self.faults.popleft() if self.faults else Fault("", 0)
        return self._send(client, head + reply, fault)

    def _send(self, client: socket.socket, answer: bytes, fault: Fault) -> bool:
        at = fault.at % len(answer)
        if fault.kind == "flip":
            answer = answer[:at] + bytes([answer[at] ^ 1]) + answer[at + 1 :]
        client.sendall(answer[:at] if fault.kind in {"cut", "hang"} else answer)
        if fault.kind == "hang":
            self._over.wait(2 * PATIENCE)
        return fault.kind not in {"cut", "hang"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


async def fetch(server: Server, rules: Rules, patience: float = PATIENCE) -> Any:
    """Fetch the outcome as the pool does; return it, or None if it was given up."""
    loop, numbers = asyncio.get_running_loop(), itertools.count(1)
    fetching, arrivals = Fetching(rules, jitter=lambda: 0.1), Arrivals()
    ranges = Ranges(lambda: pytest.fail("no TLS"))
    fetching.add(CALL, len(server.data), outcomes.layout_of(server.data))
    found: list[Any] = []
    last = 0

    def number() -> int:
        nonlocal last
        last = next(numbers)
        return last

    async def one(number: int, key: Any, start: int, stop: int) -> None:
        head, views = bytearray(seals.REPLY_HEAD_BYTES), arrivals.of(key).views(start, stop)
        order = entries.Entry(entries.FETCH, CALL, 0, 1, entries.pack_ids([start, stop]))
        query = Query(
            [frames.seal_message(SEAL, number, entries.pack([order]))],
            [memoryview(head), *views],
            functools.partial(seals.check_reply, SEAL, number, head, views),
        )
        try:
            status, _ = await ranges.post(server.url, {}, query, patience)
            if status != 200:
                raise CutError("not found")
        except Exception:
            fetching.failed(number, CALL, loop.time())
        else:
            found.extend(arrivals.take(key, CALL, stop - start))
            fetching.arrived(number, CALL)

    tasks: set[asyncio.Task[None]] = set()
    while len(fetching):
        for asked in fetching.ask(loop.time(), 0.0, number):
            tasks.add(asyncio.create_task(one(last, asked.key, asked.start, asked.stop)))
        _, tasks = (
            await asyncio.wait(tasks, return_when="FIRST_COMPLETED") if tasks else ((), tasks)
        )
        if not tasks and len(fetching):
            await asyncio.sleep(0.01)
    await asyncio.gather(*tasks)
    ranges.close()
    if not found:
        return None
    (done,) = found
    assert isinstance(done, Done)
    return done.outcome


def outcome_of(value: Any) -> bytes:
    pieces = buffers.Pieces()
    pickle.Pickler(pieces, 5).dump(value)
    return bytes(outcomes.encode(outcomes.VALUE, 0.5, 3, b"".join(buffers.arrange(pieces))))


VALUE = {"one": bytes(range(256)) * 512, "two": bytearray(b"ab" * 40_000), "three": list(range(99))}
FAULTS = st.lists(
    st.builds(Fault, st.sampled_from(["cut", "flip", "cut", "flip", ""]), st.integers(0, 1 << 17)),
    max_size=12,
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(faults=FAULTS, least=st.sampled_from([1000, 50_000]), at=st.integers(0, 1 << 17))
def test_cut_or_changed_at_any_byte_it_arrives_whole(
    server: Server, faults: list[Fault], least: int, at: int
) -> None:
    server.data = outcome_of(VALUE)
    server.faults = deque(faults)
    rules = Rules(fetch_least=least, fetch_bytes=(70_000, 70_000), fetch_tries=50)
    outcome = asyncio.run(fetch(server, rules))
    assert outcome.value() == VALUE
    assert (outcome.duration, outcome.printed) == (0.5, 3)


@pytest.mark.parametrize("at", [0, 1, 20, 60, 61, 100, 30_000])
def test_hung_at_any_byte_it_is_asked_for_again(server: Server, at: int) -> None:
    server.data = outcome_of(VALUE)
    server.faults = deque([Fault("hang", at), Fault("hang", at + 7)])
    assert asyncio.run(fetch(server, Rules())).value() == VALUE


def test_an_answer_of_no_length_is_hung_up_on_as_well(server: Server) -> None:
    server.data = outcome_of(VALUE)
    server.faults = deque([Fault("flip", len("HTTP/1.1 200 OK\r\n"))])
    assert asyncio.run(fetch(server, Rules())).value() == VALUE


def test_what_never_arrives_is_given_up_and_nothing_wrong_comes_of_it(server: Server) -> None:
    server.data = outcome_of(VALUE)
    server.faults = deque([Fault("flip", 1000)] * 100)
    assert asyncio.run(fetch(server, Rules(fetch_tries=3, fetch_again=(0.001, 0.01)))) is None
    server.faults.clear()


def test_connections_are_used_again(server: Server) -> None:
    server.data = outcome_of([bytes(1 << 20)] * 2 + [bytes([1]) * (20 << 20)])
    before = server.connections
    assert asyncio.run(fetch(server, Rules(), patience=30)).value()[0] == bytes(1 << 20)
    assert server.connections - before == Rules().fetches[0]


def test_a_layout_that_does_not_fit_is_no_news() -> None:
    from hfexecutor.runtime.news import news_of

    for layout in ([0], [0, 100], [0, 50, 1, 38]):
        data = entries.pack_ids([100, *layout])
        assert news_of([entries.Entry(entries.LARGE, 1, 0, 1, data)]) == ()
    assert struct.calcsize("<cfIIH") == outcomes.HEAD_BYTES


def test_what_there_is_no_memory_for_has_no_place_and_the_error_has_both_numbers():
    arrivals = Arrivals()
    with pytest.raises(MemoryError, match=rf"it has {1 << 50:,} bytes, and [\d,]+ are free"):
        arrivals.of(Key(1 << 50, ()))


def test_what_there_is_memory_for_but_for_others_on_their_way_waits_for_them():
    free = memory.room()
    assert free is not None
    size, arrivals = free * 6 // 10, Arrivals()
    first, second = (Key(size + 64, (buffers.BYTES, size)) for _ in range(2))
    arrivals.of(first)
    with pytest.raises(CrowdedError, match=rf"it has {size + 64:,} bytes"):
        arrivals.of(second)
    del first  # it is fetched no more
    gc.collect()
    assert arrivals.of(second).missing == size + 64
