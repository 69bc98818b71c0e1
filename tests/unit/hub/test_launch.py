"""Launches through Hugging Face's own client, against a server that does what a test asks for."""

import asyncio
import contextlib
import http.server
import json
import threading
import warnings

import huggingface_hub
import pytest

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.errors import AuthenticationError, HubError, HubRequestError, RateLimitedError
from hfexecutor.hub.client import HubClient
from hfexecutor.hub.credentials import Credentials
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
from hfexecutor.options import Options
from hfexecutor.runtime.connection import Connection
from hfexecutor.runtime.edge import Surroundings, Tasks
from hfexecutor.runtime.launcher import Launcher
from hfexecutor.runtime.values import Values

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

            def do_GET(self):
                self.send_response(200)
                for name, value in {**hub.headers, "Content-Length": "2"}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"[]")

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
    return load_api(hub.url)


def test_a_launch_is_one_post_with_everything_in_its_place(hub, api):
    job = launch(api, SPEC, "org", TOKEN)

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


def test_what_the_hub_alone_asserts_is_in_the_reply_to_a_launch(hub, api, raw_job):
    url = "https://x--8000.hf.jobs"
    status = {"stage": "SCHEDULING", "message": None, "exposeUrls": [url]}
    raw = raw_job("x", status=status, arguments=["more"])
    hub.body = json.dumps(raw)

    job = launch(api, SPEC, "org", TOKEN)
    assert job.expose_urls == (url,)
    assert job.owner == "org"
    assert (job.initiator, job.initiator_type) == (raw["initiator"]["id"], "user")
    assert (job.image, job.flavor) == (SPEC.image, "cpu-basic")
    assert (job.command, job.arguments) == (tuple(raw["command"]), ("more",))


def test_a_reply_that_leaves_out_what_it_may_is_a_job(hub, api, raw_job):
    raw = raw_job("x")
    for key in ("initiator", "dockerImage", "command", "arguments", "labels"):
        del raw[key]
    hub.body = json.dumps(raw)

    job = launch(api, SPEC, "org", TOKEN)
    assert (job.initiator, job.image, job.command, job.arguments) == (None, None, None, ())
    assert job.expose_urls == ()


def test_packages_and_python_are_options_of_uv(hub, api):
    launch(
        api,
        JobSpec(command=("-V",), dependencies=("numpy>=2", "rich"), python="3.11"),
        "org",
        TOKEN,
    )

    assert hub.requests[0][2]["command"] == [
        "uv", "run", "--with", "numpy>=2", "--with", "rich", "--python", "3.11", "python", "-V"
    ]  # fmt: skip


def test_a_name_of_the_users_own_is_kept(hub, api):
    launch(api, JobSpec(command=("-V",), labels={"name": "mine"}), "org", TOKEN)

    assert hub.requests[0][2]["labels"] == {"name": "mine"}


def test_nobody_is_warned_that_it_is_experimental(hub, api):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        launch(api, SPEC, "org", TOKEN)


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, HubRequestError), (401, AuthenticationError), (404, HubRequestError)],
)
def test_a_refusal_is_final_and_says_why(hub, api, status, error):
    hub.status, hub.body = status, json.dumps({"error": f"no, not with {TOKEN}"})

    with pytest.raises(LaunchRefusedError) as caught:
        launch(api, SPEC, "org", TOKEN)
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
        launch(api, SPEC, "org", TOKEN)
    assert caught.value.seconds == seconds


@pytest.mark.parametrize("status", [500, 502, 504, 408, "cut"])
def test_after_any_other_trouble_the_job_may_exist(hub, api, status):
    hub.status = status

    with pytest.raises(LaunchAmbiguousError) as caught:
        launch(api, SPEC, "org", TOKEN)
    assert caught.value.again
    assert len(hub.requests) == 1


@pytest.mark.parametrize("body", ["<html>", ""])
def test_after_a_page_of_something_in_between_the_job_may_exist(hub, api, body):
    hub.body = body

    with pytest.raises(LaunchAmbiguousError) as caught:
        launch(api, SPEC, "org", TOKEN)
    assert caught.value.again


@pytest.mark.parametrize("body", ["{}", "[]", "null"])
def test_an_unreadable_answer_may_be_a_job_but_asking_again_is_of_no_use(hub, api, body):
    hub.body = body

    with pytest.raises(LaunchAmbiguousError) as caught:
        launch(api, SPEC, "org", TOKEN)
    assert not caught.value.again


