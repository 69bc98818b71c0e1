"""Tell of what went wrong in a call: exceptions and values that cannot be pickled, in words.

Imported by the child only when something goes wrong. Users' classes take part in all of it
(``__str__``, ``__repr__``, ``__reduce__``), so anything may be raised at any point.
"""

from __future__ import annotations

import reprlib
import traceback

from . import outcomes, pickling, sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

__all__ = ["describe_bad_call", "describe_unpicklable", "raised"]

_LONGEST = 100_000  # characters of any text; tracebacks of deep recursions are folded anyway


def raised(error: BaseException) -> outcomes.Raised:
    """Return `error` as it travels."""
    whole = _pickled(error)
    return outcomes.Raised(
        _traceback(error),
        type_name(type(error)),
        _text(str, error),
        whole,
        b"" if whole else _pickled_parts(error),
    )


def describe_unpicklable(value: Any, error: BaseException) -> dict[str, str]:
    """Return the details of a result that cannot be pickled."""
    return {
        "type": type_name(type(value)),
        "repr": _text(_short.repr, value),
        "error": f"{type_name(type(error))}: {_text(str, error)}",
        "traceback": _traceback(error),
    }


def describe_bad_call(error: BaseException) -> dict[str, str]:
    """Return the details of a call that cannot be unpickled."""
    return {
        "type": type_name(type(error)),
        "error": _text(str, error),
        "traceback": _traceback(error),
    }


def type_name(cls: type) -> str:
    """Return the name of a class as tracebacks have it."""
    module = cls.__module__
    return (
        cls.__qualname__ if module in {"builtins", "__main__"} else f"{module}.{cls.__qualname__}"
    )


_short = reprlib.Repr()
_short.maxother = _short.maxstring = 300


def _text(function: Any, value: Any) -> str:
    try:
        text = str(function(value))
        return str.__getitem__(text, slice(_LONGEST))  # a text, whatever class of texts it was
    except BaseException as error:
        return f"<{type_name(type(value))} object, whose text raises {type(error).__name__}>"


def _traceback(error: BaseException) -> str:
    sources.show_waiting()
    frames: TracebackType | None = error.__traceback__
    while frames is not None and _is_ours(frames):
        frames = frames.tb_next
    try:
        text = "".join(traceback.format_exception(type(error), error, frames))
    except BaseException as broken:
        text = "".join(traceback.format_tb(frames))
        text += f"{type_name(type(error))} (not told in full: {type(broken).__name__})\n"
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]}\n[...]\n{text[-_LONGEST // 2 :]}"
    return text


def _is_ours(frames: TracebackType) -> bool:
    name = frames.tb_frame.f_globals.get("__name__")
    return isinstance(name, str) and name.startswith(f"{__package__}.")


def _pickled(error: BaseException) -> bytes:
    """Return the exception's pickle if it loads again as what it was, else nothing."""
    try:
        data = pickling.dumps(error)
        again = pickling.loads(data)
    except BaseException:
        return b""
    same = type_name(type(again)) == type_name(type(error)) and _likeness(again) == _likeness(error)
    return data if same else b""


def _likeness(error: BaseException) -> tuple[str, int]:
    """Return what has to be equal; an __init__ that adds to its message changes it twice."""
    return _text(str, error), len(error.args)


def _pickled_parts(error: BaseException) -> bytes:
    """Return the pickle of what the exception can be rebuilt from, as far as that can be."""
    # What the class of Python's own would be made of: more than `args` for an OSError.
    args = outcomes.builtin_base(type(error)).__reduce__(error)[1]
    args = tuple(_or_its_repr(arg) for arg in args)
    attributes = {name: _or_its_repr(value) for name, value in _attributes(error).items()}
    try:
        data = pickling.dumps((type(error), args, attributes))
        outcomes.rebuild(*pickling.loads(data))
    except BaseException:
        return b""
    return data


def _attributes(error: BaseException) -> dict[str, Any]:
    return dict(getattr(error, "__dict__", {}))


def _or_its_repr(value: Any) -> Any:
    try:
        pickling.loads(pickling.dumps(value))
    except BaseException:
        return _text(_short.repr, value)
    return value
