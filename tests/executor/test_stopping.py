"""Every way out leaves no job running."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, wait
from pathlib import Path

import pytest

import hfexecutor
from hfexecutor import HubExecutor
from hfexecutor.core.rules import Rules
from hfexecutor.local import LocalHub, Timings, faults

from .conftest import MODES, WARM_FIRST, until

CANCEL = "POST /api/jobs/{namespace}/{jobId}/cancel"


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    """A Hub for each test: what one that fails leaves running is no business of the next."""
    with LocalHub() as running:
        yield running


@pytest.fixture(autouse=True)
def scripts() -> Iterator[None]:
    """End the scripts that a test has started and that still run."""
    yield
    while SCRIPTS:
        script = SCRIPTS.pop()
        script.kill()
        script.wait()
        for stream in (script.stdout, script.stderr):
            if stream is not None:
                stream.close()


SCRIPTS: list[subprocess.Popen[str]] = []


def pool_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "hfexecutor-pool"]


def test_an_exception_in_the_with_block_stops_what_runs(
    make: Callable[..., HubExecutor], hub: LocalHub, mode: str
) -> None:
    with pytest.raises(ZeroDivisionError), make(2, reuse_workers=MODES[mode]) as executor:
        futures = [executor.submit(time.sleep, 3600) for _ in range(8)]
        until(futures[0].running)
        1 / 0  # noqa: B018
    assert hub.running == 0
    assert isinstance(futures[0].exception(), hfexecutor.CallStoppedError)
    assert futures[-1].cancelled()


def test_a_call_that_waits_for_its_job_can_be_cancelled_with_it(mode: str) -> None:
    with LocalHub(timings=Timings(start=60)) as slow:
        with HubExecutor(
            1, endpoint=slow.endpoint, token=slow.token, reuse_workers=MODES[mode]
        ) as executor:
            future = executor.submit(pow, 2, 3)
            until(lambda: len(slow.jobs()) == 1)
            assert future.cancel()
            wait([future], timeout=120)
            until(lambda: slow.running == 0)
            with pytest.raises(CancelledError):
                future.result()


def test_killing_a_running_call_keeps_the_worker(warm: HubExecutor) -> None:
    future = warm.submit(time.sleep, 60)
    until(future.running)
    until(lambda: future.job_id is not None)
    assert future.kill()
    with pytest.raises(hfexecutor.CallStoppedError):
        future.result(30)
    assert warm.submit(pow, 2, 3).result(30) == 8


def test_a_call_beyond_its_timeout_is_killed_and_the_worker_goes_on(
    make: Callable[..., HubExecutor], hub: LocalHub
) -> None:
    with make(1, call_timeout=0.3) as executor:
        with pytest.raises(hfexecutor.CallTimeoutError, match=r"0\.3 s"):
            executor.submit(time.sleep, 60).result(30)
        assert executor.submit(pow, 2, 3).result(30) == 8
        assert executor.stats().jobs_started == 1


def test_an_executor_that_nobody_holds_winds_up(
    make: Callable[..., HubExecutor], hub: LocalHub, mode: str
) -> None:
    future = make(1, reuse_workers=MODES[mode]).submit(pow, 2, 3)
    gc.collect()
    assert future.result(30) == 8
    until(lambda: hub.running == 0)
    until(lambda: not pool_threads())


def test_shutdown_ends_all_threads_and_jobs(
    make: Callable[..., HubExecutor], hub: LocalHub
) -> None:
    executor = make(2)
    assert executor.submit(pow, 2, 3).result(30) == 8
    executor.shutdown()
    assert hub.running == 0
    assert not pool_threads()


def test_an_executor_that_is_shut_down_still_says_what_it_did(
    make: Callable[..., HubExecutor],
) -> None:
    with make(1) as executor:
        assert executor.submit(pow, 2, 3).result(30) == 8
        assert isinstance(executor.submit(int, "x").exception(30), ValueError)
    assert repr(executor).endswith("[shut down, 1 call done, 1 call failed, warm workers]>")


SCRIPT = """
    import signal, sys, time
    from hfexecutor import HubExecutor
    {before}
    options = dict(endpoint={endpoint!r}, token={token!r}, reuse_workers={reuse}, idle_timeout=1)
    executor = HubExecutor(2, **options)
    {body}
