"""`runs`, `show`, `logs` and `cancel`, as a shell runs them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time

import pytest

from hfexecutor import cli
from hfexecutor.errors import JobError
from hfexecutor.runtime import finding

pytestmark = pytest.mark.usefixtures("nightly")


def count(path, steps):
    """Print a line whenever the file has one more."""
    for step in range(steps):
        while len(path.read_text()) <= step:
            time.sleep(0.01)
        print("step", step, flush=True)


@pytest.fixture
def going(hub, on):
    """A run whose call goes on until it is cancelled."""
    with on(hub, 1, name="going", max_retries=0) as executor:
        future = executor.submit(time.sleep, 600)
        while not future.running():
            time.sleep(0.01)
        yield future
        executor.terminate_workers()


def test_runs_tell_what_has_become_of_calls_and_money(here, nightly, capsys):
    assert cli.main(["runs", "--json"]) == 0
    found = next(run for run in json.loads(capsys.readouterr().out) if run["id"] == nightly)

    assert found["name"] == "nightly"
    assert found["state"] == "ended"
    assert found["calls"] == {"done": 11, "failed": 1, "open": 0, "lost": 0}
    assert found["dollars"] > 0
    assert {job["stage"] for job in found["jobs"]} == {"COMPLETED"}


@pytest.mark.parametrize(
    ("width", "left_out"),
    [
        pytest.param(120, set(), marks=pytest.mark.slow),
        pytest.param(80, set(), marks=pytest.mark.slow),
        (50, {"SCRIPT", "AGE"}),
    ],
)
def test_runs_fit_the_terminal(terminal, width, left_out):
    code, lines = terminal("runs", "--last", "1", width=width)
    heads = ["RUN", "SCRIPT", "STATE", "JOBS", "DONE", "FAILED", "OPEN", "AGE", "COST"]

    assert code == 0
    assert max(map(len, lines)) <= width
    assert lines[0].split() == [head for head in heads if head not in left_out]


def test_a_run_is_shown_with_what_has_failed(here, nightly, capsys):
    assert cli.main(["show", "nightly"]) == 1  # a call has failed
    shown = capsys.readouterr().out

    assert shown.startswith(f"run     nightly@{nightly[:6]}\n")
    assert "calls   11 done, 1 failed\n" in shown
    (failed,) = [line for line in shown.splitlines() if " failed  " in line]
    assert failed.split()[0] == "6"
    assert failed.endswith("ValueError: five is right out")


@pytest.mark.parametrize("width", [pytest.param(80, marks=pytest.mark.slow), 50])
def test_a_run_that_is_shown_fits_the_terminal(terminal, width):
    code, lines = terminal("show", "nightly", width=width)

    assert code == 1
    assert max(map(len, lines)) <= width
    assert any(line.split()[:2] == ["6", "failed"] for line in lines)


@pytest.mark.usefixtures("nightly")
def test_a_program_gets_each_call(here, capsys):
    assert cli.main(["show", "nightly", "--json"]) == 1  # a call has failed
    calls = json.loads(capsys.readouterr().out)["all_calls"]

    assert [call["number"] for call in calls] == list(range(1, 13))
    (failed,) = [call for call in calls if call["state"] == "failed"]
    assert failed["error"] == "ValueError: five is\nright out"
    assert "in squared" in failed["traceback"]


def test_what_calls_have_printed_is_shown(here, capsys):
    assert cli.main(["logs", "nightly", "6"]) == 0
    assert capsys.readouterr().out == "working on 5\n"
    assert cli.main(["logs", "nightly"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"[{n + 1}] working on {n}" for n in range(12)]


def test_a_call_that_is_not_known_is_named(here, capsys):
    assert cli.main(["logs", "nightly", "99"]) == 3
    assert "no call 99" in capsys.readouterr().err


def test_a_log_is_followed_as_it_is_written(hub, on, surroundings, tmp_path):
    """Line by line: the next one is only written once the last one was seen."""
    path = tmp_path / "steps"
    path.write_text("")
    with on(hub, 1, name="followed") as executor:
        future = executor.submit(count, path, 2)
        with subprocess.Popen(
            [sys.executable, "-m", "hfexecutor.cli", "logs", "followed", "-f", "1"],
            env=surroundings,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            for step in range(2):
                path.write_text("." * (step + 1))
                assert process.stdout.readline() == f"step {step}\n"
            assert process.stdout.read() == ""
            assert process.wait(60) == 0
        future.result(60)


def test_who_stops_reading_a_log_that_is_followed_gets_no_traceback(surroundings):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "hfexecutor.cli", "logs", "nightly", "--follow"],
            env=surroundings,
            stdout=gone,
            stderr=subprocess.PIPE,
            timeout=120,
            check=False,
        )

    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.usefixtures("short_patience")
def test_a_run_is_cancelled(here, hub, going, capsys):
    assert cli.main(["cancel", "going"]) == 0
    assert "1 of 1 jobs cancelled" in capsys.readouterr().out
    assert isinstance(going.exception(60), JobError)
    assert {job.stage for job in hub.jobs() if job.id == going.job_id} == {"CANCELED"}


def test_of_runs_of_one_name_the_running_one_is_meant(hub, on, here, capsys):
    with on(hub, 1, name="twice") as executor:
        executor.submit(pow, 2, 3).result(60)
    with on(hub, 1, name="twice") as executor:
        executor.submit(pow, 2, 3).result(60)
        nonce = executor._pool.connection.nonce

        assert cli.main(["show", "twice"]) == 0
        told = capsys.readouterr()
        assert f"run     twice@{nonce[:6]}" in told.out
        assert "not meant: twice@" in told.err
        with on(hub, 1, name="twice") as another:
            another.submit(pow, 2, 3).result(60)
            assert cli.main(["cancel", "twice"]) == 4
            assert f"\n  twice@{nonce[:6]}  " in capsys.readouterr().err
            assert cli.main(["show", f"twice@{nonce[:6]}", "--json"]) == 0
            assert json.loads(capsys.readouterr().out)["id"] == nonce


@pytest.mark.parametrize(
    ("words", "env", "code", "told"),
    [
        (["show", "nighly"], {}, 3, "Did you mean nightly?"),
        (["cancel", "something-else"], {}, 3, "`hfexecutor runs` lists all"),
        (["runs"], {"HF_TOKEN": ""}, 5, "hf auth login"),
        (["runs"], {"HF_TOKEN": "hf_unknown"}, 5, "The token is invalid or expired"),
        (["runs", "--namespace", "others"], {}, 7, "Check the namespace"),
        (["runs", "--endpoint", "local"], {}, 2, "hfexecutor hub"),
        (["runs", "--endpoint", "nowhere"], {}, 2, "must be a URL"),
        (["show"], {}, 2, "RUN"),
    ],
)
def test_what_goes_wrong_is_said_with_what_to_do(words, env, code, told, here, monkeypatch, capsys):
    for name, value in env.items():
        monkeypatch.setenv(name, value)

    assert cli.main(words) == code
    assert told in capsys.readouterr().err


def test_a_hub_that_cannot_be_reached_has_its_exit_code(here, monkeypatch, capsys, caplog):
    """And of each try there is one line, not one for each request that might be made at once."""
    monkeypatch.setattr(finding, "_PATIENCE", 1.1)
    caplog.set_level(logging.INFO, "hfexecutor.hub")

    assert cli.main(["runs", "--endpoint", "http://127.0.0.1:9"]) == 6
    assert "Check the network" in capsys.readouterr().err
    tried = [record.args[0] for record in caplog.records if "next try" in record.msg]
    assert set(tried) == {"find out whose token it is"}


def test_a_shell_completes_the_names_of_runs(shell):
    env = {
        "_HFEXECUTOR_COMPLETE": "bash_complete",
        "COMP_WORDS": "hfexecutor show nigh",
        "COMP_CWORD": "2",
    }
    assert shell(env=env).stdout.split() == ["plain,nightly"]
