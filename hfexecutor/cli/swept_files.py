"""The files that `hfexecutor sweep` finds: in buckets, and on this machine."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from hfexecutor.cli.tables import Column, age, show_table
from hfexecutor.errors import HubError
from hfexecutor.labels import NAME_LABEL, RUN_LABEL
from hfexecutor.payload.package import BOOT_COMMAND
from hfexecutor.runtime.leftovers import BucketLeftovers, folders
from hfexecutor.runtime.scratch import delete_abandoned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfexecutor.cli.place import Place
    from hfexecutor.hub.client import HubClient
    from hfexecutor.hub.models import Job
    from hfexecutor.runtime.leftovers import Leftover

__all__ = ["Files", "Owners", "owners_of"]

_COLUMNS: Final = (
    Column("FILES OF", cut=True),
    Column("PLACE", weight=1),
    Column("SIZE", weight=2, right=True),
    Column("AGE", right=True),
)


class Owners(NamedTuple):
    """Whose the runs of a namespace are.

    Attributes:
        namespace: It.
        private: It is the token's owner's own: so is all that is in it.
        living: Nonces of the runs that have a job, whoever has started it.
        names: Of the owner's runs whose jobs the Hub still knows, by nonce.
    """

    namespace: str
    private: bool
    living: frozenset[str]
    names: dict[str, str]

    def has(self, nonce: str) -> bool:
        """Whether what is of a run is to be left alone."""
        return nonce in self.living or not (self.private or nonce in self.names)


async def owners_of(hub: HubClient, jobs: list[Job]) -> Owners:
    """Find out whose the runs are that these jobs are of."""
    namespace, user = await hub.resolve_namespace(), await hub.whoami()
    living = frozenset(job.labels.get(RUN_LABEL, "") for job in jobs if not job.finished)
    names = {}
    for job in jobs:
        if await hub.claim_of_run_problem(job, BOOT_COMMAND) is None:
            names[job.labels.get(RUN_LABEL, "")] = job.labels.get(NAME_LABEL, "")
    return Owners(namespace, namespace == user.name, living, names)


class Files:
    """What is found, and what becomes of it.

    Attributes:
        found: Nobody needs it.
        deleted: What is gone of that.
    """

    def __init__(self, place: Place, owners: Owners, older_than: float) -> None:
        self._owners = owners
        self.deleted: list[Leftover] = []
        self._buckets = BucketLeftovers(place.endpoint, place.token, owners.namespace)
        now = time.time()
        self.found = folders(now)
        with self._told():
            self.found += self._buckets.values(owners.has, older_than, now)
        with self._told():
            self.found += self._buckets.results(now)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Tell of a bucket that cannot be reached, and go on: all else is looked after even so."""
        try:
            yield
        except HubError as error:
            click.echo(str(error), err=True)

    @property
    def all_deleted(self) -> bool:
        """Whether nothing of it is left."""
        return len(self.deleted) == len(self.found)

    def show(self) -> None:
        """Show what was found."""
        if self.found:
            show_table(_COLUMNS, [self._row(one) for one in self.found])

    def delete(self) -> None:
        """Delete what was found."""
        for one in self.found:
            if one.kind == "folder":
                if delete_abandoned(Path(one.place)):
                    self.deleted.append(one)
                continue
            with self._told():
                self._buckets.delete(one)
                self.deleted.append(one)

    def _name(self, one: Leftover) -> str:
        if one.kind == "values":
            return f"run {self._owners.names.get(one.run) or one.run}"
        return "a killed process" if one.kind == "folder" else "earlier results"

    def _row(self, one: Leftover) -> list[str]:
        return [self._name(one), one.place, f"{one.size:,}", age(one.seconds)]

    def as_json(self) -> list[dict[str, object]]:
        """Return it for programs."""
        return [
            {
                "kind": one.kind,
                "place": one.place,
                "run": self._owners.names.get(one.run) or one.run or None,
                "bytes": one.size,
                "files": len(one.paths) or None,
                "age_seconds": one.seconds,
                "deleted": one in self.deleted,
            }
            for one in self.found
        ]
