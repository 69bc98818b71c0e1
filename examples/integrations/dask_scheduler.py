"""dask, which takes an executor as its scheduler: the tasks of a graph run in jobs.

pip install "hfexecutor[local]" dask
python examples/integrations/dask_scheduler.py
"""

from __future__ import annotations

import os

import dask

from hfexecutor import HubExecutor


@dask.delayed
def square(number: int) -> int:
    return number * number


@dask.delayed
def total(numbers: list[int]) -> int:
    return sum(numbers)


def main() -> None:
    graph = total([square(number) for number in range(20)])
    endpoint = os.environ.get("HFEXECUTOR_ENDPOINT", "local")
    with HubExecutor(max_workers=2, endpoint=endpoint) as executor:
        (result,) = dask.compute(graph, scheduler=executor)
        print(f"{result} in {executor.stats().jobs_started} jobs")


if __name__ == "__main__":
    main()
