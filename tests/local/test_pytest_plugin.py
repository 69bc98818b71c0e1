"""The plugin of pytest: what docs/testing.md shows, and what it costs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

DOCUMENT = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


def run(folder, *arguments):
    command = [sys.executable, "-m", "pytest", "-p", "hfexecutor_pytest", "--strict-markers"]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", "-W", "error", *arguments],
        cwd=folder,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_examples_of_its_document_pass(tmp_path):
    for number, block in enumerate(blocks("python")):
        (tmp_path / f"test_block_{number}.py").write_text(block)

    done = run(tmp_path)

    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_it_costs_nothing_where_nobody_asks_for_it(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import sys\n\n\ndef test_it():\n    assert 'hfexecutor_pytest' in sys.modules\n"
        "    assert 'hfexecutor' not in sys.modules\n"
    )

    done = run(tmp_path)

    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow  # two runs of pytest for three lines
def test_its_fixtures_and_marks_are_listed(tmp_path):
    fixtures, marks = run(tmp_path, "--fixtures"), run(tmp_path, "--markers")

    assert "local_hub [session scope]" in fixtures.stdout
    assert "hub_executor --" in fixtures.stdout
    assert "@pytest.mark.hub_executor(**options):" in marks.stdout


@pytest.mark.slow  # a run of pytest for one message
def test_options_without_a_name_are_refused(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\n\n@pytest.mark.hub_executor(4)\ndef test_it(hub_executor):\n    pass\n"
    )

    done = run(tmp_path)

    assert "has its options by name, like hub_executor(max_workers=4)" in done.stdout
    assert done.returncode != 0


def test_the_workflow_is_one():
    (text,) = blocks("yaml")
    workflow = yaml.safe_load(text)

    (job,) = workflow["jobs"].values()
    steps = job["steps"]
    assert all("uses" in step or "run" in step for step in steps)
    (script,) = [step for step in steps if step.get("env")]
    assert script["env"] == {"HFEXECUTOR_ENDPOINT": "local"}
