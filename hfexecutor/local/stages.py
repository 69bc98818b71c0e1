"""Where a job is, and how it can end."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Stage(StrEnum):
    """The Hub's words for where a job is."""

    SCHEDULING = "SCHEDULING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"
    ERROR = "ERROR"
    DELETED = "DELETED"

    @property
    def over(self) -> bool:
        """Whether nothing comes after this stage."""
        return self not in (Stage.SCHEDULING, Stage.RUNNING)


class End(NamedTuple):
    """How a job ended; the first end that happens to a job is the one that counts."""

    stage: Stage
    message: str | None = None
    cancel_reason: str | None = None
