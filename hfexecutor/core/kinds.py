"""The kinds of workers: what jobs of one flavor are for, and how it went with them so far.

A worker has a kind, named by its flavor. A call asks for one kind or for any of several, in the
order of preference. Calls that ask for the same wait in one queue
(:class:`~hfexecutor.core.pending.Queue`), and any worker of one of those kinds may have them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hfexecutor.core.events import Offer

__all__ = ["Kind", "Kinds"]


class Kind:
    """One kind of worker.

    Attributes:
        name: Its flavor.
        slots: Calls that a machine of it is for.
        memory: What a machine of it has, in GB; 0 where nobody says.
        cold_start: Seconds from launch to HELLO of the last worker that came up; None before.
        most_jobs: How many jobs of it the Hub lets us have.
        affordable: How many more of them can be paid for.
        passed_over_until: It did not come: until when others of a list are asked for instead.
    """

    __slots__ = (
        "affordable",
        "cold_start",
        "memory",
        "most_jobs",
        "name",
        "passed_over_until",
        "slots",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.slots = 1
        self.memory = 0.0
        self.cold_start: float | None = None
        self.most_jobs = math.inf
        self.affordable = math.inf
        self.passed_over_until = -math.inf

    def __repr__(self) -> str:
        return f"<Kind {self.name} of {self.slots} slots>"

    @property
    def is_allowed(self) -> bool:
        """Whether a job of it may be launched at all."""
        return self.most_jobs > 0 and self.affordable > 0

    def can_be_had(self, now: float) -> bool:
        """Say whether it is worth a try to launch a job of it."""
        return self.is_allowed and now >= self.passed_over_until


class Kinds:
    """All kinds that calls have asked for."""

    def __init__(self) -> None:
        self._by_name: dict[str, Kind] = {}

    def __repr__(self) -> str:
        return f"<Kinds {', '.join(self._by_name)}>"

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._by_name.values())

    def __getitem__(self, name: str) -> Kind:
        kind = self._by_name.get(name)
        if kind is None:
            kind = self._by_name[name] = Kind(name)
        return kind

    @property
    def has_come_up(self) -> bool:
        """Whether a worker of any kind has ever come up."""
        return any(kind.cold_start is not None for kind in self)

    def learn(self, offers: Iterable[Offer]) -> None:
        """Note what the Hub offers."""
        for offer in offers:
            kind = self[offer.kind]
            kind.slots, kind.memory = max(1, offer.slots), offer.memory

    def wanted(self, names: tuple[str, ...], now: float) -> Kind:
        """Return the kind that a job is to be started of, for calls that ask for these."""
        if len(names) == 1:
            return self[names[0]]
        kinds = [self[name] for name in names]
        for kind in kinds:
            if kind.can_be_had(now):
                return kind
        # What did not come may come yet; what cannot be paid will not.
        return next((kind for kind in reversed(kinds) if kind.is_allowed), kinds[-1])

    def after(self, name: str, names: tuple[str, ...], now: float) -> Kind | None:
        """Return what is to be tried in place of a kind that does not come; None for nothing."""
        later = names[names.index(name) + 1 :] if name in names else ()
        return next((self[other] for other in later if self[other].can_be_had(now)), None)

    def larger(self, names: tuple[str, ...], than: str) -> tuple[str, ...]:
        """Return those with more memory than a kind has, the next larger one first."""
        least = self[than].memory
        larger = [name for name in names if self[name].memory > least > 0]
        return tuple(sorted(larger, key=lambda name: self[name].memory))

    def most_memory(self, names: tuple[str, ...]) -> float:
        """Return GB of memory of the largest of these kinds; infinity where nobody says."""
        memories = [self[name].memory for name in names]
        return max(memories) if all(memories) else math.inf

    def allow_more(self) -> None:
        """Note that the Hub may let us have more jobs again, of each kind."""
        for kind in self:
            kind.most_jobs = math.inf
