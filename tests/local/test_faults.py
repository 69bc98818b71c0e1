"""Every fault does what it says, when it is told to."""

from __future__ import annotations

import inspect
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from hfexecutor.local import LocalHub, Timings
from hfexecutor.local import faults as f
from hfexecutor.local.injection.injector import Injector

POST = "POST /api/jobs/{namespace}"
INSPECT = "GET /api/jobs/{namespace}/{jobId}"
DUPLICATE = "POST /api/jobs/{namespace}/{jobId}/duplicate"
LIST = "GET /api/jobs/{namespace}"
LOGS = "GET /api/jobs/{namespace}/{jobId}/logs"
SPEC = {"flavor": "cpu-basic", "dockerImage": "python:3", "command": ["true"]}
WHO = "/api/whoami-v2"


# ---------------------------------------------------------------------------- when


def strikes(fault, opportunities, seed=0):
    injector = Injector(seed)
    injector.add([fault])
    return [bool(injector.strike(type(fault), number, labels)) for number, labels in opportunities]


def test_conditions():
    five = [(n, {"n": str(n)}) for n in range(5)]
    assert strikes(f.Slow(), five) == [True] * 5
    assert strikes(f.Slow(nth=3), five) == [False, False, True, False, False]
    assert strikes(f.Slow(times=2), five) == [True, True, False, False, False]
    assert strikes(f.Slow(job=4), five) == [False] * 4 + [True]
    assert strikes(f.Slow(label="n=1"), five) == [False, True, False, False, False]
    assert strikes(f.Slow(job=1, nth=1), five) == [False, True, False, False, False]
    assert strikes(f.Slow(probability=0.0), five) == [False] * 5


def test_probability_is_repeatable():
    many = [(n, {}) for n in range(1000)]
    first = strikes(f.Slow(probability=0.3), many, seed=1)
    assert first == strikes(f.Slow(probability=0.3), many, seed=1)
    assert first != strikes(f.Slow(probability=0.3), many, seed=2)
    assert 200 < sum(first) < 400


def test_a_fault_takes_what_its_signature_says_and_nothing_else():
    said = str(inspect.signature(f.Garble))
    assert said.startswith("(body=")
    assert said.endswith("route='*', after=False)")
    assert repr(f.Refuse(429, nth=2)) == "Refuse(nth=2, status=429)"
    for wrong in (lambda: f.Slow(1.0, 2), lambda: f.Slow(1.0, seconds=2), lambda: f.Slow(second=1)):
        with pytest.raises(TypeError, match="Slow"):
            wrong()


def test_faults_can_be_added_and_dropped(make):
    hub, raw = make()
    assert raw("GET", WHO).status_code == 200
    hub.inject(f.Refuse(503), f.Slow(0.0))
    assert raw("GET", WHO).status_code == 503
    assert hub.struck == {"Refuse": 1, "Slow": 1}
    hub.behave()
    assert raw("GET", WHO).status_code == 200
    with pytest.raises(RuntimeError, match="not running"):
        LocalHub().inject(f.Slow())


# ---------------------------------------------------------------------------- requests


@pytest.mark.parametrize("status", [402, 500, 502, 503, 504])
def test_refusals(make, status):
    _, raw = make(faults=[f.Refuse(status, route="GET /api/whoami-v2", nth=1)])
    assert raw("GET", "/api/jobs/hardware").status_code == 200
    assert raw("GET", WHO).status_code == status
    assert raw("GET", WHO).status_code == 200


def test_a_429_says_when_to_come_back(make):
    _, raw = make(faults=[f.Refuse(429, retry_in=7)])
    assert raw("GET", WHO).headers["ratelimit"] == '"api";r=0;t=7'


def test_carried_out_and_then_denied(make):
    hub, raw = make(
        faults=[f.Refuse(503, route=POST, nth=2, after=True), f.Refuse(500, route=POST, nth=3)]
    )
    for status, jobs in ((200, 1), (503, 2), (500, 2), (200, 3)):
        assert raw("POST", raw.jobs, json=SPEC).status_code == status
        assert len(hub.jobs()) == jobs


def test_a_fault_of_the_job_that_a_request_starts(make):
    hub, raw = make(faults=[f.Refuse(503, route=POST, after=True, label="k=v")])
    assert raw("POST", raw.jobs, json=SPEC).status_code == 200
    assert raw("POST", raw.jobs, json={**SPEC, "labels": {"k": "v"}}).status_code == 503
    assert len(hub.jobs()) == 2


