"""With the real Hub's delays, how close to the ideal is the time for a whole run?

200 calls of 0.5 s on 8 workers of a hub with the measured delays of the real one (5.8 s to start a
job, 105 ms for a round trip to it, 1.3 s until a stage is seen). Ideal is one cold start plus
200 x 0.5 s / 8 = 12.5 s.

    python benchmarks/makespan.py [--calls 200] [--seconds 0.5] [--workers 8]
"""

from __future__ import annotations

import argparse
import time

from hfexecutor import HubExecutor
from hfexecutor.local import LocalHub


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--workers", type=int, default=8)
    options = parser.parse_args()
    with LocalHub(profile="hub") as hub:
        cold = hub.timings.start
        ideal = cold + options.calls * options.seconds / options.workers
        begun = time.perf_counter()
        with HubExecutor(options.workers, endpoint=hub.endpoint, token=hub.token) as executor:
            futures = [executor.submit(time.sleep, options.seconds) for _ in range(options.calls)]
            futures[0].result()
            first = time.perf_counter() - begun
            for future in futures:
                future.result()
            makespan = time.perf_counter() - begun
            stats = executor.stats()
        ended = time.perf_counter() - begun
        requests = sum(hub.requests.values())
        doors = sum(n for name, n in hub.requests.items() if name.endswith("door"))
    print(f"{options.calls} calls of {options.seconds} s on {options.workers} workers")
    print(f"  first result  {first:6.2f} s (cold start of the hub: {cold} s)")
    print(f"  makespan      {makespan:6.2f} s = {makespan / ideal:.3f} x {ideal:.2f} s")
    print(f"  all jobs gone {ended:6.2f} s")
    print(f"  {stats.jobs_started} jobs, {requests - doors} API requests, {doors} door messages")


if __name__ == "__main__":
    main()
