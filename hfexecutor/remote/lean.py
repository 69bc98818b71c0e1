"""Import cloudpickle without what it wants only for rare things: that takes half as long.

A plain import takes four times as long as starting Python does, and most of that goes into
``logging``, ``inspect`` (for ``dataclasses``), ``platform`` and ``uuid``, of which hardly
anything is ever used. So they are represented until they are needed.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Later", "represented"]


class Later:
    """A module that is imported when something of it is asked for.

    Args:
        name: of the module.
        present: what of it is here already.
    """

    def __init__(self, name: str, **present: Any) -> None:
        self.__dict__.update(present)
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system asks for those, and can do without
            raise AttributeError(name)
        if sys.modules.get(self._name) is self:  # type: ignore[comparison-overlap]
            del sys.modules[self._name]
        return getattr(__import__(self._name), name)


class _NoLogger:
    """In place of a logger's class, for a table that says how to pickle one.

    Loggers have said so themselves since Python 3.7.
    """


class _NoRootLogger(_NoLogger):
    """The same for the root logger's class."""


def _implementation() -> str:
    return {"cpython": "CPython", "pypy": "PyPy"}.get(sys.implementation.name, "another")


def represented(run: Callable[[], None]) -> None:
    """Run an import while modules that it hardly uses are represented."""
    modules: dict[str, Any] = sys.modules
    absent = {
        later._name: later  # noqa: SLF001 - it has no public attribute, for a module might
        for later in (
            Later("inspect"),
            Later("logging", Logger=_NoLogger, RootLogger=_NoRootLogger),
            Later("platform", python_implementation=_implementation),
            Later("uuid"),
        )
        if later._name not in modules  # noqa: SLF001
    }
    if len(sys._current_frames()) > 1:  # noqa: SLF001 - another thread would be misled
        absent = {}
    modules.update(absent)
    try:
        run()
    finally:
        for name, later in absent.items():
            if modules.get(name) is later:
                del modules[name]
