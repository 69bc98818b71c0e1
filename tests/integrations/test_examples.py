"""The examples with other libraries run, with all that jobs need installed into them by uv."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "integrations"
# What the slow examples need besides, which is installed into their jobs.
PACKAGES = {
    "adaptive_sampling": [],
    "tqdm_progress": [],
    "dask_scheduler": ["dask"],
    "datasets_shards": [],
    "nevergrad_minimize": [],
    "optuna_study": [],
    "pipefunc_pipeline": ["pipefunc"],
    "scikit_learn": ["joblib", "scikit-learn"],
    "scipy_differential_evolution": ["scipy"],
}


def run(path, **variables):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        env={**os.environ, "HFEXECUTOR_ENDPOINT": "local", **variables},
        capture_output=True,
        text=True,
        timeout=400,  # many times what it takes, also beside other work
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "packages", "printed"),
    [
        ("getting-started", ["joblib", "scikit-learn"], "'gamma'"),
        ("joblib", ["joblib"], "9801"),
        ("integrations", ["dask", "pipefunc", "scipy", "xarray"], "[1 4 9]"),
    ],
)
def test_the_blocks_of_a_page_run(page, packages, printed, offline, tmp_path):
    text = (EXAMPLES.parents[1] / "docs" / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    script = tmp_path / "blocks.py"
    script.write_text("\n".join(blocks))

    assert printed in run(script, **offline(*packages))


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
