"""What can be said of a flavor before anything is rented. Pure."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hfexecutor.hub.models import Hardware

__all__ = ["DOOR_HOURLY", "ceiling", "crowding", "price_problem", "unknown_flavor"]

DOOR_HOURLY: Final = 0.01  # dollars for an exposed port; the Hub's price list does not have it
DEAR: Final = 10.0  # dollars an hour of one job, from which on a price wants to be confirmed

_CROWDED: Final = 8  # calls to a vCPU: more than that is rarely meant, even where calls wait a lot
_SUGGESTIONS: Final = 3


def unknown_flavor(flavor: str, known: Iterable[str]) -> str:
    """Return the message for a flavor that the Hub does not have: with the nearest, or all."""
    import difflib  # noqa: PLC0415 - not for who spells it right

    names = list(known)
    word = flavor.strip().lower()
    near = [name for name in names if name.startswith(word)][:_SUGGESTIONS]
    near = near or difflib.get_close_matches(word, names, _SUGGESTIONS)
    if near:
        hint = f"Did you mean {' or '.join(map(repr, near))}? `hf jobs hardware` lists all"
    else:
        hint = f"It offers: {', '.join(names)}"
    return f"the Hub has no flavor {flavor!r}. {hint}"


def crowding(
    flavor: str, slots: int | Literal["auto"], hardware: Mapping[str, Hardware]
) -> str | None:
    """Say how little each of so many calls at once has of a machine, None if it is no concern."""
    machine = hardware.get(flavor)
    cpus = _number(machine.cpu) if machine is not None else None
    if machine is None or cpus is None or slots == "auto" or slots <= _CROWDED * cpus:
        return None
    memory = _number(machine.ram)
    share = f", {memory * 1000 / slots:,.0f} MB for each" if memory else ""
    return (
        f"{slots} calls at once share one {flavor} ({machine.cpu}, {machine.ram}{share}); "
        'slots_per_job="auto" runs one on each vCPU'
    )


def price_problem(
    flavor: str, hourly: float | None, *, max_cost: float | None, confirmed: bool
) -> str | None:
    """Say why no job of this price may be launched yet, None if one may."""
    if hourly is None:
        if max_cost is None:
            return None
        return f"max_cost cannot be kept: the Hub lists no price for {flavor}"
    minute = (hourly + DOOR_HOURLY) / 60
    if max_cost is not None and minute > max_cost:
        return (
            f"max_cost=${max_cost:g} does not pay for a single minute of {flavor} at "
            f"${hourly:.2f} an hour: it takes ${minute:.4f}"
        )
    if hourly >= DEAR and max_cost is None and not confirmed:
        return (
            f"each job of {flavor} costs ${hourly:.2f} an hour. If that is meant, set a limit, "
            f"like max_cost={math.ceil(hourly)}, or confirm_price=True"
        )
    return None


def ceiling(
    fleets: Iterable[tuple[str, float, int]], *, timeout: float, max_cost: float | None
) -> str:
    """Say in one line what jobs may cost at most before the Hub ends them.

    Args:
        fleets: Flavor, its price an hour, and how many jobs of it there may be; one or the other.
        timeout: Seconds.
        max_cost: Dollars.
    """
    hours = timeout / 3600
    fleets = [(flavor, hourly + DOOR_HOURLY, jobs) for flavor, hourly, jobs in fleets]
    most = max(jobs * hourly * hours for _, hourly, jobs in fleets)
    if max_cost is not None and max_cost < most:
        end = f"at most ${max_cost:,.2f} (max_cost)"
    else:
        end = f"at most ${most:,.2f} in {hours:g} h"
    words = (f"{jobs} x {flavor} at ${hourly:.2f}/h" for flavor, hourly, jobs in fleets)
    return f"up to {' or '.join(words)}; {end}"


def _number(words: str) -> float | None:
    match = re.match(r"\d+(?:\.\d+)?", words)
    return float(match[0]) if match is not None else None
