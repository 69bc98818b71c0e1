"""Nobody is let in, and nothing leaks: attacks on real jobs, with everything but the key.

Whoever unpickles what these tests forge creates a file (see `Trap`): none may appear. Keys are
taken from the executor's own objects, which only the process that holds the token can do.
"""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import logging
import os
import pickle
import struct
import sys
import threading
import traceback
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hfexecutor
from hfexecutor import HubExecutor
from hfexecutor.core.commands import Post
from hfexecutor.hub.client import HubClient
from hfexecutor.hub.credentials import Credentials
from hfexecutor.labels import LAUNCH_LABEL, RUN_LABEL
from hfexecutor.local import LocalHub
from hfexecutor.local import faults as f
from hfexecutor.options import Options
from hfexecutor.remote import entries, frames, outcomes
from hfexecutor.runtime.connection import Connection
from hfexecutor.runtime.launch_request import compose
from hfexecutor.runtime.link import Link
from hfexecutor.runtime.values import Mounts

from .conftest import until

FAR = 1 << 40  # ids of calls, and numbers of messages, that the client does not use
linux = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc to look into")


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    path = tmp_path / "unpickled"
    yield Trap(path)
    assert not path.exists(), "something was unpickled that is not authentic"


def sign(path: str, text: str) -> str:
    """Leave a trace of each execution."""
    with open(path, "a") as file:  # noqa: PTH123 - runs in a job
        file.write(f"{text}\n")
    return text


def signed(path: Path) -> Counter[str]:
    return Counter(path.read_text().split()) if path.exists() else Counter()


def connection_of(executor: HubExecutor) -> Connection:
    return executor._pool.connection


def worker_of(executor: HubExecutor) -> Any:
    (worker,) = executor._pool.machine.workers.values()
    return worker


def link_of(executor: HubExecutor) -> Link:
    return executor._pool._links.of(worker_of(executor).id)


def seal_of(executor: HubExecutor, hub: LocalHub, job_id: str | None) -> frames.Seal:
    """Return the seal that a job of this executor has."""
    (launch_id,) = [job.labels[LAUNCH_LABEL] for job in hub.jobs() if job.id == job_id]
    return connection_of(executor).seal(launch_id)


def log_of(hub: LocalHub, job_id: str | None) -> list[str]:
    """Return what the log of a job has now, as the API gives it; it may still be written."""
    (count,) = [job.lines for job in hub.jobs() if job.id == job_id]
    with ask(hub, f"/{job_id}/logs") as stream:
        events = (line for line in stream if line.startswith(b"data: "))
        return [json.loads(event[6:])["data"] for event in itertools.islice(events, count)]


def ask(hub: LocalHub, path: str) -> http.client.HTTPResponse:
    return urllib.request.urlopen(
        urllib.request.Request(
            f"{hub.endpoint}/api/jobs/{hub.namespace}{path}",
            headers={"Authorization": f"Bearer {hub.token}"},
        ),
        timeout=20,
    )


def frames_of(hub: LocalHub, job_id: str | None) -> list[str]:
    return [line for line in log_of(hub, job_id) if line.startswith("#hfx1:")]


def outcome_frame(seal: frames.Seal, call_id: int, value: Any, stream: str = "00c0ffee") -> str:
    """Return a frame which says that this is the value of a call."""
    data = outcomes.encode(outcomes.VALUE, 0.0, 0, pickle.dumps(value))
    writer = frames.LineWriter(seal, stream)
    (line,) = writer.lines([entries.Entry(entries.OUTCOME, call_id, 0, 1, data)])
    return line.decode()


def call_message(seal: frames.Seal, number: int, call_id: int, *call: Any) -> bytes:
    """Return a message which tells a worker to run a call."""
    data = entries.call_head(0) + pickle.dumps((call[0], call[1:], {}))
    body = entries.pack([entries.Entry(entries.CALL, call_id, 0, 1, data)])
    return frames.seal_message(seal, number, body)


