"""Where a module comes from: the standard library, a distribution, or code of the user's own.

Nothing is imported to find out: finders are asked, as the import system asks them, with the search
path of the parent. So a package is found that an editable install of any build backend provides,
and no ``__init__`` runs because of a question.

The rule is about files and not about metadata, which do not know most editable installs: what lies
neither in the standard library nor in a directory that packages are installed to is local code.
"""

from __future__ import annotations

import enum
import os
import sys
import sysconfig
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["Kind", "Place", "in_site_directory", "is_extension", "locate"]

# What travels with each call anyway, or stands for it there.
CARRIED = frozenset({"cloudpickle", "hfexecutor", "hfexecutor_remote"})
_SITE_DIRECTORIES = frozenset({"site-packages", "dist-packages"})
_NO_MODULES = frozenset({"__main__", "__mp_main__", ""})


class Kind(enum.Enum):
    """Who provides a module."""

    STANDARD = "standard"  # Python does, in the job too
    CARRIED = "carried"  # this library does, in each job
    FILE = "file"  # a file outside of the standard library does
    NAMESPACE = "namespace"  # a directory without __init__: only what is in it counts
    MEMORY = "memory"  # it was made by a program, and lies in no file
    MISSING = "missing"  # nobody does, here


class Place(NamedTuple):
    """Where a module is.

    Attributes:
        name: the module's dotted name.
        kind: who provides it.
        file: its source or binary; empty where there is none.
        directories: where its submodules are looked for; empty for a module that is no package.
    """

    name: str
    kind: Kind
    file: str = ""
    directories: tuple[str, ...] = ()

    @property
    def is_package(self) -> bool:
        """Whether it is a package with an ``__init__``."""
        return self.kind is Kind.FILE and bool(self.directories)

    @property
    def is_top(self) -> bool:
        """Whether it is in no package, and somebody could import it."""
        return "." not in self.name and self.name not in _NO_MODULES

    @property
    def root(self) -> str:
        """The directory on the search path that its dotted name is relative to."""
        directory = os.path.dirname(self.file)  # noqa: PTH120 - pathlib takes ten times as long
        depth = self.name.count(".") + bool(self.directories)
        for _ in range(depth):
            directory = os.path.dirname(directory)  # noqa: PTH120
        return directory


def locate(name: str) -> Place:
    """Return where the module `name` is, without importing it or its parents."""
    if name in _NO_MODULES:
        return Place(name, Kind.MEMORY)
    if name.partition(".")[0] in CARRIED:
        return Place(name, Kind.CARRIED)
    module = sys.modules.get(name)
    if module is not None:
        return _of_module(name, module)
    found = _find(name)
    if found is not None:
        return found
    return Place(name, Kind.STANDARD if _is_standard_name(name) else Kind.MISSING)


def is_extension(path: str) -> bool:
    """Say whether a file is machine code for one platform."""
    return path.endswith((*EXTENSION_SUFFIXES, ".so", ".pyd", ".dylib"))


def in_site_directory(path: str) -> bool:
    """Say whether a file lies where packages are installed to."""
    return not _SITE_DIRECTORIES.isdisjoint(PurePath(path).parts)


def _of_module(name: str, module: ModuleType) -> Place:
    spec = getattr(module, "__spec__", None)
    if spec is not None and (spec.origin or spec.submodule_search_locations is not None):
        return _of_spec(name, spec)
    file = getattr(module, "__file__", None)
    if isinstance(file, str) and os.path.isfile(file):  # noqa: PTH113
        return _of_file(name, file, getattr(module, "__path__", ()))
    if getattr(module, "__path__", None):
        return Place(name, Kind.NAMESPACE, "", tuple(map(str, module.__path__)))
    return _without_file(name)


def _find(name: str) -> Place | None:
    parent, _, last = name.rpartition(".")
    path: list[str] | None = None
    if parent:
        path = list(locate(parent).directories)
        if not path:
            return None
    # A module that Python has is asked of the search path alone, where a file of the user's may
    # hide it: other finders (setuptools' for distutils) import half a second's worth to answer.
    for finder in [PathFinder] if _is_standard_name(name) else sys.meta_path:
        find: Any = getattr(finder, "find_spec", None)
        try:
            spec: ModuleSpec | None = find(name, path) if find else None
        except KeyError:  # a namespace in one that is not imported: its path asks the parent
            directories = [os.path.join(entry, last) for entry in path or ()]  # noqa: PTH118
            return Place(name, Kind.NAMESPACE, "", tuple(filter(os.path.isdir, directories)))
        except (ImportError, AttributeError, ValueError, OSError):  # a finder of anybody's
            continue
        if spec is not None:
            return _of_spec(name, spec)
    return None


def _is_standard_name(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names


def _of_spec(name: str, spec: ModuleSpec) -> Place:
    locations: Any = spec.submodule_search_locations
    if spec.origin in {"built-in", "frozen"}:
        return Place(name, Kind.STANDARD)
    if spec.has_location and spec.origin:
        return _of_file(name, spec.origin, locations or ())
    if locations is not None:  # the iteration looks for portions anew
        return Place(name, Kind.NAMESPACE, "", tuple(map(str, locations)))
    return _without_file(name)


def _of_file(name: str, file: str, directories: Any) -> Place:
    file = os.path.abspath(file)  # noqa: PTH100
    if _is_standard(file):
        return Place(name, Kind.STANDARD)
    return Place(name, Kind.FILE, file, tuple(os.path.abspath(path) for path in directories))  # noqa: PTH100


def _without_file(name: str) -> Place:
    return Place(name, Kind.STANDARD if _is_standard_name(name) else Kind.MEMORY)


def _standard_directories() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    found = {paths.get("stdlib"), paths.get("platstdlib")}
    found.add(os.path.dirname(os.__file__))  # noqa: PTH120
    found |= {os.path.realpath(path) for path in found if path}
    return tuple(sorted(f"{path}{os.sep}" for path in found if path))


_STANDARD = _standard_directories()


def _is_standard(file: str) -> bool:
    return file.startswith(_STANDARD) and not in_site_directory(file)
