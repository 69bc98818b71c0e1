"""What does it cost that a call's packages and modules travel with it?

In submit: the first call of a function, and each further one, with ``dependencies="auto"`` and with
``dependencies=None``, for a function of the standard library, one that uses an installed package,
and one of a local package. Then the seconds from submit to result on an embedded Hub: nothing
needed, a package that a job of before had as well, one that is new to a warm worker, a local
package of 1 MB, and a module that was edited.

    python benchmarks/environment.py [--package numpy] [--rounds 5]

The package has to be installed here, and uv has to find it: its index, or its cache.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import tempfile
import time
from pathlib import Path

from hfexecutor import HubExecutor
from hfexecutor.local import LocalHub
from hfexecutor.payload.calls import Pickler
from hfexecutor.payload.needs import NeedsFinder
from hfexecutor.payload.requirements import Dependencies

CALLS = 5000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", default="numpy")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, folder)
        local = write_package(Path(folder))
        package = importlib.import_module(options.package)
        functions = {
            "standard library": lambda x: x,
            f"imports {options.package}": lambda x: (package, x),
            "local package, 1 MB": local.call,
        }
        print("in submit, microseconds a call     first   then   then, None   difference")
        for name, function in functions.items():
            measure_submit(name, function)
        print("\nfrom submit to result, seconds (median of", options.rounds, "rounds)")
        measure_results(options.rounds, package, local, Path(folder))


def write_package(folder: Path):
    """Write a package of 1 MB in a hundred files, and a module."""
    (folder / "large").mkdir()
    body = "".join(f"def f{i}(x):\n    return x + {i} if x else {i} * x\n\n" for i in range(220))
    for i in range(100):
        (folder / "large" / f"part{i}.py").write_text(body)
    (folder / "large" / "__init__.py").write_text("def call(x):\n    return x\n")
    (folder / "edited.py").write_text("def call(x):\n    return x\n")
    importlib.invalidate_caches()
    return importlib.import_module("large")


def measure_submit(name, function) -> None:
    first, then = {}, {}
    for option in ("auto", None):
        finder = NeedsFinder(Dependencies.read(option))
        attach = finder.attached if option else lambda _function, _data: (0, ())
        pickler = Pickler(attach=attach)
        begun = time.perf_counter()
        pickler.freeze(function, (1,), {})
        first[option] = time.perf_counter() - begun
        pickler.freeze(function, (1,), {})  # from now on the function is known
        best = float("inf")
        for _ in range(5):
            begun = time.perf_counter()
            for _ in range(CALLS):
                pickler.freeze(function, (1,), {})
            best = min(best, (time.perf_counter() - begun) / CALLS)
        then[option] = best
    print(
        f"{name:<30} {first['auto'] * 1e6:>10,.0f} {then['auto'] * 1e6:>6.1f} "
        f"{then[None] * 1e6:>12.1f} {(then['auto'] - then[None]) * 1e6:>12.1f}"
    )


def measure_results(rounds: int, package, local, folder: Path) -> None:
    edited = importlib.import_module("edited")
    seconds: dict[str, list[float]] = {}

    def note(name: str, executor: HubExecutor, function) -> None:
        begun = time.perf_counter()
        executor.submit(function, 1).result()
        seconds.setdefault(name, []).append(time.perf_counter() - begun)

    with LocalHub() as hub:

        def executor() -> HubExecutor:
            return HubExecutor(1, endpoint=hub.endpoint, token=hub.token)

        for number in range(rounds):
            with executor() as pool:
                note("nothing needed, cold", pool, lambda x: x)
                note("nothing needed, warm", pool, lambda x: x + 1)
                note("a package new to a warm worker", pool, lambda x: package and x)
                note("the same package again", pool, lambda x: package and x + 1)
                note("a local package of 1 MB, warm", pool, local.call)
                note("a module, warm", pool, edited.call)
                source = f"def call(x):\n    return x + {number}  # {'edited ' * number}\n"
                (folder / "edited.py").write_text(source)
                importlib.reload(edited)
                note("the module edited", pool, edited.call)
            with executor() as pool:
                note("a cached package, cold", pool, lambda x: package and x)
    for name, values in seconds.items():
        print(f"{name:<34} {statistics.median(values):>7.3f}   (first {values[0]:.3f})")


if __name__ == "__main__":
    main()
