"""What is written must be true: tables, names, links. tests/executor/test_examples.py runs code."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import hfexecutor
from hfexecutor import mapping, submitting
from hfexecutor.options import Options

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


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


def test_signature_and_fields_of_the_options_agree():
    """The signature is written out for editors and help(); what it says must be what is checked."""
    parameters = inspect.signature(hfexecutor.HubExecutor).parameters
    where = {"endpoint", "namespace", "token", "door_token"}  # whom to talk to, and as whom
    said = {name: one.default for name, one in parameters.items() if name not in where}

    assert said == Options.defaults()
    assert {parameters[name].default for name in where} == {None}
    kinds = [one.kind for one in parameters.values()]
    assert set(kinds[1:]) == {inspect.Parameter.KEYWORD_ONLY}
    documented = re.findall(r"^ +(\w+): [A-Z]", hfexecutor.HubExecutor.__doc__, re.MULTILINE)
    assert [name for name in documented if name in parameters] == list(parameters)


@pytest.mark.parametrize("name", ["map", "starmap", "amap"])
def test_overloads_and_signature_of_a_map_agree(name):
    parameters = inspect.signature(getattr(hfexecutor.HubExecutor, name)).parameters
    options = {one.name for one in parameters.values() if one.kind is one.KEYWORD_ONLY}

    assert options == {*mapping._Options.__annotations__, "return_exceptions", "keep"}


def test_overloads_of_views_and_what_they_take_agree():
    parameters = inspect.signature(hfexecutor.HubExecutor.with_options).parameters
    options = {one.name for one in parameters.values() if one.kind is one.KEYWORD_ONLY}
    assert options == {*submitting._CallOptions.__annotations__, "keep"}
    of_calls = {one.name for one in Options._given() if one.metadata["of_calls"]}
    assert options == of_calls

    maps = {*mapping._Options.__annotations__, "keep"} - {"chunksize", "resume"}
    assert maps == {*submitting._RemoteMapOptions.__annotations__}


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


def test_the_site_has_every_page():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    named = re.findall(r"^(?:\w+ <)?([a-z][a-z-]*)>?$", index, re.MULTILINE)

    assert sorted(named) == sorted({path.stem for path in DOCS.glob("*.md")} - {"index"})


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("sphinx", "myst_parser", "furo"))),
    reason="the extra docs is not installed",
)
def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", "doctrees"]
    done = subprocess.run(
        [*command, str(DOCS), "site"],
        cwd=tmp_path,  # and not where the package may be found as a folder
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "site" / "reference.html").read_text(encoding="utf-8")
    assert 'id="hfexecutor.HubExecutor.submit"' in page


def texts_of_the_package() -> list[str]:
    """Return all texts that the code has, but for docstrings, with an ellipsis for what differs."""
    texts: list[str] = []
    for path in Path(hfexecutor.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr):  # comes before its value
                docstrings.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [getattr(part, "value", "") for part in node.values]
                texts.append("".join(part if isinstance(part, str) else "…" for part in parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts += [node.value] * (node not in docstrings)
    return texts


def test_messages_that_are_explained_are_the_codes():
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    messages = re.findall(r"^### `(.+)`$", page, re.MULTILINE)
    texts = "\n\0".join(texts_of_the_package())
    patterns = {said: "[^\0]+?".join(map(re.escape, said.split("…"))) for said in messages}

    assert len(messages) > 30
    assert [said for said, pattern in patterns.items() if not re.search(pattern, texts)] == []


def test_every_error_has_an_advice():
    failures = (DOCS / "failures.md").read_text(encoding="utf-8")
    rows = " ".join(re.findall(r"^\| (`.+?) \|", failures, re.MULTILINE))
    public = [getattr(hfexecutor, name) for name in hfexecutor.__all__]
    errors = [one for one in public if inspect.isclass(one) and issubclass(one, Exception)]
    raised = {error.__name__ for error in errors if not (set(error.__subclasses__()) & set(errors))}

    assert {name for name in raised if f"`{name}`" not in rows} == set()
