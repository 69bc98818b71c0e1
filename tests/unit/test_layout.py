"""The folders are the architecture: which module may import which, how large, what is public."""

from __future__ import annotations

import ast
import functools
import graphlib
import importlib.util
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from hfexecutor.payload import package

PACKAGE = Path(importlib.util.find_spec("hfexecutor").origin).parent
REMOTE = "hfexecutor.remote"
# In the middle: what decides and translates, so that a test needs no clock, socket or process.
PURE = [
    "hfexecutor.core",
    "hfexecutor.rich_display",
    *(
        f"hfexecutor.remote.{name}"
        for name in (
            "effects", "entries", "exceptions", "frames", "http_parser", "listeners", "log",
            "machine", "messages", "orders", "outcomes", "output", "plain", "pool", "schedule",
            "seals", "slot", "unacknowledged",
        )
    ),
]  # fmt: skip
IMPURE = {
    "asyncio",
    "datetime",
    "http",
    "httpx",
    "multiprocessing",
    "os",
    "random",
    "secrets",
    "select",
    "selectors",
    "signal",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "uuid",
}


class Import(NamedTuple):
    """One import statement, wherever in the module it stands."""

    target: str  # absolute
    lazy: bool  # within a function
    typing: bool  # for the type checker alone


class Reader(ast.NodeVisitor):
    """Collects the imports of one module."""

    def __init__(self, name: str, *, package: bool) -> None:
        self.imports: list[Import] = []
        self._parents = name.split(".") if package else name.split(".")[:-1]
        self._lazy = self._typing = False

    def generic_visit(self, node: ast.AST) -> None:
        """Go through statements alone: there are far more expressions, and none imports."""
        for part in ("body", "handlers", "orelse", "finalbody", "cases"):
            for statement in getattr(node, part, ()):
                self.visit(statement)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.imports.append(Import(alias.name, self._lazy, self._typing))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self._parents[: len(self._parents) - node.level + 1] if node.level else []
        origin = ".".join([*base, *([node.module] if node.module else [])])
        for alias in node.names:
            full = f"{origin}.{alias.name}"
            target = full if full in MODULES else origin
            self.imports.append(Import(target, self._lazy, self._typing))

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        before, self._lazy = self._lazy, True
        self.generic_visit(node)
        self._lazy = before

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 (the name is ast's)

    def visit_If(self, node: ast.If) -> None:
        before = self._typing
        self._typing = before or "TYPE_CHECKING" in ast.unparse(node.test)
        self.generic_visit(node)
        self._typing = before


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def read(name: str) -> list[Import]:
    path = MODULES[name]
    reader = Reader(name, package=path.name == "__init__.py")
    reader.visit(ast.parse(path.read_text(encoding="utf-8")))
    return reader.imports


@functools.cache
def imports() -> dict[str, list[Import]]:
    """Return what each module imports, read when it is first asked for: not by all who collect."""
    return {name: read(name) for name in MODULES}


def within(name: str, area: str) -> bool:
    return name == area or name.startswith(f"{area}.")


def in_area(area: str) -> list[str]:
    return [name for name in MODULES if within(name, area)]


def importers_of(area: str) -> set[str]:
    """Return the modules outside the area that import something of it to use it."""
    return {
        name
        for name, found in imports().items()
        for one in found
        if within(one.target, area) and not within(name, area) and not one.typing
    }


def ours(name: str) -> set[str]:
    return {one.target for one in imports()[name] if within(one.target, "hfexecutor")}


def test_the_reader_sees_every_form_of_import():
    reader = Reader("hfexecutor.hub.client", package=False)
    reader.visit(
        ast.parse(
            "import a.b\nfrom . import models\nfrom ..errors import HubError\n"
            "if TYPE_CHECKING:\n    import c\ndef f():\n    from d import e\n"
        )
    )

    assert [one.target.split(".")[0] for one in reader.imports] == ["a", *["hfexecutor"] * 2, *"cd"]
    assert reader.imports[2].target == "hfexecutor.errors"
    assert [one.typing for one in reader.imports] == [False, False, False, True, False]
    assert [one.lazy for one in reader.imports] == [False, False, False, False, True]


def test_what_travels_imports_the_standard_library_and_cloudpickle_alone():
    strangers = {
        (name, one.target)
        for name in in_area("hfexecutor.remote")
        for one in imports()[name]
        if not within(one.target, "hfexecutor.remote")
        and one.target.split(".")[0] not in {*sys.stdlib_module_names, "cloudpickle"}
    }

    assert strangers == set()


def test_what_travels_names_itself_relatively():
    """In a job the package has another name."""
    absolute = {
        name
        for name in in_area("hfexecutor.remote")
        for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and not node.level and "hfexecutor" in node.module
    }

    assert absolute == set()


def test_what_says_that_a_job_has_another_python_travels_as_sources():
    """Compiled code is of one Python: a module that these import has to be among them."""
    needed, open_ = set(), {"hfexecutor.remote.refusal"}
    while open_:
        name = open_.pop()
        needed.add(name)
        open_ |= {
            one.target
            for one in imports()[name]
            if within(one.target, REMOTE) and not one.typing and not one.lazy
        } - needed

    sent = {name.replace(package._NAME_THERE, REMOTE) for name in package._FOR_REFUSAL}
    assert needed - {REMOTE} <= sent


def test_the_embedded_hub_is_an_island():
    foreign = {
        (name, target)
        for name in in_area("hfexecutor.local")
        for target in ours(name)
        if not within(target, "hfexecutor.local")
    }

    assert foreign == set()


def test_the_embedded_hub_is_only_loaded_when_it_is_wanted():
    """It needs an extra; whoever uses the real Hub must be able to do without."""
    eager = {
        name
        for name in MODULES
        if not within(name, "hfexecutor.local")
        for one in imports()[name]
        if within(one.target, "hfexecutor.local") and not one.lazy and not one.typing
    }

    assert eager == set()


def test_only_the_entrances_import_the_executor():
    entrances = {"hfexecutor", *in_area("hfexecutor.cli"), *in_area("hfexecutor.integrations")}

    assert importers_of("hfexecutor.executor") <= entrances


def test_what_acts_is_known_to_what_users_see_alone():
    names = ("attached", "executor", "lifecycle", "logged_calls", "runs", "stats")
    allowed = {*(f"hfexecutor.{name}" for name in names), *in_area("hfexecutor.cli")}

    assert importers_of("hfexecutor.runtime") <= allowed


def test_the_core_knows_nobody_but_the_errors_and_what_is_said():
    said = ("hfexecutor.remote.entries", "hfexecutor.remote.outcomes")
    allowed = ("hfexecutor.core", "hfexecutor.errors", *said)
    foreign = {
        (name, target)
        for name in in_area("hfexecutor.core")
        for target in ours(name)
        if not any(within(target, area) for area in allowed)
    }

    assert foreign == set()


def test_what_talks_to_a_hub_knows_nothing_of_calls_and_workers():
    allowed = ("hfexecutor.hub", "hfexecutor.errors", "hfexecutor.loading", "hfexecutor.remote")
    foreign = {
        (name, target)
        for name in in_area("hfexecutor.hub")
        for target in ours(name)
        if not any(within(target, area) for area in allowed)
    }

    assert foreign == set()


def test_the_errors_import_nothing_of_ours():
    assert ours("hfexecutor.errors") == set()


def test_nothing_imports_in_a_circle():
    """Neither lazily, nor for the type checker: what needs each other's names is one thing."""
    graph = {
        name: {one.target for one in found if one.target in MODULES} - {name}
        for name, found in imports().items()
    }

    list(graphlib.TopologicalSorter(graph).static_order())


def is_type(one: Import) -> bool:
    """The name of what is handed in: a generator of chance is no source of it."""
    return one.typing and one.target == "random"


@pytest.mark.parametrize("area", PURE)
def test_the_middle_does_no_input_or_output(area):
    targets = {
        (name, one.target.split(".")[0])
        for name in in_area(area)
        for one in imports()[name]
        if not is_type(one)
    }

    assert in_area(area)
    assert {(name, target) for name, target in targets if target in IMPURE} == set()


def public_names(name: str) -> list[str] | None:
    for node in ast.parse(MODULES[name].read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return None


def test_every_public_name_of_the_package_exists():
    import hfexecutor

    names = public_names("hfexecutor")

    assert names
    assert [name for name in names if not hasattr(hfexecutor, name)] == []


def test_the_package_is_typed():
    assert (PACKAGE / "py.typed").is_file()
