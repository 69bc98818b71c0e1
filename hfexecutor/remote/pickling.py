"""Pickle and unpickle in the child, without paying for cloudpickle where it is not needed.

Its import takes 50 ms. Plain data (numbers, text, bytes, and builtin containers of such) is
pickled to the same bytes without it; whatever else comes up is left to cloudpickle, as a whole.
"""

from __future__ import annotations

from . import buffers
from .buffers import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pickle import Pickler
    from pickle import dumps as _dumps
    from typing import Any, NoReturn

    from .buffers import Buffer
else:
    try:  # the same as `pickle`, without the modules that it imports
        from _pickle import Pickler
        from _pickle import dumps as _dumps
    except ImportError:  # a Python without its accelerators
        from pickle import Pickler
        from pickle import dumps as _dumps

__all__ = ["ATOMS", "PROTOCOL", "dump", "dumps", "load_cloudpickle", "loads", "wants_cloudpickle"]

PROTOCOL = 5  # every Python that we support writes and reads it
# Types of which the plain pickler and cloudpickle make the same.
ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})
_SMALL = ATOMS - {str, bytes}


_SIGN = b"cloudpickle"  # a function by value names it in its first bytes
_SIGN_WITHIN = 1024


def wants_cloudpickle(data: bytes) -> bool:
    """Say whether unpickling `data` will surely import cloudpickle, without unpickling it."""
    return data.find(_SIGN, 0, _SIGN_WITHIN) >= 0


def load_cloudpickle() -> None:
    """Import cloudpickle. Nothing of a user's runs in that."""
    import cloudpickle.cloudpickle  # type: ignore[import-untyped] # noqa: PLC0415, F401


class _NotPlainError(Exception):
    """Something that only cloudpickle can be trusted with."""


class _PlainPickler(Pickler):
    """Refuse whatever is not one of the builtin types that pickle knows by itself."""

    def reducer_override(self, value: Any) -> NoReturn:  # noqa: ARG002 - pickle's signature
        raise _NotPlainError


def dump(value: Any) -> list[Buffer]:
    """Return the pickle of any value that can be pickled, in pieces (:mod:`.buffers`).

    Raises whatever pickling raises.
    """
    if type(value) in _SMALL:
        return [_dumps(value, PROTOCOL)]
    pieces = _pieces(value)
    return pieces if len(pieces) == 1 else buffers.arrange(pieces)


def dumps(value: Any) -> bytes:
    """Return the pickle of any value that can be pickled. Raises whatever pickling raises."""
    return b"".join(_pieces(value))


def _pieces(value: Any) -> buffers.Pieces:
    pieces = _dump_plain(value)
    return _dump_anything(value) if pieces is None else pieces


def _dump_plain(value: Any) -> buffers.Pieces | None:
    pieces = buffers.Pieces()
    try:
        _PlainPickler(pieces, PROTOCOL).dump(value)
    except (_NotPlainError, RecursionError):
        return None
    return pieces


def _dump_anything(value: Any) -> buffers.Pieces:
    from . import byvalue  # noqa: PLC0415 - see above

    pieces = buffers.Pieces()
    byvalue.dump(value, pieces, PROTOCOL)
    return pieces
