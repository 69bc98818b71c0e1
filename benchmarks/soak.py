"""Is anything lost, wrong, doubled or left behind, however badly the Hub and the jobs behave?

Thousands of calls run on an embedded Hub (in a process of its own, so that memory is the client's
alone) that gets all of its trades wrong at a few per cent each: requests, lists, logs, jobs and
doors. They run in rounds with an executor each, so that many jobs start, are struck and end. With
--crashes the Hub behaves, and the calls do not: their processes exit, crash and are killed.

    python benchmarks/soak.py [--calls 10000] [--seeds 1 2 3] [--mode warm] [--crashes]

Printed for each seed, beside a run without faults: what must be 0 (see `Tally`), calls run again,
wall time, peak memory. Ends with exit code 1 if something is not 0 that must be.
"""

from __future__ import annotations

import argparse
import dataclasses
import faulthandler
import logging
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import wait
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import hfexecutor
from hfexecutor import HubExecutor
from hfexecutor.local import LocalHub
from hfexecutor.local import faults as f

WORKERS = 4
RETRIES = 6  # so many that no call meets its end by bad luck alone
SHOWN = 5  # calls that ended wrongly
LIST = "GET /api/jobs/{namespace}"
DONE, RAISED, DIED, UNPICKLABLE = "done", "raised", "died", "unpicklable"

# What calls do, how often, and how that ends.
PEACEFUL = {"return": (90, DONE), "print": (5, DONE), "raise": (4, RAISED), "large": (1, DONE)}
VIOLENT = {
    "return": (300, DONE),
    "nap": (100, DONE),
    "long": (1, DONE),
    "print": (30, DONE),
    "large": (5, DONE),
    "raise": (30, RAISED),
    "quit": (5, RAISED),
    "exit": (10, DIED),
    "kill": (10, DIED),
    "segfault": (5, DIED),
    "lock": (5, UNPICKLABLE),
}


def profile(*, hangs: bool) -> list[Any]:
    """Return every class of fault, at 1 to 5 % of its opportunities each.

    What does not answer at all is only found out by waiting, so `hangs` cost tens of seconds.
    """
    faults = [
        f.Refuse(429, probability=0.01, retry_in=1),
        *(f.Refuse(status, probability=0.01) for status in (500, 502, 503, 504)),
        f.Refuse(500, after=True, probability=0.02),
        f.Reset(probability=0.02),
        f.Reset(after=True, probability=0.02),
        f.Garble(probability=0.01),
        f.Slow(seconds=0.2, probability=0.05),
        f.Restart(down=0.2, probability=0.01),
        f.StaleList(seconds=0.5, probability=0.05),
        f.MissJob(probability=0.05),
        f.BareList(probability=0.05),
        f.SmallPages(size=1, probability=0.05),
        f.CutLog(lines=3, probability=0.05),
        f.CutLog(lines=20, probability=0.05),
        f.StallLog(lines=5, seconds=0.5, probability=0.03),
        f.LateLog(seconds=0.3, probability=0.03),
        f.ShortReplay(lines=2, probability=0.05),
        f.RepeatLines(every=2, probability=0.05),
        f.ShuffleLines(places=4, probability=0.05),
        f.LoseHead(keep=5, probability=0.05),
        f.LoseTail(lines=2, seconds=1.0, probability=0.03),
        f.LoseTail(lines=1, probability=0.02),
        f.NoLog(probability=0.03),
        f.Noise(every=3, probability=0.05),
        f.Noise(every=7, within=True, probability=0.03),
        f.SplitLines(size=16 * 1024, probability=0.05),
        f.RawLineEnds(every=3, probability=0.05),
        f.Stuck(seconds=0.5, probability=0.05),
        f.KillJob(after=0.4, probability=0.03),
        f.KillJob(after=0.3, retried=True, probability=0.02),
        f.EndJob.oom(after=0.5, probability=0.02),
        f.EndJob.timeout(after=0.6, probability=0.02),
        f.EndJob.deleted(after=0.3, probability=0.02),
        f.EndJob.canceled(after=0.4, probability=0.02),
        f.OddStage(after=0.2, probability=0.05),
        f.DoorFault(how="refuse", probability=0.05),
        f.DoorFault(how="drop", probability=0.03),
        f.DoorFault(how="deliver", probability=0.03),
    ]
    if hangs:
        faults += [
            f.Hang(route=LIST, probability=0.02),
            f.NoLog(endless=True, probability=0.01),
            f.StallLog(lines=5, probability=0.01),
            f.DoorFault(how="hang", probability=0.01),
        ]
    return faults


