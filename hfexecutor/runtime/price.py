"""What the Hub says of money, asked for by a user and not by the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hfexecutor.errors import HubExecutorError
from hfexecutor.runtime.asking import ask
from hfexecutor.runtime.connection import slots_of_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfexecutor.hub.models import Hardware
    from hfexecutor.options import Options
    from hfexecutor.runtime.connection import Connection

__all__ = ["bills_of", "offer"]

_PATIENCE: Final = 10.0


def offer(options: Options, connect: Callable[[], Connection]) -> list[tuple[str, str]]:
    """Return for each flavor what a job costs, or why that is not known, and its calls at once."""
    why = "the Hub lists no price for it"
    known: list[Hardware] = []
    try:
        known = ask(lambda: connect().hub, lambda hub: hub.hardware(), _PATIENCE)
    except HubExecutorError as error:
        why = str(error)
    machines = {item.name: item for item in known}
    return [
        row
        for flavor in options.flavor
        for row in _offer(flavor, options, machines.get(flavor), why)
    ]


def _offer(
    flavor: str, options: Options, machine: Hardware | None, why: str
) -> list[tuple[str, str]]:
    price = f"not known: {why}"
    if machine is not None and machine.hourly is not None:
        price = f"${machine.hourly:.2f} an hour for each job ({machine.cpu})"
    slots = ""
    if machine is not None or options.slots_per_job != "auto":
        slots = f"{slots_of_job(options, machine)} at once in each job"
    return [("flavor", flavor), ("price", price), ("calls", slots)]


def bills_of(connect: Callable[[], Connection]) -> dict[str, float]:
    """Return dollars as the Hub's billing says, by the ids of jobs.

    Raises:
        HubError: It does not say.
    """
    return ask(lambda: connect().hub, lambda hub: hub.bills(), _PATIENCE)
