"""Logs: one stream for each reading, its lines parsed and told as they come."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from hfexecutor.core.events import Heard, LogEnded
from hfexecutor.errors import HubError, HubRequestError
from hfexecutor.runtime.news import news_of

if TYPE_CHECKING:
    import asyncio

    from hfexecutor.core import commands as do
    from hfexecutor.hub.logs import LogLine
    from hfexecutor.runtime.edge import Surroundings

__all__ = ["LogReader"]

logger = logging.getLogger("hfexecutor")


class _Reading:
    """One reading that is under way."""

    def __init__(self, worker: str, number: int) -> None:
        self.worker = worker
        self.number = number
        self.task: asyncio.Task[None]


class LogReader:
    """Read logs, one reading for each worker at a time."""

    def __init__(self, around: Surroundings) -> None:
        self._hub = around.connection.hub
        self._links = around.links
        self._tasks = around.tasks
        self._tell = around.tell
        self._readings: dict[str, _Reading] = {}

    def read(self, command: do.ReadLog) -> None:
        """Read a log from its start to its end."""
        reading = self._readings[command.worker] = _Reading(command.worker, command.reading)
        reading.task = self._tasks.start(self._read(reading, command.job), command.worker)

    def stop(self, command: do.StopLog) -> None:
        """Stop a reading, as if it had ended."""
        reading = self._readings.get(command.worker)
        if reading is not None and reading.number == command.reading:
            self._end(reading)
            reading.task.cancel()

    def forget(self, worker: str) -> None:
        """Hang up: nobody listens any more."""
        if (reading := self._readings.pop(worker, None)) is not None:
            reading.task.cancel()

    async def _read(self, reading: _Reading, job: str) -> None:
        self._links.of(reading.worker).parser.rewind()
        try:
            async with contextlib.aclosing(self._hub.logs(job)) as log:
                async for lines in log:
                    self._parse(reading, lines)
                    # What waits for the next lines must not keep the last ones, with all that is
                    # in them, alive.
                    del lines
        except HubRequestError as error:  # not there (yet, or any more): the stage decides
            logger.debug("no log of job %s: %s", job, error)
        except HubError as error:
            logger.info("the log of job %s broke off: %s", job, error)
        if self._readings.get(reading.worker) is reading:
            self._end(reading)

    def _parse(self, reading: _Reading, lines: list[LogLine]) -> None:
        parser = self._links.of(reading.worker).parser
        news = news_of(parser.feed([line.text for line in lines]))
        self._tell(
            Heard(
                reading.worker,
                news,
                gap=parser.take_gap(),
                starts=parser.starts,
                forged=parser.take_forgery(),
            )
        )

    def _end(self, reading: _Reading) -> None:
        del self._readings[reading.worker]
        parser = self._links.of(reading.worker).parser
        tail = tuple(parser.tail)
        self._tell(LogEnded(reading.worker, reading.number, parser.take_fresh(), tail))
