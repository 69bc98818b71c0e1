"""What jobs would cost on the Hub: billed by the minute begun. The one place that reckons it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from .hardware import FLAVORS
from .replies import stamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .jobs import Job

_EXPOSED_PORT_HOURLY = 0.01


def minutes(record: Job) -> int:
    """Return how many minutes a job has begun; 0 for one that never ran."""
    if record.started is None:
        return 0
    seconds = ((record.finished or datetime.now(UTC)) - record.started).total_seconds()
    return max(1, -int(-seconds // 60))


def per_minute(record: Job) -> int:
    """Return what a minute of a job costs, its port included, in millionths of a US dollar."""
    port = round(_EXPOSED_PORT_HOURLY * 1e6 / 60) if record.was_exposed else 0
    return FLAVORS[record.spec.flavor].micro_usd_per_minute + port


def usage(records: Iterable[Job]) -> dict[str, Any]:
    """Return what the jobs would have cost on the Hub, as its API tells it."""
    details = [_bill(record, record.started) for record in records if record.started]
    today = datetime.now(UTC)
    begin = today.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (begin + timedelta(days=32)).replace(day=1)
    return {
        "hasAccess": True,
        "usage": {
            "periodStart": stamp(begin),
            "periodEnd": stamp(end),
            "usedMicroUsd": sum(bill["totalCostMicroUsd"] for bill in details),
            "totalMinutes": sum(bill["totalMinutes"] for bill in details),
            "jobDetails": details,
        },
    }


def _bill(record: Job, started: datetime) -> dict[str, Any]:
    begun = minutes(record)
    bill = {
        "jobId": record.id,
        "hardwareFlavor": record.spec.flavor,
        "startedAt": stamp(started),
        "totalMinutes": begun,
        "totalCostMicroUsd": begun * per_minute(record),
    }
    if record.finished:
        bill["completedAt"] = stamp(record.finished)
    return bill
