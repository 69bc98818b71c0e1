"""Values that are shared by calls: pickled and hashed once, and named by a handle from then on."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, NoReturn

from hfexecutor.errors import UnpicklableCallError
from hfexecutor.payload.imports import pickled_imports
from hfexecutor.remote import mapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfexecutor.payload.buffers import Buffers, Pickled

__all__ = ["Shared"]


class Shared:
    """A handle of a value, which arrives as the value in the calls of its executor.

    It may be an argument, or within one, or in what a function closes over. The value is what it
    was when it was shared; in each call it is a new one, as any argument is.

    Args:
        pickled: The value.
        buffers: Those of the executor.
    """

    __slots__ = ("__weakref__", "_buffers", "_imports", "_pickled", "_type")

    def __init__(self, value: Any, pickled: Pickled, buffers: Buffers) -> None:
        self._type = type(value).__name__
        self._pickled = pickled
        self._buffers = buffers
        self._imports = tuple(map(tuple, pickled_imports(pickled.pickle)))

    def __repr__(self) -> str:
        return f"<Shared {self._type}, {self._pickled.size:,} bytes>"

    @property
    def contents(self) -> tuple[Any, ...]:
        """Those of the remote values in it."""
        return self._pickled.contents

    @property
    def names(self) -> tuple[bytes, ...]:
        """The names of its buffers."""
        return tuple(buffer.name for buffer in self._pickled.buffers)

    def reduce(self, buffers: Buffers | None) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return what stands for the value in the pickle of a call.

        Args:
            buffers: Those that the call's pickle refers to.

        Raises:
            UnpicklableCallError: They are those of another executor, or of none.
        """
        if buffers is not self._buffers:
            raise UnpicklableCallError(
                f"{self!r} belongs to the calls of another executor: share the value with this one"
                if buffers is not None
                else f"{self!r} can be passed to calls, and not to an initializer: pass the value"
            )
        data, kinds, parts, _ = self._pickled
        # As memory that belongs to somebody, by which it is recognised; what may be written to in
        # the job must be what can be written to here.
        memory = tuple(pickle.PickleBuffer(_owner_of(part.data)) for part in parts)
        return mapped.shared, (self._imports, data, kinds, *memory)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} can be passed to calls of its executor, and nowhere else")


def _owner_of(view: memoryview) -> Any:
    return view.obj if memoryview(view.obj).nbytes == view.nbytes else view