def act(path: str, n: int, deed: str, seconds: float) -> Any:
    """Sign where and by whom a call is executed, and do the deed."""
    import ctypes
    import os
    import signal
    import sys
    import threading
    import time

    with open(path, "a") as file:
        file.write(f"{n} {os.environ['JOB_ID']} {os.getppid()}\n")
    time.sleep(seconds)
    if deed == "print":
        print(f"call {n}")
    elif deed == "raise":
        raise ValueError(n)
    elif deed == "quit":
        sys.exit(n)
    elif deed == "exit":
        os._exit(n % 100 + 1)
    elif deed == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif deed == "segfault":
        ctypes.string_at(0)
    elif deed == "lock":
        return threading.Lock()
    return (n, bytes(200_000)) if deed == "large" else n * n


def ended_rightly(future: Any, n: int, deed: str, ending: str) -> bool:
    """Say whether a call ended as its deed has it, and nobody else's."""
    error = future.exception()
    if ending == DONE:
        value = (n, bytes(200_000)) if deed == "large" else n * n
        return error is None and future.result() == value
    if ending == RAISED:
        return isinstance(error, (ValueError, SystemExit)) and error.args == (n,)
    if ending == UNPICKLABLE:
        return isinstance(error, hfexecutor.UnpicklableResultError)
    how = {"exit": f"exit code {n % 100 + 1} ", "kill": "SIGKILL", "segfault": "SIGSEGV"}[deed]
    return isinstance(error, hfexecutor.CallDiedError) and how in str(error)


@dataclasses.dataclass
class Tally:
    """What a run did; all but the last six must be 0.

    Attributes:
        lost: futures that did not end.
        wrong: futures that ended otherwise than their call.
        doubled: futures that ended more than once.
        overrun: calls that one worker executed twice, or more workers than retries allow, and
            executions that no lost worker accounts for. (A job that the Hub runs again counts as
            another worker.)
        jobs_left: jobs that ran after an executor had been shut down.
        extra_jobs: jobs beyond one for each worker, where no fault calls for more.
    """

    lost: int = 0
    wrong: int = 0
    doubled: int = 0
    overrun: int = 0
    jobs_left: int = 0
    extra_jobs: int = 0
    retried: int = 0
    jobs: int = 0
    requests: int = 0
    faults: int = 0
    seconds: float = 0.0
    peak_mb: float = 0.0

    @property
    def clean(self) -> bool:
        return not any(dataclasses.astuple(self)[:6])