"""


def run_script(
    hub: LocalHub, tmp_path: Path, mode: str, body: str, before: str = ""
) -> subprocess.Popen[str]:
    parts = {
        name: textwrap.indent(textwrap.dedent(part), "    ").strip()
        for name, part in (("body", body), ("before", before))
    }
    text = SCRIPT.format(endpoint=hub.endpoint, token=hub.token, reuse=MODES[mode], **parts)
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(text))
    return start(path)


def start(path: Path) -> subprocess.Popen[str]:
    script = subprocess.Popen(
        [sys.executable, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    SCRIPTS.append(script)
    return script


@pytest.mark.slow  # as does one that dies of an exception
@pytest.mark.parametrize("mode", MODES)
def test_a_script_that_ends_waits_for_its_calls(hub: LocalHub, tmp_path: Path, mode: str) -> None:
    script = run_script(
        hub,
        tmp_path,
        mode,
        """
        future = executor.submit(pow, 2, 5)
        future.add_done_callback(lambda f: print("got", f.result()))
        """,
    )
    out, err = script.communicate(timeout=120)
    assert (out, err) == ("got 32\n", "")
    assert script.returncode == 0
    assert hub.running == 0


@WARM_FIRST
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_signal_stops_the_jobs_and_the_script(
    hub: LocalHub, tmp_path: Path, mode: str, number: int
) -> None:
    script = run_script(
        hub,
        tmp_path,
        mode,
        """
        future = executor.submit(time.sleep, 60)
        while not future.running():
            time.sleep(0.01)
        print("running", flush=True)
        future.result()
        """,
    )
    assert script.stdout is not None
    assert script.stdout.readline() == "running\n"
    script.send_signal(number)
    _, err = script.communicate(timeout=120)  # its call takes an hour
    assert script.returncode == -number
    package = Path(hfexecutor.__file__).parent
    for waiting in ("futures.py", "condition.py"):  # where it was interrupted
        err = err.replace(str(package / waiting), "")
    assert str(package) not in err
    assert hub.running == 0


BUSY = """
    future = executor.submit(time.sleep, 3600)
    while not future.running():
        time.sleep(0.01)
    print("running", flush=True)
