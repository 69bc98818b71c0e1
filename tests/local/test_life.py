"""The life of a job: stages, endings, attempts, environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from hfexecutor.local import HUB, INSTANT, LocalHub, Timings, uv


def test_success(raw):
    job = raw.wait(raw.run("true"))
    assert job["status"] == {"stage": "COMPLETED", "message": None}
    assert job["startedAt"] >= job["createdAt"]
    assert job["finishedAt"] >= job["startedAt"]


@pytest.mark.parametrize(
    ("command", "code"),
    [("exit 1", 1), ("kill -SEGV $$", 139), ("kill -9 $$", 137), ("exit 255", 255)],
)
def test_failure_tells_the_code(raw, command, code):
    job = raw.wait(raw.run("sh", "-c", command))
    assert job["status"] == {
        "stage": "ERROR",
        "message": f"Job failed with exit code: {code}. Reason: Error",
        "failureCount": 1,
    }


def test_a_command_that_does_not_exist(raw):
    job = raw.run("no-such-program-here")
    assert raw.wait(job)["status"]["stage"] == "ERROR"
    assert "no-such-program-here" in raw.log(job)[0]
    assert "startedAt" not in raw.inspect(job)


def test_what_cannot_start_is_not_tried_again(raw):
    job = raw.run("no-such-program-here", attempts=10_000_000)
    assert raw.wait(job)["status"]["failureCount"] == 1
    assert len(list(raw.events(job))) == 2


def test_ssh_is_refused(raw):
    job = raw.run("true", ssh={"enabled": True})
    assert "SSH" in raw.wait(job)["status"]["message"]
    assert raw.wait(raw.run("true", ssh={"enabled": False}))["status"]["stage"] == "COMPLETED"


def test_a_command_that_cannot_be_executed(raw, tmp_path):
    file = tmp_path / "not-a-program"
    file.write_text("")
    file.chmod(0o700)
    job = raw.run(str(file))
    assert "126" in raw.wait(job)["status"]["message"]


def test_an_image_whose_python_cannot_be_had(raw, monkeypatch):
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    job = raw.run("python", "-c", "1", dockerImage="python:3.2")
    assert "image pull failed" in raw.wait(job)["status"]["message"]
    assert "image pull failed" in raw.log(job)[0]


@pytest.fixture
def slow_uv(tmp_path, monkeypatch, until):
    """Have a uv that takes a minute; returns a function that waits for its pid."""
    script, note = tmp_path / "uv", tmp_path / "pid"
    script.write_text(f"#!/bin/sh\necho $$ > {note}.part; mv {note}.part {note}; exec sleep 60\n")
    script.chmod(0o700)
    monkeypatch.setattr(uv, "executable", lambda: str(script))

    def started():
        until(note.exists)
        return int(note.read_text())

    return started


def test_an_image_that_is_still_pulled_can_be_cancelled(raw, slow_uv, alive):
    job = raw.run("python", "-c", "1", dockerImage="python:3.2")
    pid = slow_uv()
    assert raw.cancel(job).json()["status"]["stage"] == "CANCELED"
    assert not alive(pid)
    assert "startedAt" not in raw.inspect(job)


def test_an_image_that_is_pulled_for_too_long(raw, slow_uv, alive):
    job = raw.run("python", "-c", "1", dockerImage="python:3.2", timeoutSeconds=1, attempts=9)
    pid = slow_uv()
    assert raw.wait(job)["status"] == {"stage": "ERROR", "message": "Job timeout"}
    assert not alive(pid)


def test_a_hub_is_closed_while_an_image_is_pulled(make, slow_uv, alive):
    hub, raw = make()
    raw.run("python", "-c", "1", dockerImage="python:3.2")
    pid = slow_uv()
    hub.close()
    assert not alive(pid)
    assert hub.running == 0


def test_timeout(raw, alive):
    job = raw.run("sh", "-c", "echo $$; sleep 60", timeoutSeconds=1)
    (pid,) = raw.log(job)
    assert raw.wait(job)["status"] == {"stage": "ERROR", "message": "Job timeout"}
    assert not alive(int(pid))


def test_default_timeout(make):
    _, raw = make(timings=Timings(job_timeout=0.05))
    assert raw.wait(raw.run("sleep", "60"))["status"]["message"] == "Job timeout"


def test_cancel_kills_and_says_so(raw, alive):
    job = raw.run("sh", "-c", "echo $$; sleep 60")
    pid = int(next(raw.lines(job)))
    assert alive(pid)
    reply = raw.cancel(job).json()
    assert reply["status"]["stage"] == "CANCELED"
    assert not alive(pid)
    assert raw.cancel(job).json()["status"]["stage"] == "CANCELED"


def test_a_job_that_has_ended_by_itself_cannot_be_cancelled_any_more(make):
    """Its stage lags behind; what it will be is settled."""
    _, raw = make(timings=Timings(stage_lag=0.5))
    job = raw.run("true")
    assert len(list(raw.events(job))) == 1  # the log has ended: so has the command
    assert raw.cancel(job).json()["status"]["stage"] == "RUNNING"
    assert raw.wait(job)["status"] == {"stage": "COMPLETED", "message": None}


def test_cancel_before_the_start(make):
    hub, raw = make(timings=Timings(start=60))
    job = raw.run("true")
    assert raw.inspect(job)["status"]["stage"] == "SCHEDULING"
    assert raw.cancel(job).json()["status"]["stage"] == "CANCELED"
    assert list(raw.events(job)) == []
    assert "startedAt" not in raw.inspect(job)
    assert hub.running == 0


def test_attempts_share_the_job_and_its_log(raw, tmp_path):
    mark = tmp_path / "mark"
    script = f"echo attempt; test -e {mark} || {{ touch {mark}; exit 7; }}"
    job = raw.run("sh", "-c", script, attempts=3)
    done = raw.wait(job)
    assert done["status"] == {"stage": "COMPLETED", "message": None, "failureCount": 1}
    texts = [event["data"][:17] for event in raw.events(job)]
    assert texts == ["===== Job started", "attempt", "===== Job started", "attempt"]


def test_attempts_come_to_an_end(raw):
    job = raw.wait(raw.run("false", attempts=2))
    assert job["status"]["stage"] == "ERROR"
    assert job["status"]["failureCount"] == 2


def test_environment_and_directories(raw, monkeypatch, until):
    monkeypatch.setenv("LEAK", "1")
    code = (
        "import os; print(sorted(os.environ)); print(os.listdir(), os.listdir(os.environ['HOME']));"
        "open('f','w'); os.mkdir(os.environ['TMPDIR'] + '/d'); print(os.environ['HOME']);"
        "print(sorted(map(int, os.listdir('/proc/self/fd')))[:3], os.read(0, 1))"
    )
    job = raw.python(code, environment={"MINE": "x"}, secrets={"ALSO": "y"})
    raw.wait(job)
    names, empty, home, fds = raw.log(job)
    expected = "ACCELERATOR ALSO CPU_CORES HOME JOB_ID LANG MEMORY MINE PATH TMPDIR"
    assert set(eval(names)) - {"LC_CTYPE"} == set(expected.split())
    assert empty == "[] []"
    assert fds.endswith("b''")
    until(lambda: not Path(home).exists())


def test_python_is_this_one(raw):
    job = raw.run("python", "-c", "import sys; print(sys.version)")
    raw.wait(job)
    assert raw.log(job) == [sys.version.replace("\n", "")]


def test_arguments_follow_the_command(raw):
    job = raw.run("echo", "a", arguments=["b", "c d"])
    raw.wait(job)
    assert raw.log(job) == ["a b c d"]


def test_big_specs_travel(raw):
    big = {f"PART_{n}": "x" * 120_000 for n in range(8)}
    job = raw.python("import os; print(sum(map(len, os.environ.values())))", secrets=big)
    raw.wait(job)
    assert int(raw.log(job)[0]) > 960_000


def test_many_jobs_at_once(raw):
    jobs = [raw.run("echo", str(n)) for n in range(60)]
    assert [raw.log(job) for job in jobs] == [[str(n)] for n in range(60)]
    for job in jobs:
        raw.wait(job)


def test_the_delays_of_the_real_hub(make):
    _hub, raw = make(profile="hub", timings=Timings(start=0.15, stage_lag=0.5, api=0.02))
    job = raw.run("true")
    assert raw.inspect(job)["status"]["stage"] == "SCHEDULING"
    assert len(list(raw.events(job))) == 1  # waits for the start, and ends with the job
    assert raw.inspect(job)["status"]["stage"] == "RUNNING"
    done = raw.wait(job)
    assert done["status"]["stage"] == "COMPLETED"
    assert raw("GET", "/api/whoami-v2").elapsed.total_seconds() >= 0.02
    assert raw("GET", "/api/whoami-v2").headers["ratelimit"]


def test_the_tables():
    assert HUB.start == 5.8
    assert HUB.stage_lag == 1.3
    assert HUB.door == 0.105
    assert Timings() == INSTANT
    assert LocalHub("hub").timings == HUB
    with pytest.raises(ValueError, match="choose from instant, hub"):
        LocalHub("real")


def test_stray_children_do_not_outlive_the_command(raw, alive):
    code = "import subprocess; print(subprocess.Popen(['sleep', '60'], start_new_session=True).pid)"
    job = raw.run("python", "-c", code)
    raw.wait(job)
    (pid,) = raw.log(job)
    assert not alive(int(pid))
    assert os.getpid() != int(pid)
