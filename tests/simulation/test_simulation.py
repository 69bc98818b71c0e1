"""A minute of the simulation: the fixed seeds, and new ones from a seed that is printed."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

import hfexecutor

from . import mutants
from .paths import FIXED, FOUND, PATHS
from .plan import Plan
from .run import Report, run
from .shrink import command

FEW_CALLS = 100  # half of the fixed seeds, in a tenth of their time, on all but a few paths
MOST_CALLS = 20_000  # larger ones take longer than there is time here: python -m tests.simulation
PARTS = 8  # of the larger ones, of a few seconds each
SECONDS = float(os.environ.get("SIMULATION_SECONDS", "15"))


def seed_of_this_tree() -> int:
    """Return a seed that each change of the code changes, so that a failure is its own."""
    digest = hashlib.sha256()
    for folder in (Path(hfexecutor.__file__).parent, Path(__file__).parent):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:4])


def failure(report: Report) -> str:
    """Say what went wrong, and how to repeat it."""
    return f"{report}\nrepeat it: {command(report.plan, report.check)}"


def test_what_was_found_stays_mended() -> None:
    for plan in FOUND.values():
        report = run(plan)
        assert report.ok, failure(report)


def test_the_small_ones_of_the_fixed_seeds_end_rightly() -> None:
    for plan in FIXED[len(FOUND) :]:
        if plan.calls <= FEW_CALLS:
            report = run(plan)
            assert report.ok, failure(report)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_the_larger_ones_of_the_fixed_seeds_end_rightly(part: int) -> None:
    """In parts: no test may take minutes, on any machine."""
    for plan in [plan for plan in FIXED if plan.calls > FEW_CALLS][part::PARTS]:
        report = run(plan)
        assert report.ok, failure(report)


@pytest.mark.slow
def test_the_fixed_seeds_take_every_path() -> None:
    """The small ones first: they take all but a few, and the rest need not be run again here."""
    missing = set(PATHS)
    for plan in sorted(FIXED, key=lambda plan: plan.calls):
        missing -= set(run(plan).reached)
        if not missing:
            break
    assert missing == set()


def test_new_seeds_end_rightly() -> None:
    first = int(os.environ.get("SIMULATION_SEED") or seed_of_this_tree())
    print(f"SIMULATION_SEED={first}")
    deadline, seed = time.monotonic() + SECONDS, first
    while time.monotonic() < deadline:
        plan = Plan.of(seed)
        if plan.calls <= MOST_CALLS:
            report = run(plan)
            assert report.ok, failure(report)
        seed += 1


def test_the_same_seed_does_the_same_again() -> None:
    for seed in (3, 54, 81):
        reports = [run(Plan.of(seed)) for _ in range(2)]
        one, two = ((r.events, r.virtual, r.requests, r.ends, r.reached) for r in reports)
        assert one == two


def test_every_mutant_has_its_place() -> None:
    """To find them all takes minutes (tests/simulation/mutants.py): here, that they can be put."""
    texts = mutants.sources(mutants.ROOT / "hfexecutor")
    assert len(texts) > len({mutants.place(texts, mutant) for mutant in mutants.MUTANTS}) > 10
