"""What the page of a job shows besides its log."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from hfexecutor.local import billing
from hfexecutor.local.hardware import FLAVORS

from . import frames, words
from .jobs_view import Row, brief_command, kind_of, own_labels, row

if TYPE_CHECKING:
    from hfexecutor.local.jobs import Job

    from .tally import Tallies


@dataclass(frozen=True, slots=True)
class Step:
    """A stage that a job has been in.

    Attributes:
        stage, kind: its word, and style class.
        clock: the time of day at which it began, here.
        since: milliseconds, of the stage that goes on.
        lasted: how long, as text; "" for the end.
    """

    stage: str
    kind: str
    clock: str
    since: int | None
    lasted: str


@dataclass(frozen=True, slots=True)
class State:
    """What changes while a job lives.

    Attributes:
        row: as in the list.
        minutes: that are billed.
        failures: attempts that have failed.
        steps: its stages so far.
        over: whether it can change no more.
    """

    row: Row
    minutes: int
    failures: int
    steps: list[Step]
    over: bool


class Fact(NamedTuple):
    """Something that was asked for: its name, and lines of text."""

    name: str
    lines: list[str]


@dataclass(frozen=True, slots=True)
class Spec:
    """What a job was asked to be: of its secrets the names alone.

    Attributes:
        facts: small ones.
        labels: "key=value".
        variables: names and values of the environment.
        secrets: names.
        brief, command: its first words, and all of them.
    """

    facts: list[Fact]
    labels: list[str]
    variables: list[tuple[str, str]]
    secrets: list[str]
    brief: str
    command: list[str]


def state(job: Job, tallies: Tallies) -> State:
    """Return how a job stands."""
    now = datetime.now(UTC)
    return State(
        row=row(job, tallies, now),
        minutes=billing.minutes(job),
        failures=job.failures,
        steps=_steps(job),
        over=job.stage.over,
    )


def _steps(job: Job) -> list[Step]:
    (first, _), now = job.history[0], time.monotonic()
    ends = [at for at, _ in job.history[1:]]
    steps = []
    for (at, stage), end in zip(job.history, [*ends, None], strict=True):
        began = job.created + timedelta(seconds=at - first)
        goes_on = end is None and not stage.over
        lasted = "" if stage.over else words.span((end or now) - at, running=goes_on)
        word = job.word_for(stage)
        since = words.milliseconds(began) if goes_on else None
        steps.append(Step(word, kind_of(word), f"{began.astimezone():%H:%M:%S}", since, lasted))
    return steps


def spec(job: Job) -> Spec:
    """Return what a job was asked to be."""
    asked = job.spec
    facts = [
        Fact("Flavor", _flavor(job)),
        Fact("Image", [words.shown(asked.image or f"space {asked.space}")]),
        Fact("Created", [words.date(job.created)]),
        Fact("Script", [job.labels.get(f"{frames.OURS}-script", "")]),
        Fact("Timeout", [words.span(asked.timeout) if asked.timeout else ""]),
        Fact("Attempts", [f"at most {asked.attempts}" if asked.attempts > 1 else ""]),
        Fact("Ports", [f"{port} at {job.urls.get(port, '…')}" for port in job.ports]),
        Fact("Volumes", [_volume(one) for one in asked.mounts]),
        Fact("Architecture", [asked.arch or ""]),
    ]
    return Spec(
        facts=[Fact(name, kept) for name, lines in facts if (kept := list(filter(None, lines)))],
        labels=own_labels(job),
        variables=[(name, _text(value)) for name, value in sorted(asked.environment.items())],
        secrets=sorted(asked.secrets),
        brief=brief_command(job),
        command=[_text(word) for word in (*asked.command, *asked.arguments)],
    )


def _flavor(job: Job) -> list[str]:
    flavor = FLAVORS[job.spec.flavor]
    hourly = words.dollars(60 * billing.per_minute(job))
    price = f"{hourly} an hour{', its port included' if job.was_exposed else ''}"
    gpus = f", {flavor.count} {flavor.model}" if flavor.count else ""
    return [flavor.name, f"{flavor.cpus} vCPU, {flavor.ram_gb} GB{gpus}", price]


def _volume(mount: dict[str, object]) -> str:
    how = ", read only" if mount.get("readOnly") else ""
    within = f"/{mount['path']}" if mount.get("path") else ""
    where = f"{mount['type']} {mount['source']}{within} at {mount['mountPath']}"
    return words.shown(f"{where}{how}")


def _text(text: str) -> str:
    return "\n".join(map(words.shown, text.split("\n")))
