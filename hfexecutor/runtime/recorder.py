"""Records a run, where ``HFEXECUTOR_RECORD`` names a file: for a bug report, to be replayed."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import TYPE_CHECKING

from hfexecutor.core import recording
from hfexecutor.core.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hfexecutor.core.call import Call
    from hfexecutor.core.commands import Command
    from hfexecutor.core.events import Event
    from hfexecutor.core.rules import Limits, Rules

__all__ = ["RecordedMachine"]

_numbers = itertools.count(1)


class RecordedMachine(Machine):
    """A machine that writes down what it is told.

    Args:
        path: The file; an older one is overwritten. A second executor of a process adds ``.2``...
        limits, rules, claim: As for :class:`~hfexecutor.core.machine.Machine`.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(
        self, path: str, limits: Limits, rules: Rules, *, claim: Callable[[Call], bool]
    ) -> None:
        seed = random.SystemRandom().getrandbits(64)
        # Names of launches are no secret, so a generator that can be started again will do.
        super().__init__(limits, rules, claim=self._claim_noted, rng=random.Random(seed))  # noqa: S311
        self._asked = claim
        self._refused: list[int] = []
        number = next(_numbers)
        target = Path(path if number == 1 else f"{path}.{number}")
        self._file = target.open("w", encoding="utf-8")
        self._write(recording.head(limits, seed))

    def handle(self, events: Sequence[Event], now: float) -> list[Command]:  # type: ignore[override]
        """Take what has happened, and write it down with what is said to it."""
        commands = super().handle(events, now)
        self._write(recording.step(now, events, self._refused, commands))
        self._refused.clear()
        if self.finished:
            self._file.close()
        return commands

    def _claim_noted(self, call: Call) -> bool:
        claimed = self._asked(call)
        if not claimed:
            self._refused.append(call.id)
        return claimed

    def _write(self, line: str) -> None:
        if not self._file.closed:
            self._file.write(f"{line}\n")
            self._file.flush()  # a bug report is about a run that did not come to its end
