"""Runs, as the jobs of a namespace tell of them: also those of other processes and machines."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hfexecutor.core.budget import minutes_begun
from hfexecutor.hub.hardware import DOOR_HOURLY
from hfexecutor.hub.settings import LOCAL, check_user, resolve_endpoint, resolve_token
from hfexecutor.labels import (
    CALLS_LABEL,
    LAUNCH_LABEL,
    NAME_LABEL,
    RUN_LABEL,
    SCRIPT_LABEL,
    calls_in_label,
)
from hfexecutor.runtime.finding import jobs_of_runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hfexecutor.hub.models import Job

__all__ = ["Run", "RunJob", "list_runs", "runs_of"]


@dataclass(frozen=True, slots=True)
class RunJob:
    """One job of a run, as the Hub shows it.

    Attributes:
        id: The Hub's id of the job.
        url: Its page.
        stage: Where it is in its life, in the Hub's word.
        running: Whether it may run, and cost, still.
        flavor: Its hardware.
        launch: The label that only its launch carries.
        calls: Numbers of the calls that travelled in its launch request, as far as its label has
            room for them; it may have got any number of others since.
        created: When it was launched; None where the Hub does not say.
        started: When it began to run, None before.
        finished: When it was over, None before.
        minutes: Those that it has begun.
        hourly: What it costs an hour, None where no price is known.
        dollars: The most that can be billed for it so far, None where no price is known.
    """

    id: str
    url: str
    stage: str
    running: bool
    flavor: str
    launch: str
    calls: tuple[range, ...]
    created: datetime | None
    started: datetime | None
    finished: datetime | None
    minutes: int
    hourly: float | None
    dollars: float | None


@dataclass(frozen=True, slots=True)
class Run:
    """One run: all jobs of an executor.

    Attributes:
        name: As its executor was named, or has named itself. Several runs may share one.
        nonce: What tells it from all others.
        jobs: Its jobs, the earliest first; those that the Hub still knows.
        script: The file name of the script that has started it, empty where there was none.
    """

    name: str
    nonce: str
    jobs: tuple[RunJob, ...]
    script: str = ""

    @property
    def running(self) -> int:
        """How many of its jobs may run still."""
        return sum(job.running for job in self.jobs)

    @property
    def stages(self) -> dict[str, int]:
        """How many of its jobs are in which stage, in the Hub's words."""
        return dict(Counter(job.stage for job in self.jobs))

    @property
    def flavors(self) -> tuple[str, ...]:
        """The hardware of its jobs, each once."""
        return tuple(dict.fromkeys(job.flavor for job in self.jobs))

    @property
    def created(self) -> datetime | None:
        """When its first job was launched; None where the Hub does not say."""
        return min((job.created for job in self.jobs if job.created is not None), default=None)

    @property
    def finished(self) -> datetime | None:
        """When its last job was over; None while one may run."""
        ends = [job.finished for job in self.jobs if job.finished is not None]
        return max(ends, default=None) if not self.running else None

    @property
    def hourly(self) -> float:
        """Dollars an hour of the jobs that may run still, as far as prices are known."""
        return sum(job.hourly or 0.0 for job in self.jobs if job.running)

    @property
    def dollars(self) -> float | None:
        """The most that can be billed for its jobs so far, None where a price is not known."""
        costs = [job.dollars for job in self.jobs]
        return None if None in costs else sum(cost for cost in costs if cost is not None)


def list_runs(
    name: str | None = None,
    *,
    endpoint: str | None = None,
    token: str | None = None,
    namespace: str | None = None,
) -> list[Run]:
    """Return the runs of a namespace whose jobs the Hub still knows, the latest first.

    A label is a claim: what the Hub itself notes of a job has to show that it was started by the
    owner of `token`, belongs to the namespace, and runs what our jobs run. Others are left out.

    Args:
        name: Only runs of that name; None, the default, for all.
        endpoint: The Hub; None, the default, as for ``HubExecutor``. ``"local"`` is no place to
            look for runs: such a Hub ends with its executor.
        token: None, the default, takes what ``huggingface_hub`` finds.
        namespace: Whose runs; None, the default, is the user whom the token belongs to.

    Raises:
        ValueError: `endpoint` is ``"local"``, or something else is no address or name.
        HubError: The Hub refuses it, or cannot be reached.

    Example:
        >>> for run in list_runs(endpoint=hub.endpoint, token=hub.token):  # doctest: +SKIP
        ...     print(run.name, run.running, "of", len(run.jobs), "jobs")
    """
    address = resolve_endpoint(endpoint)
    if address == LOCAL:
        raise ValueError(
            'endpoint="local" is a Hub that lasts as long as its executor: there are no runs to be '
            "found. Start one that lasts with `hfexecutor hub`, and name its address"
        )
    check_user(token, None, namespace)
    labels = {} if name is None else {NAME_LABEL: name}
    jobs, prices = jobs_of_runs(address, resolve_token(token), namespace, labels)
    return runs_of(jobs, prices, datetime.now(UTC))


def runs_of(jobs: Iterable[Job], prices: Mapping[str, float | None], now: datetime) -> list[Run]:
    """Put jobs together to runs, the latest first.

    Args:
        jobs: Jobs of ours; those without our labels are passed over.
        prices: Dollars an hour by flavor.
        now: The time that running jobs are reckoned to.
    """
    runs: dict[str, Run] = {}
    for job in jobs:
        nonce = job.labels.get(RUN_LABEL)
        if not nonce:
            continue
        found = _job(job, prices, now)
        name, script = (job.labels.get(label, "") for label in (NAME_LABEL, SCRIPT_LABEL))
        run = runs.get(nonce) or Run(name, nonce, (), script)
        runs[nonce] = dataclasses.replace(run, jobs=(*run.jobs, found))
    ordered = [
        dataclasses.replace(run, jobs=tuple(sorted(run.jobs, key=_age))) for run in runs.values()
    ]
    return sorted(ordered, key=lambda run: _age(run.jobs[0]), reverse=True)


def _age(job: RunJob) -> tuple[datetime, str]:
    return (job.created or datetime.min.replace(tzinfo=UTC), job.id)


def _job(job: Job, prices: Mapping[str, float | None], now: datetime) -> RunJob:
    minutes, price = 0, prices.get(job.flavor)
    hourly = None if price is None else price + DOOR_HOURLY
    if job.started_at is not None:
        seconds = ((job.finished_at or now) - job.started_at).total_seconds()
        minutes = minutes_begun(seconds)
    unknown = hourly is None and minutes > 0
    return RunJob(
        id=job.id,
        url=job.url,
        stage=job.stage,
        running=not job.finished,
        flavor=job.flavor,
        launch=job.labels.get(LAUNCH_LABEL, ""),
        calls=calls_in_label(job.labels.get(CALLS_LABEL, "")),
        created=job.created_at,
        started=job.started_at,
        finished=job.finished_at,
        minutes=minutes,
        hourly=hourly,
        dollars=None if unknown else minutes * (hourly or 0.0) / 60,
    )
