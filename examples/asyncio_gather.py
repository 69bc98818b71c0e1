"""Calls in jobs, awaited: the longest Collatz sequence below a bound, with asyncio.

A `HubFuture` is a `concurrent.futures.Future`, so asyncio's own bridges work: `wrap_future`, and
`run_in_executor` of the event loop. Runs on the embedded Hub unless HFEXECUTOR_ENDPOINT says
otherwise.

    python examples/asyncio_gather.py
"""

from __future__ import annotations

import asyncio
import os
import sys

from hfexecutor import HubExecutor

BOUND, PARTS = 100_000, 10
KNOWN = (351, 77_031)  # steps of the longest sequence below the bound, and where it starts


def longest(low: int, high: int) -> tuple[int, int]:
    """Return the most steps to 1 from a start in low..high, and that start."""
    best = (0, 0)
    for start in range(max(low, 1), high):
        steps, n = 1, start
        while n != 1:
            n = 3 * n + 1 if n % 2 else n // 2
            steps += 1
        best = max(best, (steps, start))
    return best


async def main() -> int:
    size = BOUND // PARTS
    endpoint = os.environ.get("HFEXECUTOR_ENDPOINT", "local")
    with HubExecutor(max_workers=2, endpoint=endpoint) as executor:
        loop = asyncio.get_running_loop()
        parts = [
            loop.run_in_executor(executor, longest, low, low + size)
            for low in range(0, BOUND, size)
        ]

        # While the jobs work, the loop is free: here it tells of each part as it ends.
        for part in asyncio.as_completed(parts):
            steps, start = await part
            print(f"{start:>7} takes {steps} steps")

        # And a single one, with a limit on how long *this side* waits.
        again = asyncio.wrap_future(executor.submit(longest, 77_000, 77_100))
        assert await asyncio.wait_for(again, timeout=60) == KNOWN

    best = max(await asyncio.gather(*parts))
    print(f"longest below {BOUND:,}: {best[0]} steps from {best[1]:,}")
    return 0 if best == KNOWN else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
