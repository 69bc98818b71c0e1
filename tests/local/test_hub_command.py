"""`hfexecutor hub`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import httpx
import pytest


@contextlib.contextmanager
def start(*words):
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "hfexecutor.cli", "hub", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()  # what fails on the way must not wait for a hub that nobody ends


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_hub_in_the_foreground(number, alive, until):
    with start("--profile", "instant") as process:
        endpoint = process.stdout.readline().removeprefix("export HF_ENDPOINT=").strip()
        token = process.stdout.readline().removeprefix("export HF_TOKEN=").strip()
        page = process.stdout.readline().partition(": ")[2].strip()
        with httpx.Client(
            base_url=endpoint,
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            verify=False,
        ) as client:
            name = client.get("/api/whoami-v2").json()["name"]
            spec = {
                "flavor": "cpu-basic",
                "dockerImage": "python:3",
                "command": ["sh", "-c", "echo $$; cat"],
            }
            spec["command"][2] = "echo $$; sleep 60"
            job = client.post(f"/api/jobs/{name}", json=spec).json()["id"]
            with client.stream("GET", f"/api/jobs/{name}/{job}/logs") as reply:
                lines = (line for line in reply.iter_lines() if line.startswith("data"))
                next(lines)
                pid = int(next(lines).split('"')[3])
            assert alive(pid)
            assert job in client.get(page, follow_redirects=True).text
        os.kill(process.pid, number)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
        until(lambda: not alive(pid))


def test_a_port_that_is_taken():
    with start() as first:
        port = first.stdout.readline().rpartition(":")[2].strip()
        with start("--port", port) as second:
            assert second.wait(20) == 1
            assert "in use" in second.stderr.read()
            second.stdout.read()
        first.terminate()
        first.communicate(timeout=20)
        assert first.returncode == 0


@pytest.mark.parametrize("told", ["launch", "running"])
def test_when_addresses_of_ports_are_told(told):
    with start("--profile", "hub", "--expose-urls", told) as process:
        endpoint = process.stdout.readline().removeprefix("export HF_ENDPOINT=").strip()
        token = process.stdout.readline().removeprefix("export HF_TOKEN=").strip()
        reply = httpx.post(
            f"{endpoint}/api/jobs/local-user",
            headers={"Authorization": f"Bearer {token}"},
            json={
                "flavor": "cpu-basic",
                "dockerImage": "python:3",
                "command": ["true"],
                "expose": {"ports": [8000]},
            },
            trust_env=False,
            verify=False,
        )
        assert ("exposeUrls" in reply.json()["status"]) == (told == "launch")
        process.terminate()
        process.communicate(timeout=20)


def test_what_is_missing_is_named(tmp_path):
    """Without the extra, the error says what to install."""
    for module in ("starlette", "uvicorn"):
        (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError('no', name='{module}')")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, "-m", "hfexecutor.cli", "hub"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 1
    assert 'pip install "hfexecutor[local]"' in done.stderr
