"""An exception on its way: in words, and as far as possible as itself."""

from __future__ import annotations

import struct

TYPE_CHECKING = False  # importing typing would cost a job's start several milliseconds
if TYPE_CHECKING:
    from typing import Any

__all__ = ["OutcomeError", "Raised", "builtin_base", "rebuild"]

_FIELD = struct.Struct("<I")
_RAISED_FIELDS = 5


class OutcomeError(ValueError):
    """These bytes are no outcome."""


class Raised:
    """An exception on its way: in words, and as far as possible as itself.

    Attributes:
        traceback: its text, as the interpreter would print it.
        type: the type's qualified name.
        text: ``str()`` of the exception.
        whole: its pickle, empty unless that was seen to load again.
        parts: the pickle of ``(type, arguments, __dict__)``, with the repr in place of what cannot
            be pickled; empty unless that was seen to load again, or where `whole` suffices.
    """

    __slots__ = ("parts", "text", "traceback", "type", "whole")

    def __init__(
        self, traceback: str, type_name: str, text: str, whole: bytes = b"", parts: bytes = b""
    ) -> None:
        self.traceback = traceback
        self.type = type_name
        self.text = text
        self.whole = whole
        self.parts = parts

    def __repr__(self) -> str:
        return f"<Raised {self.type}: {self.text[:80]!r}>"

    def encode(self) -> bytes:
        """Return the payload of an outcome."""
        words = [_to_bytes(text) for text in (self.traceback, self.type, self.text)]
        fields = [*words, self.whole, self.parts]
        return b"".join(_FIELD.pack(len(field)) + field for field in fields)

    @classmethod
    def decode(cls, data: bytes) -> Raised:
        """Return what :meth:`encode` encoded.

        Raises:
            OutcomeError: it was not that.
        """
        fields: list[bytes] = []
        start = 0
        while start + _FIELD.size <= len(data) and len(fields) < _RAISED_FIELDS:
            (size,) = _FIELD.unpack_from(data, start)
            start += _FIELD.size
            fields.append(data[start : start + size])
            start += size
        if len(fields) != _RAISED_FIELDS or start != len(data):
            raise OutcomeError("these bytes tell of no exception")
        traceback, type_name, text, whole, parts = fields
        return cls(_to_text(traceback), _to_text(type_name), _to_text(text), whole, parts)

    def exception(self) -> BaseException | None:
        """Return the exception itself, None if it cannot be rebuilt here."""
        import pickle  # noqa: PLC0415 - the child has its own way

        try:
            error = pickle.loads(self.whole) if self.whole else _from_parts(pickle.loads, self)
        except Exception:  # classes run their own code when they are unpickled
            return None
        return error if isinstance(error, BaseException) else None


def _from_parts(loads: Any, raised: Raised) -> BaseException | None:
    return rebuild(*loads(raised.parts)) if raised.parts else None


def rebuild(
    cls: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]
) -> BaseException:
    """Return an exception made without its own ``__init__``, whatever arguments that wants."""
    try:
        error = cls.__new__(cls, *args)
    except Exception:  # a __new__ of its own, with arguments of its own
        error = BaseException.__new__(cls, *args)
    try:
        # It sets what is in no __dict__, like an OSError's errno and filename.
        builtin_base(cls).__init__(error, *args)
    except Exception:  # arguments that were replaced need not fit
        error.args = args
    error.__dict__.update(attributes)
    return error


def builtin_base(cls: type[BaseException]) -> Any:
    """Return the nearest class of Python's own among an exception's classes."""
    return next(base for base in cls.__mro__ if base.__module__ == "builtins")


def _to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")  # lone surrogates


def _to_text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
