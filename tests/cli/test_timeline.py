"""`timeline`, as a shell runs it, of a run whose process is gone."""

from __future__ import annotations

import json
import sys
import time

import cloudpickle
import pytest

from hfexecutor import cli

pytestmark = pytest.mark.usefixtures("nightly")


def test_a_run_is_drawn_from_what_the_hub_and_its_logs_tell(shell, tmp_path):
    path = tmp_path / "run.html"
    done = shell("timeline", "nightly", "-o", str(path))

    assert done.returncode == 0
    assert f"{path}: 12 calls, 1 failed, " in done.stderr
    assert "1 call failed; first call 6: ValueError." in done.stdout
    page = path.read_text(encoding="utf-8")
    assert "<title>Run nightly</title>" in page
    assert "What only the process of the run knows" in page


def test_a_program_reads_rows(here, nightly, capsys):
    assert cli.main(["timeline", f"nightly@{nightly}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)

    assert [call["call"] for call in found["calls"]] == list(range(1, 13))
    jobs = {job["id"]: job for job in found["jobs"]}
    for call in found["calls"]:
        job = jobs[call["job_id"]]
        assert job["launched"] <= job["began"] <= job["up"] <= call["began"]
        assert call["began"] + call["seconds"] <= job["ended"]
        assert 0 <= call["slot"] < job["slots"]
        assert (call["submitted"], call["heard"]) == (None, None)
    assert {call["state"] for call in found["calls"]} == {"done", "failed"}
    assert found["shares"]["running"] > 0
    assert found["dollars"] > 0
    assert found["over"]


def test_a_run_that_goes_on_is_drawn_until_now(hub, on, here, capsys, until):
    with on(hub, 1, name="endless") as executor:
        executor.submit(abs, 1).result()
        future = executor.submit(time.sleep, 600)
        while not future.running():
            time.sleep(0.01)

        def drawn():
            assert cli.main(["timeline", "endless", "--json"]) == 0
            return json.loads(capsys.readouterr().out)

        until(lambda: len(drawn()["calls"]) == 2)  # the log says so after a second
        found, later = drawn(), drawn()
        future.kill()

    done, going = found["calls"]
    assert (done["state"], going["state"]) == ("done", "sent")
    assert not found["over"]
    assert 0 < found["shares"]["running"] < later["shares"]["running"]


def raise_once(path):
    if not path.exists():
        path.touch()
        raise OSError(path)


def test_a_call_that_ran_again_is_one_call_with_its_last_outcome(hub, on, here, tmp_path, capsys):
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with on(hub, 1, name="again", retry_on=OSError) as executor:
        executor.submit(raise_once, tmp_path / "once").result()
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])

    assert cli.main(["timeline", "again", "--json"]) == 0
    (call,) = json.loads(capsys.readouterr().out)["calls"]
    assert (call["call"], call["state"]) == (1, "done")
    assert cli.main(["show", "again", "--json"]) == 0
    (call,) = json.loads(capsys.readouterr().out)["all_calls"]
    assert (call["number"], call["state"]) == (1, "done")


def test_a_file_that_cannot_be_written_is_said(here, tmp_path, capsys):
    assert cli.main(["timeline", "nightly", "-o", str(tmp_path / "nowhere" / "run.html")]) == 2
    assert "run.html cannot be written" in capsys.readouterr().err
