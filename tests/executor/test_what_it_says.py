"""What the executor, its errors and the Hub's own pages say of a run is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest

import hfexecutor
from hfexecutor import HubExecutor
from hfexecutor.local import LocalHub, Timings

from .conftest import MODES, until


def stages(hub: LocalHub, **label: str) -> Counter[str]:
    return Counter(job.stage for job in hub.jobs() if label.items() <= job.labels.items())


# --- the stage of a job whose work is done ------------------------------------------------------


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_the_jobs_of_a_run_that_went_well_are_completed(
    make: Callable[..., HubExecutor], hub: LocalHub, mode: str, workers: int
) -> None:
    with make(workers, reuse_workers=MODES[mode], labels={"run": f"well-{workers}"}) as executor:
        assert list(executor.map(pow, range(12), [2] * 12)) == [n * n for n in range(12)]
    seen = stages(hub, run=f"well-{workers}")
    assert set(seen) == {"COMPLETED"}, seen


def test_one_call_and_out_is_completed(make: Callable[..., HubExecutor], hub: LocalHub) -> None:
    """The shortest script there is, as README has it: the job has hardly spoken when it ends."""
    for number in range(5):
        with make(1, labels={"run": f"short-{number}"}) as executor:
            assert executor.submit(pow, 2, 3).result(30) == 8
        assert stages(hub, run=f"short-{number}") == {"COMPLETED": 1}


def test_a_run_on_a_hub_with_the_real_delays_is_completed() -> None:
    timings = Timings(start=0.5, api=0.1, door=0.105, stage_lag=1.3)
    with LocalHub(timings=timings) as hub:
        with HubExecutor(2, endpoint=hub.endpoint, token=hub.token) as executor:
            assert list(executor.map(pow, range(6), [2] * 6)) == [n * n for n in range(6)]
        assert stages(hub) == {"COMPLETED": len(hub.jobs())}


def test_calls_that_fail_leave_a_completed_job(
    make: Callable[..., HubExecutor], hub: LocalHub, mode: str
) -> None:
    with make(1, reuse_workers=MODES[mode], labels={"run": "failing"}) as executor:
        for fn, args in ((divmod, (1, 0)), (os._exit, (3,))):
            assert executor.submit(fn, *args).exception(30) is not None
    assert set(stages(hub, run="failing")) == {"COMPLETED"}


def test_cancelling_the_rest_leaves_completed_jobs(
    make: Callable[..., HubExecutor], hub: LocalHub
) -> None:
    """What ran has run: only a job that is stopped while a call runs is CANCELED."""
    executor = make(1, labels={"run": "cut short"[:3]})
    futures = [executor.submit(time.sleep, 0.2) for _ in range(20)]
    until(futures[0].running)
    executor.shutdown(wait=True, cancel_futures=True)
    assert stages(hub, run="cut") == {"COMPLETED": 1}


# --- errors of calls that ran -------------------------------------------------------------------


def exits() -> None:
    os._exit(3)


def returns_a_frame() -> Any:
    return sys._getframe()


ENDS: dict[str, tuple[Callable[[], Any], type[BaseException], dict[str, Any]]] = {
    "died": (exits, hfexecutor.CallDiedError, {}),
    "timed out": (lambda: time.sleep(60), hfexecutor.CallTimeoutError, {"call_timeout": 0.3}),
    "returned what cannot travel": (returns_a_frame, hfexecutor.UnpicklableResultError, {}),
}


@pytest.mark.parametrize("case", ENDS)
def test_the_error_of_a_call_that_ran_does_not_say_that_its_job_waits(
    make: Callable[..., HubExecutor], mode: str, case: str
) -> None:
    """The Hub's list may still have it in SCHEDULING; but we have heard from it."""
    call, kind, options = ENDS[case]
    with make(1, reuse_workers=MODES[mode], **options) as executor:
        future = executor.submit(call)
        error = future.exception(30)
    assert isinstance(error, kind)
    assert "SCHEDULING" not in str(error)
    assert str(future.job_id) in str(error)


# --- repr ---------------------------------------------------------------------------------------


