"""`sweep` finds what nobody is in touch with, and leaves alone what somebody is."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time

import pytest
from huggingface_hub import HfApi

from hfexecutor import cli
from hfexecutor.bucket_paths import VALUES_BUCKET, value_path
from hfexecutor.local import LocalHub

SCRIPT = """
import time
from hfexecutor import HubExecutor

with HubExecutor(1, name="left-alone") as executor:
    future = executor.submit(time.sleep, 600)
    while not future.running():
        time.sleep(0.01)
    print("runs", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _temporary(tmp_path, monkeypatch):
    """What other processes have left on this machine is none of ours."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture(scope="module")
def hub():
    """One where no other test leaves jobs behind."""
    with LocalHub() as hub:
        yield hub


def swept(capsys, *words):
    code = cli.main(["sweep", "--json", *words])
    return code, json.loads(capsys.readouterr().out)


def test_a_job_whose_client_is_there_is_left_alone(hub, on, here, capsys):
    with on(hub, 1, name="attended", max_retries=0) as executor:
        future = executor.submit(time.sleep, 600)
        while not future.running():
            time.sleep(0.01)

        code, found = swept(capsys, "--yes", "--silent-for", "60")
        assert (code, [one["run"] for one in found]) == (0, [])
        assert not future.done()
        executor.terminate_workers()


def test_a_job_whose_client_was_killed_is_found_and_cancelled(
    hub, here, surroundings, tmp_path, capsys, until
):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, str(script)], env=surroundings, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "runs\n"
        process.kill()
    until(lambda: swept(capsys, "--silent-for", "0.5")[0] == 1)  # its last request has run out
    (found,) = swept(capsys, "--silent-for", "0.5")[1]
    assert found["run"] == "left-alone"
    assert not found["canceled"]

    assert cli.main(["sweep", "--silent-for", "0.5"]) == 1
    assert "nothing is cancelled without --yes" in capsys.readouterr().err
    assert hub.running == 1
    assert cli.main(["sweep", "--silent-for", "0.5", "--yes"]) == 0
    told = capsys.readouterr().out
    assert "left-alone" in told
    assert told.endswith("1 cancelled\n")
    until(lambda: hub.running == 0)
    assert cli.main(["sweep"]) == 0
    assert capsys.readouterr().out == "no job of ours is running\n"


RUN = "0123456789abcdef" * 2
LEFT_BEHIND = """
import time
from hfexecutor import HubExecutor

executor = HubExecutor(1, name="left-files", idle_timeout=1)
executor.submit_keyed("one", pow, 2, 5).result()
print("done", flush=True)
time.sleep(600)
"""


def test_files_of_killed_clients_and_of_runs_without_jobs_are_found_and_deleted(
    hub, surroundings, here, tmp_path, until, monkeypatch, capsys
):
    pytest.importorskip("hf_xet")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def run(*words):
        code = cli.main(words)
        return code, *capsys.readouterr()

    script = tmp_path / "script.py"
    script.write_text(LEFT_BEHIND)
    with subprocess.Popen(
        [sys.executable, str(script)],
        env={**surroundings, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "done\n"
        assert "folder" not in run("sweep", "--json")[1]  # it is in use
        process.kill()
    (folder,) = tmp_path.glob("hfexecutor-results-*")
    other = tmp_path / "hfexecutor-somebody-s"
    other.mkdir()

    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    bucket = f"{hub.namespace}/{VALUES_BUCKET}"
    api.create_bucket(bucket, private=True)
    ours = [value_path(RUN, "arguments/one"), value_path(RUN, "results/two")]
    theirs = "notes/of somebody.txt"
    api.batch_bucket_files(bucket, add=[(b"x" * 1000, path) for path in (*ours, theirs)])

    words = ("sweep", "--silent-for", "0.2", "--older-than", "0")
    until(lambda: hub.running == 0)
    young = json.loads(run("sweep", "--json")[1])
    assert [one["kind"] for one in young] == ["folder"]  # files of today may have an owner
    code, found, _ = run(*words, "--json")
    assert code == 1
    values = {one["kind"]: one for one in json.loads(found)}
    assert set(values) == {"folder", "values"}
    assert values["folder"]["place"] == str(folder)
    assert (values["values"]["run"], values["values"]["bytes"]) == (RUN, 2000)
    assert not values["values"]["deleted"]
    code, found, said = run(*words)
    assert code == 1
    assert "nothing is deleted without --yes (2 found)" in said
    assert RUN in found

    code, done, _ = run(*words, "--yes")
    assert (code, done.splitlines()[-1]) == (0, "2 deleted")
    assert not folder.exists()
    assert other.exists()
    assert [one.path for one in api.list_bucket_tree(bucket, recursive=True)] == [theirs]
    assert run(*words)[1] == "no job of ours is running\n"


def test_files_of_a_run_that_has_a_job_are_left_alone(hub, on, shell, tmp_path):
    pytest.importorskip("hf_xet")
    env = {"TMPDIR": str(tmp_path)}
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    bucket = f"{hub.namespace}/{VALUES_BUCKET}"
    with on(hub, 1, name="attended-files") as executor:
        executor.submit(pow, 2, 5).result(60)
        path = value_path(executor._pool.connection.nonce, "arguments/one")
        api.create_bucket(bucket, private=True, exist_ok=True)
        api.batch_bucket_files(bucket, add=[(b"x", path)])
        left = shell("sweep", "--json", "--older-than", "0", "--yes", env=env)
        assert (left.returncode, json.loads(left.stdout)) == (0, [])
    found = json.loads(shell("sweep", "--json", "--older-than", "0", "--yes", env=env).stdout)
    assert [(one["run"], one["deleted"]) for one in found] == [("attended-files", True)]
