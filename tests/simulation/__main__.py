"""Simulate whole runs of an executor in virtual time, and look at everything after each step.

    python -m tests.simulation                      # 200 seeds
    python -m tests.simulation --fixed              # those that tests run each time
    python -m tests.simulation --minutes 60         # as many as fit into an hour
    python -m tests.simulation --calls 1000000      # as many as make a million calls
    python -m tests.simulation --seed 7 --trace     # one, and every event and command of it
    python -m tests.simulation --seed 7 --set calls=3 --set "durations=(0.0, 1.0)"

A run that goes wrong prints the command that repeats it, made smaller as long as the same check
fails; the exit code is 1. The knobs of --set are the fields of tests.simulation.plan.Plan.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from .paths import FIXED, PATHS
from .plan import Plan
from .run import run
from .shrink import command


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_argument_group("which runs (200 seeds unless it says otherwise)")
    which.add_argument("--seed", type=int, help="one run")
    which.add_argument("--fixed", action="store_true", help="the seeds that are run each time")
    which.add_argument(
        "--begin-with", type=int, default=0, metavar="N", help="of the fixed ones, the Nth first"
    )
    which.add_argument("--from", type=int, default=0, dest="first", help="first of many seeds")
    which.add_argument("--count", type=int, help="so many seeds")
    which.add_argument("--minutes", type=float, help="as many seeds as fit")
    which.add_argument("--calls", type=int, help="as many seeds as make so many calls")
    how = parser.add_argument_group("how")
    how.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="changes",
        help="set a knob of each plan",
    )
    how.add_argument("--trace", action="store_true", help="with --seed: each event and command")
    how.add_argument("--first-failure", action="store_true", help="stop there")
    how.add_argument("--no-shrink", action="store_true", help="print failing plans as they are")
    options = parser.parse_args()
    if options.seed is not None:
        return _one(options)
    return _many(options)


def _one(options: argparse.Namespace) -> int:
    plan = Plan.of(options.seed).with_changes(options.changes)
    report = run(plan, print if options.trace else None)
    print(plan, flush=True)
    print(report)
    return 0 if report.ok else 1


def _many(options: argparse.Namespace) -> int:
    begun = time.monotonic()
    reached: Counter[str] = Counter()
    calls = events = runs = failed = 0
    seconds = options.minutes * 60 if options.minutes else float("inf")
    most = options.count or (1 << 60 if options.minutes or options.calls else 200)
    seeds = range(options.first, options.first + most)
    plans = enumerate(FIXED) if options.fixed else ((seed, Plan.of(seed)) for seed in seeds)
    if options.begin_with:
        plans = sorted(enumerate(FIXED), key=lambda pair: pair[0] != options.begin_with)
    print("the fixed seeds" if options.fixed else f"seeds from {options.first}")
    for number, plan in plans:
        if time.monotonic() - begun > seconds or calls >= (options.calls or float("inf")):
            break
        report = run(plan.with_changes(options.changes))
        runs, calls, events = runs + 1, calls + report.calls, events + report.events
        reached += report.reached
        if not report.ok:
            failed += 1
            print(f"run {number}: {report}")
            small = not options.no_shrink
            print(f"repeat it: {command(report.plan, report.check, small=small)}")
            if options.first_failure:
                return 1
        sys.stdout.flush()
    took = time.monotonic() - begun
    for path, count in sorted(reached.items(), key=lambda item: item[1]):
        print(f"{count:8} {path}")
    rate = calls / took * 60
    print(f"{runs} runs, {failed} wrong; {calls} calls, {events} events, {took:.0f} s")
    print(f"{rate:.0f} calls a minute")
    missed = [path for path in PATHS if not reached[path]] if options.fixed else []
    for path in missed:
        print(f"NOT TAKEN: {path}")
    return 1 if failed or missed else 0


if __name__ == "__main__":
    sys.exit(main())
