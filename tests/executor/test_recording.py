"""A run that is recorded is told to the core again, and decided in the same way."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from hfexecutor import HubExecutor, cli
from hfexecutor.core.recording import replay
from hfexecutor.local import LocalHub
from hfexecutor.local import faults as f
from hfexecutor.runtime import recorder, runner

POST = "POST /api/jobs/{namespace}"


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(runner.RECORDING, str(tmp_path / "run.jsonl"))
    monkeypatch.setattr(recorder, "_numbers", iter(range(1, 10)))
    return tmp_path / "run.jsonl"


def test_a_recorded_run_is_decided_in_the_same_way_again(
    recording: Path, make: Callable[..., HubExecutor], capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "nobody is to read this"
    with make(2) as executor:
        futures = [executor.submit(str.upper, secret) for _ in range(50)]
        assert {future.result(30) for future in futures} == {secret.upper()}
        futures = [executor.submit(time.sleep, 0.3) for _ in range(8)]
        assert [future.cancel() for future in futures][-1]
        assert executor.submit(divmod, 1, 0).exception(30) is not None
        executor.submit(print, secret).result(30)
    text = recording.read_text()
    assert secret not in text
    assert secret.upper() not in text
    steps = list(replay(text.splitlines(), Random))
    assert len(steps) > 10
    assert [step for step in steps if step.differs] == []
    assert cli.main(["replay", str(recording)]) == 0
    shown = capsys.readouterr().out
    assert "Submitted(calls=(<Call " in shown
    assert "  > Post(worker=" in shown
    assert shown.rstrip().endswith("  > Finish()")


@pytest.mark.usefixtures("short_looks", "short_patience")
def test_a_run_in_which_much_goes_wrong_is_decided_in_the_same_way_again(recording: Path) -> None:
    faults = [f.Refuse(500, route=POST, nth=1, after=True), f.KillJob(after=0.5, nth=1)]
    with LocalHub(faults=faults) as hub:
        with HubExecutor(3, endpoint=hub.endpoint, token=hub.token) as executor:
            assert list(executor.map(abs, range(-30, 0))) == list(range(30, 0, -1))
    steps = replay(recording.read_text().splitlines(), Random, runner.RULES)
    assert [step for step in steps if step.differs] == []


def test_a_core_that_decides_otherwise_is_shown(
    recording: Path, make: Callable[..., HubExecutor], capsys: pytest.CaptureFixture[str]
) -> None:
    with make(1) as executor:
        executor.submit(pow, 2, 3).result(30)
    first, second, *rest = recording.read_text().splitlines()
    changed = json.loads(second)
    changed["said"] = ["Finish"]
    recording.write_text("\n".join([first, json.dumps(changed), *rest]))
    assert cli.main(["replay", str(recording)]) == 1
    assert "  ! it said then: Finish" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "no JSON", '{"version": 99}', "[]"])
def test_what_is_no_recording_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    assert cli.main(["replay", str(path)]) == 2
    assert str(path) in capsys.readouterr().err
