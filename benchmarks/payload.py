"""What does the wire cost? First: how much depends on how late the log is.

One warm worker of the embedded Hub, with the round trip that the real Hub's exposed ports have
(105 ms). Its log is 0, 0.5, 2 and 5 seconds late. Measured are the time of one warm call, and of
1,000 calls that do nothing; and the requests to the Hub's API in all, doors apart. Each sitting
takes the lags in turn, so that a change of the machine's speed hits all; figures are medians.

    python benchmarks/payload.py [--repeat 3] [--calls 20] [--door 0.105] [--lags 0 0.5 2 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import NamedTuple

import cloudpickle

from hfexecutor import HubExecutor
from hfexecutor.local import LocalHub, Timings


class Figures(NamedTuple):
    """Of one sitting with one lag."""

    warm: float  # seconds
    many: float
    requests: int


def same(value: int) -> int:
    return value


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--door", type=float, default=0.105)
    parser.add_argument("--lags", type=float, nargs="+", default=[0.0, 0.5, 2.0, 5.0])
    options = parser.parse_args()
    cloudpickle.register_pickle_by_value(__import__(__name__))
    found: dict[float, list[Figures]] = {lag: [] for lag in options.lags}
    for _ in range(options.repeat):
        for lag in options.lags:
            found[lag].append(measure(lag, options.door, options.calls))
    print("log late by | one warm call | 1,000 no-op calls | requests to the API")
    for lag, sittings in found.items():
        warm, many, requests = (statistics.median(column) for column in zip(*sittings, strict=True))
        print(f"{lag:9.1f} s | {1000 * warm:10.0f} ms | {many:15.2f} s | {requests:.0f}")


if __name__ == "__main__":
    main()