"""


def has_said(script: subprocess.Popen[str], word: str) -> None:
    assert script.stdout is not None
    assert script.stdout.readline() == f"{word}\n"


def test_sigterm_stops_the_jobs_also_while_the_main_thread_holds_a_lock_of_a_future(
    hub: LocalHub, tmp_path: Path
) -> None:
    """As it does for a moment before it waits for one."""
    within_a_lock = """
    with future._condition:
        signal.raise_signal(signal.SIGTERM)
    future.exception()
    """
    script = run_script(hub, tmp_path, "warm", BUSY + within_a_lock)
    _, err = script.communicate(timeout=120)
    assert err == ""
    assert script.returncode == -signal.SIGTERM
    assert hub.running == 0


@WARM_FIRST
def test_ctrl_c_while_a_script_waits_at_its_end_stops_its_jobs(
    hub: LocalHub, tmp_path: Path, mode: str
) -> None:
    at_its_end = """
    join = executor._pool.join
    executor._pool.join = lambda *limit: (print("at its end", flush=True), join(*limit))
    """
    script = run_script(hub, tmp_path, mode, BUSY + at_its_end)
    has_said(script, "running")
    has_said(script, "at its end")
    script.send_signal(signal.SIGINT)
    _, err = script.communicate(timeout=120)
    assert err == ""
    assert hub.running == 0


@WARM_FIRST
def test_ctrl_c_while_the_end_of_a_with_block_waits_stops_its_jobs(
    hub: LocalHub, tmp_path: Path, mode: str
) -> None:
    script = run_script(
        hub,
        tmp_path,
        mode,
        """
        class Telling(HubExecutor):
            def shutdown(self, **how):
                print("leaving", flush=True)
                super().shutdown(**how)
        try:
            with Telling(2, **options) as executor:
                future = executor.submit(time.sleep, 60)
                while not future.running():
                    time.sleep(0.01)
        except KeyboardInterrupt:
            print(type(future.exception(0)).__name__)
        """,
    )
    has_said(script, "leaving")
    script.send_signal(signal.SIGINT)
    assert script.communicate(timeout=120) == ("CallStoppedError\n", "")
    assert script.returncode == 0
    assert hub.running == 0


@pytest.mark.parametrize(
    "with_block",
    [pytest.param(False, marks=pytest.mark.slow), True],
    ids=["at the end", "in with"],
)
def test_a_second_ctrl_c_leaves_at_once(tmp_path: Path, with_block: bool) -> None:
    body = textwrap.dedent(BUSY) + "future.result()"
    if with_block:
        body = "with executor:" + textwrap.indent(body, "    ")
    with LocalHub(faults=[faults.Hang(route=CANCEL)]) as hub:
        script = run_script(hub, tmp_path, "cold", body)
        has_said(script, "running")
        script.send_signal(signal.SIGINT)
        until(lambda: hub.requests[CANCEL] > 0)  # it is about to stop the job, and gets no answer
        begun = time.monotonic()
        script.send_signal(signal.SIGINT)
        _, err = script.communicate(timeout=120)
        assert time.monotonic() - begun < Rules().parting - 1  # what one alone would take
        assert script.returncode == -signal.SIGINT
        assert "hfexecutor-pool" not in err


@pytest.mark.parametrize("when", [pytest.param("before", marks=pytest.mark.slow), "after"])
def test_sigterm_is_left_to_a_handler_of_the_users_own(
    hub: LocalHub, tmp_path: Path, when: str
) -> None:
    handler = f"""
    import os, signal
    went_on = {str(tmp_path / "went on")!r}
    def handle(*_):
        print("mine", flush=True)
        open(went_on, "w").close()
    signal.signal(signal.SIGTERM, handle)
    """
    body = """
    def slow():
        while not os.path.exists(went_on):
            time.sleep(0.01)
        return "finished"
    future = executor.submit(slow)
    while not future.running():
        time.sleep(0.01)
    print("running", flush=True)
    print(future.result(), flush=True)
    executor.shutdown()
    """
    if when == "after":
        body = textwrap.dedent(handler) + textwrap.dedent(body)
    script = run_script(hub, tmp_path, "warm", body, handler if when == "before" else "")
    has_said(script, "running")
    script.terminate()
    assert script.communicate(timeout=120) == ("mine\nfinished\n", "")
    assert script.returncode == 0
    assert hub.running == 0


@WARM_FIRST
def test_a_script_that_dies_of_an_exception_leaves_nothing(
    hub: LocalHub, tmp_path: Path, mode: str
) -> None:
    script = run_script(
        hub,
        tmp_path,
        mode,
        """
        future = executor.submit(pow, 2, 5)
        future.add_done_callback(lambda f: print("got", f.result()))
        raise LookupError("of the script")
        """,
    )
    out, err = script.communicate(timeout=120)
    assert out == "got 32\n"
    assert err.count("Traceback") == 1
    assert err.endswith("LookupError: of the script\n")
    assert script.returncode == 1
    assert hub.running == 0


@WARM_FIRST
def test_a_daemon_thread_that_still_submits_does_not_hold_the_end(
    hub: LocalHub, tmp_path: Path, mode: str
) -> None:
    script = run_script(
        hub,
        tmp_path,
        mode,
        """
        import threading
        begun = threading.Event()
        def work():
            try:
                while True:
                    assert executor.submit(pow, 2, 5).result() == 32
                    begun.set()
            except RuntimeError as error:
                print(error, flush=True)
        threading.Thread(target=work, daemon=True).start()
        begun.wait()
        """,
    )
    out, err = script.communicate(timeout=120)
    assert err == ""
    assert out in {"", "cannot schedule new futures after interpreter shutdown\n"}
    assert script.returncode == 0
    assert hub.running == 0


@pytest.mark.slow  # as does one that has finished its call
def test_the_worker_of_a_killed_client_leaves_within_its_idle_timeout(
    hub: LocalHub, tmp_path: Path
) -> None:
    script = run_script(
        hub,
        tmp_path,
        "warm",
        """
        assert executor.submit(pow, 2, 3).result() == 8
        print("running", flush=True)
        time.sleep(60)
        """,
    )
    has_said(script, "running")
    script.kill()
    script.communicate()
    until(lambda: hub.running == 0)  # idle_timeout is a second; the default is five minutes
    assert hub.jobs()[-1].stage == "COMPLETED"


@WARM_FIRST
def test_the_worker_of_a_killed_client_finishes_its_call_first(
    hub: LocalHub, tmp_path: Path, mode: str
) -> None:
    script = run_script(
        hub,
        tmp_path,
        mode,
        f"""
        import os
        def work():
            while not os.path.exists({str(tmp_path / "go on")!r}):
                time.sleep(0.01)
            open({str(tmp_path / "finished")!r}, "w").close()
        future = executor.submit(work)
        while not future.running():
            time.sleep(0.01)
        print("running", flush=True)
        time.sleep(60)
        """,
    )
    has_said(script, "running")
    script.kill()
    script.communicate()
    assert hub.running > 0
    (tmp_path / "go on").touch()
    until(lambda: hub.running == 0)  # idle_timeout is a second; the default is five minutes
    assert (tmp_path / "finished").exists()
    assert hub.jobs()[-1].stage == "COMPLETED"


@WARM_FIRST
def test_a_forked_child_ends_by_itself_and_may_have_an_executor_of_its_own(
    hub: LocalHub, tmp_path: Path, mode: str
) -> None:
    """And SIGTERM ends it until then: a handler in Python would never run in one that waits."""
    script = run_script(
        hub,
        tmp_path,
        mode,
        """
        import os, warnings
        warnings.simplefilter("ignore")  # newer Pythons warn of a fork with threads
        def handled():
            return signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert executor.submit(pow, 2, 3).result() == 8
        here = handled()
        pid = os.fork()
        if pid == 0:
            print(here, handled(), flush=True)
            with HubExecutor(1, **options) as own:
                print(handled(), own.submit(pow, 3, 3).result(), flush=True)
            sys.exit()
        assert os.waitpid(pid, 0)[1] == 0
        print(handled(), executor.submit(pow, 2, 5).result(), flush=True)
        """,
    )
    assert script.communicate(timeout=120) == ("True False\nTrue 27\nTrue 32\n", "")
    assert script.returncode == 0
    assert hub.running == 0


def test_a_fork_leaves_the_parents_jobs_alone(make: Callable[..., HubExecutor]) -> None:
    with make(1) as executor:
        assert executor.submit(pow, 2, 3).result(30) == 8
        pid = os.fork()
        if pid == 0:
            try:
                executor.submit(pow, 2, 3)
            except RuntimeError:
                os._exit(0)
            os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
        assert executor.submit(pow, 3, 3).result(30) == 27
        assert executor.stats().jobs_started == 1


def test_a_fork_while_another_thread_submits_does_not_hang_the_child(
    make: Callable[..., HubExecutor],
) -> None:
    """Who forks takes the locks along as they are at that moment, and nobody gives them back."""
    with make(1) as executor:
        assert executor.submit(pow, 2, 3).result(30) == 8
        with executor._lock:  # as `submit` holds it, in whatever thread
            pid = os.fork()
            if pid == 0:
                signal.alarm(120)
                try:
                    executor.shutdown()
                    executor.terminate_workers()
                    with executor:
                        executor.submit(pow, 2, 3)
                except RuntimeError as error:
                    os._exit(0 if "that was forked" in str(error) else 1)
                os._exit(2)
        assert os.waitpid(pid, 0)[1] == 0
        assert executor.submit(pow, 3, 3).result(30) == 27


IN_ANOTHER_THREAD = """
import contextlib, threading, time
from hfexecutor import HubExecutor
options = dict(endpoint={endpoint!r}, token={token!r}, idle_timeout=1)
made = []
def work():
    made.append(HubExecutor(2, **options))
    made.append(made[0].submit(time.sleep, 60))
