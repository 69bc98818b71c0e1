"""How many requests does a run cost, all in all?

1,000 calls of 10 ms on 4 workers of the embedded Hub, start, polling and good-bye included.
Requests to doors are counted too, although they do not go to the Hub's API.

    python benchmarks/hub_requests.py [--calls 1000] [--workers 4] [--seconds 0.01]
"""

from __future__ import annotations

import argparse
import time

from hfexecutor import HubExecutor
from hfexecutor.local import LocalHub


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0.01)
    options = parser.parse_args()
    with LocalHub() as hub:
        begun = time.perf_counter()
        with HubExecutor(options.workers, endpoint=hub.endpoint, token=hub.token) as executor:
            for _ in executor.map(time.sleep, [options.seconds] * options.calls):
                pass
            stats = executor.stats()
        wall = time.perf_counter() - begun
        requests = hub.requests
    print(f"{options.calls} calls of {options.seconds} s: {wall:.2f} s, {stats.jobs_started} jobs")
    print(f"  {sum(requests.values())} requests")
    for name, count in sorted(requests.items()):
        print(f"    {count:5} {name}")


if __name__ == "__main__":
    main()
