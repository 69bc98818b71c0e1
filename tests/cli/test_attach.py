"""`attach` and `results`: a run whose process was killed is gone back to from elsewhere."""

from __future__ import annotations

import contextlib
import json
import logging
import pickle
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hfexecutor import cli

SCRIPT = """
import sys, time
from pathlib import Path
from hfexecutor import HubExecutor

def wait(n, gate):
    while n > 2 and not Path(gate).exists():
        time.sleep(0.01)
    if n == 4:
        raise ValueError("four")
    return {"n": n}

with HubExecutor(2, name=sys.argv[1]) as executor:
    futures = [executor.submit(wait, n, sys.argv[2]) for n in range(1, 5)]
    futures[0].result(), futures[1].result()
    while not (futures[2].running() and futures[3].running()):
        time.sleep(0.01)
    print("both run", flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def killed(name, folder, surroundings):
    """Start four calls and kill who did when two are done; yield what lets the others end."""
    script = folder / "script.py"
    script.write_text(SCRIPT)
    gate = folder / "gate"
    with subprocess.Popen(
        [sys.executable, str(script), name, str(gate)],
        cwd=folder,
        env=surroundings,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "both run\n"
        process.kill()
        process.wait()
    try:
        yield gate
    finally:
        gate.touch()


def test_a_run_whose_process_was_killed_is_waited_for(surroundings, tmp_path, hub):
    with killed("killed", tmp_path, surroundings) as gate:
        with subprocess.Popen(
            [sys.executable, "-m", "hfexecutor.cli", "attach", "killed"],
            cwd=Path(tmp_path.root),
            env=surroundings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as attached:
            assert "killed: 2 done, 2 open\n" in attached.stderr  # reads as far as that
            gate.touch()
            shown, said = attached.communicate(timeout=120)

    assert attached.returncode == 1  # one has failed
    rows = [line.split(maxsplit=3) for line in shown.splitlines()[1:]]
    assert [(row[0], row[1], row[3]) for row in rows] == [
        ("1", "done", "{'n': 1}"),
        ("2", "done", "{'n': 2}"),
        ("3", "done", "{'n': 3}"),
        ("4", "failed", "ValueError: four"),
    ]
    assert said.splitlines()[-1] == "killed: 3 done, 1 failed"


def test_calls_are_shown_with_their_keys(hub, on, here, capsys):
    def shown(*words):
        assert cli.main(words) == 0
        return capsys.readouterr().out

    pytest.importorskip("hf_xet")
    with on(hub, 1, name="keyed") as executor:
        assert executor.submit_keyed("shard 1", pow, 2, 5).result(60) == 32
        assert executor.submit(pow, 2, 6).result(60) == 64

    lines = shown("results", "keyed").splitlines()
    assert json.loads(lines[0]) == {"call": 1, "state": "done", "key": "shard 1", "value": 32}
    assert json.loads(lines[1]) == {"call": 2, "state": "done", "value": 64}
    calls = json.loads(shown("show", "keyed", "--json"))["all_calls"]
    assert [call["key"] for call in calls] == ["shard 1", None]
    for words in (("attach", "keyed"), ("show", "keyed", "--all-calls")):
        table = shown(*words).partition("CALL  KEY")[2].splitlines()
        assert table[1].split()[:3] == ["1", "shard", "1"]
        assert table[2].split()[:2] == ["2", "done"]


def test_what_interrupts_it_leaves_the_run_as_it_is(surroundings, tmp_path, hub, here, capsys):
    with killed("left", tmp_path, surroundings) as gate:
        with subprocess.Popen(
            [sys.executable, "-m", "hfexecutor.cli", "attach", "left"],
            env=surroundings,
            stderr=subprocess.PIPE,
            text=True,
        ) as attached:
            assert "left: 2 done, 2 open\n" in attached.stderr
            attached.send_signal(signal.SIGINT)
            said = attached.communicate(timeout=120)[1]
        assert attached.returncode == 130
        assert "its jobs go on: hfexecutor attach left@" in said
        assert hub.running >= 1

        assert cli.main(["results", "left"]) == 1  # two are open
        told = capsys.readouterr().out
        assert [json.loads(line)["call"] for line in told.splitlines()] == [1, 2]
        gate.touch()
        assert cli.main(["results", "left", "--wait", "-o", str(tmp_path / "left.pkl")]) == 1
        found = pickle.loads((tmp_path / "left.pkl").read_bytes())
        assert [found[n] for n in (1, 2, 3)] == [{"n": n} for n in (1, 2, 3)]
        assert repr(found[4]) == "ValueError('four')"


@pytest.mark.parametrize("exported", [True, False])
def test_the_line_that_a_run_begins_with_can_be_copied(
    exported, hub, on, monkeypatch, caplog, capsys
):
    monkeypatch.delenv("HFEXECUTOR_ENDPOINT", raising=False)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    if exported:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    name, payer = ("copied", None) if exported else ("copied-too", hub.namespace)
    with caplog.at_level(logging.INFO, "hfexecutor"), on(hub, 1, name=name, namespace=payer) as ex:
        assert ex.submit(pow, 2, 5).result(60) == 32
    (line,) = [line for line in caplog.messages if "to get back to it: " in line]
    words = shlex.split(line.partition("to get back to it: ")[2])

    assert words[:3] == ["hfexecutor", "attach", name]
    assert (len(words) == 3) == exported
    assert cli.main(words[1:]) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("  32")


@pytest.mark.usefixtures("nightly")
class TestOver:
    """A run that is over, and whose process is gone."""

    def test_its_results_are_lines_of_json(self, here, tmp_path, capsys):
        path = tmp_path / "nightly.jsonl"

        assert cli.main(["results", "nightly", "-o", str(path)]) == 1
        found = [json.loads(line) for line in path.read_text().splitlines()]
        assert [line.get("value") for line in found] == [
            None if n == 5 else n * n for n in range(12)
        ]
        assert found[5]["error"] == {"type": "ValueError", "message": "five is\nright out"}
        assert capsys.readouterr().err.endswith("outcomes of 12 calls\n")
        assert [file.name for file in tmp_path.iterdir()] == ["nightly.jsonl"]

    def test_a_file_that_cannot_be_is_refused(self, here, tmp_path, capsys):
        assert cli.main(["results", "nightly", "-o", "results.txt"]) == 2
        assert ".pkl, .pickle, .jsonl" in capsys.readouterr().err
        assert cli.main(["results", "nightly", "-o", str(tmp_path / "no" / "x.pkl")]) == 2
        assert "cannot be written" in capsys.readouterr().err

    def test_a_run_that_is_not_there_has_its_code(self, here, capsys):
        assert cli.main(["attach", "nighly"]) == 3
        assert "Did you mean nightly?" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "width", [*(pytest.param(n, marks=pytest.mark.slow) for n in (120, 80)), 50]
    )
    def test_its_results_fit_the_terminal(self, terminal, width):
        code, lines = terminal("attach", "nightly", width=width)

        assert code == 1
        assert max(map(len, lines)) <= width
        assert sum("done" in line for line in lines) >= 11
