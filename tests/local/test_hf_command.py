"""The command line `hf`, unchanged, against a LocalHub."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi

HF = Path(sys.executable).with_name("hf")
IMAGE = f"ghcr.io/astral-sh/uv:python3.{sys.version_info.minor}-bookworm"
pytestmark = pytest.mark.skipif(
    not HF.exists() or not hasattr(HfApi, "wait_for_job"),
    reason="this `hf` lacks some commands yet",
)

buckets = pytest.mark.skipif(
    importlib.util.find_spec("hf_xet") is None, reason="buckets need hf_xet"
)


@pytest.fixture
def hf(hub, tmp_path):
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": hub.token,
        "HF_HUB_DISABLE_EXPERIMENTAL_WARNING": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "NO_COLOR": "1",
    }

    def run(*words, expect=0, group="jobs", given=None):
        done = subprocess.run(
            [HF, group, *map(str, words)],
            env=env,
            input=given,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert expect in (None, done.returncode), done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.slow  # each `hf` takes half a second; test_clients.py does the same in this process
def test_the_whole_tour(hf, hub, raw):
    assert "hello" in hf("run", "python:3", "echo", "hello")
    hf("uv", "run", "--detach", "--image", IMAGE, "python", "-c", "print('uv says hi')")
    job, first = hub.jobs()[-1].id, hub.jobs()[0].id
    raw.wait(job)
    assert "uv says hi" in hf("logs", job)
    listed = hf("ps", "-a")
    assert first[:8] in listed
    assert json.loads(hf("inspect", job, "--format", "json"))[0]["id"] == job
    hf("wait", job)


@pytest.mark.slow
def test_cancel_and_stats(hf, raw):
    job = raw.run("sleep", "60")
    raw.wait(job, "RUNNING")
    assert job[:16] in hf("stats", job)
    hf("cancel", job)
    assert raw.inspect(job)["status"]["stage"] == "CANCELED"


@pytest.mark.slow
def test_hardware(hf):
    assert "cpu-basic" in hf("hardware")


@buckets
def test_a_script_of_this_machine_runs_unchanged(hf, tmp_path, api, hub):
    script, settings = tmp_path / "my script.py", tmp_path / "settings.toml"
    script.write_text(
        "import pathlib, sys, tomllib\n"
        "settings = tomllib.loads(pathlib.Path(sys.argv[1]).read_text())\n"
        "print('answer', settings['answer'], sys.argv[2])\n"
        "(pathlib.Path(__file__).parent / 'result').write_text('done')\n"
    )
    settings.write_text("answer = 42")
    said = hf("uv", "run", "--image", IMAGE, script, settings, "--flag")
    assert "answer 42 --flag" in said
    bucket = f"{hub.namespace}/jobs-artifacts"
    names = [one.path.partition("/")[2] for one in api.list_bucket_tree(bucket, recursive=True)]
    assert sorted(names) == ["my_script.py", "result", "settings.toml"]
    assert api.bucket_info(bucket).private


@pytest.mark.slow
@buckets
def test_volumes_of_jobs(hf, tmp_path, hub):
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "text").write_text("from here")
    bucket = f"hf://buckets/{hub.namespace}/outputs"
    hf("create", f"{hub.namespace}/outputs", group="buckets")
    said = hf(
        *("run", "-v", f"{tmp_path}/inputs:/in", "-v", f"{bucket}:/out", "python:3"),
        *("sh", "-c", "cat /in/text > /out/copy; echo x > /in/text"),
        expect=None,
    )
    assert "Read-only file system" in said
    assert hf("cp", f"{bucket}/copy", "-", group="buckets") == "from here"


@pytest.mark.slow
@buckets
def test_the_verbs_of_buckets(hf, tmp_path, hub):
    def do(*words, **options):
        return hf(*words, group="buckets", **options)

    name = f"{hub.namespace}/verbs"
    address = f"hf://buckets/{name}"
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("aaa")
    (folder / "sub" / "b.txt").write_text("bbb")
    assert name in do("create", "verbs", "--private")
    do("sync", folder, address)
    do("cp", "-", f"{address}/c.txt", given="ccc")
    do("cp", f"{address}/sub/b.txt", f"{address}/d.txt")
    assert "b.txt" in do("list", f"{name}/sub")
    listed = json.loads(do("list", name, "-R", "--format", "json"))
    assert [one["path"] for one in listed] == ["a.txt", "c.txt", "d.txt", "sub/b.txt"]
    do("rm", f"{name}/a.txt", "--yes")
    do("settings", name, "--public")
    do("move", name, f"{name}-2")
    info = json.loads(do("info", f"{name}-2", "--format", "json"))
    info = info[0] if isinstance(info, list) else info
    assert (info["size"], info["total_files"], info["private"]) == (9, 3, False)
    do("sync", f"{address}-2", tmp_path / "back")
    assert sorted(one.name for one in (tmp_path / "back").iterdir()) == ["c.txt", "d.txt", "sub"]
    do("delete", f"{name}-2", "--yes")
    assert f"{name}-2" not in do("list")