def test_a_fault_of_the_job_that_a_duplicate_is(make):
    hub, raw = make(faults=[f.Refuse(503, route=DUPLICATE, after=True, job=1)])
    job = raw.run("true")
    for status, jobs in ((503, 2), (200, 3)):
        assert raw("POST", f"{raw.jobs}/{job}/duplicate").status_code == status
        assert len(hub.jobs()) == jobs


def test_a_fault_of_one_job(make):
    _, raw = make(faults=[f.Refuse(503, route=INSPECT, job=1)])
    first, second = raw.run("true"), raw.run("true")
    assert raw("GET", f"{raw.jobs}/{first}").status_code == 200
    assert raw("GET", f"{raw.jobs}/{second}").status_code == 503


def test_garbled_and_slow(make):
    _, raw = make(faults=[f.Garble(route="GET /api/whoami-v2"), f.Slow(0.1)])
    began = time.monotonic()
    assert raw.http.get(WHO).text.startswith("<html>")
    assert time.monotonic() - began >= 0.1


@pytest.mark.parametrize("after", [False, True])
def test_hangs(make, after):
    hub, raw = make(faults=[f.Hang(route=POST, after=after)])
    with pytest.raises(httpx.ReadTimeout):
        raw.http.post(raw.jobs, json=SPEC, timeout=0.2)
    assert len(hub.jobs()) == after


@pytest.mark.parametrize("after", [False, True])
def test_resets(make, after):
    hub, raw = make(faults=[f.Reset(route=POST, after=after, times=1)])
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        raw.http.post(raw.jobs, json=SPEC)
    assert len(hub.jobs()) == after
    raw.run("true")


def test_restart(make):
    hub, raw = make()
    job = raw.run("sh", "-c", "echo before; sleep 60")
    lines = raw.lines(job)
    assert next(lines) == "before"
    endpoint = hub.endpoint
    thread = threading.Thread(target=hub.restart, args=[0.2])
    thread.start()
    with pytest.raises(httpx.TransportError):
        list(lines)
    with pytest.raises(httpx.ConnectError):
        raw.http.get(WHO)
    thread.join()
    assert hub.endpoint == endpoint
    assert raw.inspect(job)["status"]["stage"] == "RUNNING"
    assert next(raw.lines(job)) == "before"
    raw.cancel(job)


def test_restart_as_a_fault(make, until):
    _, raw = make(faults=[f.Restart(0.05, route=POST, after=True, times=1)])
    with pytest.raises(httpx.TransportError):
        raw.http.post(raw.jobs, json=SPEC)

    def up():
        try:
            return len(raw.http.get(raw.jobs).json()) == 1
        except httpx.TransportError:
            return False

    until(up)


def test_restarts_that_overlap(make):
    hub, raw = make()
    with ThreadPoolExecutor() as threads:
        for restart in [threads.submit(hub.restart, 0.2) for _ in range(3)]:
            restart.result()
    assert raw("GET", WHO).status_code == 200


# ---------------------------------------------------------------------------- lists


def listed(raw):
    return [job["id"] for job in raw("GET", raw.jobs, "/api/jobs/{namespace}").json()]


def test_lists_that_lag(make):
    hub, raw = make(faults=[f.StaleList(30.0)])
    job = raw.wait(raw.run("true"))["id"]
    assert listed(raw) == []
    hub.behave()
    assert listed(raw) == [job]
    hub.inject(f.StaleList(1.0))
    late = raw.run("sleep", "60")
    time.sleep(1.0)
    raw.cancel(late)
    shown = {job["id"]: job for job in raw("GET", raw.jobs, "/api/jobs/{namespace}").json()}
    assert shown[late]["status"]["stage"] in ("SCHEDULING", "RUNNING")
    assert "finishedAt" not in shown[late]


