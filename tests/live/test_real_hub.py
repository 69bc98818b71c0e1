"""A handful of cheap calls on the real Hub (`pytest -m live`, with HF_TOKEN set).

Each costs a minute of cpu-basic at most. Beside passing or failing they record what nobody has
documented: every fact is one JSON line in the file that HFEXECUTOR_LIVE_RECORD names (without it,
they are printed).
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hfexecutor import CallDiedError, HubExecutor

pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("default")]

ENDPOINT = os.environ.get("HFEXECUTOR_LIVE_ENDPOINT", "https://huggingface.co")
IMAGE = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"
TERMINAL = {"COMPLETED", "CANCELED", "ERROR", "DELETED"}
Record = Callable[..., None]


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Write one fact down."""

    def write(fact: str, **values: Any) -> None:
        line = json.dumps({"fact": fact, "at": time.time(), **values})
        path = os.environ.get("HFEXECUTOR_LIVE_RECORD")
        if path:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        else:
            print(line)

    return write


class RawHub:
    """The Jobs API without any library in between, so that what is recorded is the Hub's."""

    def __init__(self, token: str) -> None:
        headers = {"authorization": f"Bearer {token}"}
        self.http = httpx.Client(base_url=ENDPOINT, headers=headers, timeout=60)
        self.namespace = self.http.get("/api/whoami-v2").raise_for_status().json()["name"]
        self.jobs = f"/api/jobs/{self.namespace}"
        self._started: list[str] = []

    def run(self, command: list[str], **fields: Any) -> httpx.Response:
        body = {
            "dockerImage": IMAGE,
            "command": command,
            "flavor": "cpu-basic",
            "timeoutSeconds": 300,
            "environment": {},
            "arguments": [],
            **fields,
        }
        answer = self.http.post(self.jobs, json=body)
        if answer.is_success:
            self._started.append(answer.json()["id"])
        return answer

    def inspect(self, job: str) -> dict[str, Any]:
        return self.http.get(f"{self.jobs}/{job}").raise_for_status().json()

    def wait(self, job: str, stages: set[str], seconds: float = 240) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while (stage := (seen := self.inspect(job))["status"]["stage"]) not in stages:
            assert stage not in TERMINAL, (seen, list(self.log(job)))
            assert time.monotonic() < deadline, seen
            time.sleep(0.5)
        return seen

    def log(self, job: str) -> Iterator[tuple[float, str]]:
        """Yield when each line arrived, and the line, from the log's start to its end."""
        with self.http.stream("GET", f"{self.jobs}/{job}/logs") as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    yield time.time(), json.loads(line[5:])["data"]

    def close(self) -> None:
        for job in self._started:
            self.http.post(f"{self.jobs}/{job}/cancel")
        self.http.close()


@pytest.fixture(scope="module")
def raw(live_token: str) -> Iterator[RawHub]:
    hub = RawHub(live_token)
    yield hub
    hub.close()


@pytest.fixture(scope="module")
def executor(live_token: str) -> Iterator[HubExecutor]:
    made = HubExecutor(
        1, endpoint=ENDPOINT, token=live_token, timeout="10m", idle_timeout=20, call_timeout=30
    )
    with made:
        yield made


def test_a_call_runs_and_says_how_long_it_took(executor, record):
    started = time.monotonic()
    future = executor.submit(pow, 2, 10)
    assert future.result(300) == 1024
    record("cold call", seconds=time.monotonic() - started, job=future.job_url)


def test_a_warm_call_is_quick(executor, record):
    executor.submit(int).result(300)
    seconds = []
    for _ in range(20):
        started = time.monotonic()
        executor.submit(int).result(60)
        seconds.append(time.monotonic() - started)
    record("warm call", median=statistics.median(seconds), worst=max(seconds))


def test_many_short_calls_end_rightly(executor, record):
    started = time.monotonic()
    assert list(executor.map(abs, range(500), timeout=300)) == list(range(500))
    record("500 calls", seconds=time.monotonic() - started, stats=str(executor.stats()))


def test_what_a_call_prints_and_raises_arrives(executor):
    def fail() -> None:
        print("before")
        raise KeyError("key")

    future = executor.submit(fail)
    with pytest.raises(KeyError, match="key") as caught:
        future.result(300)
    assert "in fail" in str(caught.value.__cause__)
    assert future.logs() == "before\n"


def test_a_crash_ends_its_call_alone(executor):
    with pytest.raises(CallDiedError, match="3"):
        executor.submit(os._exit, 3).result(300)
    assert executor.submit(abs, -1).result(300) == 1


def test_record_the_largest_secret(raw, record):
    largest, refused = 0, None
    for size in (60_000, 120_000, 131_000, 131_072, 250_000, 900_000, 1_100_000):
        answer = raw.run(
            ["python", "-c", "import os; print(len(os.environ['BIG']))"],
            secrets={"BIG": "x" * size},
        )
        if answer.is_success:
            job = answer.json()["id"]
            stage = raw.wait(job, TERMINAL)["status"]["stage"]
            lines = [line for _, line in raw.log(job)]
            if stage == "COMPLETED" and str(size) in lines:
                largest = size
                continue
        refused = {"size": size, "status": answer.status_code, "body": answer.text[:300]}
        break
    record("largest secret", accepted=largest, refused=refused)


