"""A hub per test module where tests do not disturb each other, and a raw client for it."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx
import jsonschema
import pytest
from huggingface_hub import HfApi

from hfexecutor.local import LocalHub

_REPLIES = json.loads((Path(__file__).parent / "jobs-replies.json").read_text())
PYTHON = ["python", "-I", "-S", "-c"]


def pytest_itemcollected(item):
    # Not by the variable, which has to be set before huggingface_hub is imported by anybody.
    item.add_marker(pytest.mark.filterwarnings("ignore:.*is experimental:UserWarning"))


class Raw:
    """Speaks to a hub without any library of Hugging Face, and checks each reply's form."""

    def __init__(self, hub: LocalHub) -> None:
        self.hub = hub
        self.http = httpx.Client(
            base_url=hub.endpoint,
            headers={"Authorization": f"Bearer {hub.token}"},
            timeout=60,
            trust_env=False,
            verify=False,  # no TLS here, and loading certificates takes 30 ms
        )
        self.jobs = f"/api/jobs/{hub.namespace}"

    def __call__(self, method, path, template=None, **options):
        reply = self.http.request(method, path, **options)
        if reply.status_code == 200 and template:
            self.check(method, template, reply.json())
        elif reply.status_code != 200:
            assert set(reply.json()) == {"error"}
            assert reply.headers["x-error-message"]
        assert reply.headers["x-request-id"]
        return reply

    def check(self, method, template, reply):
        _validator(method, template).validate(reply)

    def run(self, *command, expect=200, **spec):
        body = {"flavor": "cpu-basic", "dockerImage": "python:3", "command": list(command), **spec}
        reply = self("POST", self.jobs, "/api/jobs/{namespace}", json=body)
        assert reply.status_code == expect, reply.text
        return reply.json().get("id")

    def python(self, code, **spec):
        return self.run(*PYTHON, code, **spec)

    def inspect(self, job_id):
        return self("GET", f"{self.jobs}/{job_id}", "/api/jobs/{namespace}/{jobId}").json()

    def cancel(self, job_id):
        template = "/api/jobs/{namespace}/{jobId}/cancel"
        return self("POST", f"{self.jobs}/{job_id}/cancel", template)

    def wait(self, job_id, *stages):
        wanted = stages or ("COMPLETED", "CANCELED", "ERROR", "DELETED")
        deadline = time.monotonic() + 60
        while True:
            job = self.inspect(job_id)
            if job["status"]["stage"] in wanted:
                return job
            assert time.monotonic() < deadline, job
            time.sleep(0.005)

    @contextmanager
    def stream(self, path, **params):
        with self.http.stream("GET", path, params=params) as reply:
            assert reply.status_code == 200, reply.read()
            yield reply

    def events(self, job_id, **params):
        """Yield the events of a job's log until the stream ends."""
        with self.stream(f"{self.jobs}/{job_id}/logs", **params) as reply:
            for line in _lines(reply.iter_bytes()):
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])

    def lines(self, job_id, **params):
        """Yield what the job wrote, without the Hub's own lines."""
        for event in self.events(job_id, **params):
            if not event["data"].startswith("===== Job started"):
                yield event["data"]

    def log(self, job_id, **params):
        return list(self.lines(job_id, **params))


@cache
def _validator(method, template):
    schema = {**_REPLIES["paths"][template][method.lower()], "$defs": _REPLIES["$defs"]}
    return jsonschema.Draft202012Validator(schema)


def _lines(chunks):
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def alive(pid):
    """Say whether a process runs; one that has ended and was not reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.005)


@pytest.fixture(autouse=True, scope="session")
def _cache_of_hf_xet(tmp_path_factory):
    """Keep what `hf_xet` remembers of each bucket out of the home of whoever runs the tests."""
    os.environ["HF_XET_CACHE"] = str(tmp_path_factory.mktemp("xet"))


@pytest.fixture(name="alive", scope="session")
def _alive():
    return alive


@pytest.fixture(name="until", scope="session")
def _until():
    return until


@pytest.fixture(scope="module")
def hub():
    with LocalHub() as hub:
        yield hub


@pytest.fixture(autouse=True)
def _no_job_left(request):
    yield
    if "hub" in request.fixturenames:
        hub = request.getfixturevalue("hub")
        assert hub.running == 0, hub.jobs()


@pytest.fixture
def raw(hub):
    client = Raw(hub)
    with client.http:
        yield client


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.endpoint, token=hub.token)


@pytest.fixture
def make():
    """Start hubs with options of one's own; yields a function that returns (hub, raw client)."""
    hubs = []

    def start(**options):
        hub = LocalHub(**options).start()
        client = Raw(hub)
        hubs.append((hub, client))
        return hub, client

    yield start
    for hub, client in hubs:
        client.http.close()
        hub.close()
