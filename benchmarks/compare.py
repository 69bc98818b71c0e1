"""How does HubExecutor compare with the pools that people use today?

The same workloads run one after the other, in one sitting, on every executor that is installed
(``pip install ".[bench]"``), each in a process of its own with two workers. HubExecutor works on
the embedded Hub: through a real HTTP API, real jobs, real doors and real logs.

    python benchmarks/compare.py                     # all that is installed
    python benchmarks/compare.py hfexecutor stdlib   # only those whose name contains one of these

Columns: no-op calls per second (1,000 on a warm pool, median of `--repeat`), milliseconds of one
warm call (median of 200), seconds of import + start + first result and of the latter two alone,
milliseconds for 10 MB there and back (median of 5), microseconds of one `submit` (median of
chunks of calls) and kB per future while so many are pending; then, in a process of its own, what
the client does at rest with 8 warm workers: its threads, and its CPU time in % of a core. The Hub
is embedded in the client here, so its threads and CPU time are counted with it.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, wait
from datetime import UTC, datetime
from typing import Any, NamedTuple

WORKERS = 2
WORKERS_AT_REST = 8
CALLS = 1_000
CHUNKS = 100  # in which pending calls are submitted: a pause in one of them decides nothing
MEGABYTES = 10
TIMEOUT = 600.0  # seconds for one executor


def noop(x: Any = None) -> Any:
    return x


def stay(folder: str, n: int) -> None:
    """Say that this call runs, and go on for as long as the folder is there."""
    import os  # here: not everybody sends a function's globals along
    import time

    open(os.path.join(folder, str(n)), "w").close()
    while os.path.exists(folder):
        time.sleep(0.02)


@contextlib.contextmanager
def busy(executor: Executor, workers: int) -> Iterator[None]:
    """Have all workers run a call each, at the same time."""
    with tempfile.TemporaryDirectory() as folder:
        blockers = [executor.submit(stay, folder, n) for n in range(workers)]
        limit = time.monotonic() + 60
        while (running := len(os.listdir(folder))) < workers:
            failed = [blocker.exception() for blocker in blockers if blocker.done()]
            assert not failed, failed
            assert time.monotonic() < limit, f"only {running} of {workers} workers run"
            time.sleep(0.02)
        yield
    wait(blockers)


# --- the executors: each is imported only when it is asked for ----------------------------------


def stdlib_fork(workers: int) -> Executor:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork"))


def stdlib_spawn(workers: int) -> Executor:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def hfexecutor(workers: int) -> Executor:
    from hfexecutor import HubExecutor

    return HubExecutor(workers, endpoint="local")


def hfexecutor_job_per_call(workers: int) -> Executor:
    from hfexecutor import HubExecutor

    return HubExecutor(workers, endpoint="local", reuse_workers=False)


def loky(workers: int) -> Executor:
    from loky import ProcessPoolExecutor

    return ProcessPoolExecutor(workers)


def submitit(workers: int) -> Executor:
    """Threads, each of which sees one job of submitit after the other through."""
    from concurrent.futures import ThreadPoolExecutor

    from submitit import LocalExecutor

    jobs = LocalExecutor(tempfile.mkdtemp())

    class Adapter(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            return super().submit(lambda: jobs.submit(fn, *args, **kwargs).result())

    return Adapter(workers)


def dask(workers: int) -> Executor:
    from distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    client = Client(cluster)
    executor = client.get_executor(pure=False)
    executor.keep = (client, cluster)
    return executor


def executorlib(workers: int) -> Executor:
    from executorlib import SingleNodeExecutor

    return SingleNodeExecutor(max_workers=workers, block_allocation=True)


def parsl(workers: int) -> Executor:
    import parsl as library
    from parsl.concurrent import ParslPoolExecutor
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import LocalProvider

    del library
    folder = tempfile.mkdtemp()
    htex = HighThroughputExecutor(
        address="127.0.0.1",
        max_workers_per_node=workers,
        cores_per_worker=0.1,  # else there are no more than cores
        provider=LocalProvider(init_blocks=1, max_blocks=1),
        working_dir=folder,
    )
    return ParslPoolExecutor(Config(executors=[htex], run_dir=folder, usage_tracking=0))


def ray(workers: int) -> Executor:
    from concurrent.futures import Future

    import ray as library

    library.init(num_cpus=workers, log_to_driver=False, include_dashboard=False)

    remote = functools.cache(library.remote)

    class Adapter(Executor):
        def submit(self, fn, /, *args, **kwargs) -> Future[Any]:
            return remote(fn).remote(*args, **kwargs).future()

        def shutdown(self, wait=True, *, cancel_futures=False):
            library.shutdown()

    return Adapter()


class Candidate(NamedTuple):
    """An executor to measure.

    Attributes:
        module: without which it is skipped.
        make: starts it with so many workers.
        pending: how many futures it is given to hold: as many as it gets done in a minute or two.
        slow: it starts a process or a job for every call: only the beginning is measured.
    """

    module: str
    make: Callable[[int], Executor]
    pending: int = 100_000
    slow: bool = False


EXECUTORS = {
    "stdlib ProcessPoolExecutor (fork)": Candidate("concurrent", stdlib_fork),
    "stdlib ProcessPoolExecutor (spawn)": Candidate("concurrent", stdlib_spawn),
    "hfexecutor": Candidate("hfexecutor", hfexecutor),
    "hfexecutor, one job per call": Candidate("hfexecutor", hfexecutor_job_per_call, 0, slow=True),
    "loky": Candidate("loky", loky),
    "submitit (local)": Candidate("submitit", submitit, 0, slow=True),
    "Dask LocalCluster": Candidate("distributed", dask, 5_000),
    "executorlib (resident)": Candidate("executorlib", executorlib, 10_000),
    "parsl HTEX": Candidate("parsl", parsl, 10_000),
    "Ray": Candidate("ray", ray, 10_000),
}


# --- the workloads ------------------------------------------------------------------------------


def rate(executor: Executor, calls: int, repeat: int) -> float:
    """Return no-op calls per second."""
    rates = []
    for _ in range(repeat):
        begun = time.perf_counter()
        futures = [executor.submit(noop, i) for i in range(calls)]
        results = [future.result() for future in futures]
        rates.append(calls / (time.perf_counter() - begun))
        assert results == list(range(calls))
    return statistics.median(rates)


def latency(executor: Executor, calls: int) -> float:
    """Return the median seconds of one warm call."""
    seconds = []
    for _ in range(calls):
        begun = time.perf_counter()
        executor.submit(noop).result()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def there_and_back(executor: Executor, repeat: int) -> float:
    """Return the median seconds for an argument of 10 MB that comes back as the result."""
    data = os.urandom(MEGABYTES << 20)
    seconds = []
    for _ in range(repeat):
        begun = time.perf_counter()
        assert executor.submit(noop, data).result() == data
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def pending(executor: Executor, count: int) -> dict[str, float]:
    """Submit calls that have to wait; return seconds of one `submit` and kB of one future."""
    futures, seconds, size = [], [], count // CHUNKS
    with busy(executor, WORKERS):
        before = resident()
        for chunk in range(CHUNKS):
            begun = time.perf_counter()
            futures += [executor.submit(noop, chunk) for _ in range(size)]
            seconds.append((time.perf_counter() - begun) / size)
        time.sleep(1)  # for threads that have not caught up yet
        grown = resident() - before
    wait(futures)  # not cancelled: some do not survive that
    kilobytes = grown / count / 1e3
    return {"pending": count, "submit": statistics.median(seconds), "kilobytes": kilobytes}


def resident() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def cpu_at_rest(seconds: float = 5.0) -> float:
    """Return the CPU time of this process in percent of a core while nothing is to do."""
    time.sleep(1)
    begun, used = time.perf_counter(), time.process_time()
    time.sleep(seconds)
    return 100 * (time.process_time() - used) / (time.perf_counter() - begun)


def work(name: str, repeat: int, most_pending: int) -> dict[str, float]:
    """Run all workloads on one executor, in this process."""
    imported = time.perf_counter()
    one = EXECUTORS[name]
    count = min(one.pending, most_pending)
    importlib.import_module(one.module)
    if one.module == "hfexecutor":
        importlib.import_module("hfexecutor.local")
        importlib.import_module("huggingface_hub.hf_api")
    begun = time.perf_counter()
    executor = one.make(WORKERS)
    try:
        assert executor.submit(noop, 1).result() == 1
        first = time.perf_counter()
        cold = {"cold_import": first - imported, "cold": first - begun}
        return {**cold, **(slow(executor) if one.slow else warm(executor, repeat, count))}
    finally:
        executor.shutdown()


def warm(executor: Executor, repeat: int, count: int) -> dict[str, float]:
    wait([executor.submit(noop) for _ in range(200)])
    return {
        "rate": rate(executor, CALLS, repeat),
        "latency": latency(executor, 200),
        "10MB": there_and_back(executor, 5),
        **pending(executor, count),
    }


def slow(executor: Executor) -> dict[str, float]:
    wait([executor.submit(noop) for _ in range(2)])
    return {"rate": rate(executor, 20, 1), "latency": latency(executor, 3)}


def rest(name: str) -> dict[str, float]:
    """Do nothing, in this process, once all workers have worked."""
    executor = EXECUTORS[name].make(WORKERS_AT_REST)
    try:
        for _ in range(2):  # the first call of a worker may have come along with its launch
            with busy(executor, WORKERS_AT_REST):
                pass
        return {"rest": cpu_at_rest(), "threads": threading.active_count()}
    finally:
        executor.shutdown()


# --- the table ----------------------------------------------------------------------------------

COLUMNS: dict[str, Callable[[dict[str, float]], str]] = {
    "no-op/s": lambda row: f"{row['rate']:,.0f}",
    "one warm call": lambda row: f"{row['latency'] * 1e3:.2f} ms",
    "import + first": lambda row: f"{row['cold_import']:.2f} s",
    "first": lambda row: f"{row['cold']:.2f} s",
    "10 MB": lambda row: f"{row['10MB'] * 1e3:.0f} ms",
    "submit": lambda row: f"{row['submit'] * 1e6:.1f} µs",
    "kB/future": lambda row: f"{row['kilobytes']:.1f}",
    "of pending": lambda row: f"{row['pending']:,}",
    "threads": lambda row: f"{row['threads']}",
    "CPU at rest": lambda row: f"{row['rest']:.2f} %",
}


def apart(what: str, name: str, settings: list[str]) -> dict[str, float]:
    """Have something measured in a process of its own; what fails is said, and left out."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    command = [sys.executable, __file__, f"--{what}", name, *settings]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PATH": path},  # some start programs of their own by name
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        return json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        print(f"{name}: {what} takes more than {TIMEOUT:.0f} s", file=sys.stderr)
    except (IndexError, ValueError):
        print(f"{name}: {what} failed: {done.stderr.strip()[-300:]}", file=sys.stderr)
    return {}