def test_lists_that_lag_are_filtered_by_what_they_show(make):
    hub, raw = make(faults=[f.StaleList(30.0)], expose_urls="running")
    job = raw.run("sleep", "60", expose={"ports": [8000]})
    raw.wait(job, "RUNNING")
    raw.cancel(job)
    _make_older(hub, job, created=100, started=50)
    assert raw("GET", f"{raw.jobs}?stage=CANCELED").json() == []
    for query in ("", "?stage=RUNNING", "?stage=SCHEDULING&stage=RUNNING"):
        (shown,) = raw("GET", f"{raw.jobs}{query}", "/api/jobs/{namespace}").json()
        assert shown["status"]["stage"] == "RUNNING"
        assert shown["status"]["message"] is None
        assert len(shown["status"]["exposeUrls"]) == 1
        assert "startedAt" in shown
        assert "finishedAt" not in shown
        assert shown["durations"] == {"totalSecs": 70, "schedulingSecs": 50, "runningSecs": 20}
    hub.behave()
    hub.inject(f.StaleList(75.0))
    (shown,) = raw("GET", f"{raw.jobs}?stage=SCHEDULING", "/api/jobs/{namespace}").json()
    assert "exposeUrls" not in shown["status"]
    assert "startedAt" not in shown
    assert shown["durations"] == {"totalSecs": 25}


def _make_older(hub, job_id, created, started):
    """Have a job that is over begin so many seconds ago."""
    record, now = hub._core.store[job_id], time.monotonic()
    record.created = datetime.now(UTC) - timedelta(seconds=created)
    record.started = datetime.now(UTC) - timedelta(seconds=started)
    (_, scheduling), (_, running), last = record.history
    record.history = [(now - created, scheduling), (now - started, running), last]


def test_lists_that_miss_a_job(make):
    _, raw = make(faults=[f.MissJob(job=0)])
    jobs = [raw.wait(raw.run("true"))["id"] for _ in range(3)]
    assert listed(raw) == [jobs[2], jobs[1]]


def test_lists_with_small_pages_and_without_environment(make):
    _, raw = make(faults=[f.SmallPages(1), f.BareList()])
    for _ in range(2):
        raw.wait(raw.run("true"))
    page = raw.http.get(raw.jobs)
    assert len(page.json()) == 1
    assert "environment" not in page.json()[0]
    assert 'rel="next"' in page.headers["link"]


# ---------------------------------------------------------------------------- logs, read


def numbered(make, *found, lines=6, **options):
    """Return a client and a finished job that wrote so many numbered lines, and the faults then."""
    hub, raw = make(**options)
    job = raw.run("seq", str(lines))
    raw.wait(job)
    hub.inject(*found)
    return raw, job


def test_a_log_cut_within_a_line(make):
    raw, job = numbered(make, f.CutLog(3, times=1))
    seen = b""
    with raw.stream(f"{raw.jobs}/{job}/logs") as reply:
        chunks = reply.iter_bytes()
        with pytest.raises(httpx.RemoteProtocolError):
            while True:
                seen += next(chunks)
    assert seen.count(b"\n\n") == 3
    assert not seen.endswith(b"\n")
    assert len(raw.log(job)) == 6


