"""A run whose process is gone is found again, and what its jobs have done with it."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError, wait
from pathlib import Path

import pytest
from huggingface_hub import HfApi

import hfexecutor
from hfexecutor import HubExecutor
from hfexecutor.local import LocalHub
from hfexecutor.runs import list_runs

from .conftest import until


@pytest.fixture(scope="module")
def hub() -> Iterator[LocalHub]:
    with LocalHub() as running:
        yield running


class Client:
    """A process with an executor, which is killed where it stands."""

    def __init__(self, hub: LocalHub, folder: Path, name: str) -> None:
        self.hub = hub
        self.folder = folder
        self.name = name
        self._process: subprocess.Popen[str] | None = None

    def start(self, script: str, workers: int = 2, **options: object) -> None:
        """Run a script to the line in which it says "now"; it has an `executor`, and a `mark`."""
        options = {"slots_per_job": 1, "idle_timeout": 1, "name": self.name, **options}
        head = f"""
        import os, sys, time
        from hfexecutor import HubExecutor

        def now():
            print("now", flush=True)
            time.sleep(600)

        def wait_for_marks(count):
            while not os.path.exists({str(self.folder)!r} + "/begun"):
                time.sleep(0.01)
            while len(open({str(self.folder)!r} + "/begun").read().split()) < count:
                time.sleep(0.01)

        def mark(number):
            with open({str(self.folder)!r} + "/begun", "a") as begun:
                begun.write(f"{{number}}\\n")

        executor = HubExecutor(
            {workers}, endpoint={self.hub.endpoint!r}, token={self.hub.token!r}, **{options!r}
        )
        """
        path = self.folder / "client.py"
        path.write_text(textwrap.dedent(head) + textwrap.dedent(script))
        self._process = subprocess.Popen(
            [sys.executable, str(path)], stdout=subprocess.PIPE, text=True, cwd=self.folder
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "now\n"

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(timeout=60)

    def begun(self) -> Counter[int]:
        """Return how often each call has begun."""
        path = self.folder / "begun"
        return (
            Counter(int(line) for line in path.read_text().split()) if path.exists() else Counter()
        )

    def attach(self):
        return HubExecutor.attach(self.name, endpoint=self.hub.endpoint, token=self.hub.token)

    def is_gone(self) -> bool:
        found = list_runs(self.name, endpoint=self.hub.endpoint, token=self.hub.token)
        return not any(run.running for run in found)


@pytest.fixture
def client(hub: LocalHub, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Client]:
    one = Client(
        hub, tmp_path, re.sub(r"\W", "-", request.node.name.removeprefix("test_"))[-80:].strip("-")
    )
    yield one
    if one._process is not None:
        with contextlib.suppress(ProcessLookupError):
            one._process.kill()
        one._process.wait()
        assert one._process.stdout is not None
        one._process.stdout.close()


def values(run) -> dict[int, object]:
    return {number: future.result(60) for number, future in run.futures.items()}


def test_of_a_client_that_is_killed_amid_its_calls_nothing_is_lost(client, monkeypatch, tmp_path):
    client.start(
        """
        def work(number):
            mark(number)
            time.sleep(0.02)
            return number * number

        futures = [executor.submit(work, number) for number in range(1, 201)]
        while sum(future.done() for future in futures) < 40:
            time.sleep(0.01)
        now()
        """,
        workers=4,
    )
    client.kill()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    with client.attach() as run:
        until(client.is_gone)
        found = values(run)
        assert len(found) >= 40
        assert found == {number: number * number for number in found}
        # What was not handed out is all that is missing.
        assert set(found) | set(run.missing) == set(range(1, max(found) + 1))
    assert set(client.begun()) == set(found)
    assert set(client.begun().values()) == {1}


def test_calls_of_a_client_that_was_killed_are_found_by_their_keys(client):
    pytest.importorskip("hf_xet")
    long, no_text = "x" * 5000, "\udc80"
    client.start(
        f"""
        def work(number):
            mark(number)
            if number == 3:
                while not os.path.exists({str(client.folder)!r} + "/go"):
                    time.sleep(0.01)
            if number == 4:
                raise KeyError(number)
            return number * number

        done = [executor.submit(work, 1)]
        for number, key in [(2, {long!r}), (4, "raises"), (5, "given\\nlater"), (3, {no_text!r})]:
            done.append(executor.submit_keyed(key, work, number))
        wait_for_marks(5)
        for future in done[:-1]:
            future.exception()
        now()
        """,
        idle_timeout=20,
    )
    client.kill()
    with client.attach() as run:
        assert run.future_of(long).result(60) == 4
        assert run.future_of(long) is run.futures[2]
        assert run.future_of("given\nlater").result(60) == 25
        with pytest.raises(KeyError, match="4"):
            run.future_of("raises").result(60)
        running = run.future_of(no_text)
        assert not running.done()
        (client.folder / "go").touch()
        assert running.result(60) == 9
        with pytest.raises(KeyError, match="never"):
            run.future_of("never given")
        assert run.keys == {2: long[:200], 3: "raises", 4: "given\nlater", 5: "?"}
    with pytest.raises(TypeError, match="must be a string, not 1"):
        run.future_of(1)
    assert client.begun() == dict.fromkeys(range(1, 6), 1)


def test_calls_that_run_end_when_they_do_and_what_they_print_is_theirs(client):
    client.start(
        f"""
        def work():
            print("begun", flush=True)
            mark(1)
            while not os.path.exists({str(client.folder)!r} + "/go"):
                time.sleep(0.01)
            print("done")
            return "slow"

        future = executor.submit(work)
        wait_for_marks(1)
        now()
        """
    )
    client.kill()
    with client.attach() as run:  # who only looks on leaves everything as it is
        (future,) = run.futures.values()
        assert not future.done()
    with pytest.raises(hfexecutor.DetachedError, match=client.name):
        future.result(60)
    with client.attach() as run:
        (future,) = run.futures.values()
        assert not future.done()
        (client.folder / "go").touch()
        assert future.result(60) == "slow"
        assert future.logs() == "begun\ndone\n"
        assert future.job_id is not None
    assert client.begun() == {1: 1}


def test_a_run_that_is_over_is_read_from_its_logs_as_often_as_one_likes(client):
    client.start(
        """
        def fail():
            raise KeyError("as it was")

        futures = [executor.submit(pow, 2, 5), executor.submit(fail)]
        for future in futures:
            future.exception()
        executor.shutdown()
        print("now", flush=True)
        """
    )
    assert client.wait() == 0
    for _ in range(2):
        with client.attach() as run:
            assert run.futures[1].result(60) == 32
            with pytest.raises(KeyError, match="as it was"):
                run.futures[2].result(60)
            assert run.missing == ()
            assert 0 < run.cost().dollars < 1
            assert run.cost().hourly == 0
            drawn = run.timeline(client.folder / "timeline.html")
            assert [(call.call, call.state) for call in drawn.calls] == [(1, "done"), (2, "failed")]
            assert drawn.over
            assert {call.job_id for call in drawn.calls} == {job.id for job in drawn.jobs}
            assert run.name in (client.folder / "timeline.html").read_text()
            assert run.name in repr(run)


def test_a_large_result_is_fetched_where_it_is_kept(client):
    client.start(
        f"""
        def work():
            mark(1)
            while not os.path.exists({str(client.folder)!r} + "/go"):
                time.sleep(0.01)
            return bytes(3_000_000)

        futures = [executor.submit(pow, 2, 5), executor.submit(work)]
        futures[0].result()
        wait_for_marks(1)
        now()
        """,
        idle_timeout=30,
        workers=1,
    )
    client.kill()
    (client.folder / "go").touch()
    with client.attach() as run:
        assert run.futures[2].result(60) == bytes(3_000_000)
        run.cancel()
    assert client.is_gone()


@pytest.mark.slow
def test_a_call_whose_job_was_lost_is_reported(client):
    client.start(
        """
        def work():
            mark(1)
            time.sleep(600)

        future = executor.submit(work)
        wait_for_marks(1)
        now()
        """
    )
    client.kill()
    (job,) = [j for j in client.hub.jobs() if j.labels.get("hfexecutor-name") == client.name]
    with client.attach() as run:
        HfApi(endpoint=client.hub.endpoint, token=client.hub.token).cancel_job(
            job_id=job.id, namespace=client.hub.namespace
        )
        with pytest.raises(hfexecutor.JobLostError, match=job.id):
            run.futures[1].result(60)


def test_a_run_can_be_cancelled_by_who_has_found_it(client):
    client.start(
        """
        def work():
            mark(1)
            time.sleep(600)

        futures = [executor.submit(work) for _ in range(2)]
        wait_for_marks(2)
        now()
        """
    )
    client.kill()
    with client.attach() as run:
        assert run.cost().hourly > 0
        run.cancel()
        wait(run.futures.values(), 60)
        for future in run.futures.values():
            with pytest.raises((hfexecutor.CallStoppedError, CancelledError)):
                future.result(0)
    assert client.is_gone()


def test_a_run_that_nobody_has_started_is_not_found(hub):
    with pytest.raises(hfexecutor.HubRequestError, match="there is no run 'nobody'"):
        HubExecutor.attach("nobody", endpoint=hub.endpoint, token=hub.token)


@pytest.mark.slow
def test_a_process_that_ends_while_it_looks_on_ends(client):
    go_on = client.folder / "go on"
    client.start(
        f"""
        def work():
            mark(1)
            while not os.path.exists({str(go_on)!r}):
                time.sleep(0.01)

        future = executor.submit(work)
        wait_for_marks(1)
        now()
        """
    )
    client.kill()
    script = f"""
        import faulthandler
        faulthandler.dump_traceback_later(50)
        from hfexecutor import HubExecutor
        run = HubExecutor.attach(
            {client.name!r}, endpoint={client.hub.endpoint!r}, token={client.hub.token!r}
        )
        assert not run.futures[1].done()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)
    go_on.touch()
    with client.attach() as run:
        assert values(run) == {1: None}


