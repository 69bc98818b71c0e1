"""The `hf jobs` command line, unchanged, against a LocalHub."""

from __future__ import annotations

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

    def run(*words, expect=0):
        done = subprocess.run(
            [HF, "jobs", *words], env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    return run


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


def test_cancel_and_stats(hf, raw):
    job = raw.run("sleep", "60")
    raw.wait(job, "RUNNING")
    assert job[:16] in hf("stats", job)
    hf("cancel", job)
    assert raw.inspect(job)["status"]["stage"] == "CANCELED"


def test_hardware(hf):
    assert "cpu-basic" in hf("hardware")
