"""Plain values as bytes: what a worker and its client tell each other beside calls and values.

It is pickle, and nothing is taken that names a class or a function, so reading it runs no code.
JSON would say as much, but its module, with `re`, takes 8 of the 33 ms of CPU of a cold start.
"""

from __future__ import annotations

from io import BytesIO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pickle import Unpickler
    from pickle import dumps as _dumps
    from typing import Any, NoReturn

    from .buffers import Buffer
else:
    try:  # the same as `pickle`, without the modules that it imports
        from _pickle import Unpickler
        from _pickle import dumps as _dumps
    except ImportError:  # a Python without its accelerators
        from pickle import Unpickler
        from pickle import dumps as _dumps

__all__ = ["pack", "unpack"]

_PROTOCOL = 4  # every Python 3 that may find itself in a job writes it


class _PlainUnpickler(Unpickler):
    """Refuse what is more than texts, bytes, numbers, None, and builtin containers of such."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise ValueError(f"{module}.{name} is no plain value")


def pack(values: dict[str, Any]) -> bytes:
    """Return the bytes of plain values by name."""
    return _dumps(values, _PROTOCOL)


def unpack(data: Buffer) -> dict[str, Any]:
    """Return the values by name.

    Raises:
        ValueError: these bytes are nothing that we have made.
    """
    try:
        values = _PlainUnpickler(BytesIO(data)).load()
    except Exception as error:  # damaged pickles raise whatever they like
        raise ValueError("no plain values") from error
    if not isinstance(values, dict):
        raise ValueError("no plain values by name")  # noqa: TRY004 - of bytes, not of an argument
    return values
