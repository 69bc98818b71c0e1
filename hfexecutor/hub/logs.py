"""A job's log as lines of text, from the events that carry them. Pure.

``data: {"data": "<line>", "timestamp": "<ISO time>"}`` is what the Hub sends. The line is the
job's own output, so anything can be in it; an event that is no such JSON is handed on as it is.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from hfexecutor.hub.sse import SSEDecoder

__all__ = ["LogDecoder", "LogLine", "parse_line"]


class LogLine(NamedTuple):
    """One line of a job's log.

    `timestamp` is the Hub's, unparsed, and may be empty; `broken` marks a line whose event was not
    the JSON that it should be: its text is then the event's.
    """

    text: str
    timestamp: str = ""
    broken: bool = False


# Control characters (NUL among them) stand unescaped in real logs.
_JSON: Final = json.JSONDecoder(strict=False)


def parse_line(event: bytes) -> LogLine:
    """Read one event's data; never raises. The text can always be encoded as UTF-8."""
    raw = event.decode("utf-8", "replace")
    try:
        fields = _JSON.decode(raw)
        text, timestamp = fields["data"], fields.get("timestamp")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return LogLine(raw, broken=True)
    if not isinstance(text, str):
        return LogLine(raw, broken=True)
    return LogLine(_encodable(text), timestamp if isinstance(timestamp, str) else "")


class LogDecoder:
    """Turn the chunks of one log stream into lines."""

    def __init__(self) -> None:
        self._events = SSEDecoder()

    def feed(self, chunk: bytes) -> list[LogLine]:
        """Return the lines that `chunk` completes, often none."""
        return [parse_line(event) for event in self._events.feed(chunk)]


def _encodable(text: str) -> str:
    """Replace lone surrogates: JSON can spell them, UTF-8 cannot."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
