"""Doors, spoken to over real sockets on this machine."""

import asyncio
import ssl

import httpx
import pytest

from hfexecutor.hub.credentials import Credentials
from hfexecutor.hub.doors import (
    DoorAmbiguousError,
    DoorError,
    DoorRejectedError,
    Doors,
    DoorUnreachableError,
)
from hfexecutor.hub.hosts import Door
from hfexecutor.hub.network import Network

TOKEN = "hf_" + "a1B2" * 8
HERE = "http://127.0.0.1:1"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Server:
    """Answers the n-th request with the n-th of `answers`, the last one again and again.

    An answer is bytes to send (None to hang), and is followed by hanging up when `close` is set.
    """

    def __init__(self, *answers, close=False):
        self.answers = list(answers)
        self.close = close
        self.requests = []
        self.asked = asyncio.Event()
        self.connections = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.door = Door(self.url, "x", 8000)
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = dict(line.split(": ", 1) for line in head.decode().splitlines()[1:-1])
                body = await reader.readexactly(int(fields["Content-Length"]))
                self.requests.append((head.split(b"\r\n")[0], fields, body))
                self.asked.set()
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer is None:
                    await reader.read()
                    break
                writer.write(answer)
                if self.close:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def with_doors(act, endpoint=HERE, transport=None, credentials=None):
    async def main():
        shown = credentials or Credentials(TOKEN)
        doors = Doors(endpoint, shown, Network(endpoint, shown, transport))
        try:
            return await act(doors)
        finally:
            await doors.aclose()

    return asyncio.run(main())


def test_a_message_is_posted_with_the_token_and_its_answer_returned():
    async def act(doors):
        async with Server(OK) as server:
            assert await doors.post(server.door, b"message", 5) == b"hello"
            ((line, fields, body),) = server.requests
            assert line == b"POST / HTTP/1.1"
            assert fields["Authorization"] == f"Bearer {TOKEN}"
            assert fields["Host"] == server.url.split("/")[2]
            assert body == b"message"

    with_doors(act)


def test_doors_see_the_token_that_is_for_them_alone():
    async def act(doors):
        async with Server(b"HTTP/1.1 403 No\r\nContent-Length: 6\r\n\r\nhf_few") as server:
            with pytest.raises(DoorRejectedError, match=r"403: \[token\]"):
                await doors.post(server.door, b"1", 5)
            assert server.requests[0][1]["Authorization"] == "Bearer hf_few"

    with_doors(act, credentials=Credentials(TOKEN, door_token="hf_few"))


def test_behind_a_proxy_doors_see_the_token_that_is_for_them_alone():
    def handle(request):
        assert request.headers["Authorization"] == "Bearer hf_few"
        return httpx.Response(200, content=b"hello")

    async def act(doors):
        assert await doors.post(Door("https://x--1.hf.jobs", "x", 1), b"1", 5) == b"hello"

    few = Credentials(TOKEN, door_token="hf_few")
    with_doors(act, transport=httpx.MockTransport(handle), credentials=few)


def test_a_connection_is_used_again_and_told_in_the_repr():
    async def act(doors):
        async with Server(OK) as server:
            for _ in range(5):
                await doors.post(server.door, b"", 5)
            assert server.connections == 1
            assert repr(doors) == "<Doors <Pool 1 idle>>"
            doors.forget(server.door)
            assert repr(doors) == "<Doors <Pool 0 idle>>"

    with_doors(act)


def test_messages_at_the_same_time_do_not_wait_for_each_other():
    async def act(doors):
        async with Server(None, OK) as server:
            hanging = asyncio.create_task(doors.post(server.door, b"1", 30))
            await server.asked.wait()
            assert await doors.post(server.door, b"2", 5) == b"hello"
            hanging.cancel()
            with pytest.raises(asyncio.CancelledError):
                await hanging

    with_doors(act)


def test_a_connection_that_was_closed_meanwhile_is_not_used_again():
    async def act(doors):
        async with Server(OK, close=True) as server:
            await doors.post(server.door, b"1", 5)
            await asyncio.sleep(0.05)  # let the other side's farewell arrive
            await doors.post(server.door, b"2", 5)
            assert server.connections == 2

    with_doors(act)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    ],
)
def test_any_way_to_frame_an_answer_is_understood(answer):
    async def act(doors):
        async with Server(answer) as server:
            assert await doors.post(server.door, b"1", 5) == b"hello"
            assert await doors.post(server.door, b"2", 5) == b"hello"

    with_doors(act)


