"""Misbehaviour as data: what a LocalHub can be told to get wrong, and when.

    LocalHub(faults=[
        Refuse(503, route="POST /api/jobs/{namespace}", nth=3, after=True),  # done, then denied
        Refuse(429, probability=0.05),
        CutLog(lines=10, label="kind=worker", times=1),
        EndJob.oom(after=0.5, job=2),
    ], seed=7)

Every fault has the same conditions (see `Fault`). Where several faults of one place hold at once,
all of them apply; of those that answer a request in the place of the hub, the first one does.

A hub loads all these classes as it starts, so they cost little: see `plain_data.py`.
"""

from __future__ import annotations

from typing import Any, Self

from .plain_data import PlainData


class Fault(PlainData, kw_only=True):
    """When a fault strikes.

    An *opportunity* is, by the fault's kind: a request, a job, a connection to a job's log, a
    request through a door. All conditions have to hold.

    Attributes:
        job: only for the job of this number, 0 being the first.
        label: only for jobs with this label, "key=value".
        nth: only at this opportunity of those that are left, 1 being the first.
        times: at most so often.
        probability: so likely, by a generator seeded with the hub's seed and the fault's position.
    """

    job: int | None = None
    label: str | None = None
    nth: int | None = None
    times: int | None = None
    probability: float = 1.0


# ---------------------------------------------------------------------------- requests


class RouteFault(Fault, kw_only=True):
    """A fault of the API.

    Attributes:
        route: "METHOD /route/{template}" as in `LocalHub.requests`; "*" is any.
        after: whether the request is carried out first. The number and the labels of a job that a
            request starts are known then; before, only its number is.
    """

    route: str = "*"
    after: bool = False


class Refuse(RouteFault):
    """Answer with an error.

    Attributes:
        status: the HTTP status.
        message: the Hub's words; None: usual ones.
        retry_in: what a 429 says about when to come back, in seconds.
    """

    status: int = 503
    message: str | None = None
    retry_in: int = 1


class Garble(RouteFault):
    """Answer 200 with something that is not what the API promises."""

    body: bytes = b"<html><body>Bad gateway</body></html>"


class Slow(RouteFault):
    """Answer rightly, but late by so many seconds."""

    seconds: float = 1.0


class Hang(RouteFault):
    """Never answer."""


class Reset(RouteFault):
    """Reset the connection instead of answering."""


class Restart(RouteFault):
    """Have the hub go down with this request and come back after so many seconds."""

    down: float = 0.2


# ---------------------------------------------------------------------------- buckets


class FailOperation(Fault):
    """Report an operation of a batch as failed. Its opportunities are the operations."""

    error: str = "Internal error"


class CutContent(Fault):
    """Reset the connection after so many bytes of what a client reads of a bucket's content.

    Its opportunities, and those of `SpoilContent`, are the ranges of content that are read.
    """

    bytes: int = 0


class SpoilContent(Fault):
    """Send a wrong byte at this place of what a client reads of a bucket's content."""

    at: int = 0


class ResetFeed(Fault):
    """Tell a follower of a bucket that its place is forgotten, after a batch of changes."""


class EndFeed(Fault):
    """Tell a follower of a bucket to connect again, after a batch of changes."""


# ---------------------------------------------------------------------------- volumes


class LateWrites(Fault):
    """Take what a job writes to its volumes into their buckets so many seconds late.

    Not later than the job's end, though: see `LoseWrites`.
    """

    seconds: float = 1.0


class LoseWrites(Fault):
    """Take nothing that a job writes to its volumes into their buckets."""


# ---------------------------------------------------------------------------- lists


class StaleList(Fault):
    """Show jobs in lists as they were so many seconds ago; newer ones not at all."""

    seconds: float = 1.0


class MissJob(Fault):
    """Leave a job out of a list. Its opportunities are the jobs of each list."""


class BareList(Fault):
    """Leave `environment` out of the jobs of a list."""


class SmallPages(Fault):
    """Put fewer jobs on a page."""

    size: int = 1


# ---------------------------------------------------------------------------- logs, when read