def test_record_what_becomes_of_long_lines(raw, record):
    sizes = [8_191, 8_192, 16_383, 16_384, 16_385, 40_000, 70_000]
    script = f"for n in {sizes}: print('x' * n, flush=True)"
    job = raw.run(["python", "-c", script]).raise_for_status().json()["id"]
    raw.wait(job, TERMINAL)
    record("long lines", printed=sizes, seen=[len(line) for _, line in raw.log(job)])


def test_record_how_much_of_a_log_is_kept(raw, record):
    script = "for n in range(5000): print(n, flush=True)"
    job = raw.run(["python", "-c", script]).raise_for_status().json()["id"]
    raw.wait(job, {"RUNNING", *TERMINAL})
    live = [line for _, line in raw.log(job)]
    raw.wait(job, TERMINAL)
    later = [line for _, line in raw.log(job)]
    record(
        "log window",
        printed=5000,
        seen_live=len(live),
        seen_later=len(later),
        first_later=later[:2],
        last_later=later[-1:],
    )


def test_record_how_far_the_log_and_the_stage_lag(raw, record):
    script = (
        "import time\nfor _ in range(5):\n print(time.time(), flush=True); time.sleep(1)\n"
        "print(time.time(), flush=True)"
    )
    posted = time.time()
    job = raw.run(["python", "-c", script]).raise_for_status().json()["id"]
    raw.wait(job, {"RUNNING", *TERMINAL})
    running = time.time()
    lags, last = [], 0.0
    for arrived, line in raw.log(job):
        if line.replace(".", "").isdigit():
            last = float(line)
            lags.append(arrived - last)
    closed = time.time()
    raw.wait(job, TERMINAL)
    record(
        "lag",
        start=running - posted,
        lines=lags,  # includes the difference of the two clocks
        log_closed_after_last_line=closed - last,
        stage_after_last_line=time.time() - last,
    )


def test_record_how_lists_are_paged(raw, record):
    answer = raw.http.get(raw.jobs).raise_for_status()
    record(
        "page",
        jobs=len(answer.json()),
        next=answer.headers.get("link"),
        ratelimit=answer.headers.get("ratelimit"),
    )


def test_record_how_quick_a_door_is(raw, live_token, record):
    command = ["python", "-m", "http.server", "8000", "--bind", "0.0.0.0"]
    job = raw.run(command, expose={"ports": [8000]}).raise_for_status().json()["id"]
    url = raw.wait(job, {"RUNNING"})["status"]["exposeUrls"][0]
    headers = {"authorization": f"Bearer {live_token}"}
    seconds: list[float] = []
    with httpx.Client(headers=headers, timeout=30) as client:
        first = time.monotonic()
        while client.get(url).status_code != httpx.codes.OK:
            assert time.monotonic() - first < 120
            time.sleep(0.5)
        opened = time.monotonic() - first
        for _ in range(20):
            started = time.monotonic()
            client.get(url).raise_for_status()
            seconds.append(time.monotonic() - started)
    raw.http.post(f"{raw.jobs}/{job}/cancel").raise_for_status()
    record("door", opened_after=opened, median=statistics.median(seconds), worst=max(seconds))


# Says which headers came, and no value of any.
LISTENER = """
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print("HEADERS", *sorted(name.lower() for name in self.headers), flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

http.server.HTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"""


def test_record_whether_a_job_sees_who_knocks(raw, live_token, record):
    """Until it is known, `docs/guarantees.md` tells to assume that it does."""
    fields = {"expose": {"ports": [8000]}}
    job = raw.run(["python", "-c", LISTENER], **fields).raise_for_status().json()["id"]
    url = raw.wait(job, {"RUNNING"})["status"]["exposeUrls"][0]
    with httpx.Client(headers={"authorization": f"Bearer {live_token}"}, timeout=30) as client:
        first = time.monotonic()
        while client.get(url).status_code != httpx.codes.OK:
            assert time.monotonic() - first < 120
            time.sleep(0.5)
    names = next(line.split()[1:] for _, line in raw.log(job) if line.startswith("HEADERS "))
    raw.http.post(f"{raw.jobs}/{job}/cancel").raise_for_status()
    exact = url.startswith(f"https://{job}--8000.")
    record("headers", authorization="authorization" in names, names=names, exact_address=exact)


def test_record_when_the_address_of_a_port_is_told(raw, record):
    command = ["python", "-c", "import time; time.sleep(60)"]
    launched = raw.run(command, expose={"ports": [8000]}).raise_for_status().json()
    running = raw.wait(launched["id"], {"RUNNING"})
    raw.http.post(f"{raw.jobs}/{launched['id']}/cancel").raise_for_status()
    record(
        "address",
        with_the_launch=bool(launched["status"].get("exposeUrls")),
        when_running=bool(running["status"].get("exposeUrls")),
        domain=running["status"]["exposeUrls"][0].partition(".")[2],
    )


def test_record_what_lists_say_of_who_started_a_job(raw, record):
    """Whether a job that is found by its label can be shown to be ours without asking for it."""
    launched = raw.run(["python", "-c", "pass"], labels={"hfexecutor-live": "claims"})
    job = launched.raise_for_status().json()
    found = raw.http.get(raw.jobs, params={"label": "hfexecutor-live=claims"}).json()
    (listed,) = [one for one in found if one["id"] == job["id"]]
    me = raw.http.get("/api/whoami-v2").raise_for_status().json()["id"]
    keys = ("initiator", "createdBy", "owner", "dockerImage", "command", "flavor")
    record(
        "claims",
        launched=[key for key in keys if key in job],
        listed=[key for key in keys if key in listed],
        initiator_is_us=job.get("initiator", {}).get("id") == me,
    )
