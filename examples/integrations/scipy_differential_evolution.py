"""scipy's differential evolution, which takes any `map`: each generation is evaluated in jobs.

pip install "hfexecutor[local]" scipy
python examples/integrations/scipy_differential_evolution.py
"""

from __future__ import annotations

import os

from scipy.optimize import differential_evolution

from hfexecutor import HubExecutor


def rosenbrock(point: list[float]) -> float:
    x, y = point
    return float((1 - x) ** 2 + 100 * (y - x * x) ** 2)


def main() -> None:
    endpoint = os.environ.get("HFEXECUTOR_ENDPOINT", "local")
    with HubExecutor(max_workers=2, endpoint=endpoint) as executor:
        found = differential_evolution(
            rosenbrock,
            bounds=[(-2, 2), (-2, 2)],
            workers=executor.map,
            updating="deferred",
            maxiter=60,
            seed=1,
        )
        jobs = executor.stats().jobs_started
        print(f"{found.nfev} evaluations in {jobs} jobs: {found.x.round(2)}")


if __name__ == "__main__":
    main()
