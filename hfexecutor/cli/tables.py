"""Tables that fit a terminal, and words for ages and dollars. Pure but for asking for its width."""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from hfexecutor.progress.words import in_dollars

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Column", "age", "dollars", "show_json", "show_table", "table", "terminal_width"]

_GAP: Final = "  "
_CUT: Final = "…"
_SHORTEST: Final = 12  # what is left, at least, of what may be cut


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        title: Its head.
        weight: The column of the least weight is the first to be left out where room is short; one
            without a weight never is.
        right: Whether it is written at its right edge, as numbers are.
        cut: Whether what is too long may be cut.
    """

    title: str
    weight: int | None = None
    right: bool = False
    cut: bool = False


def show_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Write a table to the standard output: as wide as the terminal, or whole where it is none."""
    for number, line in enumerate(table(columns, list(rows), terminal_width())):
        click.echo(click.style(line, bold=True) if number == 0 else line)


def terminal_width() -> int | None:
    """Return how many characters a line of the terminal has, None where the output is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def show_json(value: Any) -> None:
    """Write what a program reads to the standard output."""
    click.echo(json.dumps(value, indent=2, default=_plain))


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """Return the lines of a table, its head first.

    Args:
        columns: What it shows.
        rows: A text for each column each; control characters are shown as a dot.
        width: Characters that a line may have; None for as many as it takes.
    """
    cells = [
        [column.title for column in columns],
        *([_clean(text) for text in row] for row in rows),
    ]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    shown = list(range(len(columns)))
    while width is not None and (excess := _sum(widths, shown) - width) > 0:
        if _cut(columns, widths, shown, excess):
            break
        light = [n for n in shown if columns[n].weight is not None]
        if not light:
            break
        shown.remove(min(light, key=lambda n: columns[n].weight or 0))
    lines = []
    for row in cells:
        texts = [_fit(row[n], widths[n], right=columns[n].right) for n in shown]
        line = _GAP.join(texts).rstrip()
        lines.append(line if width is None else _shorten(line, width))
    return lines


def _sum(widths: Sequence[int], shown: Sequence[int]) -> int:
    return sum(widths[n] for n in shown) + len(_GAP) * (len(shown) - 1)


def _cut(columns: Sequence[Column], widths: list[int], shown: Sequence[int], excess: int) -> bool:
    """Make columns narrower that may be cut, if that is enough; the widest of them first."""
    room = {n: widths[n] - _SHORTEST for n in shown if columns[n].cut and widths[n] > _SHORTEST}
    if sum(room.values()) < excess:
        return False
    for _ in range(excess):
        widest = max(room, key=lambda n: widths[n])
        widths[widest] -= 1
        if widths[widest] == _SHORTEST:
            del room[widest]
    return True


def _fit(text: str, width: int, *, right: bool) -> str:
    text = _shorten(text, width)
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _shorten(text: str, width: int) -> str:
    if _width(text) <= width:
        return text
    while _width(text) > width - 1:
        text = text[:-1]
    return text + _CUT


def _width(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _clean(text: str) -> str:
    return "".join("·" if unicodedata.category(c).startswith("C") else c for c in text)


def age(seconds: float | None) -> str:
    """Return a time span in at most two units: "5 s", "12 min", "3 h 05", "2 d 4 h"."""
    if seconds is None:
        return ""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 1:
        return f"{whole} s"
    if hours < 1:
        return f"{minutes} min"
    if days < 1:
        return f"{hours} h {minutes % 60:02d}"
    return f"{days} d {hours % 24} h"


def dollars(amount: float | None) -> str:
    """Return an amount of money, which may not be known."""
    return "?" if amount is None else in_dollars(amount)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"no JSON: {value!r}")