def knock(port: int, message: bytes) -> tuple[int, bytes]:
    """Send a message straight to a worker's port, past the Hub."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        client.request("POST", "/", message)
        response = client.getresponse()
        return response.status, response.read()
    finally:
        client.close()


# --- the log: nothing counts that this job did not say --------------------------------------------


def test_a_call_that_prints_forged_frames_is_not_believed(
    warm: HubExecutor, trap: Trap, caplog: pytest.LogCaptureFixture
) -> None:
    assert warm.submit(pow, 2, 3).result(30) == 8
    next_id = warm.submit(pow, 2, 4).call_id + 1
    frame = outcome_frame(frames.Seal(b"a guess"), next_id, trap)
    future = warm.submit(print, frame)
    assert future.call_id == next_id
    assert future.result(30) is None
    assert future.logs() == f"{frame}\n"
    until(lambda: "not authentic" in caplog.text)


def changed(frame: str, field: int) -> str:
    """Change one field of a frame and leave it well-formed."""
    parts = frame.removesuffix(";").split(":")
    if field == 2:
        parts[2] = str(int(parts[2]) + 1)
    else:
        text = parts[field]
        parts[field] = ("B" if text[0] == "A" else "A") + text[1:] if field != 1 else text[::-1]
    return ":".join(parts) + ";"


@pytest.mark.parametrize("field", [1, 2, 3, 4], ids=["stream", "number", "body", "mac"])
def test_a_frame_that_was_tampered_with_is_only_text(
    warm: HubExecutor, hub: LocalHub, field: int
) -> None:
    first = warm.submit(pow, 2, 3)
    assert first.result(30) == 8
    bad = [changed(frame, field) for frame in frames_of(hub, first.job_id)]
    future = warm.submit(print, *bad, sep="\n")
    assert future.result(30) is None
    assert future.logs().split() == bad
    # What was printed came through the door; the log may be a little behind.
    until(lambda: link_of(warm).parser.forged == len(bad))


def test_a_jobs_own_frames_said_again_by_a_call_change_nothing(
    make: Callable[..., HubExecutor], hub: LocalHub, tmp_path: Path
) -> None:
    path = tmp_path / "executed"
    with make(1) as executor:
        first = executor.submit(sign, str(path), "first")
        assert first.result(30) == "first"
        old = frames_of(hub, first.job_id)
        assert old
        assert executor.submit(print, *old, sep="\n").result(30) is None
        assert executor.submit(sign, str(path), "second").result(30) == "second"
        assert first.result() == "first"
        assert executor.stats().done == 3
    assert signed(path) == {"first": 1, "second": 1}


def test_a_frame_of_another_job_of_the_run_is_refused(
    make: Callable[..., HubExecutor], hub: LocalHub, trap: Trap, caplog: pytest.LogCaptureFixture
) -> None:
    with make(1, reuse_workers=False) as executor:
        first = executor.submit(pow, 2, 3)
        assert first.result(30) == 8
        seal = seal_of(executor, hub, first.job_id)  # what code in the first job may have found
        forged = [*frames_of(hub, first.job_id), outcome_frame(seal, first.call_id + 1, trap)]
        hub.inject(f.Noise(data="".join(f"{frame}\n" for frame in forged).encode(), times=1))
        second = executor.submit(str.upper, "honest")
        assert second.call_id == first.call_id + 1
        assert second.result(30) == "HONEST"
        assert second.job_id != first.job_id
    assert set(forged) <= set(log_of(hub, second.job_id)), "the attack took place"
    assert "not authentic" in caplog.text


def test_a_job_cannot_answer_a_call_that_another_one_has(
    make: Callable[..., HubExecutor], hub: LocalHub, trap: Trap, tmp_path: Path
) -> None:
    """Not even with its own key, which code in a job may find if it tries hard enough."""
    gate = tmp_path / "gate"
    with make(2, reuse_workers=False) as executor:
        victim = executor.submit(wait_for_file, str(gate))
        until(victim.running)
        name = victim.call_id
        attacker = executor.submit(say_when_told, str(tmp_path / "frame"))
        until(lambda: attacker.job_id is not None)
        frame = outcome_frame(seal_of(executor, hub, attacker.job_id), name, trap)
        (tmp_path / "part").write_text(frame)
        (tmp_path / "part").rename(tmp_path / "frame")
        assert attacker.result(30) is None
        assert not victim.done()
        gate.touch()
        assert victim.result(30) == "mine"


def wait_for_file(path: str) -> str:
    import os
    import time

    while not os.path.exists(path):  # noqa: PTH110 - runs in a job
        time.sleep(0.01)
    return "mine"


def say_when_told(path: str) -> None:
    import os
    import time

    while not os.path.exists(path):  # noqa: PTH110 - runs in a job
        time.sleep(0.01)
    with open(path) as file:  # noqa: PTH123
        print(file.read(), flush=True)


@pytest.mark.parametrize(
    "other", [{"token": "hf_of_somebody_else"}, {"namespace": "somebody-else"}], ids=str
)
def test_executors_of_other_tokens_or_namespaces_ignore_each_others_frames(
    make: Callable[..., HubExecutor], hub: LocalHub, trap: Trap, other: dict[str, str]
) -> None:
    options = {"token": hub.token, "namespace": hub.namespace, **other}
    with LocalHub(**options) as elsewhere, make(1) as one:
        first = one.submit(pow, 2, 3)
        assert first.result(30) == 8
        seal = seal_of(one, hub, first.job_id)
        forged = [*frames_of(hub, first.job_id), outcome_frame(seal, first.call_id, trap)]
        elsewhere.inject(f.Noise(data="".join(f"{frame}\n" for frame in forged).encode()))
        with make(1, endpoint=elsewhere.endpoint, **options) as two:
            second = two.submit(str.upper, "honest")
            assert second.call_id == first.call_id
            assert second.result(30) == "HONEST"
            worker = worker_of(two)
            assert link_of(two).parser.forged >= len(forged)
            message = call_message(seal, FAR, FAR, Trap, trap.path)
            assert knock(worker.port, message) == (403, b"")


def test_another_token_gives_another_key_to_the_same_run() -> None:
    one, two = (
        Connection(
            endpoint="http://127.0.0.1:9",
            credentials=Credentials(token),
            namespace="n",
            options=Options.check(),
        )
        for token in ("hf_one", "hf_two")
    )
    two.nonce = one.nonce
    assert one.launch_key("0" * 16) != two.launch_key("0" * 16)
    assert one.launch_key("0" * 16) != one.launch_key("1" * 16)


# --- the door: nothing is done that the client did not say, and nothing twice ---------------------


def test_a_door_believes_nobody_without_the_key(
    warm: HubExecutor, trap: Trap, caplog: pytest.LogCaptureFixture
) -> None:
    assert warm.submit(pow, 2, 3).result(30) == 8
    worker = worker_of(warm)
    until(lambda: worker.takes_calls)
    good = call_message(link_of(warm).seal, FAR, FAR, trap)
    stranger = call_message(frames.Seal(b"another key"), FAR, FAR, trap)
    other_launch = call_message(connection_of(warm).seal("0" * 16), FAR, FAR, trap)
    attempts = [
        b"",
        b"LEAVE",
        good[16:],  # without its MAC
        bytes(16) + good[16:],
        good[:-1] + bytes([good[-1] ^ 1]),
        good[:16] + struct.pack("<Q", FAR + 1) + good[24:],  # under another number
        stranger,
        other_launch,
        frames.seal_reply(link_of(warm).seal, FAR, good[24:]),  # what a worker says is no order
    ]
    assert [knock(worker.port, attempt) for attempt in attempts] == [(403, b"")] * len(attempts)
    assert warm.submit(pow, 2, 4).result(30) == 16
    until(lambda: "refused a message" in caplog.text)
    assert warm.stats().jobs_started == 1


def test_messages_that_are_replayed_are_answered_and_do_nothing(
    warm: HubExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "executed"
    recorded: list[bytes] = []
    send = HubClient.knock

    async def record(self: HubClient, url: str, body: bytes, **limits: Any) -> bytes:
        recorded.append(bytes(body))
        return await send(self, url, body, **limits)

    monkeypatch.setattr(HubClient, "knock", record)
    for n in range(5):
        assert warm.submit(sign, str(path), f"call-{n}").result(30) == f"call-{n}"
    worker = worker_of(warm)
    assert len(recorded) >= 4
    for message in [*reversed(recorded), *recorded]:
        status, reply = knock(worker.port, message)
        assert status == 200
        frames.open_reply(link_of(warm).seal, struct.unpack("<Q", message[16:24])[0], reply)
    assert warm.submit(pow, 2, 3).result(30) == 8
    assert signed(path) == {f"call-{n}": 1 for n in range(5)}


def test_messages_that_are_reordered_are_done_once_each(warm: HubExecutor, tmp_path: Path) -> None:
    path = tmp_path / "executed"
    assert warm.submit(pow, 2, 3).result(30) == 8
    worker = worker_of(warm)
    messages = [
        call_message(link_of(warm).seal, FAR + n, FAR + n, os.system, f"echo call-{n} >>{path}")
        for n in range(4)
    ]
    for n in (2, 0, 3, 1, 2, 2, 0):
        assert knock(worker.port, messages[n])[0] == 200
    again = call_message(link_of(warm).seal, FAR + 9, FAR, os.system, f"echo again >>{path}")
    assert knock(worker.port, again)[0] == 200
    until(lambda: sum(signed(path).values()) >= 4)
    assert warm.submit(pow, 2, 4).result(30) == 16
    assert {f"call-{n}": 1 for n in range(4)}.items() <= signed(path).items()


def test_the_launch_message_is_not_accepted_by_the_door(warm: HubExecutor, trap: Trap) -> None:
    assert warm.submit(pow, 2, 3).result(30) == 8
    worker = worker_of(warm)
    assert knock(worker.port, call_message(link_of(warm).seal, 0, FAR, trap)) == (409, b"")


def test_a_doors_answer_that_is_not_authentic_is_not_believed(
    warm: HubExecutor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever sits between could otherwise claim that calls were given back, to run them twice."""
    assert warm.submit(pow, 2, 3).result(30) == 8
    until(lambda: worker_of(warm).takes_calls)
    send = HubClient.knock

    async def tamper(self: HubClient, url: str, body: bytes, **limits: Any) -> bytes:
        reply = await send(self, url, body, **limits)
        return reply[:-1] + bytes([reply[-1] ^ 1])

    monkeypatch.setattr(HubClient, "knock", tamper)
    assert warm.submit(pow, 2, 4).result(30) == 16
    until(lambda: "is given up" in caplog.text)


