"""Which jobs a list shows: filters, and their place in its address."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self
from urllib.parse import urlencode

from hfexecutor.local.pages import frames

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

    from hfexecutor.local.jobs import Job

_LONGEST = 19  # digits of a number that a job may have


@dataclass(frozen=True, slots=True)
class Filter:
    """What jobs must be to be shown.

    Attributes:
        run: the name of their run; empty: of any, or none.
        stage: as the API tells it; empty: any.
        labels: all that they must have, "key=value", or "key" with any value.
        before: only jobs of lower numbers; None: from the newest on.
    """

    run: str = ""
    stage: str = ""
    labels: tuple[str, ...] = ()
    before: int | None = None

    @classmethod
    def read(cls, query: QueryParams) -> Self:
        """Return what an address asks for; what makes no sense there filters nothing, or all."""
        before = query.get("before", "")
        return cls(
            run=query.get("run", ""),
            stage=query.get("stage", ""),
            labels=tuple(part for text in query.getlist("label") for part in text.split()),
            before=as_number(before),
        )

    @property
    def active(self) -> bool:
        """Whether any job may be left out."""
        return bool(self.run or self.stage or self.labels)

    def keeps(self, job: Job) -> bool:
        """Say whether a job is one of these, whatever its number."""
        if self.run and job.labels.get(frames.RUN) != self.run:
            return False
        if self.stage and job.shown_stage != self.stage:
            return False
        return all(_has(job.labels, label) for label in self.labels)

    def of_run(self, run: str) -> Filter:
        """Return the same for one run, from the newest job on."""
        return replace(self, run=run, before=None)

    def at(self, before: int | None) -> Filter:
        """Return the same for another page of the list."""
        return replace(self, before=before)

    def query(self) -> str:
        """Return the query of this filter's address, "" or "?run=…"."""
        before = "" if self.before is None else str(self.before)
        pairs = [("run", self.run), ("stage", self.stage), ("label", " ".join(self.labels))]
        text = urlencode([pair for pair in [*pairs, ("before", before)] if pair[1]])
        return f"?{text}" if text else ""


def as_number(text: str) -> int | None:
    """Return a number of an address; None for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < _LONGEST else None


def _has(labels: dict[str, str], wanted: str) -> bool:
    key, given, value = wanted.partition("=")
    return key in labels and (not given or labels[key] == value)
