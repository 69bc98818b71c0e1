"""What a notebook shows of an object, as HTML that trusts no text: for ``_repr_html_``.

No script, no resource from elsewhere, no colour: it looks as the notebook around it does, in the
light and in the dark. What others wrote (names, messages, ids) is text there, whatever it says.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Lines", "Link", "describe_error", "job_links", "table"]

LONGEST = 300  # characters of one text
LONGEST_URL = 2000  # characters of an address that is led to
MOST_JOBS = 5  # that are named; of the others only the number is
# A notebook's own style sheet would align and stripe the rows as it does for data.
LEFT = (
    "text-align: left; vertical-align: top; overflow-wrap: anywhere; "
    "background: none; color: inherit"
)


class Link(NamedTuple):
    """A text that leads somewhere, if its address is one of the web."""

    text: str
    url: str


class Lines(NamedTuple):
    """Lines as they were printed."""

    lines: tuple[str, ...]


Part: TypeAlias = "str | Link | Lines"


def table(title: str, detail: str, rows: Iterable[tuple[str, Part | Iterable[Part]]]) -> str:
    """Return a small table: a title, what it is of, and a row for each name and what it has.

    Rows that have nothing are left out. Texts of more than `LONGEST` characters are cut.

    >>> "<b>&lt;i&gt;</b>" in table("<i>", "", [])
    True
    """
    head = f"<b>{_text(title)}</b> {_text(detail)}".rstrip()
    body = "".join(
        f'<tr style="background: none"><th scope="row" style="{LEFT}; font-weight: normal; '
        f'opacity: 0.75">{_text(name)}</th><td style="{LEFT}">{shown}</td></tr>'
        for name, value in rows
        if (shown := _parts(value))
    )
    table = f'<table style="margin: 0; color: inherit"><tbody>{body}</tbody></table>'
    return f"<div><div>{head}</div>{table if body else ''}</div>"


def job_links(jobs: Iterable[tuple[str, str]]) -> list[Part]:
    """Return links to the pages of jobs, each with its id and address; a few, and how many more.

    >>> [str(part) for part in job_links([("a", "")] * 7)[-1:]]
    ['and 2 more']
    """
    links: list[Part] = [Link(name, url) for name, url in jobs]
    more = len(links) - MOST_JOBS
    return [*links[:MOST_JOBS], f"and {more} more"] if more > 0 else links


def describe_error(error: BaseException) -> str:
    """Return an exception's type and its own words, whatever its ``__str__`` does.

    >>> describe_error(ValueError("bad shape"))
    'ValueError: bad shape'
    """
    kind = type(error).__name__
    try:
        words = str(error)
    except Exception:  # a user's __str__
        return kind
    return f"{kind}: {words}" if words else kind


def _parts(value: Part | Iterable[Part]) -> str:
    if isinstance(value, str | Link | Lines):
        value = (value,)
    return ", ".join(shown for part in value if (shown := _part(part)))


def _part(part: Part) -> str:
    if isinstance(part, Lines):
        text = "\n".join(_text(line) for line in part.lines)
        style = "margin: 0; white-space: pre-wrap; background: none; color: inherit"
        return f'<pre style="{style}">{text}</pre>' if text else ""
    if isinstance(part, Link) and _is_of_the_web(part.url):
        address = html.escape(_printable(part.url))
        rel = 'target="_blank" rel="noopener noreferrer"'
        return f'<a href="{address}" {rel}>{_text(part.text)}</a>'
    return _text(part.text if isinstance(part, Link) else part)


def _text(text: str) -> str:
    return html.escape(_printable(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"))


def _printable(text: str) -> str:
    """Show what does not print as its escape, as ``repr`` does: it may turn text around."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode()
        for one in text
    )


def _is_of_the_web(url: str) -> bool:
    try:
        return len(url) <= LONGEST_URL and urlsplit(url).scheme in {"http", "https"}
    except ValueError:
        return False