# --- secrets stay where they belong ---------------------------------------------------------------


def look_around() -> dict[str, str]:
    """Return what a call can read without being told anything."""
    import os

    found = {"os.environ": str(dict(os.environ))}
    for name, pid in (("self", os.getpid()), ("supervisor", os.getppid())):
        for what in ("environ", "cmdline"):
            with open(f"/proc/{pid}/{what}", errors="replace") as file:  # noqa: PTH123
                found[f"{name} {what}"] = file.read()
    return found


def spellings(key: bytes) -> list[str]:
    """Return how a key may be written."""
    plain = base64.b64encode(key).decode().rstrip("=")
    return [key.hex(), plain, plain.replace("+", "-").replace("/", "_"), repr(key)[2:-1]]


@linux
def test_user_code_finds_neither_key_nor_token_around_it(
    executor: HubExecutor, hub: LocalHub
) -> None:
    future = executor.submit(look_around)
    found = future.result(30)
    (launch_id,) = [job.labels[LAUNCH_LABEL] for job in hub.jobs() if job.id == future.job_id]
    connection = connection_of(executor)
    secret = [hub.token]
    for key in (connection._keys._key, connection.launch_key(launch_id)):
        secret += spellings(key)
    for place, text in found.items():
        assert "HFEXECUTOR_" not in text or "cmdline" in place, place
        assert not [word for word in secret if word in text], place


