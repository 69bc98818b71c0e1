"""Where does the time of one call go, and what does the same cost with huggingface_hub alone?

Each call is a job of its own here, on an embedded Hub, one after the other: HubExecutor with
``reuse_workers=False`` against the loop that one would write by hand: ``run_uv_job``,
``wait_for_job``, ``fetch_job_logs``, and the value fished out of the log. The two take turns, so
that a change of the machine's speed hits both.

    python benchmarks/overhead.py [--calls 20]

The stages of ours: *launch* until the Hub has accepted the job, *start* until our code in the job
speaks (the interpreter starts, our package is unpacked), *run* until the outcome is heard here,
*decode* until the future has it, *end* until the job is known to be over.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import time
from collections import defaultdict

import cloudpickle
from huggingface_hub import HfApi

from hfexecutor import HubExecutor, crew, scheduler
from hfexecutor.environment import default_image
from hfexecutor.ledger import Ledger
from hfexecutor.local import LocalHub

SCRIPT = (
    "import base64,json,os,cloudpickle as c;"
    "f,a=c.loads(base64.b64decode(os.environ['CALL']));print('RESULT',json.dumps(f(*a)))"
)
STAGES = ("launch", "start", "run", "decode", "total")


def work(n: int) -> int:
    return n * n


class Stopwatch:
    """Note when a call passes the places where one stage ends and the next begins."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._last = 0.0

    def begin(self) -> None:
        self._begun = self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage].append(now - self._last)
        self._last = now

    def end(self) -> None:
        self.seconds["total"].append(time.perf_counter() - self._begun)

    def install(self) -> None:
        """Put laps into the client. A benchmark may know its insides; nothing else does."""
        launch, greet = crew.launch, crew.Crew.greet
        outcome, flush = scheduler.Scheduler._outcome, Ledger.flush

        async def launching(*args):
            job = await launch(*args)
            self.lap("launch")
            return job

        def greeting(*args):
            self.lap("start")
            greet(*args)

        def hearing(*args):
            self.lap("run")
            outcome(*args)

        def flushing(ledger):
            answered = bool(ledger._answers)
            flush(ledger)
            if answered:
                self.lap("decode")

        crew.launch, crew.Crew.greet = launching, greeting
        scheduler.Scheduler._outcome, Ledger.flush = hearing, flushing


def by_hand(api: HfApi, namespace: str, n: int) -> int:
    """Run one call as one would without a library."""
    call = base64.b64encode(cloudpickle.dumps((work, (n,)))).decode()
    job = api.run_uv_job(
        "python",
        script_args=["-c", SCRIPT],
        image=default_image(),
        secrets={"CALL": call},
        namespace=namespace,
    )
    api.wait_for_job(job.id, namespace=namespace, poll_interval=0.02)
    for line in api.fetch_job_logs(job_id=job.id, namespace=namespace):
        if line.startswith("RESULT "):
            return int(json.loads(line.removeprefix("RESULT ")))
    raise AssertionError("no result in the log")


def main() -> None:
    os.environ["HF_HUB_DISABLE_EXPERIMENTAL_WARNING"] = "1"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=20)
    calls = parser.parse_args().calls
    watch, hand = Stopwatch(), []
    watch.install()
    with (
        LocalHub() as hub,
        HubExecutor(
            1, endpoint=hub.endpoint, token=hub.token, namespace=hub.namespace, reuse_workers=False
        ) as executor,
    ):
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        executor.submit(work, 1).result()  # imports and connections, on both sides
        by_hand(api, hub.namespace, 1)
        watch.seconds.clear()
        for n in range(calls):
            watch.begin()
            assert executor.submit(work, n).result() == n * n
            watch.end()
            begun = time.perf_counter()
            assert by_hand(api, hub.namespace, n) == n * n
            hand.append(time.perf_counter() - begun)
    print(f"median milliseconds of {calls} calls, a job each")
    for stage in STAGES:
        print(f"  {stage:8} {1e3 * statistics.median(watch.seconds[stage]):8.1f}")
    print(f"  by hand  {1e3 * statistics.median(hand):8.1f}")
    ratios = [ours / theirs for ours, theirs in zip(watch.seconds["total"], hand, strict=True)]
    print(f"  ours / by hand, pair by pair: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
