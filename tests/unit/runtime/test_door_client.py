"""Requests that stand, over connections that break at any byte of the answer."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.futures import Printed
from hfexecutor.hub.client import HubClient
from hfexecutor.remote import entries as wire
from hfexecutor.remote import frames, outcomes
from hfexecutor.runtime.door_client import DoorClient
from hfexecutor.runtime.edge import Surroundings, Tasks
from hfexecutor.runtime.link import Links

SEAL = frames.Seal(b"key")
NUMBER = 5


def reply(number=NUMBER, seal=SEAL):
    said = [
        wire.Entry(wire.POSITION, 3, 0, 1, b""),
        wire.Entry(wire.PRINTED, 1, 0, 1, wire.pack_printed(0, b"hello", joined=False)),
        wire.Entry(wire.PRINTED, 1, 0, 1, wire.pack_printed(1, "wörld".encode(), joined=True)),
        wire.Entry(wire.OUTCOME, 1, 0, 1, outcomes.encode(outcomes.VALUE, 0.1, 2, b"pickle")),
    ]
    body = frames.seal_reply(seal, number, wire.pack(said))
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Door:
    """A job's port: answers each request with the next of `answers`, and hangs up if it is cut."""

    def __init__(self):
        self.answers = []
        self.positions = []

    async def serve(self, reader, writer):
        whole = True
        try:
            while whole:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().splitlines()
                (length,) = (int(v.split(":")[1]) for v in lines if v.startswith("content-length"))
                _, body = frames.open_message(SEAL, await reader.readexactly(length))
                (order,) = wire.unpack(body)
                self.positions.append(wire.unpack_ids(order.data)[0])
                answer, whole = self.answers.pop(0)
                writer.write(answer)
        except asyncio.IncompleteReadError:  # the client has hung up
            pass
        finally:
            writer.close()


def listen(*answers):
    """Have a door client make a request for each answer; return what it tells, and what it printed.

    An answer is bytes, and whether the connection stays open after them.
    """
    printed = Printed()

    async def main():
        door = Door()
        door.answers = list(answers)
        handlers = []

        async def come(reader, writer):
            handlers.append(asyncio.current_task())
            await door.serve(reader, writer)

        server = await asyncio.start_server(come, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        told = []
        hub = HubClient(endpoint="http://127.0.0.1:1", token="hf_x", namespace="me")
        connection = SimpleNamespace(hub=hub, seal=lambda _: SEAL)
        links = Links(connection, lambda call: printed if call == 1 else None)
        tasks = Tasks(told.append)
        client = DoorClient(Surroundings(connection, None, links, tasks, told.append))
        for count in range(1, 1 + len(answers)):
            url = f"http://127.0.0.1:{port}"
            client.listen(do.Listen("w", "job", url, 8000, NUMBER, count, 25.0, 5.0))
            async with asyncio.timeout(10):
                while len(told) < count:  # noqa: ASYNC110 - it is told by a plain call
                    await asyncio.sleep(0)
        await tasks.aclose()
        await hub.aclose()
        await asyncio.gather(*handlers)
        server.close()
        await server.wait_closed()
        return told, door.positions

    return (*asyncio.run(main()), printed)


def test_what_a_worker_says_as_it_happens_is_told():
    (event,), positions, printed = listen((reply(), True))

    assert isinstance(event, ev.Listened)
    assert (event.number, event.position) == (NUMBER, 3)
    assert [news.call for news in event.news] == [1]
    assert positions == [1]
    assert printed.text() == "hellowörld\n"


def test_an_answer_that_is_cut_at_any_byte_brings_nothing():
    whole = reply()
    cut = [(whole[:size], False) for size in range(len(whole))]

    told, positions, printed = listen(*cut, (whole, True))

    assert {type(event) for event in told[:-1]} == {ev.ListenFailed}
    assert isinstance(told[-1], ev.Listened)
    assert len(positions) == len(whole) + 1
    assert printed.text() == "hellowörld\n"


def test_answers_that_are_not_authentic_or_to_another_request_bring_nothing():
    whole = reply()
    flipped = bytearray(whole)
    flipped[-3] ^= 1

    told, _, printed = listen(
        (bytes(flipped), True),
        (reply(number=NUMBER - 1), True),
        (reply(seal=frames.Seal(b"other")), True),
        (b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n", True),
    )

    assert {type(event) for event in told} == {ev.ListenFailed}
    assert printed.text() == ""
