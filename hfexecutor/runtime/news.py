"""From entries, which a job has sent and a MAC vouches for, to news that the core understands."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from hfexecutor.core.events import (
    Bye,
    Done,
    GivenBack,
    Held,
    Hello,
    Installing,
    Keyed,
    Large,
    Loaded,
    News,
    Refused,
    Unacknowledged,
)
from hfexecutor.remote import entries as wire
from hfexecutor.remote import outcomes, plain
from hfexecutor.results import killed_for_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["news_of"]

logger = logging.getLogger("hfexecutor")


def news_of(entries: Iterable[wire.Entry]) -> tuple[News, ...]:
    """Return what these entries say; what cannot be read is left out, with a warning."""
    found: list[News] = []
    for entry in entries:
        read = _READERS.get(entry.kind)
        if read is None:
            continue
        try:
            news = read(entry)
        except (outcomes.OutcomeError, wire.FrameError, ValueError) as error:
            logger.warning("a job says something that cannot be read: %s", error)
        else:
            if news is not None:
                found.append(news)
    return tuple(found)


def _done(entry: wire.Entry) -> Done:
    outcome = outcomes.decode(entry.data)
    out_of_memory = outcome.status == outcomes.DIED and killed_for_memory(outcome)
    return Done(entry.call, outcome, out_of_memory)


def _large(entry: wire.Entry) -> Large:
    size, *layout = wire.unpack_ids(entry.data)
    if len(layout) % 2 or sum(layout[1::2]) + outcomes.HEAD_BYTES > size:
        raise wire.FrameError("a layout that does not fit")
    return Large(entry.call, size, tuple(layout))


def _given_back(entry: wire.Entry) -> GivenBack | None:
    # Each answer says which calls come back, and hardly one that there are any.
    return GivenBack(wire.unpack_ids(entry.data)) if entry.data else None


def _hello(entry: wire.Entry) -> Hello:
    words = _words(entry.data)
    return Hello(
        slots=_number(words, "slots") or None,
        door=words.get("door") is not None,
        why=str(words.get("door_error") or ""),
        clock=_seconds(words, "clock"),
    )


def _installing(entry: wire.Entry) -> Installing:
    words = _words(entry.data)
    seconds = _seconds(words, "seconds")
    return Installing(_seconds(words, "began") or 0.0, seconds, bool(words.get("failed")))


def _loaded(entry: wire.Entry) -> Loaded:
    words = _words(entry.data)
    return Loaded(_number(words, "number"), str(words.get("why") or ""))


def _bye(entry: wire.Entry) -> Bye:
    words = _words(entry.data)
    return Bye(_number(words, "calls", -1), bool(words.get("returned")))


_READERS: dict[int, Callable[[wire.Entry], News | None]] = {
    wire.OUTCOME: _done,
    wire.LARGE: _large,
    wire.HELD: lambda entry: Held(wire.unpack_ids(entry.data)),
    wire.KEY: lambda entry: Keyed(entry.call, *wire.unpack_key(entry.data)),
    wire.RECALL: _given_back,
    wire.STATE: lambda entry: Unacknowledged(_number(_words(entry.data), "unacked")),
    wire.HELLO: _hello,
    wire.INSTALL: _installing,
    wire.LOADED: _loaded,
    wire.BYE: _bye,
    wire.REFUSED: lambda entry: Refused(repr(entry.data[:200])),
}


def _number(words: dict[str, Any], name: str, default: int = 0) -> int:
    value = words.get(name)
    return value if isinstance(value, int) else default


def _seconds(words: dict[str, Any], name: str) -> float | None:
    value = words.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _words(data: bytes) -> dict[str, Any]:
    """Return what is told; what another version tells in another shape is nothing."""
    try:
        return plain.unpack(data)
    except ValueError:
        return {}
