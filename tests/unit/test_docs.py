"""What is written must be true: README's blocks and every example run, links lead somewhere."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import hfexecutor

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
DRY_RUN = {"HFEXECUTOR_ENDPOINT": "local"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def run(script: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env={**os.environ, **environment},
        cwd=script.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_a_python_block_of_the_readme_runs(number, tmp_path):
    script = tmp_path / "block.py"
    script.write_text(blocks("python")[number])

    done = run(script, **DRY_RUN)

    assert done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(path):
    done = run(path, **DRY_RUN)

    assert done.stdout
    assert "UNEXPECTED" not in done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_readme_names_every_example(path):
    assert f"(examples/{path.name})" in README


def test_the_first_bash_blocks_are_one_command_each():
    main_job, tests = blocks("bash")[:2]

    for block in (main_job, tests):
        assert block.count("\n") == 1
        assert ";" not in block
    assert shlex.split(main_job)[-1] == "examples/quickstart.py"
    assert "pytest" in tests


def test_the_table_of_options_is_complete():
    documented = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\|([^|]+)\|", README, re.MULTILINE)))
    parameters = inspect.signature(hfexecutor.HubExecutor).parameters
    options = [name for name in parameters if name != "self"]

    assert [name for name in options if name not in documented] == []
    table = README.split("## Options")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert [name for name in named if name not in options] == []


def test_the_defaults_of_the_options_are_true():
    table = README.split("## Options")[1].split("\n## ")[0]
    parameters = inspect.signature(hfexecutor.HubExecutor).parameters
    for names, defaults in re.findall(r"^\| (`[^|]+) \| (`[^|]+) \|", table, re.MULTILINE):
        found = re.findall(r"`([^`]+)`", names)
        shown = re.findall(r"`([^`]+)`", defaults)
        for name, default in zip(found, shown, strict=True):
            assert parameters[name].default == eval(default), name


def test_every_error_is_documented():
    public = {
        name
        for name in hfexecutor.__all__
        if inspect.isclass(value := getattr(hfexecutor, name)) and issubclass(value, Exception)
    }

    assert {name for name in public if f"`{name}`" not in README} == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_project_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8"))
    inner = [link for link in links if "://" not in link]

    assert [link for link in inner if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_paths_that_are_named_exist(path):
    """Words in backticks that look like a path of the project have to be one."""
    words = re.findall(
        r"`((?:hfexecutor|tests|docs|examples|benchmarks)/[\w./]*)`", path.read_text()
    )

    assert [word for word in words if not (ROOT / word).exists()] == []


def test_the_changelog_knows_the_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert f"\n## {hfexecutor.__version__}" in changelog


def test_the_design_names_every_module():
    design = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    package = Path(hfexecutor.__file__).parent
    modules = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    folders = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").exists()}

    assert [name for name in sorted(modules | folders) if name not in design] == []
