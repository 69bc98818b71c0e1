"""The lines of source that tracebacks show, for code that comes from the client by value.

They are shown by :mod:`linecache`, whose import takes 6 ms, more than half of what a Python takes
to start. In a job that is left to who makes a traceback: lines wait until then.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

__all__ = ["excerpt", "show", "show_waiting"]

_LONGEST = 16 << 10  # characters of a function's source that travel; of longer ones, none


def excerpt(code: CodeType) -> tuple[int, str] | None:
    """Return the first line's number and the lines of a function's source.

    The source may be in a file, or, as that of notebooks is, in :mod:`linecache` alone.

    Returns:
        None where there is no source, or too much of it.
    """
    import linecache  # noqa: PLC0415 - here it is imported anyway

    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename)
    text = "".join(lines[code.co_firstlineno - 1 : _last_line(code)])
    return (code.co_firstlineno, text) if 0 < len(text) <= _LONGEST else None


def _last_line(code: CodeType) -> int:
    last = max((line for _, _, line in code.co_lines() if line is not None), default=0)
    inner = (_last_line(const) for const in code.co_consts if isinstance(const, type(code)))
    return max(last, *inner, 0)


_waiting: list[tuple[str, int, str]] = []


def show(filename: str, first: int, text: str) -> None:
    """Let tracebacks of this process show these lines of a file that is not here."""
    _waiting.append((filename, first, text))
    show_waiting()


def show_waiting() -> None:
    """Hand over what waits for :mod:`linecache`, if that is imported by now."""
    linecache = sys.modules.get("linecache")
    if linecache is not None:
        for lines in _waiting:
            _put(linecache.cache, *lines)
        _waiting.clear()


def _put(cache: dict[str, Any], filename: str, first: int, text: str) -> None:
    entry = cache.get(filename)
    # Only an entry without a time of change is one of ours, or never looked at in the file system.
    lines = list(entry[2]) if entry is not None and len(entry) > 1 and entry[1] is None else []
    more = text.splitlines(keepends=True)
    lines += ["\n"] * (first - 1 + len(more) - len(lines))
    lines[first - 1 : first - 1 + len(more)] = more
    cache[filename] = (sum(map(len, lines)), None, lines, filename)