thread = threading.Thread(target=work)
thread.start()
thread.join()
while not made[1].running():
    time.sleep(0.01)
{then}
print("running", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    "then",
    [
        "made[0].submit(pow, 2, 3)",
        pytest.param("HubExecutor(1, **options)", marks=pytest.mark.slow),
        pytest.param("made[0].__enter__()", marks=pytest.mark.slow),
        pytest.param("made[0].shutdown(wait=False)", marks=pytest.mark.slow),
        pytest.param(
            "with contextlib.suppress(TimeoutError): made[1].result(0)", marks=pytest.mark.slow
        ),
        pytest.param(
            "with contextlib.suppress(TimeoutError): made[1].exception(0)", marks=pytest.mark.slow
        ),
    ],
    ids=["submit", "another", "block", "shutdown", "result", "exception"],
)
def test_sigterm_stops_the_jobs_of_an_executor_that_was_made_in_another_thread(
    hub: LocalHub, tmp_path: Path, then: str
) -> None:
    """Only the main thread can take the signal over: it does so when it comes by."""
    path = tmp_path / "script.py"
    path.write_text(IN_ANOTHER_THREAD.format(endpoint=hub.endpoint, token=hub.token, then=then))
    script = start(path)
    has_said(script, "running")
    script.terminate()
    script.communicate(timeout=120)
    assert script.returncode == -signal.SIGTERM
    assert hub.running == 0


def test_a_job_that_the_hub_starts_again_is_replaced_at_once(tmp_path: Path) -> None:
    """Its new supervisor knows nothing of what came through the door of the first one."""

    def work(path: str, n: int) -> int:
        with open(path, "a") as file:  # noqa: PTH123 - runs in a job
            file.write(f"{n}\n")
        time.sleep(0.3)
        return n

    path = tmp_path / "executed"
    with LocalHub(faults=[faults.KillJob(after=0.6, job=0, retried=True)]) as hub:
        with HubExecutor(1, endpoint=hub.endpoint, token=hub.token) as executor:
            futures = [executor.submit(work, str(path), n) for n in range(6)]
            assert [future.result(30) for future in futures] == list(range(6))
            assert executor.stats().jobs_started == 2
        assert hub.running == 0
