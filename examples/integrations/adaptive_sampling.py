"""adaptive, which takes an executor: a function is evaluated in jobs where it is interesting.

pip install "hfexecutor[local]" adaptive
python examples/integrations/adaptive_sampling.py
"""

from __future__ import annotations

import os
from itertools import pairwise

import adaptive

from hfexecutor import HubExecutor


def peak(x: float) -> float:
    return x + 0.01 / (0.0001 + (x - 0.3) ** 2)


def main() -> None:
    learner = adaptive.Learner1D(peak, bounds=(-1, 1))
    endpoint = os.environ.get("HFEXECUTOR_ENDPOINT", "local")
    with HubExecutor(max_workers=2, endpoint=endpoint) as executor:
        # How many points are out at once; adaptive knows that itself of the stdlib's pools alone.
        adaptive.BlockingRunner(learner, npoints_goal=40, executor=executor, ntasks=2)
    points = sorted(learner.data)
    gaps = [right - left for left, right in pairwise(points)]
    print(f"{len(points)} points, {max(gaps):.3f} to {min(gaps):.3f} from one to the next")


if __name__ == "__main__":
    main()
