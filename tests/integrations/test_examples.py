"""The examples with other libraries run, with all that jobs need installed into them by uv."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "integrations"
# What the examples need besides; those that need something are slow, as it is installed.
PACKAGES = {
    "dask_scheduler": ["dask"],
    "scikit_learn": ["joblib", "scikit-learn"],
    "scipy_differential_evolution": ["scipy"],
}


def run(path, **variables):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        env={**os.environ, "HFEXECUTOR_ENDPOINT": "local", **variables},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_block_of_the_page_on_joblib_runs(offline, tmp_path):
    page = (EXAMPLES.parents[1] / "docs" / "joblib.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    script = tmp_path / "block.py"
    script.write_text(block)

    assert "9801" in run(script, **offline("joblib"))


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.name, marks=[pytest.mark.slow] * (path.stem in PACKAGES))
        for path in sorted(EXAMPLES.glob("*.py"))
    ],
)
def test_an_example_runs(path, offline):
    printed = run(path, **offline(*PACKAGES.get(path.stem, ())))

    assert printed
    assert "UNEXPECTED" not in printed


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 40


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_the_readme_names_it(path):
    readme = (EXAMPLES.parents[1] / "README.md").read_text(encoding="utf-8")

    assert f"(examples/integrations/{path.name})" in readme
