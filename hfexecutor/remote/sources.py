"""The lines of source that tracebacks show, for code that comes from the client by value."""

from __future__ import annotations

import linecache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType

__all__ = ["excerpt", "show"]

_LONGEST = 16 << 10  # characters of a function's source that travel; of longer ones, none


def excerpt(code: CodeType) -> tuple[int, str] | None:
    """Return the first line's number and the lines of a function's source.

    The source may be in a file, or, as that of notebooks is, in :mod:`linecache` alone.

    Returns:
        None where there is no source, or too much of it.
    """
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename)
    text = "".join(lines[code.co_firstlineno - 1 : _last_line(code)])
    return (code.co_firstlineno, text) if 0 < len(text) <= _LONGEST else None


def _last_line(code: CodeType) -> int:
    last = max((line for _, _, line in code.co_lines() if line is not None), default=0)
    inner = (_last_line(const) for const in code.co_consts if isinstance(const, type(code)))
    return max(last, *inner, 0)


def show(filename: str, first: int, text: str) -> None:
    """Let tracebacks of this process show these lines of a file that is not here."""
    entry = linecache.cache.get(filename)
    # Only an entry without a time of change is one of ours, or never looked at in the file system.
    lines = list(entry[2]) if entry is not None and len(entry) > 1 and entry[1] is None else []
    more = text.splitlines(keepends=True)
    lines += ["\n"] * (first - 1 + len(more) - len(lines))
    lines[first - 1 : first - 1 + len(more)] = more
    linecache.cache[filename] = (sum(map(len, lines)), None, lines, filename)
