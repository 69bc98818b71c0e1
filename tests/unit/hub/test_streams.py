"""Log streams over real sockets: many at once, and ones that break."""

import asyncio
import contextlib

import httpx
import pytest

from hfexecutor.errors import HubUnavailableError
from hfexecutor.hub import streams
from hfexecutor.hub.client import HubClient

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
JOB = b'{"id": "x", "status": {"stage": "RUNNING", "message": null}}'


def chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


EVENT = chunk(b'data: {"data": "hi", "timestamp": ""}\n\n')


@contextlib.asynccontextmanager
async def hub(talk):
    """Serve logs with `talk(writer)`, and everything else with a job."""
    handlers = set()

    async def serve(reader, writer):
        handlers.add(asyncio.current_task())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"/logs" in head.split(b"\r\n")[0]:
                    await talk(writer)
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(JOB) + JOB)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        async with HubClient(endpoint=url, token="hf_token", namespace="org") as client:
            yield client
    finally:
        server.close()
        await asyncio.gather(*handlers)


def test_a_hundred_followed_logs_do_not_starve_other_requests():
    release = asyncio.Event()

    async def talk(writer):
        writer.write(HEAD + EVENT)
        await release.wait()
        writer.write(b"0\r\n\r\n")

    async def follow(client, opened):
        async for lines in client.logs("x"):
            assert [line.text for line in lines] == ["hi"]
            opened.release()

    async def main():
        opened = asyncio.Semaphore(0)
        async with hub(talk) as client:
            followers = [asyncio.create_task(follow(client, opened)) for _ in range(100)]
            for _ in followers:
                await opened.acquire()
            assert (await client.inspect("x")).stage == "RUNNING"
            release.set()
            await asyncio.gather(*followers)

    asyncio.run(main())


def test_a_stream_that_is_cut_is_an_error_after_its_lines():
    async def talk(writer):
        writer.write(HEAD + EVENT)

    async def main():
        heard = []
        async with hub(talk) as client:
            log = client.logs("x")
            heard += await anext(log)
            with pytest.raises(HubUnavailableError, match="Could not follow the log of job x"):
                await anext(log)
        assert len(heard) == 1

    asyncio.run(main())


def test_a_stream_without_even_a_keep_alive_counts_as_dead(monkeypatch):
    monkeypatch.setattr(streams, "_TIMEOUT", httpx.Timeout(10, read=0.05))

    async def main():
        done = asyncio.Event()

        async def talk(writer):
            writer.write(HEAD + EVENT)
            await done.wait()

        async with hub(talk) as client:
            with pytest.raises(HubUnavailableError, match="ReadTimeout"):
                async for _ in client.logs("x"):
                    pass
            done.set()

    asyncio.run(main())


def test_whoever_closes_the_generator_hangs_up():
    async def main():
        gone = asyncio.Event()

        async def talk(writer):
            writer.write(HEAD)
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(EVENT)
                    await writer.drain()
                    await asyncio.sleep(0)
            gone.set()

        async with hub(talk) as client:
            async with contextlib.aclosing(client.logs("x")) as log:
                await anext(log)
            await asyncio.wait_for(gone.wait(), 5)

    asyncio.run(main())


def test_an_endless_refusal_does_not_fill_the_memory():
    async def main():
        async def talk(writer):
            writer.write(HEAD.replace(b"200 OK", b"500 No") + chunk(b'{"error": "no"}'))
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(chunk(b" " * 60_000))
                    await writer.drain()
                    await asyncio.sleep(0)

        async with hub(talk) as client:
            with pytest.raises(HubUnavailableError, match="HTTP 500: no"):
                await anext(client.logs("x"))

    asyncio.run(main())
