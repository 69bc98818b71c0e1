"""A progress bar of tqdm's over results, as they come.

pip install "hfexecutor[local]" tqdm
python examples/integrations/tqdm_progress.py
"""

from __future__ import annotations

import os

from tqdm.auto import tqdm

from hfexecutor import HubExecutor


def bits_of_factorial(number: int) -> int:
    product = 1
    for factor in range(2, number + 1):
        product *= factor
    return product.bit_length()


def main() -> None:
    numbers = range(1000, 1100)
    endpoint = os.environ.get("HFEXECUTOR_ENDPOINT", "local")
    with HubExecutor(max_workers=2, endpoint=endpoint) as executor:
        results = executor.map(bits_of_factorial, numbers, ordered=False)
        print(max(tqdm(results, total=len(numbers), unit="call")), "bits")


if __name__ == "__main__":
    main()