def line(name: str, settings: list[str]) -> str:
    if importlib.util.find_spec(EXECUTORS[name].module) is None:
        return f"| {name} | not installed |"
    row = {**apart("work", name, settings), **apart("rest", name, settings)}
    cells = [name]
    for show in COLUMNS.values():
        try:
            cells.append(show(row))
        except KeyError:  # not measured
            cells.append("-")
    return "| " + " | ".join(cells) + " |"


def heading() -> str:
    """Say when, where and what was measured."""
    today, python = datetime.now(UTC).date(), platform.python_version()
    machine = f"{platform.system()} {platform.machine()}, {processor()}, {os.cpu_count()} cores"
    return f"{today}; {machine}; Python {python}; commit {commit()}"


def processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for text in file:
            if text.startswith("model name"):
                return text.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def commit() -> str:
    """Return the commit of the hfexecutor that is measured."""
    found = importlib.util.find_spec("hfexecutor")
    if found is None or found.origin is None:
        return "none: hfexecutor is not installed"
    git = ["git", "--no-optional-locks", "-C", os.path.dirname(found.origin)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    if head.returncode:
        return "unknown: no repository"
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "."]).returncode
    return head.stdout.strip() + (" with changes" if changed else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="parts of the names to run")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--most-pending", type=int, default=100_000)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--rest", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work or options.rest:
        with contextlib.redirect_stdout(sys.stderr):
            if options.work:
                result = work(options.work, options.repeat, options.most_pending)
            else:
                result = rest(options.rest)
        print(json.dumps(result), flush=True)
        return
    settings = ["--repeat", str(options.repeat), "--most-pending", str(options.most_pending)]
    print(heading(), end="\n\n")
    print("| executor | " + " | ".join(COLUMNS) + " |")
    print("| --- " * (len(COLUMNS) + 1) + "|", flush=True)
    for name in EXECUTORS:
        if not options.names or any(part in name for part in options.names):
            print(line(name, settings), flush=True)


if __name__ == "__main__":
    main()