def counts(executor: HubExecutor) -> dict[str, int]:
    """Return the figures of a repr: "2 jobs running, 1 call failed" -> {"jobs running": 2, ...}."""
    inside = re.search(r"\[(.*)\]", repr(executor))
    assert inside is not None
    found = re.findall(r"(\d+) ([a-z ]+)", inside[1])
    return {" ".join(words.split()): int(number) for number, words in found}


def figure(executor: HubExecutor, *words: str) -> int:
    """Return the one figure whose text has all these words, singular or plural; 0 if none has."""
    found = [
        number
        for text, number in counts(executor).items()
        if all(re.search(rf"\b{word}s?\b", text) for word in words)
    ]
    assert len(found) <= 1, repr(executor)
    return found[0] if found else 0


def hold(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.005)


def test_a_repr_tells_calls_from_jobs_and_those_that_run_from_those_that_wait(
    make: Callable[..., HubExecutor], tmp_path: Path
) -> None:
    release = str(tmp_path / "release")
    with make(2) as executor:
        assert executor.submit(pow, 2, 3).result(30) == 8
        assert executor.submit(divmod, 1, 0).exception(30) is not None
        held = [executor.submit(hold, release) for _ in range(2)]
        rest = [executor.submit(hold, release) for _ in range(5)]
        until(lambda: figure(executor, "job", "running") == 2)
        until(lambda: figure(executor, "call", "running") == 2)
        assert figure(executor, "call", "waiting") == 5
        assert figure(executor, "call", "done") == 1
        assert figure(executor, "call", "failed") == 1
        Path(release).touch()
        assert wait([*held, *rest], 30).not_done == set()
        until(lambda: figure(executor, "call", "running") == 0)
        assert figure(executor, "call", "waiting") == 0
        assert figure(executor, "call", "done") == 8
        assert figure(executor, "call", "failed") == 1


def test_a_repr_says_that_a_job_waits_until_it_runs() -> None:
    with LocalHub(timings=Timings(start=60)) as hub:
        with HubExecutor(1, endpoint=hub.endpoint, token=hub.token) as executor:
            future = executor.submit(pow, 2, 3)
            until(lambda: figure(executor, "job", "scheduling") == 1)
            assert figure(executor, "job", "running") == 0
            assert figure(executor, "call", "running") == 0
            assert figure(executor, "call", "waiting") == 1
            assert future.cancel()


# --- what a job may say -------------------------------------------------------------------------

# A job whose call has found the key says that call 0 has a value. Run without asserts as well.
CALL_ZERO = """
    import hashlib, hmac, pickle, sys, time
    import hfexecutor
    from hfexecutor import HubExecutor
    from hfexecutor.local import LocalHub
    from hfexecutor.remote import entries, frames, outcomes

    def derive(key, name):
        return hmac.new(key, name, hashlib.sha256).digest()

    def say(labels, token, status):
        run = derive(token.encode(), b"hfexecutor:" + labels["hfexecutor-run"].encode())
        seal = frames.Seal(derive(run, labels["hfexecutor-launch"].encode()))
        data = outcomes.encode(status, 0.0, 0, pickle.dumps(None))
        writer = frames.LineWriter(seal, "00c0ffee")
        entry = entries.Entry(entries.OUTCOME, 0, 0, 1, data)
        return [line.decode() for line in writer.lines([entry])]

    def show(lines):
        print()
        for line in lines:
            print(line.strip())
        time.sleep(0.5)
        return "shown"

    with LocalHub() as hub, HubExecutor(1, endpoint=hub.endpoint, token=hub.token) as executor:
        first = executor.submit(pow, 2, 3).result(30)
        (job,) = hub.jobs()
        future = executor.submit(show, say(job.labels, hub.token, outcomes.VALUE))
        later = executor.submit(pow, 2, 4)
        for one in (future, later):
            error = one.exception(30)
            if error is not None:
                print(type(error).__name__, error, file=sys.stderr)
            elif one.result() not in ("shown", 16):
                print("None as a result", file=sys.stderr)
    print("ended")
"""


@pytest.mark.parametrize("optimise", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_value_for_no_call_ends_no_future_with_nothing(tmp_path: Path, optimise: bool) -> None:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(CALL_ZERO))
    done = subprocess.run(
        [sys.executable, *(["-O"] if optimise else []), str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.endswith("ended\n"), done.stderr
    assert "None as a result" not in done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert "internal error" not in done.stderr, done.stderr
    assert done.returncode == 0