def test_a_log_that_is_cut_and_late(make):
    raw, job = numbered(make, f.CutLog(3, times=1), f.LateLog(0.1, times=1))
    seen = b""
    with (
        raw.stream(f"{raw.jobs}/{job}/logs") as reply,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        for chunk in reply.iter_bytes():
            seen += chunk
    assert seen.count(b"\n\n") == 3
    assert raw.hub.struck == {"CutLog": 1, "LateLog": 1}


def test_a_log_that_stalls(make):
    raw, job = numbered(make, f.StallLog(2, seconds=0.2))
    began = time.monotonic()
    assert raw.log(job) == list("123456")
    assert time.monotonic() - began >= 0.2


def test_a_log_that_stalls_for_good(make):
    raw, job = numbered(make, f.StallLog(2))
    raw.http.timeout = 0.2
    lines = raw.lines(job)
    assert next(lines) == "1"
    with pytest.raises(httpx.ReadTimeout):
        next(lines)


def test_a_late_log(make):
    _hub, raw = make(faults=[f.LateLog(0.3)])
    job = raw.run("seq", "3")
    raw.wait(job)
    began = time.monotonic()
    assert raw.log(job) == ["1", "2", "3"]
    assert time.monotonic() - began >= 0.3


def test_a_shorter_replay(make):
    raw, job = numbered(make, f.ShortReplay(4))
    assert raw.log(job) == ["1", "2", "3"]


def test_a_shorter_replay_goes_on_with_what_is_new(make, tmp_path):
    hub, raw = make(faults=[f.ShortReplay(0)])
    fifo = tmp_path / "fifo"
    job = raw.run("sh", "-c", f"mkfifo {fifo}; echo old; cat {fifo}")
    deadline = time.monotonic() + 10
    while hub.jobs()[0].lines < 2:
        assert time.monotonic() < deadline
    with raw.stream(f"{raw.jobs}/{job}/logs") as reply:
        fifo.write_text("new\n")
        text = reply.read()
    assert b"new" in text
    assert b"old" not in text


@pytest.mark.parametrize(
    ("fault", "old"), [(f.ShortReplay(0), []), (f.ShortReplay(2), ["3"]), (f.LoseHead(1), ["4"])]
)
def test_a_replay_of_a_tail_ends_where_new_lines_begin(make, tmp_path, until, fault, old):
    hub, raw = make(faults=[fault])
    fifo = tmp_path / "fifo"
    job = raw.run("sh", "-c", f"mkfifo {fifo}; seq 4; cat {fifo}")
    until(lambda: hub.jobs()[0].lines == 5)
    with raw.stream(f"{raw.jobs}/{job}/logs", tail=2) as reply:
        fifo.write_text("a\nb\n")
        events = [json.loads(one[6:]) for one in reply.read().split(b"\n\n") if one]
    lines = [event["data"] for event in events]
    assert [line for line in lines if not line.startswith("=====")] == [*old, "a", "b"]


def test_repeated_lines(make):
    raw, job = numbered(make, f.RepeatLines(2))
    assert raw.log(job) == ["1", "1", "2", "3", "3", "4", "5", "5", "6"]


def test_shuffled_lines(make):
    raw, job = numbered(make, f.ShuffleLines(5), lines=50)
    lines = raw.log(job)
    assert sorted(lines, key=int) == [str(n) for n in range(1, 51)]
    assert lines != sorted(lines, key=int)
    assert all(abs(int(line) - at) <= 6 for at, line in enumerate(lines, 1))


def test_a_missing_head(make):
    raw, job = numbered(make, f.LoseHead(2))
    assert raw.log(job) == ["5", "6"]


def test_a_missing_tail(make):
    raw, job = numbered(make, f.LoseTail(2))
    assert raw.log(job) == ["1", "2", "3", "4"]
    assert raw.log(job) == ["1", "2", "3", "4"]


def test_a_tail_that_is_missing_for_a_while(make, until):
    _hub, raw = make(faults=[f.LoseTail(2, seconds=0.4)])
    job = raw.run("seq", "6")
    raw.wait(job)
    assert raw.log(job) == ["1", "2", "3", "4"]
    until(lambda: raw.log(job) == list("123456"))


def test_no_log(make):
    raw, job = numbered(make, f.NoLog())
    assert list(raw.events(job)) == []


def test_an_endless_empty_log(make):
    raw, job = numbered(make, f.NoLog(endless=True), timings=Timings(keep_alive=0.02))
    with raw.stream(f"{raw.jobs}/{job}/logs") as reply:
        chunks = reply.iter_raw()
        seen = b"".join(next(chunks) for _ in range(3))
    assert seen.count(b": keep-alive\n\n") >= 2
    assert b"data" not in seen


# ---------------------------------------------------------------------------- logs, written


def test_noise_between_lines(make):
    _, raw = make(faults=[f.Noise(b"\xff\0\rnoise\n", every=2)])
    job = raw.run("seq", "4")
    assert raw.log(job) == ["1", "\ufffd\0\rnoise", "2", "3", "\ufffd\0\rnoise", "4"]


def test_noise_before_and_within_a_line(make):
    _, raw = make(faults=[f.Noise(b"<noise>", within=True, job=0), f.Noise(b"<noise>", job=1)])
    within, before = raw.run("echo", "abcdefg"), raw.run("echo", "abcdefg")
    assert raw.log(within) == ["abcd<noise>efg"]
    assert raw.log(before) == ["<noise>abcdefg"]


def test_lines_in_pieces(make):
    _, raw = make(faults=[f.SplitLines(4)])
    job = raw.run("printf", "123456789\n\nabcd")
    assert raw.log(job) == ["1234", "5678", "9", "", "abcd"]


def test_raw_line_ends(make):
    _, raw = make(faults=[f.RawLineEnds()])
    job = raw.run("echo", "x")
    with raw.stream(f"{raw.jobs}/{job}/logs") as reply:
        text = reply.read().decode()
    assert all(end in text for end in "\u2028\u2029\x85")
    assert raw.log(job)[-1] == "x"


# ---------------------------------------------------------------------------- jobs


def test_stuck_in_scheduling(make):
    hub, raw = make(faults=[f.Stuck(job=0), f.Stuck(0.1, job=1)])
    stuck, delayed = raw.run("true"), raw.run("true")
    assert raw.wait(delayed)["status"]["stage"] == "COMPLETED"
    assert raw.inspect(stuck)["status"]["stage"] == "SCHEDULING"
    raw.cancel(stuck)
    assert hub.running == 0


def test_a_killed_job(make, alive):
    _, raw = make(faults=[f.KillJob(after=0.5)])
    job = raw.run("sh", "-c", "echo $$; sleep 60")
    (pid,) = raw.log(job)
    assert raw.wait(job)["status"]["message"] == "Job failed with exit code: 137. Reason: Error"
    assert not alive(int(pid))


def test_a_job_that_is_killed_at_once_says_nothing(make, tmp_path):
    _, raw = make(faults=[f.KillJob()])
    mark = tmp_path / "mark"
    job = raw.run("sh", "-c", f"touch {mark}; echo 1")
    assert raw.wait(job)["status"]["message"] == "Job failed with exit code: 137. Reason: Error"
    assert raw.log(job) == []
    assert not mark.exists()


def test_a_job_that_the_hub_starts_again(make, tmp_path):
    _, raw = make(faults=[f.KillJob(retried=True, after=0.5)])
    mark = tmp_path / "mark"
    job = raw.run("sh", "-c", f"test -e {mark} && exec echo 2; touch {mark}; echo 1; sleep 60")
    assert raw.wait(job)["status"] == {"stage": "COMPLETED", "message": None, "failureCount": 1}
    texts = [event["data"][:17] for event in raw.events(job)]
    assert texts == ["===== Job started", "1", "===== Job started", "2"]


OOM = "Job failed with exit code: 137. Reason: OOMKilled"


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (
            f.EndJob.oom(),
            {"stage": "ERROR", "message": OOM},
        ),
        (f.EndJob.timeout(), {"stage": "ERROR", "message": "Job timeout"}),
        (f.EndJob.deleted(), {"stage": "DELETED", "message": None}),
        (f.EndJob.canceled(), {"stage": "CANCELED", "message": "Job canceled by user"}),
        (
            f.EndJob.no_credits(),
            {"stage": "CANCELED", "message": None, "cancelReason": "NO_CREDITS"},
        ),
    ],
)
def test_jobs_that_are_ended(make, fault, status):
    hub, raw = make(faults=[fault])
    assert raw.wait(raw.run("sleep", "60"))["status"] == status
    assert hub.jobs()[0].pids == ()


