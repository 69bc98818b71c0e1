"""Exposed ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from hfexecutor.local import LocalHub, Timings

SERVER = """
import sys, http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        seen = self.headers.get("Authorization", "-").encode()
        body = body if self.path == "/echo" else b"%s %s %d" % (self.path.encode(), seen, len(body))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"3\\r\\nabc\\r\\n0\\r\\n\\r\\n")
    def log_message(self, *args): pass
class Server(http.server.ThreadingHTTPServer):
    def get_request(self):
        connection, address = super().get_request()
        connection.setsockopt(6, 1, 1)
        return connection, address
server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
print("ready", flush=True)
server.serve_forever()
"""


def post(token):
    """Return a request of two bytes, with the token if there is one."""
    line = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"POST /n HTTP/1.1\r\nHost: localhost\r\n{line}Content-Length: 2\r\n\r\nab".encode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def served(raw, **expose):
    port = free_port()
    spec = {key: [port] for key, wanted in expose.items() if wanted} | {"ports": [port]}
    job = raw.run("python", "-c", SERVER, str(port), expose=spec)
    assert next(raw.lines(job)) == "ready"
    (url,) = raw.inspect(job)["status"]["exposeUrls"]
    with httpx.Client(base_url=url, trust_env=False, verify=False, timeout=20) as door:
        yield job, door
    raw.cancel(job)


@pytest.fixture
def auth(hub):
    return {"Authorization": f"Bearer {hub.token}"}


def test_requests_are_relayed(raw, hub, auth):
    before = hub.requests["POST door"]
    with served(raw) as (_, door):
        for _ in range(3):
            reply = door.post("/path?q=1", content=b"12345", headers=auth)
            assert reply.text == "/path?q=1 - 5"
        assert door.get("/", headers=auth).text == "abc"
    assert hub.requests["POST door"] - before == 3
    assert hub.requests["GET door"] >= 1


def test_a_token_is_needed(raw, auth):
    with served(raw) as (_, door):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}):
            assert door.post("/", content=b"x", headers=headers).status_code == 401
        assert door.post("/", content=b"x", headers=auth).status_code == 200


def test_a_public_port_needs_none(raw):
    with served(raw, portsPublic=True) as (_, door):
        assert door.post("/", content=b"x").status_code == 200


def test_big_bodies_both_ways(raw, auth):
    body = os.urandom(1 << 20) * 16
    with served(raw) as (_, door):
        for _ in range(2):
            assert door.post("/echo", content=body, headers=auth).content == body


def test_big_bodies_at_once_are_not_mixed_up(raw, auth):
    bodies = [os.urandom(6 << 20) for _ in range(4)]
    with served(raw) as (_, door), ThreadPoolExecutor(4) as threads:
        sent = threads.map(lambda body: door.post("/echo", content=body, headers=auth), bodies)
        assert [reply.content for reply in sent] == bodies


def test_pipelined_and_chopped_requests(raw, hub):
    with served(raw) as (_, door):
        data = post(hub.token) * 3
        with socket.create_connection((door.base_url.host, door.base_url.port)) as connection:
            for at in range(0, len(data), 17):
                connection.sendall(data[at : at + 17])
            seen = b""
            while seen.count(b"/n - 2") < 3:
                seen += connection.recv(65536)


def test_each_request_on_a_connection_needs_the_token(raw, hub):
    with served(raw) as (_, door):
        good, bad = post(hub.token), post(None)
        with socket.create_connection((door.base_url.host, door.base_url.port)) as connection:
            connection.sendall(good + bad + good)
            seen = b"".join(iter(lambda: connection.recv(65536), b""))
        assert b"401 Unauthorized" in seen
        assert seen.count(b"HTTP/1.1") <= 2


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"403"),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 40_000, b"431"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"1" * 5000 + b"\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", b"505"),
        (b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", b"505"),
        *(
            (b"POST / HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n\r\n", status)
            for headers, status in (
                (b"Content-Length: 1\r\nTransfer-Encoding: chunked", b"400"),
                (b"Content-Length: -1", b"400"),
                (b"Transfer-Encoding: gzip, chunked", b"501"),
                (b"Authorization: Bearer a\r\nAuthorization: Bearer b", b"400"),
                (b"Connection: close\r\nConnection: upgrade", b"401"),
                (b"No colon", b"400"),
                (b"Space : x", b"400"),
                (b"A: b\0c", b"400"),
            )
        ),
    ],
)
def test_bad_heads(raw, request_, status):
    with (
        served(raw) as (_, door),
        socket.create_connection((door.base_url.host, door.base_url.port)) as connection,
    ):
        connection.sendall(request_)
        assert connection.recv(4096).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("told", ["launch", "running"])
def test_when_addresses_are_told(make, told):
    hub, raw = make(expose_urls=told, timings=Timings(start=60))
    spec = {"flavor": "cpu-basic", "dockerImage": "python:3", "command": ["true"]}
    spec["expose"] = {"ports": [free_port(), free_port()]}
    template = "/api/jobs/{namespace}"
    launched = raw("POST", raw.jobs, template, json=spec).json()
    (listed,) = raw("GET", raw.jobs, template).json()
    shown = raw.inspect(launched["id"])
    for reply in (launched, listed, shown):
        assert reply["status"]["stage"] == "SCHEDULING"
        assert len(reply["status"].get("exposeUrls", ())) == (2 if told == "launch" else 0)
    for url in launched["status"].get("exposeUrls", ()):
        headers = {"Authorization": f"Bearer {hub.token}"}
        reply = httpx.post(url, content=b"x", headers=headers, trust_env=False, verify=False)
        assert reply.status_code == 502
        assert reply.text == "The job does not run yet"
    again = raw("POST", f"{raw.jobs}/{launched['id']}/duplicate", f"{template}/{{jobId}}/duplicate")
    assert ("exposeUrls" in again.json()["status"]) == (told == "launch")
    for job in (launched, again.json()):
        raw.cancel(job["id"])


def test_addresses_are_told_at_one_of_two_moments():
    with pytest.raises(ValueError, match="choose from launch, running"):
        LocalHub(expose_urls="never")


CHUNKED = (
    b"POST /echo HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
)


@pytest.mark.parametrize("size", [1, 3, 7, 10_000])
def test_a_chunked_body_ends_where_it_ends(make, size):
    """And what follows is the next request, which needs the token for itself."""
    hub, raw = make(runner=Answering(bytes.upper))
    job = raw.run("work", expose={"ports": [1]})
    (url,) = raw.wait(job, "RUNNING")["status"]["exposeUrls"]
    data = CHUNKED % hub.token.encode() + post(hub.token) + post(None)
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as connection:
        for at in range(0, len(data), size):
            connection.sendall(data[at : at + size])
        seen = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"HELLO0123456789ABCDEF" in seen
    assert [part[1:4] for part in seen.split(b"HTTP/1.1")[1:]] == [b"200", b"200", b"401"]


def test_a_job_gets_a_chunked_body_in_chunks(raw, hub):
    code = """if True:
        import socket, sys
        with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
            print("ready", flush=True)
            connection, _ = server.accept()
            seen = b""
            while not seen.endswith(b"0\\r\\n\\r\\n"):
                seen += connection.recv(65536)
            connection.sendall(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
            print(seen)
    """
    port = free_port()
    job = raw.run("python", "-c", code, str(port), expose={"ports": [port]})
    lines = raw.lines(job)
    assert next(lines) == "ready"
    (url,) = raw.inspect(job)["status"]["exposeUrls"]
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as connection:
        connection.sendall(CHUNKED % hub.token.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 204")
    seen = next(lines)
    assert "5\\r\\nhello\\r\\n10\\r\\n0123456789abcdef\\r\\n0\\r\\n\\r\\n" in seen
    assert hub.token not in seen
    raw.wait(job)


def test_another_protocol_after_a_request(raw, hub):
    code = """if True:
        import socket, sys
        with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
            print("ready", flush=True)
            connection, _ = server.accept()
            seen = b""
            while not seen.endswith(b"\\r\\n\\r\\n"):
                seen += connection.recv(65536)
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\\r\\n\\r\\n")
            while data := connection.recv(65536):
                connection.sendall(data.upper())
    """
    port = free_port()
    job = raw.run("python", "-c", code, str(port), expose={"ports": [port]})
    assert next(raw.lines(job)) == "ready"
    (url,) = raw.inspect(job)["status"]["exposeUrls"]
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as connection:
        connection.sendall(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"
            b"Connection: Upgrade\r\nUpgrade: mine\r\n\r\n" % hub.token.encode()
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 101")
        connection.sendall(b"\0 no request \xff")
        assert connection.recv(65536) == b"\0 NO REQUEST \xff"
    raw.wait(job)


class Answering:
    """Runs jobs that are nothing but an answer at port 1."""

    def __init__(self, answer):
        self._answer = answer

    async def start(self, launch, write):
        return Answers(self._answer)

    async def close(self):
        pass


class Answers:
    pids = ()

    def __init__(self, answer):
        self.doors = {1: answer}
        self._over = asyncio.get_running_loop().create_future()

    async def wait(self):
        return await self._over

    def kill(self):
        if not self._over.done():
            self._over.set_result(-9)


def test_an_answer_that_fails_is_heard_of(make, caplog):
    def fail(body):
        raise LookupError("nobody foresaw this")

    hub, raw = make(runner=Answering(fail))
    job = raw.run("work", expose={"ports": [1]})
    (url,) = raw.wait(job, "RUNNING")["status"]["exposeUrls"]
    headers = {"Authorization": f"Bearer {hub.token}"}
    reply = httpx.post(url, content=b"x", headers=headers, trust_env=False, verify=False)
    assert reply.status_code == 500
    assert "nobody foresaw this" in reply.text
    assert "Traceback" in caplog.text
    assert "nobody foresaw this" in caplog.text


def test_no_bytes_confuse_a_port(raw, auth, caplog):
    dice = random.Random(5)
    whole = post("x") * 2 + CHUNKED % b"x"
    with served(raw) as (_, door):
        for _ in range(200):
            data = bytearray(
                dice.randbytes(dice.randrange(1, 80)) if dice.random() < 0.3 else whole
            )
            for _ in range(dice.randrange(5)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            with socket.create_connection((door.base_url.host, door.base_url.port)) as connection:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionError):  # it hangs up with our bytes unread
                    connection.recv(65536)
        assert door.post("/echo", content=b"y", headers=auth).text == "y"
    assert caplog.text == ""


def test_nobody_listens(raw, auth):
    job = raw.run("sleep", "60", expose={"ports": [free_port()]})
    (url,) = raw.wait(job, "RUNNING")["status"]["exposeUrls"]
    assert (
        httpx.post(url, content=b"x", headers=auth, trust_env=False, verify=False).status_code
        == 502
    )
    raw.cancel(job)
    assert (
        httpx.post(url, content=b"x", headers=auth, trust_env=False, verify=False).status_code
        == 503
    )


def test_no_door_leads_to_the_hub(raw):
    port = int(raw.hub.endpoint.rpartition(":")[2])
    job = raw.run("sleep", "60", expose={"ports": [port], "portsPublic": [port]})
    (url,) = raw.wait(job, "RUNNING")["status"]["exposeUrls"]
    with httpx.Client(base_url=url, trust_env=False, verify=False, timeout=20) as door:
        assert door.get("/api/jobs/hardware").status_code == 502
    raw.cancel(job)


def test_of_two_jobs_with_the_same_port_the_first_has_it(raw, auth, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with served(raw) as (first, door):
        assert door.post("/echo", content=b"x", headers=auth).text == "x"
        (port,) = raw.inspect(first)["expose"]["ports"]
        second = raw.run(
            *("sh", "-c", 'cat "$0"; exec "$@"', str(fifo), sys.executable, "-c", SERVER),
            str(port),
            expose={"ports": [port]},
        )
        (url,) = raw.wait(second, "RUNNING")["status"]["exposeUrls"]
        with httpx.Client(base_url=url, trust_env=False, verify=False, timeout=20) as other:
            assert other.post("/echo", content=b"x", headers=auth).status_code == 502
            assert door.post("/echo", content=b"y", headers=auth).text == "y"
            raw.cancel(first)
            fifo.write_text("")
            assert next(raw.lines(second)) == "ready"
            assert other.post("/echo", content=b"z", headers=auth).text == "z"
        raw.cancel(second)


def test_the_end_of_the_job_ends_its_connections(raw, auth):
    with served(raw) as (job, door):
        assert door.get("/", headers=auth).text == "abc"
        raw.cancel(job)
        assert door.get("/", headers=auth).status_code == 503


def test_a_port_can_be_taken_back(raw, auth):
    with served(raw) as (job, door):
        raw("PUT", f"{raw.jobs}/{job}/expose", json={"ports": []})
        with pytest.raises(httpx.ConnectError):
            door.get("/", headers=auth)
        assert "exposeUrls" not in raw.inspect(job)["status"]


def test_the_round_trip_takes_as_long_as_on_the_real_hub(make):
    hub, raw = make(timings=Timings(door=0.1))
    with served(raw) as (_, door):
        headers = {"Authorization": f"Bearer {hub.token}"}
        for _ in range(2):
            began = time.monotonic()
            door.post("/", content=b"x", headers=headers)
            assert time.monotonic() - began >= 0.1


def test_the_rate_of_a_connection(make):
    hub, raw = make(timings=Timings(door_rate=10 << 20))
    with served(raw) as (_, door):
        began = time.monotonic()
        body = b"x" * (2 << 20)
        headers = {"Authorization": f"Bearer {hub.token}"}
        assert door.post("/echo", content=body, headers=headers).content == body
        assert time.monotonic() - began >= 0.2
