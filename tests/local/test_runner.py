"""Jobs without processes: the seam for simulations."""

from __future__ import annotations

import asyncio
import os
import signal

import httpx

from hfexecutor.local import Launch, LocalHub
from hfexecutor.local.processes import ProcessRunner


class Simulated:
    """A worker that greets, answers at port 1 and leaves when it is told to."""

    pids = ()

    def __init__(self, launch: Launch, write) -> None:
        self._over = asyncio.get_running_loop().create_future()
        self._write = write
        self.doors = {1: self._answer}
        write(f"hello from {launch.job_id}\n".encode())

    async def _answer(self, body: bytes) -> bytes:
        self._write(body + b"\n")
        if body == b"leave":
            self._over.set_result(0)
        return body.upper()

    async def wait(self) -> int:
        return await self._over

    def kill(self) -> None:
        if not self._over.done():
            self._over.set_result(-9)


class SimulatedRunner:
    def __init__(self) -> None:
        self.launches = []

    async def start(self, launch, write):
        self.launches.append(launch)
        return Simulated(launch, write)

    async def close(self):
        pass


def test_simulated_jobs(make):
    runner = SimulatedRunner()
    hub, raw = make(runner=runner)
    jobs = [raw.run("work", expose={"ports": [1]}, secrets={"S": "x"}) for _ in range(20)]
    headers = {"Authorization": f"Bearer {hub.token}"}
    for job in jobs:
        (url,) = raw.wait(job, "RUNNING")["status"]["exposeUrls"]
        with httpx.Client(headers=headers, trust_env=False, verify=False) as client:
            for word in ("one", "two", "leave"):
                assert client.post(url, content=word.encode()).text == word.upper()
        raw.wait(job, "COMPLETED")
        assert raw.log(job) == [f"hello from {job}", "one", "two", "leave"]
    assert [launch.job_id for launch in runner.launches] == jobs
    assert runner.launches[0].secrets == {"S": "x"}


def test_simulated_jobs_are_killed(make):
    hub, raw = make(runner=SimulatedRunner())
    job = raw.run("work")
    raw.wait(job, "RUNNING")
    assert raw.cancel(job).json()["status"]["stage"] == "CANCELED"
    raw.run("work")
    assert hub.running == 1
    hub.close()
    assert hub.running == 0


def test_thousands_of_jobs_in_one_hub():
    with LocalHub(runner=SimulatedRunner()) as hub:
        from .conftest import Raw

        raw = Raw(hub)
        with raw.http:
            for _ in range(300):
                raw.http.post(
                    raw.jobs, json={"flavor": "cpu-basic", "dockerImage": "x", "command": ["x"]}
                )
            assert raw("GET", f"{raw.jobs}/count").json() == {"count": 300}
    assert hub.running == 0


# ---------------------------------------------------------------------------- processes


def launch(*command, **options):
    fields = {"environment": {}, "secrets": {}, "labels": {}, "flavor": "cpu-basic"}
    return Launch("j1", 1, "python:3", command, (), **(fields | options))


def test_what_no_process_can_have_is_said_in_the_log():
    async def main():
        runner, written = ProcessRunner(), []
        running = await runner.start(launch("true", secrets={"S": "a\0b"}), written.append)
        status = await running.wait()
        await runner.close()
        return status, b"".join(written)

    status, written = asyncio.run(main())
    assert status == 126
    assert written.startswith(b"exec ")
    assert b"Traceback" not in written


def test_a_start_that_is_cancelled_leaves_nothing():
    async def main():
        runner = ProcessRunner()
        runner.prepare()
        reaper = runner._reaper.pid
        os.kill(reaper, signal.SIGSTOP)  # so that the start is under way until we let it go on
        starting = asyncio.ensure_future(runner.start(launch("sleep", "60"), print))
        await asyncio.sleep(0)
        (run,) = runner._running
        starting.cancel()
        os.kill(reaper, signal.SIGCONT)
        await asyncio.wait({starting})
        assert starting.cancelled()
        assert run.gone.is_set()
        assert not runner._running
        await runner.close()

    asyncio.run(main())
