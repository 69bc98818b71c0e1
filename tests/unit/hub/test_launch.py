"""Launches through Hugging Face's own client, against a server that does what a test asks for."""

import asyncio
import contextlib
import http.server
import json
import threading
import warnings

import huggingface_hub
import pytest

from hfexecutor.errors import AuthenticationError, HubRequestError, RateLimitedError
from hfexecutor.hub.client import HubClient
from hfexecutor.hub.launch import (
    JobSpec,
    LaunchAmbiguousError,
    LaunchError,
    LaunchLimitedError,
    LaunchRefusedError,
    LaunchUndeliveredError,
    launch,
    load_api,
)

TOKEN = "hf_" + "a1B2" * 8
SPEC = JobSpec(
    command=("-S", "-c", "print(1)"),
    image="ghcr.io/astral-sh/uv:python3.11-bookworm",
    env={"A": "1"},
    secrets={"KEY": "s3cret"},
    flavor="cpu-basic",
    timeout=90.2,
    labels={"hfexecutor-launch": "abc"},
    expose=(8000,),
)


class Hub:
    """Answers every request with `status`, `headers` and `body`; "cut" hangs up, "hang" waits."""

    def __init__(self, job):
        self.status, self.headers, self.body = 200, {}, json.dumps(job)
        self.requests = []
        self.released = threading.Event()
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hub.requests.append((self.path, dict(self.headers), json.loads(body)))
                if hub.status == "hang":
                    hub.released.wait(10)
                if isinstance(hub.status, str):
                    self.close_connection = True
                    return
                self.send_response(hub.status)
                for name, value in hub.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(hub.body)))
                self.end_headers()
                self.wfile.write(hub.body.encode())

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 64

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @contextlib.contextmanager
    def running(self):
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            self.server.shutdown()
            thread.join()
            huggingface_hub.close_session()
            self.server.server_close()


@pytest.fixture
def hub(raw_job):
    with Hub(raw_job("x", status={"stage": "SCHEDULING", "message": None})).running() as running:
        yield running


@pytest.fixture
def api(hub):
    return load_api(hub.url, TOKEN)


def test_a_launch_is_one_post_with_everything_in_its_place(hub, api):
    job = launch(api, SPEC, "org")

    ((path, headers, body),) = hub.requests
    assert path == "/api/jobs/org"
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert body["command"] == ["uv", "run", "python", "-S", "-c", "print(1)"]
    assert body["environment"] == {"A": "1"}
    assert body["secrets"] == {"KEY": "s3cret"}
    assert body["labels"] == {"name": "hfexecutor", "hfexecutor-launch": "abc"}
    assert body["timeoutSeconds"] == 91
    assert body["expose"]["ports"] == [8000]
    assert body["dockerImage"] == SPEC.image
    assert (job.id, job.stage, job.url) == ("x", "SCHEDULING", f"{hub.url}/jobs/org/x")
    assert job.labels == {"hfexecutor-run": "abc"}
    assert job.created_at is not None


def test_packages_and_python_are_options_of_uv(hub, api):
    launch(api, JobSpec(command=("-V",), dependencies=("numpy>=2", "rich"), python="3.11"), "org")

    assert hub.requests[0][2]["command"] == [
        "uv", "run", "--with", "numpy>=2", "--with", "rich", "--python", "3.11", "python", "-V"
    ]  # fmt: skip


def test_a_name_of_the_users_own_is_kept(hub, api):
    launch(api, JobSpec(command=("-V",), labels={"name": "mine"}), "org")

    assert hub.requests[0][2]["labels"] == {"name": "mine"}


def test_nobody_is_warned_that_it_is_experimental(hub, api):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        launch(api, SPEC, "org")


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, HubRequestError), (401, AuthenticationError), (404, HubRequestError)],
)
def test_a_refusal_is_final_and_says_why(hub, api, status, error):
    hub.status, hub.body = status, json.dumps({"error": f"no, not with {TOKEN}"})

    with pytest.raises(LaunchRefusedError) as caught:
        launch(api, SPEC, "org")
    assert isinstance(caught.value.error, error)
    assert str(caught.value).startswith(f"Could not launch a job in org: the Hub answered {status}")
    assert TOKEN not in str(caught.value)
    assert len(hub.requests) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"RateLimit": '"api";r=0;t=33'}, 33), ({"Retry-After": "7"}, 7), ({}, 60)],
)
def test_a_429_says_for_how_long_to_wait(hub, api, headers, seconds):
    hub.status, hub.headers = 429, headers

    with pytest.raises(LaunchLimitedError) as caught:
        launch(api, SPEC, "org")
    assert caught.value.seconds == seconds