class Soak:
    """One run: calls, in rounds, on one hub."""

    def __init__(self, options: argparse.Namespace, seed: int, faults: list[Any]) -> None:
        self._options = options
        self._dice = random.Random(seed)
        self._deeds = VIOLENT if options.crashes else PEACEFUL
        self._channel, theirs = multiprocessing.Pipe()
        self._hub = multiprocessing.get_context("spawn").Process(
            target=serve, args=(theirs, seed, faults)
        )
        self._restarts_jobs = any(isinstance(one, f.KillJob) and one.retried for one in faults)
        self._faulty = bool(faults)
        self._tally = Tally()

    def run(self) -> Tally:
        self._hub.start()
        self._where = self._channel.recv()
        left = range(self._options.calls)
        begun = time.perf_counter()
        while left and not self._tally.lost:
            self._round(left[: self._options.round])
            left = left[self._options.round :]
        self._tally.seconds = time.perf_counter() - begun
        self._tally.faults = sum(self._ask("end").values())
        self._hub.join()
        self._tally.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        return self._tally

    def _ask(self, question: str) -> Any:
        self._channel.send(question)
        return self._channel.recv()

    def _round(self, numbers: range) -> None:
        endpoint, token, namespace = self._where
        faulthandler.dump_traceback_later(self._options.deadline + 60, exit=True)
        ends: Counter[int] = Counter()
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            path = Path(folder) / "executed"
            with HubExecutor(
                WORKERS,
                endpoint=endpoint,
                token=token,
                namespace=namespace,
                reuse_workers=self._options.mode == "warm",
                max_retries=RETRIES,
            ) as executor:
                calls = {}
                for n in numbers:
                    deed = self._choose()
                    future = executor.submit(act, str(path), n, deed, self._duration(deed))
                    future.add_done_callback(lambda _, n=n: ends.update([n]))
                    calls[n] = future, deed
                undone = wait([future for future, _ in calls.values()], self._options.deadline)[1]
                if undone:
                    self._give_up(executor, undone)
            stats = executor.stats()
            signed = path.read_text().split("\n")[:-1]
        faulthandler.cancel_dump_traceback_later()
        self._check(calls, ends, signed, stats)

    def _choose(self) -> str:
        weights = [weight for weight, _ in self._deeds.values()]
        return self._dice.choices(list(self._deeds), weights)[0]

    def _duration(self, deed: str) -> float:
        if self._options.crashes:
            return {"nap": 0.005, "long": 0.5}.get(deed, 0.0)
        return self._dice.choice((0.0, 0.0, 0.001, 0.005, 0.03))

    def _give_up(self, executor: HubExecutor, undone: set[Any]) -> None:
        """Say what is known of calls that hang; the executor would wait for them, too."""
        print(f"{len(undone)} calls did not end: {executor!r}", executor.stats(), sep="\n")
        print(*list(undone)[:10], sep="\n", flush=True)
        faulthandler.dump_traceback()
        os._exit(1)

    def _check(self, calls: dict[int, Any], ends: Counter[int], signed: list[str], stats) -> None:
        tally = self._tally
        for n, (future, deed) in calls.items():
            if not ended_rightly(future, n, deed, self._deeds[deed][1]):
                tally.wrong += 1
                if tally.wrong <= SHOWN:
                    print(f"call {n} ({deed}) ended wrongly: {future!r}: {future.exception()}")
            tally.doubled += ends[n] != 1
        tally.doubled += abs(stats.done + stats.failed - len(calls))
        tally.overrun += self._overrun(signed, stats.retried)
        tally.jobs_left += self._ask("running")
        if not self._faulty and self._options.mode == "warm":
            tally.extra_jobs += max(0, stats.jobs_started - WORKERS)
        tally.retried += stats.retried
        tally.jobs += stats.jobs_started
        tally.requests += stats.requests

    def _overrun(self, signed: list[str], retried: int) -> int:
        """Count executions that should not have been; each is signed "call job supervisor"."""
        by_worker = Counter(signed)
        twice = [signature for signature, count in by_worker.items() if count > 1]
        jobs = Counter(call for call, _ in {tuple(one.split()[:2]) for one in signed})
        often = [call for call, count in jobs.items() if count > RETRIES + 1]
        again = sum(jobs.values()) - len(jobs)
        for what in (twice, often):
            if what:
                print("executed too often:", what[:10])
        if again > retried:
            print(f"{again} executions more than calls, but only {retried} were to run again")
        return len(twice) + len(often) + max(0, again - retried)


def serve(channel: Connection, seed: int, faults: list[Any]) -> None:
    """Run the hub, and answer questions about it; its end is the asker's at the latest."""
    with LocalHub(faults=faults, seed=seed) as hub:
        channel.send((hub.endpoint, hub.token, hub.namespace))
        try:
            while channel.recv() == "running":
                channel.send(hub.running)
            channel.send(hub.struck)
        except EOFError:
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[random.randrange(1 << 32)])
    parser.add_argument("--mode", choices=("warm", "cold"), default="warm")
    parser.add_argument("--crashes", action="store_true", help="of calls, instead of faults")
    parser.add_argument("--round", type=int, help="calls for each executor")
    parser.add_argument("--no-hangs", action="store_true", help="leave out what costs long waits")
    parser.add_argument("--no-reference", action="store_true", help="no run without faults")
    parser.add_argument("--deadline", type=float, default=180.0, help="seconds for a round")
    parser.add_argument("--log", default="ERROR", help="level of the client's log to show")
    options = parser.parse_args()
    if options.round is None:
        options.round = options.calls if options.crashes else 500
    logging.basicConfig(format="%(asctime)s %(message)s", level=options.log)
    print(f"{options.calls:,} calls, {WORKERS} workers, {options.mode}, seeds {options.seeds}")
    if options.crashes:
        runs = [(f"crashes {seed}", seed, []) for seed in options.seeds]
    else:
        faults = profile(hangs=not options.no_hangs)
        runs = [("none", 0, [])] if not options.no_reference else []
        runs += [(f"faults {seed}", seed, faults) for seed in options.seeds]
    clean = True
    for name, seed, faults in runs:
        tally = Soak(options, seed, faults).run()
        clean = clean and tally.clean
        figures = dataclasses.asdict(tally).items()
        print(f"{name}:", *(f"{key} {value:,.6g}" for key, value in figures), sep="  ", flush=True)
    sys.exit(not clean)


if __name__ == "__main__":
    main()
