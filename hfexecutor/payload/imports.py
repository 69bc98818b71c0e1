"""What a call will import: read from its pickle, from code that travels in it, and from sources.

A pickle names what goes by reference (a function of an installed package, the class of an object).
What travels by value is code, and its ``import`` statements name the rest. Both are read without
importing or running anything: the pickle is loaded with an unpickler that makes no object, so no
constructor, ``__setstate__`` or reducer of anybody's runs.
"""

from __future__ import annotations

import ast
import dis
import functools
import importlib.util
import io
import itertools
import logging
import marshal
import os
import pickle
import threading
import types
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Import", "code_imports", "names_anything", "pickled_imports", "source_imports"]

logger = logging.getLogger("hfexecutor")

_BY_REFERENCE = pickle.STACK_GLOBAL  # how protocol 4 and later name a function or class
_IMPORT_NAME: Final = dis.opmap["IMPORT_NAME"]
_IMPORTERS: Final = frozenset({"import_module", "__import__"})
_KNOWN_CODES: Final = 4096  # code objects whose imports are remembered


class Import(NamedTuple):
    """One thing that is imported.

    Attributes:
        module: its absolute, dotted name.
        name: what is taken from it: an attribute, or a module of that name within it. Empty for
            the module alone.
    """

    module: str
    name: str = ""


def names_anything(data: bytes | bytearray | memoryview) -> bool:
    """Say whether a pickle may import anything: one pass of memchr."""
    return isinstance(data, memoryview) or _BY_REFERENCE in data


def pickled_imports(*pickles: bytes | bytearray | memoryview) -> frozenset[Import]:
    """Return what will be imported when these pickles are loaded and what is in them is called."""
    found: set[Import] = set()
    for data in pickles:
        if not names_anything(data):
            continue
        reader = _Reader(data)
        try:
            reader.load()
        except Exception:  # we wrote it, but with the reducers of any library: a call must not
            # fail for what was only a look at it. What was seen until then counts.
            logger.debug("a pickle could not be read to its end", exc_info=True)
        found |= reader.found
    return frozenset(found)


# --- pickles ------------------------------------------------------------------------------------


class _Nothing(type):
    """The class of a class that takes whatever an unpickler does to an object, and stays itself."""

    def __call__(cls, *_args: Any, **_kwargs: Any) -> Any:
        return cls

    def __setitem__(cls, key: Any, value: Any) -> None:
        return

    def __setstate__(cls, state: Any) -> None:
        return

    def append(cls, _item: Any) -> None:
        return

    def extend(cls, _items: Any) -> None:
        return

    def add(cls, _item: Any) -> None:
        return


class _Anything(metaclass=_Nothing):
    """Stands for every object of a pickle that is read; a class, because some have to be one."""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Any:
        return cls


