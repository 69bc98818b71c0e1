"""Where does the time of one call go, and what does the same cost with huggingface_hub alone?

First each call is a job of its own, on an embedded Hub, one after the other: HubExecutor with
``reuse_workers=False`` against the loop that one would write by hand: ``run_uv_job`` with
cloudpickle installed, ``wait_for_job``, ``fetch_job_logs``, and the value fished out of the log.
The two take turns, so that a change of the machine's speed hits both. Then the same calls go to
one warm worker.

    python benchmarks/overhead.py [--calls 20] [--warm 300]

The stages of a job: *launch* until the Hub has accepted it, *start* until the function begins in
it (interpreter, our package, child), *run* until the function is done, *log* until its outcome is
heard here, *decode* until the caller has the value.

Those of a warm call: *pickle* until it is pickled in the caller's thread, *send* until its message
goes out to the door (the pool's thread wakes, deals, seals), *relay* until the Hub has passed it on
to the job, *take* until the function begins (supervisor, pipe, child), *run*, *write* until the
outcome is in the Hub's log (child, pipe, supervisor), *stream* until it is heard here, *decode*.

The function itself notes when it begins and ends: ``perf_counter`` is one clock for all processes
of a machine. The Hub's instants can be seen because it is in this process. Stages add up call by
call; their medians do so only roughly.
"""

from __future__ import annotations

import argparse
import base64
import functools
import json
import statistics
import time
import warnings
from typing import Any

import cloudpickle
from huggingface_hub import HfApi

from hfexecutor import HubExecutor
from hfexecutor.core.incoming import Incoming
from hfexecutor.environment import default_image
from hfexecutor.hub.client import HubClient
from hfexecutor.local import LocalHub, logs, reverse_proxy
from hfexecutor.runtime.log_reader import LogReader
from hfexecutor.runtime.runner import Runner

SCRIPT = (
    "import base64,json,os,cloudpickle as c;"
    "f,a=c.loads(base64.b64decode(os.environ['CALL']));print('RESULT',json.dumps(f(*a)))"
)
# Each stage with the instant that ends it; the first one begins with "submit".
JOB = {"launch": "accepted", "start": "begun", "run": "ended", "log": "heard", "decode": "got"}
WARM = {
    "pickle": "pickled",
    "send": "sent",
    "relay": "relayed",
    "take": "begun",
    "run": "ended",
    "write": "logged",
    "stream": "heard",
    "decode": "got",
}


def work(n: int) -> tuple[int, float, float]:
    """Return the square, and when this began and ended."""
    begun = time.perf_counter()
    square = n * n
    return square, begun, time.perf_counter()


instants: dict[str, float] = {}  # of the call that is under way


def note(instant: str) -> None:
    instants.setdefault(instant, time.perf_counter())


def note_calls_of(owner: Any, name: str, instant: str) -> None:
    """Note when a function is called. A benchmark may know the insides; nothing else does."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def noting(*args, **kwargs):
        note(instant)
        return function(*args, **kwargs)

    setattr(owner, name, noting)


def look_inside() -> None:
    note_calls_of(Runner, "submit", "pickled")
    note_calls_of(HubClient, "knock", "sent")
    note_calls_of(reverse_proxy.Proxy, "_end_request", "relayed")
    note_calls_of(logs.Log, "feed", "logged")
    note_calls_of(LogReader, "read", "accepted")
    note_calls_of(Incoming, "_note_outcome", "heard")


def ours(executor: HubExecutor, n: int) -> dict[str, float]:
    """Run one call; return its instants."""
    instants.clear()
    note("submit")
    square, begun, ended = executor.submit(work, n).result()
    note("got")
    assert square == n * n
    return {**instants, "begun": begun, "ended": ended}


def by_hand(api: HfApi, namespace: str, n: int) -> float:
    """Run one call as one would without a library; return its seconds."""
    started = time.perf_counter()
    call = base64.b64encode(cloudpickle.dumps((work, (n,)))).decode()
    job = api.run_uv_job(
        "python",
        script_args=["-c", SCRIPT],
        dependencies=[f"cloudpickle=={cloudpickle.__version__}"],
        image=default_image(),
        secrets={"CALL": call},
        namespace=namespace,
    )
    api.wait_for_job(job.id, namespace=namespace, poll_interval=0.02)
    for line in api.fetch_job_logs(job_id=job.id, namespace=namespace):
        if line.startswith("RESULT "):
            assert json.loads(line.removeprefix("RESULT "))[0] == n * n
            return time.perf_counter() - started
    raise AssertionError("no result in the log")


def total(call: dict[str, float]) -> float:
    return call["got"] - call["submit"]


def row(name: str, seconds: list[float]) -> None:
    print(f"  {name:8} {1e3 * statistics.median(seconds):8.2f}")


def table(stages: dict[str, str], calls: list[dict[str, float]]) -> None:
    begin = "submit"
    for stage, end in stages.items():
        row(stage, [call[end] - call[begin] for call in calls])
        begin = end
    row("total", [total(call) for call in calls])


def job_each(hub: LocalHub, count: int) -> None:
    """Compare with the loop by hand."""
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    calls, hand = [], []
    with connect(hub, reuse_workers=False) as executor:
        ours(executor, 1)  # imports and connections, on both sides
        by_hand(api, hub.namespace, 1)
        for n in range(count):
            calls.append(ours(executor, n))
            hand.append(by_hand(api, hub.namespace, n))
    print(f"median milliseconds of {count} calls, a job each")
    table(JOB, calls)
    row("by hand", hand)
    ratios = [total(call) / theirs for call, theirs in zip(calls, hand, strict=True)]
    print(f"  ours / by hand, pair by pair: {statistics.median(ratios):.2f}")


def warm(hub: LocalHub, count: int) -> None:
    with connect(hub) as executor:
        for n in range(50):
            ours(executor, n)
        calls = [ours(executor, n) for n in range(count)]
    print(f"median milliseconds of {count} calls, one after the other on a warm worker")
    table(WARM, calls)


def connect(hub: LocalHub, **options: Any) -> HubExecutor:
    where = {"endpoint": hub.endpoint, "token": hub.token, "namespace": hub.namespace}
    return HubExecutor(1, **where, **options)


def main() -> None:
    warnings.filterwarnings("ignore", "'HfApi.run_uv_job' is experimental")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=20, help="that are a job each")
    parser.add_argument("--warm", type=int, default=300, help="calls to a warm worker")
    options = parser.parse_args()
    look_inside()
    with LocalHub() as hub:
        job_each(hub, options.calls)
        warm(hub, options.warm)


if __name__ == "__main__":
    main()
