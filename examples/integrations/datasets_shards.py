"""A dataset of Hugging Face's that is processed in jobs, shard by shard, and put together again.

pip install "hfexecutor[local]" datasets
python examples/integrations/datasets_shards.py
"""

from __future__ import annotations

import os
from typing import Any

from datasets import Dataset, concatenate_datasets

from hfexecutor import HubExecutor

SHARDS = 4


def with_lengths(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Take a shard as plain lists, which a job reads without any package."""
    return {**rows, "words": [len(text.split()) for text in rows["text"]]}


def main() -> None:
    texts = Dataset.from_dict({"text": ["one", "one two", "one two three"] * 40})
    shards = (texts.shard(SHARDS, number, contiguous=True)[:] for number in range(SHARDS))
    endpoint = os.environ.get("HFEXECUTOR_ENDPOINT", "local")
    with HubExecutor(max_workers=2, endpoint=endpoint) as executor:
        done = [Dataset.from_dict(rows) for rows in executor.map(with_lengths, shards)]
    result = concatenate_datasets(done)
    print(f"{result.num_rows} rows, {sum(result['words'])} words, columns {result.column_names}")


if __name__ == "__main__":
    main()
