"""Names and labels of runs, and runs as their jobs tell of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.hub.claims import claim_of_run_problem
from hfexecutor.hub.limits import LABEL
from hfexecutor.hub.models import Job
from hfexecutor.labels import (
    calls_in_label,
    check_name,
    label_of_calls,
    label_of_script,
    made_name,
)
from hfexecutor.runs import runs_of

BEGIN = datetime(2026, 11, 24, 12, tzinfo=UTC)
COMMAND = ("-c", "boot")


def a_job(number: int, *, run: str = "n1", name: str = "nightly", **changes: object) -> Job:
    raw = {
        "id": f"j{number}",
        "status": {"stage": "RUNNING"},
        "labels": {
            "hfexecutor-run": run,
            "hfexecutor-name": name,
            "hfexecutor-launch": f"w{number}",
            "hfexecutor-calls": "1-3.7",
        },
        "flavor": "cpu-basic",
        "owner": {"name": "ada"},
        "initiator": {"id": "u1", "type": "user"},
        "command": ["uv", "run", "--with", "numpy", "--python", "3.11", "python", *COMMAND],
        "createdAt": (BEGIN + timedelta(minutes=number)).isoformat(),
    }
    return Job.parse(raw | changes, "https://hub.test")


NAMES = [
    ("/home/ada/train.py", "train-"),
    ("/home/ada/two words.py", "two-words-"),
    ("/lib/pytest/__main__.py", "pytest-"),
    ("", "run-"),
    ("/x/" + "a" * 200 + ".py", "a" * 40 + "-"),
    ("/x/日本.py", "run-"),
]


@pytest.mark.parametrize(("script", "begin"), NAMES, ids=[begin for _, begin in NAMES])
def test_a_run_is_named_after_its_script(script, begin):
    name = made_name(script)

    assert name.startswith(begin)
    assert len(name) == len(begin) + 5
    assert check_name("name", name) == name
    assert made_name(script) != name


@pytest.mark.parametrize("name", ["", "a b", "-a", "a" * 101, "ä", "a/b", "a\n"])
def test_what_can_be_no_label_is_no_name(name):
    with pytest.raises(ValueError, match="name is a label of the run's jobs"):
        check_name("name", name)


@given(st.sets(st.integers(1, 300), max_size=200))
def test_calls_fit_into_a_label_and_come_out_of_it(numbers):
    label = label_of_calls(numbers)
    read = {number for some in calls_in_label(label) for number in some}

    assert LABEL.fullmatch(label)
    assert read <= numbers
    assert label.endswith("._") == (read != numbers)


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/home/someone/work/train it.py", "train-it.py"),
        ("/work/package/__main__.py", "package"),
        ("", ""),
        ("ü.py", ".py"),
        ("x" * 200, "x" * 100),
    ],
)
def test_the_label_of_a_script_is_its_file_name(path, label):
    assert label_of_script(path) == label


@pytest.mark.parametrize("label", ["", "x", "1-x", "-", "._", "1" * 99])
def test_a_label_of_somebody_else_names_no_calls(label):
    assert calls_in_label(label) == ()


def test_jobs_are_put_together_to_runs_and_the_latest_comes_first():
    jobs = [a_job(3), a_job(1), a_job(5, run="n2"), a_job(9, labels={})]

    late, early = runs_of(jobs, {"cpu-basic": 0.01}, BEGIN)

    assert (late.nonce, [job.id for job in late.jobs]) == ("n2", ["j5"])
    assert (early.name, [job.id for job in early.jobs]) == ("nightly", ["j1", "j3"])
    assert early.created == BEGIN + timedelta(minutes=1)
    assert early.jobs[0].calls == (range(1, 4), range(7, 8))


def test_a_run_is_over_when_its_last_job_is():
    end = BEGIN + timedelta(minutes=30)
    over = a_job(1, status={"stage": "COMPLETED"}, finishedAt=end.isoformat())

    (both,) = runs_of([over, a_job(2)], {}, BEGIN)
    (alone,) = runs_of([over], {}, BEGIN)

    assert (both.running, both.finished) == (1, None)
    assert both.stages == {"COMPLETED": 1, "RUNNING": 1}
    assert (alone.running, alone.finished) == (0, end)


def test_a_run_costs_what_its_jobs_have_begun_of_minutes():
    started = a_job(1, startedAt=BEGIN.isoformat())
    waiting = a_job(2, status={"stage": "SCHEDULING"})
    now = BEGIN + timedelta(seconds=61)

    (run,) = runs_of([started, waiting], {"cpu-basic": 0.59}, now)
    (unknown,) = runs_of([started], {}, now)

    assert run.dollars == pytest.approx(0.02)  # two minutes, with the door
    assert unknown.dollars is None


def test_a_job_of_an_unknown_age_is_the_oldest():
    runs = runs_of([a_job(1, createdAt=None), a_job(2, run="n2")], {}, BEGIN)

    assert [run.nonce for run in runs] == ["n2", "n1"]


CLAIMS = [
    ({}, None),
    ({"command": None}, None),
    ({"command": ["uv", "run", "python", *COMMAND]}, None),
    ({"initiator": {"id": "u2", "type": "user"}}, "somebody else has started it"),
    ({"initiator": None}, "the Hub does not say who started it"),
    ({"initiator": {"id": "j1", "type": "duplicated-job"}}, "it was started by a duplicated-job"),
    ({"owner": {"name": "eve"}}, "it belongs to 'eve'"),
    ({"command": ["python", *COMMAND]}, "it runs another command"),
    ({"command": ["uv", "run", "--from", "x", "python", *COMMAND]}, "it runs another command"),
    ({"command": ["uv", "run", "python", "-c", "other"]}, "it runs another command"),
    ({"command": ["uv", "run", "bash", *COMMAND]}, "it runs another command"),
    ({"arguments": ["more"]}, "it runs another command"),
]


@pytest.mark.parametrize(("changes", "problem"), CLAIMS)
def test_the_labels_of_a_run_are_a_claim(changes, problem):
    job = a_job(1, **changes)

    assert claim_of_run_problem(job, COMMAND, namespace="Ada", initiator="u1") == problem
