"""The error for a module that a job lacks, with the line that would have helped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfexecutor.errors import DependencyError, MissingModuleError
from hfexecutor.payload.distributions import Installed
from hfexecutor.payload.modules import Kind, locate
from hfexecutor.payload.requirements import pin

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["missing_module"]

_installed = Installed()


def missing_module(
    name: str, packages: Iterable[str], local: Iterable[str], where: str = "the job"
) -> MissingModuleError:
    """Return the error for a call whose job has no module `name`.

    Args:
        name: the module's dotted name.
        packages: the requirements that went along with the call.
        local: the names of the local code that did.
        where: the job, in words.
    """
    shipped = f"packages: {_listed(packages)}; local code: {_listed(local)}"
    return MissingModuleError(
        f"the job has no module {name!r}. {_remedy(name)} What went along with the call: "
        f"{shipped}. It ran in {where}",
        name=name,
    )


def _remedy(name: str) -> str:
    place = locate(name)
    while place.kind is Kind.MISSING and "." in place.name:  # a part of what is here, perhaps
        place = locate(place.name.rpartition(".")[0])
    if place.kind is Kind.MISSING:
        top = name.partition(".")[0]
        return (
            f"It is not installed here either: name the package that provides it, as in "
            f'dependencies=["auto", "{top}"].'
        )
    if place.kind is Kind.FILE:
        owner = _installed.owner(place)
        if owner is None:
            return (
                f"Here it is {place.file}. Import it in the module that needs it, or in the "
                "function, by a plain import statement, and it is sent along."
            )
        try:
            line = pin(owner)
        except DependencyError as error:
            return f"{error}."
        return f'Here it is {owner.name} {owner.version}: add dependencies=["auto", "{line}"].'
    return (
        "Here a program made it, and it lies in no file: "
        "cloudpickle.register_pickle_by_value(module) sends what is in it."
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