def test_a_hub_that_does_not_listen_has_no_job(raw_job):
    with Hub(raw_job()).running() as hub:
        pass

    with pytest.raises(LaunchUndeliveredError):
        launch(load_api(hub.url), SPEC, "org", TOKEN)


def test_offline_mode_is_named(monkeypatch, api):
    class OfflineModeIsEnabled(ConnectionError):
        pass

    def offline(*_, **__):
        raise OfflineModeIsEnabled("offline mode is enabled")

    monkeypatch.setattr(api, "run_uv_job", offline, raising=False)

    with pytest.raises(LaunchRefusedError, match="HF_HUB_OFFLINE"):
        launch(api, SPEC, "org", TOKEN)


@pytest.mark.parametrize(("files", "interpreter"), [([], "python"), (["python"], "python3")])
def test_a_file_named_like_the_interpreter_is_not_uploaded(
    hub, api, tmp_path, monkeypatch, files, interpreter
):
    monkeypatch.chdir(tmp_path)
    for name in files:
        (tmp_path / name).write_text("")
    launch(api, SPEC, "org", TOKEN)

    assert len(hub.requests) == 1
    assert hub.requests[0][2]["command"][2] == interpreter


@pytest.mark.parametrize("files", [["python", "python3"], ["-S"], ["-c"], ["print(1)"]])
def test_where_a_file_would_be_uploaded_nothing_is_launched(hub, api, tmp_path, monkeypatch, files):
    monkeypatch.chdir(tmp_path)
    for name in files:
        (tmp_path / name).write_text("")

    with pytest.raises(LaunchRefusedError, match=r"[Rr]un from elsewhere"):
        launch(api, SPEC, "org", TOKEN)
    assert hub.requests == []


@pytest.mark.parametrize("argument", ["x" * 256, "é" * 128, "a\0b", "", "script.py", "a.yaml"])
def test_an_argument_that_run_uv_job_stumbles_over_is_refused_first(hub, api, argument):
    with pytest.raises(LaunchRefusedError, match="Cannot launch a job"):
        launch(api, JobSpec(command=("-c", argument)), "org", TOKEN)
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
    assert not issubclass(LaunchError, HubError)  # nobody's `except HubError` catches half a story


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
            await client.admit_launch()

    through_client(hub, act)
    assert len(hub.requests) == 1


def test_launches_that_wait_for_the_rate_limit_spend_nothing_when_they_are_dropped(hub):
    hub.headers = {"RateLimit": '"api";r=0;t=1'}

    async def act(client):
        await client.hardware()  # the answer says how much is left: nothing for a second
        spent = client.requests
        waiting = [asyncio.create_task(client.admit_launch()) for _ in range(300)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {asyncio.CancelledError}
        assert client.requests == spent

    through_client(hub, act)


def launcher(hub, act):
    """Let `act` use a launcher, and the list of what it tells."""

    async def main():
        told = []
        options = Options.check(max_workers=1)
        connection = Connection(
            endpoint=hub.url, credentials=Credentials(TOKEN), namespace="org", options=options
        )
        tasks = Tasks(told.append)
        around = Surroundings(connection, options, None, tasks, told.append)
        try:
            await connection.hub.prepare()
            return await act(Launcher(around, Values(around, ours=True)), told)
        finally:
            await tasks.aclose()
            await connection.hub.aclose()

    return asyncio.run(main())


def post(admitted):
    return do.Post(admitted.worker, "cpu-basic", admitted.attempt, (), 1, False, None)


def test_launches_have_sixteen_places_and_one_that_is_dropped_leaves_its_own(hub):
    async def act(launcher, told):
        for number in range(20):
            launcher.launch(do.Launch(str(number), 1))
        await until(lambda: len(told) == 16)
        launcher.withdraw(do.Withdraw("0"))  # has its turn
        launcher.withdraw(do.Withdraw("17"))  # waits for a place
        await until(lambda: len(told) == 17)
        for admitted in told[1:]:
            launcher.post(post(admitted))
        await until(lambda: len(told) == 17 + 18)
        return told

    told = launcher(hub, act)

    assert all(isinstance(event, ev.Admitted) for event in told[:17])
    assert {type(event) for event in told[17:]} == {ev.Admitted, ev.Launched}
    launched = {event.worker for event in told if isinstance(event, ev.Launched)}
    assert "0" not in launched
    assert "17" not in {event.worker for event in told}
    assert len(hub.requests) == len(launched) == 16


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  (what is waited for happens in other threads)
            await asyncio.sleep(0.005)