def test_a_megabyte_goes_both_ways():
    big = b"x" * 4_000_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n" + big

    async def act(doors):
        async with Server(answer) as server:
            assert await doors.post(server.door, big, 20) == big
            assert server.requests[0][2] == big

    with_doors(act)


def test_a_closed_port_was_certainly_not_reached():
    async def act(doors):
        async with Server(OK) as server:
            door = server.door
        await doors.post(door, b"1", 5)

    with pytest.raises(DoorUnreachableError, match="cannot be reached"):
        with_doors(act)


def test_a_name_that_no_name_server_can_be_asked_for_was_not_reached():
    """Labels of more than 63 letters end as a UnicodeError in the codec for names."""
    job_id = "a" * 64
    door = Door(f"https://{job_id}--1.hf.jobs", job_id, 1)

    with pytest.raises(DoorUnreachableError, match="cannot be reached"):
        with_doors(lambda doors: doors.post(door, b"1", 5), endpoint="https://huggingface.co")


@pytest.mark.parametrize(
    ("answer", "close", "why"),
    [
        (b"", True, "hung up without an answer"),
        (OK[:-2], True, "without sending complete message body"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", True, "may have got"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops", False, "502: oops"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, False, "may have got"),
    ],
)
def test_whatever_fails_after_sending_leaves_it_open_whether_it_was_delivered(answer, close, why):
    async def act(doors):
        async with Server(answer, close=close) as server:
            await doors.post(server.door, b"1", 5)

    with pytest.raises(DoorAmbiguousError, match=why):
        with_doors(act)


def test_so_does_an_answer_that_is_late():
    async def act(doors):
        async with Server(OK, None) as server:
            await doors.post(server.door, b"1", 5)  # to connect may take longer than what follows
            await doors.post(server.door, b"2", 0.05)

    with pytest.raises(DoorAmbiguousError, match=r"no answer within 0.05 s"):
        with_doors(act)


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 411, 413, 429])
def test_a_refusal_has_its_status(status):
    answer = f"HTTP/1.1 {status} No\r\nLocation: https://evil.test\r\nContent-Length: 0\r\n\r\n"

    async def act(doors):
        async with Server(answer.encode()) as server:
            await doors.post(server.door, b"1", 5)

    with pytest.raises(DoorRejectedError) as caught:
        with_doors(act)
    assert caught.value.status == status


def test_a_refusal_does_not_quote_the_token():
    answer = f"HTTP/1.1 403 No\r\nContent-Length: {len(TOKEN)}\r\n\r\n{TOKEN}".encode()

    async def act(doors):
        async with Server(answer) as server:
            await doors.post(server.door, b"1", 5)

    with pytest.raises(DoorRejectedError, match=r"403: \[token\]"):
        with_doors(act)


def test_the_token_is_not_sent_where_it_does_not_belong():
    async def act(doors):
        async with Server(OK) as server:
            with pytest.raises(DoorRejectedError, match="No token is sent to") as caught:
                await doors.post(server.door, b"1", 5)
            assert server.connections == 0
            assert caught.value.status == 0

    with_doors(act, endpoint="https://huggingface.co")


def test_a_door_that_should_speak_tls_and_does_not_hears_nothing(monkeypatch):
    monkeypatch.setattr("httpx.create_ssl_context", ssl.create_default_context)

    def answer_in_clear(_, writer):
        writer.write(OK)
        writer.close()

    async def act(doors):
        server = await asyncio.start_server(answer_in_clear, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            await doors.post(Door(f"https://127.0.0.1:{port}", "x", 1), b"1", 5)

    with pytest.raises(DoorUnreachableError, match="SSL"):
        with_doors(act)


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (httpx.ConnectError("refused"), DoorUnreachableError),
        (httpx.ProxyError("407"), DoorUnreachableError),
        (httpx.ReadTimeout("slow"), DoorAmbiguousError),
        (httpx.RemoteProtocolError("cut"), DoorAmbiguousError),
        (httpx.Response(504), DoorAmbiguousError),
        (httpx.Response(403), DoorRejectedError),
    ],
)
def test_behind_a_proxy_the_errors_mean_the_same(outcome, kind):
    def handle(_):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def act(doors):
        assert repr(doors).endswith("behind a proxy>")
        await doors.post(Door("https://x--1.hf.jobs", "x", 1), b"1", 5)

    with pytest.raises(kind) as caught:
        with_doors(act, transport=httpx.MockTransport(handle))
    assert isinstance(caught.value, DoorError)


def test_a_proxy_is_used_where_one_is_set_but_never_on_this_machine(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")

    assert Network("https://huggingface.co", Credentials(TOKEN)).indirect
    assert not Network("http://127.0.0.1:8000", Credentials(TOKEN)).indirect
