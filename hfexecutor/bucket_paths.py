"""What lies where in the buckets of a namespace, and whose it is: by its path alone. Pure.

Two private buckets, which are made when they are first wanted:

- ``hfexecutor-results`` outlives runs: a folder for each name that results are kept under, with
  segments that are written once (:mod:`hfexecutor.runtime.results_store`).
- ``hfexecutor-values`` has what travels between one client and its jobs: a folder for each run, by
  its nonce, which the label ``hfexecutor-run`` of its jobs has, too. Once the run is over nobody
  needs it.

What has no such path was put there by somebody else, and is left alone.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = [
    "RESULTS_BUCKET",
    "VALUES_BUCKET",
    "SegmentPath",
    "run_of_value",
    "segment_in",
    "segment_path",
    "value_path",
]

RESULTS_BUCKET: Final = "hfexecutor-results"
"""The bucket of results that later runs take."""
VALUES_BUCKET: Final = "hfexecutor-values"
"""The bucket of what a run sends to its jobs, or they to it."""

# Compiled when they are needed: most runs have nothing to do with buckets.
_SEGMENT: Final = r"([a-zA-Z0-9._-]+)/(\d{13})-[0-9a-f]{16}"
_VALUE: Final = r"([0-9a-f]{32})/[^/]+(?:/[^/]+)*"


class SegmentPath(NamedTuple):
    """What the path of a segment tells: its name, and when it was written (since 1970, in s)."""

    name: str
    written: float


def segment_path(name: str, written: float, unique: str) -> str:
    """Return the path of a segment in the bucket of results.

    Args:
        name: What the results are kept under.
        written: Now, in seconds since 1970.
        unique: 16 hexadecimal digits of chance.

    >>> segment_in(segment_path("nightly", 1.5, "0123456789abcdef"))
    SegmentPath(name='nightly', written=1.5)
    """
    return f"{name}/{int(written * 1000):013d}-{unique}"


def segment_in(path: str) -> SegmentPath | None:
    """Return what the path of a segment tells; None for what is no segment."""
    match = re.fullmatch(_SEGMENT, path)
    return None if match is None else SegmentPath(match[1], int(match[2]) / 1000)


def value_path(nonce: str, name: str) -> str:
    """Return the path of something of one run in the bucket of values.

    Args:
        nonce: The run's, 32 hexadecimal digits.
        name: What it is called there; may have folders of its own.

    >>> run_of_value(value_path("0123456789abcdef" * 2, "up/abc"))
    '0123456789abcdef0123456789abcdef'
    """
    return f"{nonce}/{name}"


def run_of_value(path: str) -> str | None:
    """Return the nonce of the run that a path in the bucket of values belongs to, None for none."""
    match = re.fullmatch(_VALUE, path)
    return None if match is None else match[1]