class CutLog(Fault):
    """Cut the connection within the event that follows so many lines."""

    lines: int = 1


class StallLog(Fault):
    """Send nothing for a while after so many lines; `seconds` None: for good, not even an end."""

    lines: int = 1
    seconds: float | None = None


class LateLog(Fault):
    """Send each line so many seconds late, which may be well after the stage that follows it."""

    seconds: float = 1.0


class ShortReplay(Fault):
    """Replay only the first lines of those that are there when the connection is made."""

    lines: int = 0


class RepeatLines(Fault):
    """Send every n-th line twice."""

    every: int = 1


class ShuffleLines(Fault):
    """Send lines in a different order, each at most so many places from its own."""

    places: int = 4


class LoseHead(Fault):
    """Send only the last lines of the log."""

    keep: int = 10


class LoseTail(Fault):
    """Hold the last lines of a finished log back; `seconds` after the end None: for good."""

    lines: int = 1
    seconds: float | None = None


class NoLog(Fault):
    """Send no line: end at once, or with `endless` never."""

    endless: bool = False


# ---------------------------------------------------------------------------- logs, when written


class Noise(Fault):
    """Put bytes of somebody else into the log.

    Attributes:
        data: the bytes; invalid UTF-8, NUL and carriage returns are welcome.
        every: after so many lines.
        within: in the middle of a line; else before its start.
    """

    data: bytes = b"\xff\xfe noise \x00\r of others\n"
    every: int = 1
    within: bool = False


class SplitLines(Fault):
    """Break lines into pieces of so many bytes."""

    size: int = 1024


class RawLineEnds(Fault):
    """Do not escape U+2028, U+2029 and U+0085 in the JSON; put one of each after so many lines."""

    every: int = 1


# ---------------------------------------------------------------------------- jobs


class Stuck(Fault):
    """Leave a job in SCHEDULING; `seconds` None: for good.

    Attributes:
        flavor: only on this hardware; "*" is any.
        message: the Hub's words meanwhile.
    """

    seconds: float | None = None
    flavor: str = "*"
    message: str | None = None


class JobFault(Fault, kw_only=True):
    """A fault that strikes `after` so many seconds of a job's running; 0: before its first word."""

    after: float = 0.0


class KillJob(JobFault):
    """Kill a job's processes: it fails with exit code 137.

    With `retried`, the Hub starts it again, with new output in the same log.
    """

    retried: bool = False


class EndJob(JobFault):
    """End a job in this stage and with these words."""

    stage: str = "ERROR"
    message: str | None = None
    cancel_reason: str | None = None

    @classmethod
    def oom(cls, after: float = 0.0, **when: Any) -> Self:
        """Run out of memory."""
        return cls(after=after, message="Job failed with exit code: 137. Reason: OOMKilled", **when)

    @classmethod
    def timeout(cls, after: float = 0.0, **when: Any) -> Self:
        """Exceed the job's timeout."""
        return cls(after=after, message="Job timeout", **when)

    @classmethod
    def deleted(cls, after: float = 0.0, **when: Any) -> Self:
        """Be deleted."""
        return cls(after=after, stage="DELETED", **when)

    @classmethod
    def canceled(cls, after: float = 0.0, **when: Any) -> Self:
        """Be cancelled by somebody else."""
        return cls(after=after, stage="CANCELED", message="Job canceled by user", **when)

    @classmethod
    def no_credits(cls, after: float = 0.0, **when: Any) -> Self:
        """Run out of credits."""
        return cls(after=after, stage="CANCELED", cancel_reason="NO_CREDITS", **when)


class OddStage(JobFault):
    """Show a stage that nobody knows for as long as the job runs."""

    word: str = "UPDATING"


# ---------------------------------------------------------------------------- doors


class DoorFault(Fault):
    """Misbehave at a door.

    Attributes:
        how: "refuse" (502), "hang", "drop" (reset once the request was read, before the job gets
            it), "deliver" (reset once the job has got it), or "cut" (hang up in the middle of the
            reply).
        sent: how many bytes of a reply that is cut go on before.
    """

    how: str = "refuse"
    sent: int = 0
