"""Records of a hub as the JSON of its API."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from .stages import Stage

if TYPE_CHECKING:
    from .identity import Identity
    from .jobs import Job


def stamp(time: datetime) -> str:
    """Write a time as the Hub does: UTC, milliseconds, Z."""
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"


def now() -> str:
    """Return the time as the Hub writes it."""
    return stamp(datetime.now(UTC))


def job(record: Job, owner: Identity, moment: float | None = None) -> dict[str, Any]:
    """Return a job as the API shows it: without the values of its secrets.

    Args:
        record: the job.
        owner: whose job.
        moment: its stage, and what belongs to that, are those of then (by the monotonic clock);
            None: of now.
    """
    spec = record.spec
    stage = record.stage_at(moment) or record.stage
    started = None if stage is Stage.SCHEDULING else record.started
    finished = record.finished if stage.over else None
    found: dict[str, Any] = {
        "type": "job",
        "id": record.id,
        "createdAt": stamp(record.created),
        "startedAt": started and stamp(started),
        "finishedAt": finished and stamp(finished),
        "createdBy": {"id": owner.user_id, "name": owner.name},
        "owner": owner.as_owner(),
        "initiator": record.initiator,
        "dockerImage": spec.image,
        "spaceId": spec.space,
        "command": list(spec.command) or None,
        "arguments": list(spec.arguments),
        "environment": dict(spec.environment),
        "secrets": sorted(spec.secrets) or None,
        "flavor": spec.flavor,
        "arch": spec.arch,
        "labels": dict(record.labels) or None,
        "expose": _expose(record),
        "timeout": spec.timeout,
        "retry": spec.attempts - 1,
        "resourceGroupId": spec.resource_group,
        "volumes": list(spec.mounts) or None,
        "durations": _durations(record.created, started, finished or _utc(moment)),
    }
    shown = {key: value for key, value in found.items() if value is not None}
    shown["status"] = _status(record, stage)
    return shown


def _status(record: Job, stage: Stage) -> dict[str, Any]:
    now = stage is record.stage
    status: dict[str, Any] = {
        "stage": record.word_for(stage),
        "message": record.message if now else None,
    }
    if record.failures and now:
        status["failureCount"] = record.failures
    if record.cancel_reason and now:
        status["cancelReason"] = record.cancel_reason
    has_run = record.started and stage is not Stage.SCHEDULING
    if record.urls and (has_run or record.urls_at_launch):
        status["exposeUrls"] = [record.urls[port] for port in record.ports if port in record.urls]
    return status


def _expose(record: Job) -> dict[str, Any] | None:
    if not record.ports and not record.public_ports:
        return None
    return {"ports": list(record.ports), "portsPublic": list(record.public_ports)}


def _utc(moment: float | None) -> datetime:
    ago = 0.0 if moment is None else time.monotonic() - moment
    return datetime.now(UTC) - timedelta(seconds=ago)


def _durations(created: datetime, started: datetime | None, end: datetime) -> dict[str, int]:
    found = {"totalSecs": _seconds(end - created)}
    if started:
        found["schedulingSecs"] = _seconds(started - created)
        found["runningSecs"] = _seconds(end - started)
    return found


def _seconds(span: timedelta) -> int:
    return max(0, round(span.total_seconds()))
