"""What does the wire cost?

    python benchmarks/payload.py results    # large results, for each executor that is installed
    python benchmarks/payload.py there-and-back
    python benchmarks/payload.py memory     # how much of it: peaks of client and worker
    python benchmarks/payload.py shared     # one array for a thousand calls
    python benchmarks/payload.py many       # one value for eight jobs: by a bucket, through ports
    python benchmarks/payload.py beside     # a small call while a large result is on its way
    python benchmarks/payload.py far        # with what one connection to the real Hub carries
    python benchmarks/payload.py late       # with a log that is late

- *results*, *there-and-back*: seconds for one call that returns so many bytes, or an array of
  them (and has been given them), on one warm worker; medians. The embedded Hub is a process of its
  own, as the real one is.
- *memory*: the same for the memory of client and worker (resident, at its peak), less what it was
  before, in parts of the value, which is in it. What two processes share counts in both.
- *shared*: seconds of a thousand calls on 4 jobs that all have the same 100 MB, and what was sent.
  All jobs have imported numpy before. One call with another array tells what one transfer takes.
- *many*: seconds from submit to the last result of a call on each of eight new jobs that have the
  same bytes, and the megabytes that leave this process; with ``profile="hub"`` as well. That does
  not limit what all connections carry together, as the line of a client does.
- *beside*: milliseconds of a call that does nothing, on a worker with two slots, alone and while
  1 GB comes from the other slot.
- *far*: seconds for 100 MB with ``profile="hub"``, where each connection carries 2 MiB/s and a
  round trip takes 105 ms; and what 16 connections carry at best.
- *late*: one warm worker, with the round trip that the real Hub's exposed ports have (105 ms). Its
  log is 0, 0.5, 2 and 5 seconds late. Measured are the time of one warm call, and of 1,000 calls
  that do nothing; and the requests to the Hub's API in all, doors apart. Each sitting takes the
  lags in turn, so that a change of the machine's speed hits all; figures are medians.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Any, NamedTuple

import cloudpickle
import compare

from hfexecutor import HubExecutor, events
from hfexecutor.local import LocalHub, Timings

MEGABYTE = 1_000_000
SIZES = (0.1, 1, 10, 100, 1000)  # megabytes
PEERS: dict[str, Callable[[int], Executor]] = {
    "ProcessPoolExecutor, fork": compare.stdlib_fork,
    "loky": compare.loky,
    "Dask LocalCluster": compare.dask,
    "executorlib, resident workers": compare.executorlib,
    "Ray": compare.ray,
}


cloudpickle.register_pickle_by_value(sys.modules[__name__])  # also as another process names it


class Figures(NamedTuple):
    """Of one sitting with one lag."""

    warm: float  # seconds
    many: float
    requests: int


# --- what runs in the worker ------------------------------------------------------------------


def some_bytes(size: int) -> bytes:
    import os

    return os.urandom(min(size, 1_000_000)) * max(1, size // 1_000_000)


def some_array(size: int) -> Any:
    import time

    import numpy as np

    return np.arange(size // 8) + time.time_ns()


def same(value: Any) -> Any:
    return value


KINDS = {"bytes": some_bytes, "numpy": some_array}


# --- a Hub in a process of its own ------------------------------------------------------------


def serve(pipe: Any, options: dict[str, Any]) -> None:
    with LocalHub(**options) as hub:
        pipe.send((hub.endpoint, hub.token))
        pipe.recv()


@contextlib.contextmanager
def hub(**options: Any) -> Iterator[dict[str, str]]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, options))
    process.start()
    endpoint, token = ours.recv()
    try:
        yield {"endpoint": endpoint, "token": token}
    finally:
        ours.send(None)
        process.join()


@contextlib.contextmanager
def hub_executor(workers: int = 1, *, slots: int = 1, **options: Any) -> Iterator[HubExecutor]:
    with (
        hub(**options) as address,
        HubExecutor(workers, slots_per_job=slots, **address) as executor,
    ):
        warm_up(executor)
        yield executor


def warm_up(executor: Executor) -> None:
    for _ in range(3):
        executor.submit(same, None).result()
    time.sleep(0.5)  # the log and the door have been compared


# --- results, there and back ------------------------------------------------------------------


def seconds(
    executor: Executor, function: Callable[..., Any], make: Callable[[], Any], repeat: int
) -> float:
    found = []
    for _ in range(repeat):
        argument = make()  # a new one each time: what a worker has is not sent again
        begun = time.perf_counter()
        value = executor.submit(function, argument).result()
        found.append(time.perf_counter() - begun)
        del value, argument
    return statistics.median(found)


def measured(executor: Executor, what: str, kind: str, repeat: int) -> list[float]:
    """Return the seconds for each size."""
    column = []
    for size in (int(megabytes * MEGABYTE) for megabytes in SIZES):
        results = what == "results"
        function = KINDS[kind] if results else same
        make = functools.partial(int if results else KINDS[kind], size)
        often = max(2, repeat // 3) if size > 200 * MEGABYTE else repeat
        made = [time_of(KINDS[kind], size) for _ in range(3)] if results else [0.0]
        column.append(seconds(executor, function, make, often) - statistics.median(made))
    return column


def time_of(function: Callable[[int], Any], size: int) -> float:
    begun = time.perf_counter()
    function(size)
    return time.perf_counter() - begun


def wire(what: str, repeat: int) -> None:
    """Print a line for each executor and kind."""
    print("executor | kind |" + " | ".join(f"{size:g} MB" for size in SIZES))
    for kind in KINDS:
        with hub_executor() as executor:
            show("hfexecutor", kind, measured(executor, what, kind, repeat))
        for name, make in PEERS.items():
            try:
                peer = make(1)
            except ImportError:
                continue
            try:
                warm_up(peer)
                show(name, kind, measured(peer, what, kind, repeat))
            except Exception as error:  # a peer's own affair, and a figure too
                print(f"{name} | {kind} | {type(error).__name__}", flush=True)
            peer.shutdown(wait=False)


def show(name: str, kind: str, column: list[float]) -> None:
    cells = [f"{1000 * s:.0f} ms" if s < 1 else f"{s:.2f} s" for s in column]
    print(f"{name} | {kind} | " + " | ".join(cells), flush=True)


# --- memory -----------------------------------------------------------------------------------


class Peaks(NamedTuple):
    """Bytes that processes have had resident at most: of the client, and of a worker."""

    client: int
    child: int
    supervisor: int


def peaks_of_worker() -> tuple[int, int]:
    import os

    def peak(pid: int) -> int:
        with open(f"/proc/{pid}/status") as file:
            return 1024 * int(file.read().split("VmHWM:")[1].split()[0])

    return peak(os.getpid()), peak(os.getppid())


def peaks(executor: Executor) -> Peaks:
    client = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Peaks(client, *executor.submit(peaks_of_worker).result())


def peak(pipe: Any, name: str, way: str, kind: str, size: int) -> None:
    """Send how much more memory each process had at its peak, in parts of the value."""
    made = hub_executor() if name == "hfexecutor" else PEERS[name](1)
    with made as executor:
        executor.submit(KINDS[kind], MEGABYTE).result()
        before = peaks(executor)
        if way == "result":
            value = executor.submit(KINDS[kind], size).result()
        else:
            value = executor.submit(same, KINDS[kind](size)).result()
        after = peaks(executor)
        del value
    pipe.send([(b - a) / size for a, b in zip(before, after, strict=True)])


def memory(megabytes: int) -> None:
    """Print the peaks for each executor, way and kind; the value itself is in them."""
    print(f"executor | way, of {megabytes} MB | client | the call's process | supervisor")
    for name in ("hfexecutor", "ProcessPoolExecutor, fork"):
        for way in ("result", "there and back"):
            for kind in KINDS:
                ours, theirs = multiprocessing.Pipe()
                args = (theirs, name, way, kind, megabytes * MEGABYTE)
                process = multiprocessing.get_context("spawn").Process(target=peak, args=args)
                process.start()
                cells = [f"{part:.2f}" for part in ours.recv()]
                cells[2] = cells[2] if name == "hfexecutor" else "-"
                print(f"{name} | {way}, {kind} | {' | '.join(cells)}", flush=True)
                process.join()


# --- one value, many calls --------------------------------------------------------------------


def import_numpy(_: int) -> None:
    import time

    import numpy as np  # noqa: F401

    time.sleep(0.1)


def first_of(array: Any) -> Any:
    return array[0]


def shared(calls: int, megabytes: int) -> None:
    """Print the seconds of many calls on 4 jobs, without an array and with the same one in each."""
    array = some_array(megabytes * MEGABYTE)
    with hub_executor(4) as executor:
        sent: list[int] = []
        kinds = [events.Transferred]
        executor.events.listen(
            lambda event: sent.append(0 if event.fetched else event.size), kinds=kinds
        )
        list(executor.map(import_numpy, range(16)))  # all four are up
        print(f"{calls:,} calls | seconds | MB sent")
        for name in ("nothing", "one call, an array", "a shared array", "the array itself"):
            sent.clear()
            begun = time.perf_counter()
            if name == "nothing":
                list(executor.map(same, range(calls)))
            else:
                one = executor.share(array) if name == "a shared array" else array
                list(executor.map(first_of, [one] * (1 if "one call" in name else calls)))
                array = array + 1  # or it would be there already
            print(f"{name} | {time.perf_counter() - begun:.2f} | {sum(sent) / MEGABYTE:,.0f}")


# --- one value for many jobs ------------------------------------------------------------------


def slow_length(value: bytes) -> int:
    import time

    time.sleep(1.0)  # so that each job has one
    return len(value)


def many(repeat: int, jobs: int, megabytes: int) -> None:
    """Print the seconds, and what is sent, through a bucket and through ports."""
    print(f"{megabytes} MB for {jobs} jobs | way | seconds | MB sent or uploaded")
    for profile in ("", "hub"):
        with hub(**({"profile": profile} if profile else {})) as address:
            for way, bucket in (("nothing", False), ("bucket", True), ("ports", False)) * repeat:
                took, sent = one_for_all(
                    address, jobs, 0 if way == "nothing" else megabytes, bucket
                )
                uploaded = megabytes if bucket else 0
                print(f"{profile} | {way} | {took:.2f} | {sent:,.0f} + {uploaded}", flush=True)


def one_for_all(
    address: dict[str, str], jobs: int, megabytes: int, bucket: bool
) -> tuple[float, float]:
    """Return the seconds of a call on each of so many jobs, and the MB that their ports took."""
    value, sent = os.urandom(megabytes * MEGABYTE), [0]
    with HubExecutor(jobs, slots_per_job=1, bucket=bucket, **address) as executor:
        executor.events.listen(
            lambda event: sent.append(0 if event.fetched else event.size),
            kinds=[events.Transferred],
        )
        shared = executor.share(value)
        begun = time.perf_counter()
        assert set(executor.map(slow_length, [shared] * jobs)) == {len(value)}
        return time.perf_counter() - begun, sum(sent) / MEGABYTE


# --- small calls beside a large one -----------------------------------------------------------


def small(executor: HubExecutor) -> float:
    return time_of(lambda _: executor.submit(same, None).result(), 0)


def beside(repeat: int, megabytes: int) -> None:
    """Print the milliseconds of a small call, alone and beside."""
    print("a small call | median | 99 % | longest")
    with hub_executor(2, slots=2) as executor:
        for _ in range(repeat):
            alone = [small(executor) for _ in range(300)]
            large, found = executor.submit(some_bytes, megabytes * MEGABYTE), []
            begun = time.perf_counter()
            while not large.done():
                found.append(small(executor))
            took = time.perf_counter() - begun
            del large
            for name, ones in (("alone", alone), (f"beside {megabytes} MB", found)):
                figures = (
                    statistics.median(ones),
                    statistics.quantiles(ones, n=100)[-1],
                    max(ones),
                )
                print(f"{name} | " + " | ".join(f"{1000 * s:.1f} ms" for s in figures), flush=True)
            print(f"({megabytes} MB took {took:.2f} s)")


# --- a far door, a late log -------------------------------------------------------------------


def far(repeat: int, megabytes: int) -> None:
    """Print the seconds, and those that 16 connections need at 2 MiB/s each."""
    with hub_executor(profile="hub") as executor:
        for kind, make in KINDS.items():
            size = functools.partial(int, megabytes * MEGABYTE)
            took = seconds(executor, make, size, repeat)
            best = megabytes * MEGABYTE / (16 * (2 << 20))
            print(f"{kind} | {took:.2f} s | 16 connections carry it in {best:.2f} s", flush=True)


def timed(executor: HubExecutor, calls: int) -> float:
    begun = time.perf_counter()
    assert list(executor.map(same, range(calls))) == list(range(calls))
    return time.perf_counter() - begun


def measure(lag: float, door: float, calls: int) -> Figures:
    with LocalHub(timings=Timings(door=door, log_lag=lag)) as hub:
        with HubExecutor(1, endpoint=hub.endpoint, token=hub.token) as executor:
            for _ in range(3):  # the job is up, its door known and tried
                timed(executor, 1)
            warm = statistics.median(timed(executor, 1) for _ in range(calls))
            many = min(timed(executor, 1_000) for _ in range(2))
        requests = sum(count for name, count in hub.requests.items() if "door" not in name)
    return Figures(warm, many, requests)


def late(repeat: int, calls: int, door: float, lags: list[float]) -> None:
    """Print a line for each lag."""
    found: dict[float, list[Figures]] = {lag: [] for lag in lags}
    for _ in range(repeat):
        for lag in lags:
            found[lag].append(measure(lag, door, calls))
    print("log late by | one warm call | 1,000 no-op calls | requests to the API")
    for lag, sittings in found.items():
        warm, many, requests = (statistics.median(column) for column in zip(*sittings, strict=True))
        print(f"{lag:9.1f} s | {1000 * warm:10.0f} ms | {many:15.2f} s | {requests:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    choices = ("results", "there-and-back", "memory", "shared", "many", "beside", "far", "late")
    parser.add_argument("what", choices=choices)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--megabytes", type=int)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--door", type=float, default=0.105)
    parser.add_argument("--lags", type=float, nargs="+", default=[0.0, 0.5, 2.0, 5.0])
    options = parser.parse_args()
    print(f"load of the machine: {os.getloadavg()[0]:.1f}", flush=True)
    if options.what == "memory":
        memory(options.megabytes or 400)
    elif options.what == "shared":
        shared(1000, options.megabytes or 100)
    elif options.what == "many":
        many(options.repeat, 8, options.megabytes or 100)
    elif options.what == "beside":
        beside(options.repeat, options.megabytes or 1000)
    elif options.what == "far":
        far(options.repeat, options.megabytes or 100)
    elif options.what == "late":
        late(options.repeat, options.calls, options.door, options.lags)
    else:
        wire(options.what, options.repeat)


if __name__ == "__main__":
    main()
