"""What goes wrong with whole workers: it ends, it is counted, and it costs no endless jobs."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import wait
from pathlib import Path

import pytest

import hfexecutor
from hfexecutor import HubExecutor
from hfexecutor.local import LocalHub
from hfexecutor.local import faults as f

from .conftest import MODES, until

LOGS = "GET /api/jobs/{namespace}/{jobId}/logs"


def sign(path: str, text: object = "ran") -> None:
    with open(path, "a") as file:  # noqa: PTH123 - runs in a job
        file.write(f"{text}\n")


@pytest.mark.parametrize("end", ["exit", "kill"])
def test_an_initializer_that_ends_its_process_breaks_the_executor(
    make: Callable[..., HubExecutor], mode: str, end: str
) -> None:
    def initialize() -> None:
        if end == "exit":
            os._exit(4)
        os.kill(os.getpid(), signal.SIGKILL)

    with make(2, reuse_workers=MODES[mode], initializer=initialize) as executor:
        future = executor.submit(pow, 2, 3)
        with pytest.raises(hfexecutor.BrokenHubExecutor, match="initializer"):
            future.result(30)
        with pytest.raises(hfexecutor.BrokenHubExecutor):
            executor.submit(pow, 2, 3)
        assert executor.stats().jobs_started <= 2


@pytest.mark.usefixtures("short_patience")
def test_a_call_that_was_stopped_with_its_worker_is_not_run_again_without_retries(
    make: Callable[..., HubExecutor], tmp_path: Path
) -> None:
    def stop(path: str) -> None:
        sign(path)
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(60)

    with make(1, max_retries=0) as executor:
        future = executor.submit(stop, str(tmp_path / "ran"))
        assert isinstance(future.exception(30), hfexecutor.JobLostError)
    assert (tmp_path / "ran").read_text() == "ran\n"


@pytest.mark.usefixtures("short_patience")
def test_a_call_whose_outcome_fell_out_of_the_log_is_not_run_again_without_retries(
    tmp_path: Path,
) -> None:
    def flood(path: str) -> bytes:
        sign(path)
        return os.urandom(200_000)

    with LocalHub(log_window=20, faults=[f.Slow(route=LOGS, seconds=1.0)]) as hub:
        with HubExecutor(
            1, endpoint=hub.endpoint, token=hub.token, max_retries=0, reuse_workers=False
        ) as executor:
            future = executor.submit(flood, str(tmp_path / "ran"))
            assert isinstance(future.exception(30), hfexecutor.JobLostError)
    assert (tmp_path / "ran").read_text() == "ran\n"


@pytest.mark.usefixtures("short_patience")
def test_a_call_that_kills_its_worker_takes_no_other_along(
    make: Callable[..., HubExecutor],
) -> None:
    def work(n: int) -> int:
        if n == 0:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        return n

    with make(4, slots_per_job=4, max_retries=1) as executor:
        futures = [executor.submit(work, n) for n in range(4)]
        assert isinstance(futures[0].exception(60), hfexecutor.JobError)
        assert [future.result(60) for future in futures[1:]] == [1, 2, 3]


def test_killing_a_call_that_has_not_begun_keeps_it_from_running(
    make: Callable[..., HubExecutor], tmp_path: Path
) -> None:
    def work(path: str, n: int) -> None:
        sign(path, n)
        while not os.path.exists(f"{path}-go-on"):  # noqa: PTH110 - runs in a job
            time.sleep(0.01)

    path = tmp_path / "ran"
    with make(1) as executor:
        executor.submit(sign, str(path), 0).result(30)
        futures = [executor.submit(work, str(path), n) for n in (1, 2, 3)]
        until(futures[0].running)
        assert futures[1].kill()
        (tmp_path / "ran-go-on").touch()
        wait(futures, 30)
    assert futures[1].cancelled()
    assert path.read_text().split() == ["0", "1", "3"]


def test_killing_a_call_whose_door_is_not_known_yet_is_made_good(
    make: Callable[..., HubExecutor],
) -> None:
    with make(2, slots_per_job=2) as executor:
        futures = [executor.submit(time.sleep, seconds) for seconds in (60, 1)]
        until(futures[0].running)
        assert futures[0].kill()
        with pytest.raises(hfexecutor.CallStoppedError):
            futures[0].result(30)
        assert futures[1].result(30) is None


def test_one_job_per_call_has_as_many_jobs_as_workers(
    make: Callable[..., HubExecutor], tmp_path: Path
) -> None:
    def meet(folder: str, n: int) -> bool:
        Path(folder, str(n)).touch()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if len(os.listdir(folder)) == 2:
                return True
            time.sleep(0.01)
        return False

    with make(2, reuse_workers=False, slots_per_job=2) as executor:
        assert all(executor.map(meet, [str(tmp_path)] * 2, range(2)))


def test_a_callback_that_wants_to_end_the_thread_ends_nothing(
    make: Callable[..., HubExecutor], mode: str
) -> None:
    called = threading.Event()

    def leave(_: object) -> None:
        called.set()
        sys.exit(1)

    with make(1, reuse_workers=MODES[mode]) as executor:
        executor.submit(pow, 2, 3).add_done_callback(leave)
        assert called.wait(30)
        assert executor.submit(pow, 2, 4).result(30) == 16


def test_a_connection_that_cannot_be_set_up_ends_every_call(
    make: Callable[..., HubExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://proxy.invalid")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with HubExecutor(1, endpoint="http://hub.invalid", token="hf_x") as executor:
        futures = [executor.submit(pow, 2, 3) for _ in range(3)]
        for future in futures:
            assert isinstance(future.exception(10), hfexecutor.HubUnavailableError)
            assert "proxy" in str(future.exception())


@pytest.mark.parametrize("size", [40_000, 100_000])
def test_results_of_many_lines_survive_noise_within_lines(size: int) -> None:
    with LocalHub(faults=[f.Noise(every=2, within=True)]) as hub:
        with HubExecutor(2, endpoint=hub.endpoint, token=hub.token) as executor:
            futures = [executor.submit(bytes, size) for _ in range(4)]
            assert [len(future.result(30)) for future in futures] == [size] * 4
            assert executor.stats().retried == 0
