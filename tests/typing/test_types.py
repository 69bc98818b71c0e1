"""Types as users have them: mypy and pyright on examples, README's and the docs' blocks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Other examples, and the page about other libraries, have the types of these.
DOCUMENTS = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.stem != "integrations"),
]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Return a folder of everything that is to be checked, away from this checkout."""
    folder = tmp_path_factory.mktemp("typed")
    for path in [HERE / "usage.py", *EXAMPLES]:
        shutil.copy(path, folder)
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        for number, block in enumerate(blocks):
            (folder / f"{document.stem.lower()}_{number}.py").write_text(block, encoding="utf-8")
    return folder


def check(folder: Path, *command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_blocks_of_the_readme_are_among_what_is_checked(files):
    assert "as_completed(futures)" in (files / "readme_1.py").read_text()
    assert len(list(files.glob("*.py"))) > 1 + len(EXAMPLES)


@pytest.mark.slow
def test_mypy_finds_nothing(files):
    names = [path.name for path in sorted(files.glob("*.py"))]
    options = ["--check-untyped-defs", "--warn-unused-ignores", "--ignore-missing-imports"]
    cache = ["--cache-dir", str(ROOT / ".mypy_cache")]  # what mypy itself keeps there anyway

    check(files, "mypy", "--config-file", "", *options, *cache, *names)


@pytest.mark.slow
def test_pyright_finds_nothing(files):
    """By its twin that comes with Node from the package index: pyright's own downloads that."""
    settings = {
        "typeCheckingMode": "standard",
        "reportUnnecessaryTypeIgnoreComment": "error",
        "reportMissingImports": "none",  # examples use packages that nobody needs to have here
    }
    (files / "pyrightconfig.json").write_text(json.dumps(settings))

    check(files, "basedpyright", "--pythonpath", sys.executable)
