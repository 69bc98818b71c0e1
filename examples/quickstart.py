"""How branchy and how well documented is Python's standard library? Counted in parallel jobs.

The sources of the library that runs this script are cut into shards. Each shard travels to a job,
is parsed there with `ast`, and its counts come back; then they are checked against the same count
made right here. Runs on the embedded Hub: no account, no network, no cost.

    python examples/quickstart.py

On the real Hub, with your token:  HFEXECUTOR_ENDPOINT=https://huggingface.co python …
"""

from __future__ import annotations

import ast
import heapq
import os
import sys
import sysconfig
import time
import zlib
from collections import Counter
from pathlib import Path

from hfexecutor import HubExecutor, as_completed

SHARDS = 16
NOT_COUNTED = {"site-packages", "test", "tests", "idlelib", "pydoc_data", "__pycache__"}
BRANCHES = (ast.If, ast.IfExp, ast.For, ast.While, ast.ExceptHandler, ast.BoolOp, ast.match_case)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

Shard = dict[str, bytes]  # file -> its source, compressed
Counts = dict[str, Counter[str]]  # package -> what was counted


def count(shard: Shard) -> Counts:
    """Count functions, branches and docstrings of each package: this is what runs in the jobs."""
    counts: Counts = {}
    for name, source in shard.items():
        text = zlib.decompress(source)
        counter = counts.setdefault(name.split("/")[0].removesuffix(".py"), Counter())
        counter["lines"] += text.count(b"\n")
        for node in ast.walk(ast.parse(text)):
            counter["branches"] += isinstance(node, BRANCHES)
            if isinstance(node, FUNCTIONS):
                counter["functions"] += 1
                if not node.name.startswith("_"):
                    counter["public"] += 1
                    counter["documented"] += ast.get_docstring(node) is not None
    return counts


def standard_library() -> list[Shard]:
    """Cut the library's sources into shards of about the same size."""
    root = Path(sysconfig.get_path("stdlib"))
    files = [p.relative_to(root) for p in root.rglob("*.py")]
    files = sorted(p for p in files if not NOT_COUNTED.intersection(p.parts))
    lightest: list[tuple[int, int, Shard]] = [(0, number, {}) for number in range(SHARDS)]
    for path in files:
        source = (root / path).read_bytes()
        size, number, shard = heapq.heappop(lightest)
        shard[path.as_posix()] = zlib.compress(source, level=1)
        heapq.heappush(lightest, (size + len(source), number, shard))
    return [shard for _, _, shard in lightest]


def add_up(parts: list[Counts]) -> Counts:
    """Add the counts of all shards."""
    total: Counts = {}
    for part in parts:
        for package, counter in part.items():
            total.setdefault(package, Counter()).update(counter)
    return total


def show(counts: Counts) -> None:
    """Print the packages with the most lines, and the sum of all."""
    everything: Counter[str] = sum(counts.values(), Counter())
    largest = sorted(counts, key=lambda package: -counts[package]["lines"])[:10]
    print(f"\n{'package':<16}{'lines':>9}{'functions':>11}{'branches':>10}{'documented':>12}")
    rows = [(package, counts[package]) for package in largest]
    for package, c in [*rows, (f"all {len(counts)}", everything)]:
        documented = f"{c['documented'] / c['public']:.0%}" if c["public"] else "-"
        print(
            f"{package:<16}{c['lines']:>9,}{c['functions']:>11,}"
            f"{c['branches']:>10,}{documented:>12}"
        )


def main() -> int:
    shards = standard_library()
    endpoint = os.environ.get("HFEXECUTOR_ENDPOINT", "local")
    print(f"{sum(map(len, shards))} files in {len(shards)} shards, endpoint {endpoint}")

    started = time.perf_counter()
    with HubExecutor(max_workers=4, endpoint=endpoint) as executor:
        futures = {executor.submit(count, shard): shard for shard in shards}
        for done, future in enumerate(as_completed(futures), start=1):
            seconds = time.perf_counter() - started
            files = len(futures[future])
            print(
                f"  {done:>2}/{len(shards)}  {files} files in job {future.job_id}  {seconds:.1f} s"
            )
        counts = add_up([future.result() for future in futures])
        print(executor)
    show(counts)

    if counts != add_up([count(shard) for shard in shards]):
        print("\nThe jobs' counts DIFFER from those made here.", file=sys.stderr)
        return 1
    print("\nChecked: the same count made here gives the same numbers.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
