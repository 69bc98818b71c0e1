"""README's and the docs' blocks of Python and every example run, on the embedded Hub."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks_of(document: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)


BLOCKS = blocks_of(README)
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(script: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env={**os.environ, "HFEXECUTOR_ENDPOINT": "local", **variables},
        cwd=script.parent,
        capture_output=True,
        text=True,
        timeout=400,  # many times what it takes, also beside other work
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param(BLOCKS, id="all in one script"),
        *(pytest.param([block], marks=pytest.mark.slow) for block in BLOCKS),
    ],
)
def test_the_python_blocks_of_the_readme_run(blocks, tmp_path):
    script = tmp_path / "block.py"
    script.write_text("\n".join(blocks))

    done = run(script)

    assert done.stdout
    assert done.stderr == ""


# What the other pages show runs page by page, on one Hub. What testing.md shows are tests, and the
# others need other libraries: tests/local/test_pytest_plugin.py and tests/integrations/ run these.
PAGES = {
    path.stem: blocks
    for path in sorted((ROOT / "docs").glob("*.md"))
    if path.stem not in {"testing", "joblib", "integrations"}
    and (blocks := blocks_of(path.read_text(encoding="utf-8")))
}
FIRST = {"getting-started"}  # what a new user reads; the others are slow, all of them together
# The one wants gigabytes and a GPU; with the other a page runs in tests/integrations/.
ELSEWHERE = re.compile(r"^ *from (transformers|sklearn)\b", re.MULTILINE)


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * (page not in FIRST)) for page in PAGES],
)
def test_the_python_blocks_of_a_page_run(page, hub, tmp_path):
    script = tmp_path / "page.py"
    script.write_text("\n".join(block for block in PAGES[page] if not ELSEWHERE.search(block)))

    done = run(script, HFEXECUTOR_ENDPOINT=hub.endpoint, HF_TOKEN=hub.token)

    assert done.stdout
    assert hub.running == 0


QUICK = {"failures.py"}  # of all others some blocks of the README show the like


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.name, marks=[pytest.mark.slow] * (path.name not in QUICK))
        for path in EXAMPLES
    ],
)
def test_an_example_runs(path):
    done = run(path)

    assert done.stdout
    assert "UNEXPECTED" not in done.stdout
