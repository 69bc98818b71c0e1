"""What a function by value is made of, in plain parts: its code marshalled, and its attributes.

Both ends of a call have the same Python to the minor version, so code travels as it is stored in a
``.pyc`` file. That, and no more than these few lines, is needed to make a function: importing
cloudpickle takes a job as long as starting Python does, so only what it alone can do is left to it.
"""

from __future__ import annotations

import marshal
from types import CellType, CodeType, FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["attributes", "make", "marshalled", "set_attributes", "unmarshalled"]

_SINGLE = ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__kwdefaults__")


def marshalled(code: CodeType) -> bytes | CodeType:
    """Return code as bytes; code that somebody has given other constants than Python does as is."""
    try:
        return marshal.dumps(code)
    except ValueError:
        return code


def unmarshalled(code: bytes | CodeType) -> CodeType:
    """Return the code that `marshalled` has made this of."""
    if isinstance(code, CodeType):
        return code
    loaded: CodeType = marshal.loads(code)  # noqa: S302 - as authentic as the pickle around it
    return loaded


def attributes(fn: FunctionType) -> dict[str, Any]:
    """Return what a function has beside what its code and its namespace give it."""
    bare = FunctionType(fn.__code__, fn.__globals__, None, None, fn.__closure__)
    found: dict[str, Any] = {
        name: value for name in _SINGLE if (value := getattr(fn, name)) is not getattr(bare, name)
    }
    if fn.__annotations__:
        found["__annotations__"] = fn.__annotations__
    if fn.__dict__:
        found["__dict__"] = fn.__dict__
    if fn.__closure__:
        found["__closure__"] = _contents(fn.__closure__)
    return found


def make(code: CodeType, namespace: dict[str, Any]) -> FunctionType:
    """Return a function that has its code and its namespace, and nothing else yet."""
    cells = tuple(CellType() for _ in code.co_freevars)
    return FunctionType(code, namespace, None, None, cells)


def set_attributes(fn: FunctionType, found: dict[str, Any]) -> None:
    """Give a function what `attributes` has found."""
    for name, value in found.items():
        if name == "__closure__":
            for number, contents in value.items():
                (fn.__closure__ or ())[number].cell_contents = contents
        elif name == "__dict__":
            fn.__dict__.update(value)
        else:
            setattr(fn, name, value)


def _contents(cells: tuple[CellType, ...]) -> dict[int, Any]:
    """Return what is in cells, by their numbers; there are none of those that are empty still."""
    found = {}
    for number, cell in enumerate(cells):
        try:
            found[number] = cell.cell_contents
        except ValueError:
            continue
    return found