def test_what_is_handed_over_is_done_without_the_process_and_kept(client):
    client.start(
        """
        def work(number):
            mark(number)
            time.sleep(0.02)
            return number

        futures = [executor.submit(work, number) for number in range(1, 61)]
        executor.shutdown(wait=True, detach=True)
        assert all(future.done() for future in futures)
        print("now", flush=True)
        """,
        keep_for=600,
    )
    assert client.wait() == 0
    until(lambda: len(client.begun()) == 60)
    with client.attach() as run:
        assert values(run) == {number: number for number in range(1, 61)}
        assert run.missing == ()
        until(client.is_gone)  # all was fetched: nothing is kept any longer
    assert set(client.begun().values()) == {1}


ENDS = {
    "the script ends": "",
    "shutdown without waiting": "executor.shutdown(wait=False)",
    "an exception leaves the block": "with executor: raise ValueError",
    "SIGTERM": "os.kill(os.getpid(), 15); time.sleep(60)",
    "Ctrl-C": "os.kill(os.getpid(), 2); time.sleep(60)",
}


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
def test_jobs_outlive_their_process_however_it_ends(client, end):
    client.start(
        f"""
        def work():
            mark(1)
            time.sleep(1)
            return "kept"

        future = executor.submit(work)
        wait_for_marks(1)
        print("now", flush=True)
        {ENDS[end]}
        """,
        detach=True,
        keep_for=3,
    )
    client.wait()
    with client.attach() as run:
        assert values(run) == {1: "kept"}
    until(client.is_gone)
    with client.attach() as run:
        assert values(run) == {1: "kept"}
    assert client.begun() == {1: 1}


def test_who_waits_for_a_detached_run_has_its_results_and_no_job_is_left(make, hub):
    with make(1, detach=True, name="waited") as executor:
        future = executor.submit(pow, 2, 5)
    assert future.result(0) == 32
    (run,) = list_runs("waited", endpoint=hub.endpoint, token=hub.token)
    assert run.running == 0


def test_a_future_of_a_detached_run_says_how_to_get_back(make):
    executor = make(1, name="let-go")
    future = executor.submit(time.sleep, 5)
    executor.shutdown(detach=True)
    with pytest.raises(hfexecutor.DetachedError, match="hfexecutor attach let-go"):
        future.result(0)
