"""Flat JSON without :mod:`json`, whose import (with ``re`` and ``enum``) takes a start's tenth."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["dumps", "loads"]


def dumps(value: Mapping[str, Any]) -> bytes:
    """Return the JSON of a dict of numbers, strings, booleans, None, and lists of those."""
    items = (f"{_dump(key)}:{_dump(item)}" for key, item in value.items())
    return ("{" + ",".join(items) + "}").encode()


def _dump(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_dump, value)) + "]"
    return _quote(str(value))


def loads(data: bytes) -> dict[str, Any]:
    """Return the dict that `data` holds.

    Raises:
        ValueError: there is none.
    """
    try:
        value, _ = _scan(data.decode().strip(), 0)
    except StopIteration:  # how the scanner says that there is nothing
        value = None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - it is what the text says
    return value


class _Settings:
    """What json.JSONDecoder would tell the scanner."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


if TYPE_CHECKING:
    from json.encoder import py_encode_basestring_ascii as _quote

    def _scan(text: str, start: int) -> tuple[Any, int]: ...

else:
    try:
        from _json import encode_basestring_ascii as _quote
        from _json import make_scanner

        _scan = make_scanner(_Settings)
    except ImportError:  # a Python without its accelerators
        import json

        _quote = json.dumps
        _scan = json.JSONDecoder().raw_decode