def test_a_job_holds_no_hub_token(
    make: Callable[..., HubExecutor], hub: LocalHub, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    with make(1, token=None, reuse_workers=mode == "warm") as executor:
        environment = executor.submit(lambda: dict(__import__("os").environ)).result(30)
    assert "HF_TOKEN" not in environment
    assert hub.token not in str(environment)


def as_the_hub_shows_it(hub: LocalHub, job_id: str | None) -> dict[str, Any]:
    with ask(hub, f"/{job_id}") as response:
        shown: dict[str, Any] = json.load(response)
    return shown


def test_the_users_secrets_reach_calls_and_show_by_name_only(
    make: Callable[..., HubExecutor], hub: LocalHub, mode: str
) -> None:
    options = {"secrets": {"API_KEY": "hunter2"}, "env": {"LEVEL": "high"}}
    with make(1, reuse_workers=mode == "warm", **options) as executor:
        future = executor.submit(lambda: dict(__import__("os").environ))
        environment = future.result(30)
        assert (environment["API_KEY"], environment["LEVEL"]) == ("hunter2", "high")
        assert "hunter2" not in repr(executor) + repr(executor._options) + repr(future)
    shown = as_the_hub_shows_it(hub, future.job_id)
    assert "API_KEY" in shown["secrets"]
    assert shown["environment"]["LEVEL"] == "high"
    assert "API_KEY" not in shown["environment"]
    assert "hunter2" not in json.dumps(shown)


def fail_loudly() -> None:
    print("on its way")
    raise ValueError("of the call")


def test_keys_and_tokens_show_nowhere(
    make: Callable[..., HubExecutor],
    hub: LocalHub,
    caplog: pytest.LogCaptureFixture,
    mode: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    with make(2, reuse_workers=mode == "warm") as executor:
        good, bad = executor.submit(print, "hello"), executor.submit(fail_loudly)
        dead = executor.submit(os._exit, 3)
        assert good.result(30) is None
        for future in (bad, dead):
            error = future.exception(30)
            shown += [repr(error), str(error), str(error.__cause__)]
        connection, options = connection_of(executor), executor._options
        workers = list(executor._pool.machine.workers.values())
        shown += [repr(executor), repr(good), repr(bad), repr(options), repr(connection)]
        shown += [repr(connection.hub), str(vars(executor).values())]
        for worker in workers:
            post = Post(worker.id, "", 1, (), 1, True, None)
            spec = compose(connection, options, post, Mounts())
            seal = connection.seal(worker.id)
            shown += [repr(worker), repr(seal), repr(spec), str(spec.command)]
            shown += [str(spec.labels), str(dict(spec.env)), worker.describe()]
    jobs = [job for job in hub.jobs() if job.labels.get(RUN_LABEL) == connection.nonce]
    assert jobs
    secret = [hub.token, *spellings(connection._keys._key)]
    for job in jobs:
        secret += spellings(connection.launch_key(job.labels[LAUNCH_LABEL]))
        shown += log_of(hub, job.id)
        details = as_the_hub_shows_it(hub, job.id)
        shown.append(json.dumps(details))
        assert not [name for name in details["environment"] if name.startswith("HFEXECUTOR")]
    shown.append(caplog.text)
    assert len(caplog.text) > 100
    text = "\n".join(shown)
    assert [word for word in secret if word in text] == []


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404])
def test_a_hub_that_repeats_the_token_does_not_get_it_into_an_error(
    make: Callable[..., HubExecutor], status: int
) -> None:
    with LocalHub() as echo:
        message = f"I was told {echo.token} and do not like it"
        echo.inject(f.Refuse(status, message=message, route="POST /api/jobs/{namespace}"))
        with make(1, endpoint=echo.endpoint, token=echo.token) as executor:
            error = executor.submit(pow, 2, 3).exception(30)
        assert isinstance(error, hfexecutor.HubError)
        assert "and do not like it" in str(error)
        assert echo.token not in "".join(traceback.format_exception(error))


def test_no_thread_is_left_by_any_of_this() -> None:
    until(lambda: "hfexecutor-pool" not in [thread.name for thread in threading.enumerate()])
