"""Figures and texts as people read them. Pure."""

from __future__ import annotations

import re
from datetime import datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_BRIEF = 10  # seconds, below which a tenth of one matters
_KILO = 1024
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
# Control characters get their pictures; what turns text around, or breaks it, a replacement.
_SHOWN = {
    **{code: 0x2400 + code for code in range(32) if code != ord("\t")},
    **dict.fromkeys((*range(0x80, 0xA0), *map(ord, _BIDI), 0x2028, 0x2029), 0xFFFD),
    **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),
    0x7F: 0x2421,
}


def shown(text: str) -> str:
    r"""Return a line as a terminal would leave it, without colours, and without tricks.

    >>> shown("10%\r99%\r100%"), shown("\x1b[31mred\x1b[0m"), shown("a\x00b")
    ('100%', 'red', 'a␀b')
    """
    if text.isprintable():
        return text
    kept = _ANSI.sub("", text).rstrip("\r").rpartition("\r")[2]
    return kept.translate(_SHOWN)


def span(seconds: float, *, running: bool = False) -> str:
    """Return a length of time; of what is `running` only whole seconds, as `pages.js` writes it.

    >>> span(0.42), span(0.42, running=True), span(75), span(3700), span(90000)
    ('0.4 s', '0 s', '1 min 15 s', '1 h 01 min', '1 d 1 h')
    """
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s" if running or whole >= _BRIEF else f"{max(0.0, seconds):.1f} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def dollars(micro_usd: float) -> str:
    """Return millionths of a US dollar as dollars.

    >>> dollars(1234.0), dollars(12_345_678)
    ('$0.0012', '$12.35')
    """
    amount = micro_usd / 1e6
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.4f}"


def size(count: float) -> str:
    """Return a number of bytes.

    >>> size(512), size(150 << 20), size(16 << 30)
    ('512 B', '150 MB', '16.0 GB')
    """
    for unit in ("B", "kB", "MB"):
        if count < _KILO:
            return f"{count:.0f} {unit}"
        count /= _KILO
    return f"{count:.1f} GB"


def plural(count: int, word: str) -> str:
    """Return a number and its noun.

    >>> plural(1, "job"), plural(1200, "job")
    ('1 job', '1,200 jobs')
    """
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def clock(stamp: str) -> str:
    """Return the time of day here, from a time as the Hub writes it."""
    return f"{datetime.fromisoformat(stamp).astimezone():%H:%M:%S}"


def date(moment: datetime) -> str:
    """Return date and time here."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def milliseconds(moment: datetime) -> int:
    """Return a moment as JavaScript counts it."""
    return int(moment.timestamp() * 1000)
