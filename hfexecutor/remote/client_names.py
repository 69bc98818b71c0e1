"""What ``import hfexecutor`` finds in a job: the client's errors, and names that say no when used.

A module whose functions are called often has the script's main part as well, and imports the
client's library for it. In a job that library is hardly ever needed, and not installed unless the
user says so: then this module stands for it, under its name.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

__all__ = ["install"]

_LIBRARY = "hfexecutor"
_ERRORS = f"{_LIBRARY}.errors"


def install() -> None:
    """Let the library be found, unless it is installed: this is asked last."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


class _Finder:
    """Finds the library and everything in it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of the library, None for any other."""
        del path, target
        if name.partition(".")[0] != _LIBRARY:
            return None
        spec_type: type[ModuleSpec] = type(sys.__spec__)
        return spec_type(name, self, origin=f"<{name}>", is_package=name != _ERRORS)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave the making of the module to Python."""

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its names: the errors are what they are, the rest is made when asked."""
        if module.__name__ == _ERRORS:
            package: Any = sys.modules[__package__ or ""]
            exec(package.__spec__.loader.get_code(f"{__package__}.client_errors"), vars(module))  # noqa: S102
        else:
            vars(module)["__getattr__"] = lambda name: _name_of(module, name)


def _name_of(module: ModuleType, name: str) -> Any:
    if name.startswith("__"):  # the import system asks for those, and can do without
        raise AttributeError(name)
    __import__(_ERRORS)
    found = getattr(sys.modules[_ERRORS], name, None)
    if found is None:
        found = type(name, (_OfTheClient,), {"__module__": module.__name__})
    setattr(module, name, found)
    return found


class _OfTheClient:
    """A class that cannot be used in a job."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        name = type(self).__name__
        raise RuntimeError(
            f"{name} is not here: jobs do not have hfexecutor. Use it in the script itself, below "
            f"if __name__ == '__main__', or have it installed: dependencies=['auto', 'hfexecutor']"
        )

    def __class_getitem__(cls, _item: Any) -> Any:
        return cls
