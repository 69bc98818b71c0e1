"""A run as it was in time: jobs and calls, as plain rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["CallSpan", "JobSpan", "Period", "State"]

State: TypeAlias = Literal[
    "waiting", "sent", "done", "failed", "cancelled", "retried", "lost", "stopped"
]


@dataclass(frozen=True, slots=True)
class Period:
    """From one moment to another, in seconds since 1970; None while it goes on.

    `size` is the number of bytes that moved in it.
    """

    began: float
    ended: float | None
    size: int = 0


@dataclass(frozen=True, slots=True)
class JobSpan:
    """One job. All moments are in seconds since 1970; None where nobody knows, or not yet.

    Attributes:
        id: The Hub's id of the job.
        url: Its page.
        flavor: Its hardware.
        slots: Calls that run at once in it.
        launched: When it was asked for.
        began: When it had hardware, and began to run.
        up: When it could take calls.
        ended: When it was over.
        dollars: The most that can be billed for it.
        installs: When it installed packages.
        transfers: When calls or large results were on their way to it or from it.
    """

    id: str
    url: str
    flavor: str
    slots: int
    launched: float | None
    began: float | None
    up: float | None
    ended: float | None
    dollars: float | None
    installs: tuple[Period, ...] = ()
    transfers: tuple[Period, ...] = ()


@dataclass(frozen=True, slots=True)
class CallSpan:
    """One call in one job. All moments are in seconds since 1970; None where nobody knows.

    A call that was lost with its job, or has raised what `retry_on` names, and ran again, has a row
    for each time; one that had a backup has a row for each attempt.

    Attributes:
        call: Its number: calls are numbered from 1 as they are submitted.
        name: What its function is called; empty where nobody knows.
        state: "waiting" for a job, "sent" to one that has not answered it yet, "done", "failed",
            "cancelled"; of what ran again "lost" with the job, or "retried" after it had raised; of
            two attempts at the same time "stopped", when the other one had ended.
        job_id: The job; None while it has none.
        slot: Which of the job's slots it ran in, from 0.
        submitted: When `submit` was called, or soon after.
        sent: When it was handed to the job, where it may have had to wait for others.
        began: When it began to run, by the job's clock, as far as that can be right: not before it
            was sent, nor so late that it ended after that was heard.
        seconds: How long it ran.
        heard: When its outcome was here.
        error: The name of its exception's type, of a "retried" one more; empty for none.
    """

    call: int
    name: str
    state: State
    job_id: str | None
    slot: int | None
    submitted: float | None
    sent: float | None
    began: float | None
    seconds: float | None
    heard: float | None
    error: str = ""

    @property
    def ended(self) -> float | None:
        """When it was over in its job; None as for `began`."""
        if self.began is None or self.seconds is None:
            return None
        return self.began + self.seconds
