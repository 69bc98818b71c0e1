"""The functions that a child keeps: unpickled once, so that what they keep stays, as in a pool."""

from __future__ import annotations

import sys

from . import pickling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType
    from typing import Any

__all__ = ["Functions", "load", "load_mapped"]

_NAMESPACES = f"{__package__}.namespaces"


def load(data: bytes | bytearray | memoryview) -> Any:
    """Unpickle what is used once, like the arguments of a call."""
    loaded = pickling.loads(data)
    return _without_brought(loaded) if _NAMESPACES in sys.modules else loaded


def load_mapped(data: memoryview, kinds: Iterable[int], buffers: Iterable[Any]) -> Any:
    """Do the same where buffers belong to it."""
    from . import mapped  # noqa: PLC0415 - most calls have none

    return _without_brought(mapped.load(data, kinds, buffers))


def _without_brought(loaded: Any) -> Any:
    namespaces = sys.modules.get(_NAMESPACES)
    if namespaces is not None:
        namespaces.take_brought()  # it would keep it
    return loaded


class Functions:
    """Functions by their numbers."""

    def __init__(self) -> None:
        self._pickled: dict[int, bytes | bytearray] = {}  # until they are needed
        self._loaded: dict[int, _Function] = {}

    def add(self, number: int, data: bytes | bytearray) -> None:
        """Keep a pickled function."""
        self._pickled[number] = data

    def get(self, number: int) -> Callable[..., Any]:
        """Return a function, in a namespace as the client's was when it sent the function.

        Raises whatever unpickling it raises.
        """
        function = self._loaded.get(number)
        if function is None:
            function = self._loaded[number] = _Function(self._pickled[number])
            del self._pickled[number]
        return function.renewed()


class _Function:
    def __init__(self, data: bytes | bytearray) -> None:
        self._function: Callable[..., Any] = pickling.loads(data)
        self._brought: list[Callable[[], None]] = []
        # Pickles of functions that travel by value have imported it; all others can do without.
        self._namespaces: ModuleType | None = sys.modules.get(_NAMESPACES)
        if self._namespaces is not None:
            self._brought = self._namespaces.take_brought()
            self._seen = self._namespaces.replaced()

    def renewed(self) -> Callable[..., Any]:
        """Return the function; where other versions of its names came meanwhile, its own again."""
        namespaces = self._namespaces
        if namespaces is not None and self._seen != namespaces.replaced():
            for bring in self._brought:
                bring()
            namespaces.take_brought()
            self._seen = namespaces.replaced()
        return self._function