@pytest.mark.parametrize("status", [500, 502, 504, 408, "cut"])
def test_after_any_other_trouble_the_job_may_exist(hub, api, status):
    hub.status = status

    with pytest.raises(LaunchAmbiguousError) as caught:
        launch(api, SPEC, "org")
    assert caught.value.again
    assert len(hub.requests) == 1


@pytest.mark.parametrize("body", ["<html>", ""])
def test_after_a_page_of_something_in_between_the_job_may_exist(hub, api, body):
    hub.body = body

    with pytest.raises(LaunchAmbiguousError) as caught:
        launch(api, SPEC, "org")
    assert caught.value.again


@pytest.mark.parametrize("body", ["{}", "[]", "null"])
def test_an_unreadable_answer_may_be_a_job_but_asking_again_is_of_no_use(hub, api, body):
    hub.body = body

    with pytest.raises(LaunchAmbiguousError) as caught:
        launch(api, SPEC, "org")
    assert not caught.value.again


def test_a_hub_that_does_not_listen_has_no_job(raw_job):
    with Hub(raw_job()).running() as hub:
        pass

    with pytest.raises(LaunchUndeliveredError):
        launch(load_api(hub.url, TOKEN), SPEC, "org")


def test_offline_mode_is_named(monkeypatch, api):
    class OfflineModeIsEnabled(ConnectionError):
        pass

    def offline(*_, **__):
        raise OfflineModeIsEnabled("offline mode is enabled")

    monkeypatch.setattr(api, "run_uv_job", offline, raising=False)

    with pytest.raises(LaunchRefusedError, match="HF_HUB_OFFLINE"):
        launch(api, SPEC, "org")


@pytest.mark.parametrize(("files", "interpreter"), [([], "python"), (["python"], "python3")])
def test_a_file_named_like_the_interpreter_is_not_uploaded(
    hub, api, tmp_path, monkeypatch, files, interpreter
):
    monkeypatch.chdir(tmp_path)
    for name in files:
        (tmp_path / name).write_text("")
    launch(api, SPEC, "org")

    assert len(hub.requests) == 1
    assert hub.requests[0][2]["command"][2] == interpreter


@pytest.mark.parametrize("files", [["python", "python3"], ["-S"], ["-c"], ["print(1)"]])
def test_where_a_file_would_be_uploaded_nothing_is_launched(hub, api, tmp_path, monkeypatch, files):
    monkeypatch.chdir(tmp_path)
    for name in files:
        (tmp_path / name).write_text("")

    with pytest.raises(LaunchRefusedError, match=r"[Rr]un from elsewhere"):
        launch(api, SPEC, "org")
    assert hub.requests == []


@pytest.mark.parametrize("argument", ["x" * 256, "é" * 128, "a\0b", "", "script.py", "a.yaml"])
def test_an_argument_that_run_uv_job_stumbles_over_is_refused_first(hub, api, argument):
    with pytest.raises(LaunchRefusedError, match="Cannot launch a job"):
        launch(api, JobSpec(command=("-c", argument)), "org")
    assert hub.requests == []


def test_a_spec_does_not_show_its_secrets():
    assert "s3cret" not in repr(SPEC)
    assert "hfexecutor-launch" in repr(SPEC)


def test_all_ways_to_fail_are_one_family():
    kinds = (
        LaunchAmbiguousError("x"),
        LaunchLimitedError("x", 1),
        LaunchRefusedError(HubRequestError("x")),
        LaunchUndeliveredError("x"),
    )

    assert all(isinstance(kind, LaunchError) for kind in kinds)


def through_client(hub, act, **options):
    async def main():
        settings = {"namespace": "org", "give_up_after": 5.0} | options
        async with HubClient(endpoint=hub.url, token=TOKEN, **settings) as client:
            await client.prepare()
            return await act(client)

    return asyncio.run(main())


def test_the_client_launches_several_jobs_at_once(hub):
    async def act(client):
        return await asyncio.gather(*(client.launch(SPEC) for _ in range(20)))

    assert [job.id for job in through_client(hub, act)] == ["x"] * 20
    assert len(hub.requests) == 20


def test_a_launch_that_hangs_is_given_up_and_may_exist(hub):
    hub.status = "hang"

    with pytest.raises(LaunchAmbiguousError, match=r"no answer within 0\.2 s"):
        through_client(hub, lambda client: client.launch(SPEC, patience=0.2))


def test_a_429_for_a_launch_holds_back_the_next(hub):
    hub.status, hub.headers = 429, {"Retry-After": "50"}

    async def act(client):
        with pytest.raises(LaunchLimitedError):
            await client.launch(SPEC)
        with pytest.raises(RateLimitedError, match="asks to wait"):
            await client.launch(SPEC)

    through_client(hub, act)
    assert len(hub.requests) == 1
