"""Runs are found by the labels of their jobs, and by nothing that this machine keeps."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from hfexecutor.hub.client import HubClient
from hfexecutor.labels import OURS
from hfexecutor.payload.package import BOOT_COMMAND
from hfexecutor.runtime.asking import ask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hfexecutor.hub.models import Job

__all__ = ["jobs_of_runs"]

logger = logging.getLogger("hfexecutor")

_PATIENCE: Final = 30.0


def jobs_of_runs(
    endpoint: str, token: str, namespace: str | None, labels: Mapping[str, str]
) -> tuple[list[Job], dict[str, float | None]]:
    """Return our jobs with these labels, and dollars an hour by flavor.

    Raises:
        HubError: The Hub refuses it, or cannot be reached.
    """

    def open_hub() -> HubClient:
        return HubClient(
            endpoint=endpoint, token=token, namespace=namespace, give_up_after=_PATIENCE
        )

    async def look(hub: HubClient) -> tuple[list[Job], dict[str, float | None]]:
        # One after the other: of a Hub that cannot be reached each try is told once.
        jobs = await hub.list_jobs({**OURS, **labels})
        hardware = await hub.hardware()
        ours = []
        for job in jobs:
            problem = await hub.claim_of_run_problem(job, BOOT_COMMAND)
            if problem is None:
                ours.append(job)
            else:
                logger.info("job %s carries labels of ours and is not ours: %s", job.id, problem)
        return ours, {item.name: item.hourly for item in hardware}

    return ask(open_hub, look, 2 * _PATIENCE)
