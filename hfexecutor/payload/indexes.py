"""Where the job's uv finds packages: what this environment tells uv, and nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["foreign_index", "index_secrets"]

# uv's own variables for indexes and their credentials.
_FOR_UV: Final = re.compile(
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|INDEX_STRATEGY|INDEX_[A-Z0-9_]+_(USERNAME|PASSWORD))"
)
_FOR_PIP: Final = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")
_OF_THIS_MACHINE: Final = re.compile(r"(?:^|[\s=])(?:file:|/|\./|\.\./)")


def index_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a job's uv gets, as secrets: their values may hold passwords.

    An index that is a directory of this machine is left out: no job can read it.
    """
    return {
        name: value
        for name, value in environment.items()
        if value and _FOR_UV.fullmatch(name) and not _OF_THIS_MACHINE.search(value)
    }


def foreign_index(environment: Mapping[str, str]) -> str:
    """Return what to say where packages come from an index that pip knows and uv does not.

    Empty if all is well. Its address is not repeated: it may hold a password.
    """
    of_pip = [name for name in _FOR_PIP if environment.get(name)]
    if not of_pip or index_secrets(environment):
        return ""
    theirs = " and ".join(of_pip)
    return (
        f"{theirs} name an index that jobs are not told of: uv installs there. Set UV_INDEX, or "
        "UV_DEFAULT_INDEX, and it is passed to them as a secret"
    )