def test_a_stage_that_nobody_knows(make, until):
    _, raw = make(faults=[f.OddStage("UPDATING")])
    job = raw.run("sleep", "60")
    until(lambda: raw.http.get(f"{raw.jobs}/{job}").json()["status"]["stage"] == "UPDATING")
    raw.cancel(job)
    assert raw.inspect(job)["status"]["stage"] == "CANCELED"


# ---------------------------------------------------------------------------- doors

ECHO = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    connection, _ = server.accept()
    with connection:
        data = connection.recv(65536)
        print("got", len(data) > 0, flush=True)
        head = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\n"
        connection.sendall(head + b"ok")
"""


@pytest.mark.parametrize(
    ("how", "got"), [("hang", 0), ("refuse", 0), ("drop", 0), ("deliver", 1), ("cut", 1)]
)
def test_doors(make, how, got):
    hub, raw = make(faults=[f.DoorFault(how, sent=40, nth=1)])
    job = raw.run("python", "-c", ECHO)
    lines = raw.lines(job)
    port = int(next(lines))
    raw("PUT", f"{raw.jobs}/{job}/expose", json={"ports": [port]})
    (url,) = raw.inspect(job)["status"]["exposeUrls"]
    headers = {"Authorization": f"Bearer {hub.token}"}
    with httpx.Client(headers=headers, trust_env=False, verify=False, timeout=0.3) as door:
        if how == "refuse":
            assert door.post(url, content=b"x").status_code == 502
        else:
            with pytest.raises(httpx.TransportError):
                door.post(url, content=b"x")
        assert door.post(url, content=b"x", timeout=10).text == "ok"
    assert [next(lines) for _ in range(got + 1)] == ["got True"] * (got + 1)
    raw.cancel(job)
