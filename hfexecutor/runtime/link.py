"""The bytes of one worker: what seals messages to it, and what reads what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfexecutor.runtime.log_parser import LogParser

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfexecutor.futures import Printed
    from hfexecutor.remote.frames import Seal
    from hfexecutor.runtime.connection import Connection

__all__ = ["Link", "Links"]


class Link:
    """One worker's key, and the parser that puts together what its log says."""

    __slots__ = ("parser", "seal")

    def __init__(self, seal: Seal, parser: LogParser) -> None:
        self.seal = seal
        self.parser = parser


class Links:
    """The links of all workers.

    Args:
        connection: Knows their keys.
        printed_of: Returns the place for what a call prints, None if it is not open.
    """

    def __init__(self, connection: Connection, printed_of: Callable[[int], Printed | None]) -> None:
        self._connection = connection
        self._printed_of = printed_of
        self._links: dict[str, Link] = {}

    def of(self, worker: str) -> Link:
        """Return a worker's link, which lasts until it is forgotten."""
        link = self._links.get(worker)
        if link is None:
            seal = self._connection.seal(worker)
            link = self._links[worker] = Link(seal, LogParser(seal, self._printed_of))
        return link

    def forget(self, worker: str) -> None:
        """Drop the link of a worker that is over."""
        self._links.pop(worker, None)
