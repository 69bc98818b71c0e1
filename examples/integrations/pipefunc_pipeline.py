"""pipefunc, which takes an executor: the functions of a pipeline run in jobs, element by element.

pip install "hfexecutor[local]" pipefunc
python examples/integrations/pipefunc_pipeline.py
"""

from __future__ import annotations

import os

from pipefunc import Pipeline, pipefunc
from pipefunc.typing import Array

from hfexecutor import HubExecutor


@pipefunc(output_name="square", mapspec="x[i] -> square[i]")
def squared(x: int) -> int:
    return x * x


@pipefunc(output_name="total")
def summed(square: Array[int]) -> int:
    return int(square.sum())


def main() -> None:
    pipeline = Pipeline([squared, summed])
    endpoint = os.environ.get("HFEXECUTOR_ENDPOINT", "local")
    with HubExecutor(max_workers=2, endpoint=endpoint) as executor:
        results = pipeline.map(
            {"x": list(range(20))}, executor=executor, chunksizes=5, storage="dict"
        )
        print(results["total"].output)


if __name__ == "__main__":
    main()
