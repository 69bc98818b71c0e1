"""What is on its way through the doors of jobs: since when, and how much it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hfexecutor.core import commands as do
    from hfexecutor.core import events as ev

__all__ = ["Moved", "Transfers"]


class Moved(NamedTuple):
    """What has arrived: after so many seconds, so many bytes."""

    seconds: float
    size: int


class Transfers:
    """Messages to doors, by worker and number; large outcomes from them, by worker and call."""

    def __init__(self) -> None:
        self._messages: dict[tuple[str, int], tuple[float, int]] = {}
        self._outcomes: dict[tuple[str, int], tuple[float, int]] = {}

    def __repr__(self) -> str:
        return f"<Transfers {len(self._messages) + len(self._outcomes)} on their way>"

    def sent(self, command: do.Send, now: float) -> None:
        """Note that a message goes out; one that is sent again has been on its way all along."""
        key = (command.worker, command.number)
        if key not in self._messages:
            self._messages[key] = (now, sum([len(entry.data) for entry in command.entries]))

    def fetching(self, command: do.Fetch, now: float) -> None:
        """Note that a range of a large outcome is asked for."""
        self._outcomes.setdefault((command.worker, command.call), (now, command.key.size))

    def answered(self, event: ev.Answered, now: float) -> Moved | None:
        """Return what has arrived there; None if it was not on its way."""
        return _moved(self._messages.pop((event.worker, event.number), None), now)

    def fetched(self, event: ev.Fetched, now: float) -> Moved | None:
        """Return what has arrived here, with its last range; None before that."""
        if not event.news:
            return None
        return _moved(self._outcomes.pop((event.worker, event.call), None), now)

    def forget(self, worker: str) -> None:
        """A worker is over."""
        for known in (self._messages, self._outcomes):
            for key in [key for key in known if key[0] == worker]:
                del known[key]


def _moved(moving: tuple[float, int] | None, now: float) -> Moved | None:
    return None if moving is None else Moved(now - moving[0], moving[1])
