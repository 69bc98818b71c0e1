"""Decides which faults strike, and counts."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, TypeVar

from hfexecutor.local.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

F = TypeVar("F", bound=Fault)


class _Entry:
    def __init__(self, fault: Fault, dice: random.Random) -> None:
        self.fault = fault
        self.dice = dice
        self.seen = 0
        self.struck = 0


class Injector:
    """All faults of a hub, with the count of their opportunities. Used in the hub's loop only.

    Args:
        seed: makes the faults' probabilities repeatable.

    Attributes:
        struck: how often each kind of fault has struck.
    """

    def __init__(self, seed: int = 0) -> None:
        self.struck: dict[str, int] = {}
        self._seed = seed
        self._entries: list[_Entry] = []

    def add(self, faults: Iterable[Fault]) -> None:
        """Tell the hub to get more wrong."""
        for fault in faults:
            dice = random.Random(f"{self._seed}:{len(self._entries)}")  # noqa: S311
            self._entries.append(_Entry(fault, dice))

    def clear(self) -> None:
        """Have the hub behave from now on."""
        self._entries.clear()

    def strike(
        self,
        kind: type[F] | tuple[type[F], ...],
        number: int | None = None,
        labels: Mapping[str, str] | None = None,
        **conditions: Any,
    ) -> list[F]:
        """Return the faults of a kind that strike at this opportunity.

        Args:
            kind: the class (or classes) of faults that could strike here.
            number: the number of the job in question, if it is known.
            labels: its labels, likewise.
            conditions: what further attributes of the fault must be; "*" there is anything.
        """
        return [
            entry.fault
            for entry in self._entries
            if isinstance(entry.fault, kind)
            and _concerns(entry.fault, number, labels or {}, conditions)
            and self._strikes(entry)
        ]

    def _strikes(self, entry: _Entry) -> bool:
        fault = entry.fault
        entry.seen += 1
        if fault.nth not in (None, entry.seen):
            return False
        if fault.times is not None and entry.struck >= fault.times:
            return False
        if fault.probability < 1 and entry.dice.random() >= fault.probability:
            return False
        entry.struck += 1
        name = type(fault).__name__
        self.struck[name] = self.struck.get(name, 0) + 1
        return True


def _concerns(
    fault: Fault, number: int | None, labels: Mapping[str, str], conditions: Mapping[str, Any]
) -> bool:
    if fault.job not in (None, number):
        return False
    if fault.label is not None:
        key, _, value = fault.label.partition("=")
        if labels.get(key) != value:
            return False
    return all(getattr(fault, name) in ("*", wanted) for name, wanted in conditions.items())
