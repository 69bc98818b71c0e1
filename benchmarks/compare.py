"""How does HubExecutor compare with the pools that people use today?

The same workloads run one after the other, in one sitting, on every executor that is installed
(``pip install ".[bench]"``), each in a process of its own with two workers. HubExecutor works on
the embedded Hub: through a real HTTP API, real jobs, real doors and real logs.

    python benchmarks/compare.py                     # all that is installed
    python benchmarks/compare.py hfexecutor stdlib   # only those whose name contains one of these

Columns: no-op calls per second (1,000 on a warm pool, median of `--repeat`), milliseconds of one
warm call (median of 200), seconds of import + start + first result and of the latter two alone,
seconds for 10 MB there and back (median of 5), kB per pending future, threads, CPU % at rest.
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
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, wait
from datetime import UTC, datetime
from typing import Any

WORKERS = 2
CALLS = 1_000
PENDING = 10_000
MEGABYTES = 10


def noop(x: Any = None) -> Any:
    return x


def block(seconds: float) -> None:
    time.sleep(seconds)


# --- the executors: each is imported only when it is asked for ----------------------------------


def stdlib_fork() -> Executor:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("fork"))


def stdlib_spawn() -> Executor:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn"))


def hfexecutor() -> Executor:
    from hfexecutor import HubExecutor

    return HubExecutor(WORKERS, endpoint="local")


def hfexecutor_job_per_call() -> Executor:
    from hfexecutor import HubExecutor

    return HubExecutor(WORKERS, endpoint="local", reuse_workers=False)


def loky() -> Executor:
    from loky import ProcessPoolExecutor

    return ProcessPoolExecutor(WORKERS)


def submitit() -> Executor:
    """Two threads, each of which sees one job of submitit after the other through."""
    import tempfile
    from concurrent.futures import ThreadPoolExecutor

    from submitit import LocalExecutor

    jobs = LocalExecutor(tempfile.mkdtemp())

    class Adapter(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            return super().submit(lambda: jobs.submit(fn, *args, **kwargs).result())

    return Adapter(WORKERS)


def dask() -> Executor:
    from distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None)
    client = Client(cluster)
    executor = client.get_executor(pure=False)
    executor.keep = (client, cluster)
    return executor


def executorlib() -> Executor:
    from executorlib import SingleNodeExecutor

    return SingleNodeExecutor(max_workers=WORKERS, block_allocation=True)


def parsl() -> Executor:
    import tempfile

    import parsl as library
    from parsl.concurrent import ParslPoolExecutor
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import LocalProvider

    del library
    folder = tempfile.mkdtemp()
    htex = HighThroughputExecutor(
        address="127.0.0.1",
        max_workers_per_node=WORKERS,
        provider=LocalProvider(init_blocks=1, max_blocks=1),
        working_dir=folder,
    )
    return ParslPoolExecutor(Config(executors=[htex], run_dir=folder, usage_tracking=0))


def ray() -> Executor:
    from concurrent.futures import Future

    import ray as library

    library.init(num_cpus=WORKERS, log_to_driver=False, include_dashboard=False)

    remote = functools.cache(library.remote)

    class Adapter(Executor):
        def submit(self, fn, /, *args, **kwargs) -> Future[Any]:
            return remote(fn).remote(*args, **kwargs).future()

        def shutdown(self, wait=True, *, cancel_futures=False):
            library.shutdown()

    return Adapter()


EXECUTORS: dict[str, tuple[str, Callable[[], Executor]]] = {
    "stdlib ProcessPoolExecutor (fork)": ("concurrent", stdlib_fork),
    "stdlib ProcessPoolExecutor (spawn)": ("concurrent", stdlib_spawn),
    "hfexecutor": ("hfexecutor", hfexecutor),
    "hfexecutor, one job per call": ("hfexecutor", hfexecutor_job_per_call),
    "loky": ("loky", loky),
    "submitit (local)": ("submitit", submitit),
    "Dask LocalCluster": ("distributed", dask),
    "executorlib (resident)": ("executorlib", executorlib),
    "parsl HTEX": ("parsl", parsl),
    "Ray": ("ray", ray),
}
COLUMNS = (
    "executor",
    "no-op/s",
    "one warm call",
    "import + first",
    "first",
    "10 MB",
    "kB/future",
    "threads",
    "CPU at rest",
)
SLOW = {"submitit (local)", "hfexecutor, one job per call"}  # a process or a job for every call


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


def pending_kilobytes(executor: Executor, count: int) -> float:
    """Return the kB that each of `count` pending futures takes."""
    blockers = [executor.submit(block, 5.0) for _ in range(WORKERS)]
    before = resident()
    futures = [executor.submit(noop, i) for i in range(count)]
    grown = resident() - before
    wait([*blockers, *futures])  # not cancelled: some do not survive that
    return grown / count / 1e3


def resident() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def cpu_at_rest(seconds: float = 2.0) -> float:
    """Return the CPU time of this process in percent of a core while nothing is to do."""
    time.sleep(0.3)
    begun, used = time.perf_counter(), time.process_time()
    time.sleep(seconds)
    return 100 * (time.process_time() - used) / (time.perf_counter() - begun)


def measure(name: str, repeat: int) -> dict[str, Any]:
    """Run all workloads on one executor, in this process."""
    imported = time.perf_counter()
    module, make = EXECUTORS[name]
    importlib.import_module(module)
    if module == "hfexecutor":
        importlib.import_module("hfexecutor.local")
        importlib.import_module("huggingface_hub.hf_api")
    begun = time.perf_counter()
    executor = make()
    try:
        assert executor.submit(noop, 1).result() == 1
        first = time.perf_counter()
        cold = {"name": name, "cold_import": first - imported, "cold": first - begun}
        return {**cold, **workloads(executor, repeat, slow=name in SLOW)}
    finally:
        executor.shutdown()


def workloads(executor: Executor, repeat: int, *, slow: bool) -> dict[str, float]:
    """Run what is done on a warm pool; of what takes a process for each call, only the beginning."""
    wait([executor.submit(noop) for _ in range(2 if slow else 200)])
    return {
        "rate": rate(executor, 20 if slow else CALLS, 1 if slow else repeat),
        "latency": latency(executor, 3 if slow else 200),
        "10MB": float("nan") if slow else there_and_back(executor, 5),
        "threads": threading.active_count(),
        "rest": cpu_at_rest(),
        "pending": float("nan") if slow else pending_kilobytes(executor, PENDING),
    }


# --- the table ----------------------------------------------------------------------------------


def rows(names: list[str], repeat: int) -> Iterator[dict[str, Any]]:
    for name in names:
        if importlib.util.find_spec(EXECUTORS[name][0]) is None:
            print(f"| {name} | not installed |", flush=True)
            continue
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
        done = subprocess.run(
            [sys.executable, __file__, "--one", name, "--repeat", str(repeat)],
            env={**os.environ, "PATH": path},  # some start programs of their own by name
            capture_output=True,
            text=True,
            timeout=300,
        )
        try:
            yield json.loads(done.stdout.strip().splitlines()[-1])
        except (IndexError, ValueError):
            print(f"| {name} | failed: {done.stderr.strip()[-300:]} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="parts of the names to run")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        with contextlib.redirect_stdout(sys.stderr):
            result = measure(options.one, options.repeat)
        print(json.dumps(result), flush=True)
        return
    wanted = [n for n in EXECUTORS if not options.names or any(p in n for p in options.names)]
    today = datetime.now(UTC).date()
    print(f"{today}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print("| " + " | ".join(COLUMNS) + " |")
    print("| --- " * len(COLUMNS) + "|")
    for row in rows(wanted, options.repeat):
        print(
            f"| {row['name']} | {row['rate']:,.0f} | {row['latency'] * 1e3:.2f} ms "
            f"| {row['cold_import']:.2f} s | {row['cold']:.2f} s | {row['10MB'] * 1e3:.0f} ms "
            f"| {row['pending']:.1f} | {row['threads']} | {row['rest']:.1f} % |",
            flush=True,
        )


if __name__ == "__main__":
    main()
