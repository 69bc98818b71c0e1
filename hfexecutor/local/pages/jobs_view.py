"""What the list of jobs shows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hfexecutor.local import billing
from hfexecutor.local.stages import Stage

from . import frames, words
from .tally import Calls

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hfexecutor.local.jobs import Job

    from .filters import Filter
    from .tally import Tallies

MOST_NAMES = 200  # of runs, or labels, that the form offers
_BRIEF = 60  # characters of a command
_KINDS = frozenset(map(str, Stage))


def kind_of(stage: str) -> str:
    """Return the style class of a stage; words that the Hub has none of share one."""
    return f"is-{stage.lower()}" if stage in _KINDS else "is-odd"


def own_labels(job: Job) -> list[str]:
    """Return the labels of a job, "key=value", without those that all jobs of a run have."""
    return [
        f"{key}={value}"
        for key, value in job.labels.items()
        if frames.OURS not in {key, value} and not key.startswith(f"{frames.OURS}-")
    ]


def brief_command(job: Job) -> str:
    """Return the first characters of a job's command."""
    text = words.shown(" ".join((*job.spec.command, *job.spec.arguments)).replace("\n", " "))
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}…"


@dataclass(frozen=True, slots=True)
class Times:
    """When a job was created, and how long it has run.

    Attributes:
        created: milliseconds, for a clock that goes on.
        created_at: date and time.
        age: as text.
        since: milliseconds, while the job runs.
        ran: as text, "" for a job that never ran.
    """

    created: int
    created_at: str
    age: str
    since: int | None
    ran: str

    @classmethod
    def of(cls, job: Job, now: datetime) -> Times:
        """Return those of a job."""
        running = job.started is not None and job.finished is None
        ran = (job.finished or now) - job.started if job.started else None
        return cls(
            created=words.milliseconds(job.created),
            created_at=words.date(job.created),
            age=words.span((now - job.created).total_seconds(), running=True),
            since=words.milliseconds(job.started) if running and job.started else None,
            ran=words.span(ran.total_seconds(), running=running) if ran is not None else "",
        )


@dataclass(frozen=True, slots=True)
class Row:
    """A job in the list."""

    id: str
    stage: str
    kind: str
    message: str
    run: str
    command: str
    labels: list[str]
    flavor: str
    times: Times
    calls: Calls | None
    cost: str


@dataclass(frozen=True, slots=True)
class Summary:
    """All jobs that the filter keeps, those on other pages included.

    Attributes:
        jobs: how many.
        stages: their stages, with style class and number, in the order of a job's life.
        calls: of all of them; None: none is ours.
        cost: dollars.
        hourly: dollars of what runs now; "" if nothing does.
    """

    jobs: int
    stages: list[tuple[str, str, int]]
    calls: Calls | None
    cost: str
    hourly: str

    @property
    def said(self) -> str:
        """The same in a sentence."""
        stages = ", ".join(f"{count} {stage.lower()}" for stage, _, count in self.stages)
        return f"{words.plural(self.jobs, 'job')}{': ' if stages else ''}{stages}"


@dataclass(frozen=True, slots=True)
class Names:
    """What the form offers: names of runs, the newest first, stages, labels."""

    runs: list[str]
    stages: list[str]
    labels: list[str]


def mark(job: Job, tallies: Tallies) -> tuple[object, ...]:
    """Return something that differs when what the list shows of a job may."""
    labels, calls = tuple(job.labels.items()), tallies.calls(job)
    return job.id, job.shown_stage, job.finished, job.message, labels, billing.minutes(job), calls


def row(job: Job, tallies: Tallies, now: datetime) -> Row:
    """Return what the list shows of a job."""
    return Row(
        id=job.id,
        stage=job.shown_stage,
        kind=kind_of(job.shown_stage),
        message=words.shown(job.message or ""),
        run=job.labels.get(frames.RUN, ""),
        command="" if frames.OURS in job.labels else brief_command(job),
        labels=own_labels(job),
        flavor=job.spec.flavor,
        times=Times.of(job, now),
        calls=tallies.calls(job),
        cost=words.dollars(billing.minutes(job) * billing.per_minute(job)),
    )


def rows(
    jobs: Sequence[Job], tallies: Tallies, most: int, before: int | None
) -> tuple[list[Row], int | None]:
    """Return a page of the list, and before which number the next one begins; None: it is the last.

    Args:
        jobs: those that the filter keeps, newest first.
        tallies: their calls.
        most: how many are on a page.
        before: as in the filter.
    """
    now = datetime.now(UTC)
    left = [job for job in jobs if before is None or job.number < before]
    shown = [row(job, tallies, now) for job in left[:most]]
    return shown, left[most - 1].number if len(left) > most else None


def summary(jobs: Sequence[Job], tallies: Tallies) -> Summary:
    """Return figures of all jobs that the filter keeps."""
    counts = Counter(job.shown_stage for job in jobs)
    order = [*map(str, Stage), *sorted(set(counts) - _KINDS)]
    known = [calls for job in jobs if (calls := tallies.calls(job)) is not None]
    micro = sum(billing.minutes(job) * billing.per_minute(job) for job in jobs)
    running = [job for job in jobs if job.started is not None and job.finished is None]
    hourly = 60 * sum(map(billing.per_minute, running))
    return Summary(
        jobs=len(jobs),
        stages=[(stage, kind_of(stage), counts[stage]) for stage in order if counts[stage]],
        calls=sum(known, Calls(0, 0, at_least=False)) if known else None,
        cost=words.dollars(micro),
        hourly=words.dollars(hourly) if running else "",
    )


def names(jobs: Iterable[Job], asked: Filter) -> Names:
    """Return what the form offers, given all jobs, newest first."""
    runs = dict.fromkeys([asked.run]) if asked.run else {}
    stages = set(filter(None, [asked.stage]))
    labels: dict[str, None] = {}
    for job in jobs:
        stages.add(job.shown_stage)
        if len(runs) < MOST_NAMES:
            runs |= dict.fromkeys(filter(None, [job.labels.get(frames.RUN)]))
        if len(labels) < MOST_NAMES:
            labels |= dict.fromkeys(own_labels(job))
    order = [*(stage for stage in map(str, Stage) if stage in stages), *sorted(stages - _KINDS)]
    return Names(list(runs), order, sorted(labels))
