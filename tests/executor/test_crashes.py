"""A thousand calls whose processes exit, crash and are killed, as benchmarks/soak.py has them.

Each call ends with its own outcome, and no job is started beyond one for each worker. Each run
draws its own seed, which the report of a failure shows; HFEXECUTOR_SOAK_SEED repeats it.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"
LIMIT = 150.0  # seconds, of which a few are needed


@pytest.mark.slow
def test_every_call_has_its_own_end_however_violent_and_the_jobs_go_on() -> None:
    seed = os.environ.get("HFEXECUTOR_SOAK_SEED") or str(random.randrange(1 << 32))
    ran = subprocess.run(
        [sys.executable, SOAK, "--crashes", "--calls", "1000", "--seeds", seed, "--deadline", "60"],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    print(ran.stdout, ran.stderr, sep="\n")
    assert ran.returncode == 0, f"HFEXECUTOR_SOAK_SEED={seed}"
    zeros = "lost 0  wrong 0  doubled 0  overrun 0  jobs_left 0  extra_jobs 0  retried 0"
    assert zeros in ran.stdout
