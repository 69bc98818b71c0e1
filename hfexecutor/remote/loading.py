"""Import the travelling package out of memory: nothing is left on a disk, whatever ends the job.

This module is executed by hand, before there is any package.
"""

from __future__ import annotations

import gc
import marshal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType

PACKAGE = "hfexecutor_remote"


class Modules:
    """Find and load modules whose marshalled code is in a dict, for ``sys.meta_path``.

    A package is listed as ``name/``, a module as ``name``.
    """

    def __init__(self, codes: dict[str, bytes]) -> None:
        self._codes = codes

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of ours, None for any other."""
        del path, target
        package = name + "/" in self._codes
        if not package and name not in self._codes:
            return None
        spec_type: type[ModuleSpec] = type(sys.__spec__)  # importlib.machinery takes long
        return spec_type(name, self, origin=f"<{name}>", is_package=package)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave the making of the module to Python."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code."""
        exec(self.get_code(module.__name__), module.__dict__)  # noqa: S102 - it is what loaders do

    def get_code(self, name: str) -> CodeType:
        """Return a module's code."""
        data = self._codes.get(name) or self._codes[name + "/"]
        code: CodeType = marshal.loads(data)  # noqa: S302 - written by our own bootstrap
        return code


def install(codes: dict[str, bytes]) -> None:
    """Make the modules importable, before any other of their name."""
    sys.meta_path.insert(0, Modules(codes))


def start(codes: dict[str, bytes], launch: dict[str, bytearray]) -> None:
    """Run the supervisor. It takes key and message out of `launch`, so that nobody keeps them."""
    # What is made until the supervisor runs stays for good: to look for garbage in it would cost a
    # start 1 ms, and each child copies of pages.
    gc.disable()
    install(codes)
    del sys.argv[1:]
    if sys.path[:1] == [""]:  # nothing in the working directory may pass for a module of Python's
        del sys.path[0]
    name = PACKAGE + ".supervisor"
    __import__(name)
    sys.modules[name].main(launch)
