"""nevergrad, which takes an executor: what it asks for is evaluated in jobs.

pip install "hfexecutor[local]" nevergrad
python examples/integrations/nevergrad_minimize.py
"""

from __future__ import annotations

import os

import nevergrad

from hfexecutor import HubExecutor


def loss(rate: float, layers: int) -> float:
    return abs(rate - 0.1) + (layers - 4) ** 2


def main() -> None:
    space = nevergrad.p.Instrumentation(
        rate=nevergrad.p.Log(lower=0.001, upper=1.0),
        layers=nevergrad.p.Scalar(lower=1, upper=8).set_integer_casting(),
    )
    optimizer = nevergrad.optimizers.OnePlusOne(parametrization=space, budget=60, num_workers=4)
    endpoint = os.environ.get("HFEXECUTOR_ENDPOINT", "local")
    with HubExecutor(max_workers=4, endpoint=endpoint) as executor:
        found = optimizer.minimize(loss, executor=executor)
        print(found.kwargs)


if __name__ == "__main__":
    main()