class _Reader(pickle.Unpickler):
    """Goes through a pickle and notes what it names; makes nothing but plain values and code."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        super().__init__(io.BytesIO(data), buffers=itertools.repeat(b""))
        self.found: set[Import] = set()

    def find_class(self, module: str, name: str, /) -> Any:
        if module.startswith(("cloudpickle", "hfexecutor")):
            return getattr(self, f"_{name.strip('_')}", _Anything)
        if name == "CodeType" and module == "types":
            return self._code_type
        self.found.add(Import(module))
        return _Anything

    def persistent_load(self, pid: Any, /) -> Any:
        del pid
        return _Anything

    # What functions, code and modules are pickled with: cloudpickle's names, then our own. Code is
    # made, which runs nothing, to have its instructions; a function is not.

    def _subimport(self, name: str) -> Any:
        self.found.add(Import(name))
        return _Anything

    def _builtin_type(self, name: str) -> Any:
        return self._code_type if name == "CodeType" else _Anything

    def _code_type(self, *args: Any) -> types.CodeType:
        code = types.CodeType(*args)
        self.found |= code_imports(code)
        return code

    def _make_function(self, code: Any, base_globals: Any = None, *_rest: Any) -> Any:
        package = base_globals.get("__package__") if isinstance(base_globals, dict) else None
        if package and isinstance(code, types.CodeType):  # relative imports are known only now
            self.found |= code_imports(code, package)
        return _Anything

    def _code(self, data: Any) -> Any:
        code = marshal.loads(data) if isinstance(data, bytes) else data  # noqa: S302 - ours
        if isinstance(code, types.CodeType):
            self.found |= code_imports(code)
        return code

    def _shared(self, imports: Any, *_value: Any) -> Any:
        self.found.update(Import(*pair) for pair in imports)
        return _Anything

    _carried = _stored = _shared  # other handles, with the same in the first place

    def _function(self, _token: int, data: Any, _name: str, about: Any) -> Any:
        return self._make_function(self._code(data), about)


# --- code ---------------------------------------------------------------------------------------


@functools.lru_cache(_KNOWN_CODES)  # equal code objects are one, whichever pickle they came in
def code_imports(code: types.CodeType, package: str = "") -> frozenset[Import]:
    """Return what code imports when it is called, nested functions included.

    Args:
        code: the code object.
        package: the package that relative imports in it are relative to; empty for none.
    """
    found: set[Import] = set()
    if _IMPORT_NAME in code.co_code[::2] or not _IMPORTERS.isdisjoint(code.co_names):
        found.update(_instructions_imports(code, package))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= code_imports(constant, package)
    return frozenset(found)


def _instructions_imports(code: types.CodeType, package: str) -> Iterator[Import]:
    recent: list[Any] = [None, None]  # the operands before: a level, then the names to import
    importer = False
    for instruction in dis.get_instructions(code):
        if instruction.opcode == _IMPORT_NAME:
            level, names = recent
            yield from _statement(instruction.argval, names or (), level or 0, package)
        elif importer and isinstance(instruction.argval, str) and "CONST" in instruction.opname:
            yield from _by_function(instruction.argval, package)
        if "CONST" in instruction.opname or "SMALL_INT" in instruction.opname:
            recent = [recent[1], instruction.argval]
            importer = False
        elif instruction.argval in _IMPORTERS and isinstance(instruction.argval, str):
            importer = True


def _statement(module: str, names: Any, level: int, package: str) -> Iterator[Import]:
    """Yield what an import statement imports; nothing if it leads out of its package."""
    if level:
        absolute = _resolve("." * level + module, package)
        if absolute is None:
            return
        module = absolute
    yield Import(module)
    for name in names:
        if name != "*":
            yield Import(module, name)


def _by_function(name: str, package: str) -> Iterator[Import]:
    """Yield the module that ``import_module("name")`` imports."""
    absolute = _resolve(name, package) if name.startswith(".") else name
    if absolute and all(part.isidentifier() for part in absolute.split(".")):
        yield Import(absolute)


def _resolve(name: str, package: str) -> str | None:
    try:
        return importlib.util.resolve_name(name, package or None)
    except (ImportError, ValueError):
        return None


# --- sources ------------------------------------------------------------------------------------

# Python 3.11 and 3.12 count the depth of a tree once for all threads: if garbage is collected while
# one is made, and what runs then lets another thread make one, that is a SystemError.
_parsing = threading.RLock()
os.register_at_fork(
    before=_parsing.acquire, after_in_parent=_parsing.release, after_in_child=_parsing.release
)


def source_imports(source: bytes | str, package: str = "") -> frozenset[Import]:
    """Return what a module imports, in function bodies too; nothing if it is no Python.

    What stands below ``if TYPE_CHECKING`` or ``if __name__ == "__main__"`` is not run by who
    imports the module, and does not count.
    """
    try:
        with _parsing:
            tree = ast.parse(source)
    except (SyntaxError, ValueError):  # no Python 3, or a NUL: it cannot be imported here either
        return frozenset()
    reader = _SourceReader(package)
    reader.visit(tree)
    return frozenset(reader.found)


class _SourceReader(ast.NodeVisitor):
    def __init__(self, package: str) -> None:
        self.found: set[Import] = set()
        self._package = package

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.found.add(Import(alias.name))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        names = [alias.name for alias in node.names]
        self.found.update(_statement(node.module or "", names, node.level, self._package))

    def visit_If(self, node: ast.If) -> None:
        for statement in node.orelse if _never_imported(node.test) else (*node.body, *node.orelse):
            self.visit(statement)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        name = getattr(function, "attr", None) or getattr(function, "id", None)
        first = node.args[0] if node.args else None
        if name in _IMPORTERS and isinstance(first, ast.Constant) and isinstance(first.value, str):
            self.found.update(_by_function(first.value, self._package))
        self.generic_visit(node)


def _never_imported(test: ast.expr) -> bool:
    if isinstance(test, ast.Compare):  # if __name__ == "__main__"
        sides = (test.left, *test.comparators)
        return (
            isinstance(test.ops[0], ast.Eq)
            and any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
            and any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)
        )
    name = getattr(test, "attr", None) or getattr(test, "id", None)
    return name == "TYPE_CHECKING"
