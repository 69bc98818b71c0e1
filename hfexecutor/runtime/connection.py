"""The way to one Hub: endpoint, token, namespace, and what identifies this run there."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING

from hfexecutor.core import dispatch
from hfexecutor.core.events import Offer
from hfexecutor.errors import CostLimitError, HubRequestError
from hfexecutor.hub.client import HubClient
from hfexecutor.hub.hardware import DOOR_HOURLY, ceiling, crowding, price_problem, unknown_flavor
from hfexecutor.hub.launch import JobSpec
from hfexecutor.hub.threads import in_thread
from hfexecutor.labels import NAME_LABEL, OURS, RUN_LABEL, SCRIPT_LABEL, label_of_script
from hfexecutor.payload.package import BOOT_COMMAND, build_package
from hfexecutor.runtime.keys import RunKeys, key_of_results

if TYPE_CHECKING:
    from hfexecutor.hub.credentials import Credentials
    from hfexecutor.hub.models import Hardware, Job
    from hfexecutor.options import Options
    from hfexecutor.remote.frames import Seal

__all__ = ["AdoptedConnection", "Connection", "slots_of_job"]

logger = logging.getLogger("hfexecutor")


def slots_of_job(options: Options, machine: Hardware | None) -> int:
    """Return how many calls a job runs at once; a machine that the Hub does not list runs one."""
    return dispatch.slots_of_job(
        options.max_workers,
        asked=None if options.slots_per_job == "auto" else options.slots_per_job,
        machine=1 if machine is None else machine.slots,
        reuse_workers=options.reuse_workers,
    )


class Connection:
    """A Hub that has accepted our token, and what identifies this run there.

    The run is told from others by a public nonce in a label of all its jobs, which the keys are
    derived from (:mod:`hfexecutor.runtime.keys`); another label has its name, for people.

    Args:
        endpoint: The Hub's address.
        credentials: The user's tokens.
        namespace: Whose jobs; None for the token's owner.
        options: The executor's.
        nonce: What the run is told from others by; None, the default, for a new run.

    Attributes:
        hub: The client of the Hub.
        spec: What all launches of the run have in common: all but the flavor, for one.
        token: What the run was started with.
        hardware: The flavors that the Hub lists, by name, once it was asked.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        credentials: Credentials,
        namespace: str | None,
        options: Options,
        nonce: str | None = None,
    ) -> None:
        self.nonce = nonce or secrets.token_hex(16)
        self.hub = HubClient(
            endpoint=endpoint,
            token=credentials,
            namespace=namespace,
            give_up_after=options.give_up_after,
        )
        self._options = options
        self.spec = _common_spec(options)
        self.hardware: dict[str, Hardware] = {}
        self._flavors: set[str] = set()  # that jobs may have been launched on
        self.token = credentials.first
        self._keys = RunKeys(credentials.first, self.nonce)
        self._ours: set[str] = set()  # jobs that may still run, by the reply to their launch
        self._problems: dict[str, str | None] = {}  # of others that carry our labels

    def __repr__(self) -> str:
        return f"<Connection {self.hub.endpoint} {self.hub.namespace}>"

    @property
    def labels(self) -> dict[str, str]:
        """What all jobs of this run, and no others, are labelled with."""
        return {RUN_LABEL: self.nonce}

    @property
    def results_key(self) -> bytes:
        """The key of results that outlive their run."""
        return key_of_results(self.token)

    @property
    def all_labels(self) -> dict[str, str]:
        """What its jobs are labelled with, beside the label of their launch."""
        script = {SCRIPT_LABEL: name} if (name := label_of_script()) else {}
        return {**OURS, NAME_LABEL: self._options.name, **script, **self.labels}

    async def open(self, flavors: tuple[str, ...]) -> None:
        """Check token, namespace and flavors, before anything costs money.

        Raises:
            HubExecutorError: the Hub does not accept one of them, or cannot be reached.
        """
        hardware, *_ = await asyncio.gather(
            self.hub.hardware(),
            self.hub.resolve_namespace(),
            self.hub.prepare(),
            in_thread(build_package),  # it is kept; and no launch has to wait for it
        )
        self.hardware = {item.name: item for item in hardware}
        self._look_at(flavors)
        self._flavors.update(flavors)

    def _look_at(self, flavors: tuple[str, ...]) -> None:
        """Find flavors in the Hub's list, and say what does not fit them."""
        hardware, slots = self.hardware, self._options.slots_per_job
        for flavor in flavors:
            if hardware and flavor not in hardware:
                raise HubRequestError(unknown_flavor(flavor, hardware))
        self._look_at_prices(flavors)
        slots = slots if slots == "auto" else min(slots, self._options.max_workers)
        for flavor in flavors:
            if words := crowding(flavor, slots, hardware):
                logger.warning("%s", words)

    def _look_at_prices(self, flavors: tuple[str, ...]) -> None:
        """Refuse what nobody has agreed to pay, and say what may have to be paid at most."""
        options, hourly = self._options, {flavor: self.hourly(flavor) for flavor in flavors}
        for flavor in flavors:
            problem = price_problem(
                flavor,
                hourly[flavor],
                max_cost=options.max_cost,
                confirmed=options.confirm_price,
            )
            if problem is not None:
                raise CostLimitError(problem)
        fleets = [
            (flavor, price, dispatch.most_jobs(options.max_workers, self.slots(flavor)))
            for flavor, price in hourly.items()
            if price is not None
        ]
        if fleets:
            words = ceiling(fleets, timeout=options.timeout, max_cost=options.max_cost)
            logger.info("%s", words)

    def slots(self, flavor: str) -> int:
        """Return how many calls a job of a flavor runs at once."""
        return slots_of_job(self._options, self.hardware.get(flavor))

    def hourly(self, flavor: str) -> float | None:
        """Return dollars an hour of one job, without its door; None where the Hub lists none."""
        machine = self.hardware.get(flavor)
        return None if machine is None else machine.hourly

    def offer(self, flavor: str) -> Offer:
        """Return what the core has to know of a flavor."""
        machine = self.hardware.get(flavor)
        slots = 1 if machine is None else machine.slots
        memory = 0.0 if machine is None else machine.memory
        return Offer(flavor, slots, self.hourly(flavor), DOOR_HOURLY, memory)

    def note_ours(self, job: Job) -> None:
        """Note a job that answered a launch of ours."""
        self._ours.add(job.id)

    async def claim_problem(self, job: Job) -> str | None:
        """Say why a job that carries labels of this run is not one of its jobs, None if it is.

        One that is over is not looked at: nothing is sent to it, and it is not cancelled.

        Raises:
            HubError: The Hub does not tell.
        """
        if job.finished:
            self._ours.discard(job.id)
            self._problems.pop(job.id, None)
            return None
        if job.id in self._ours:
            return None
        if job.id not in self._problems:
            self._problems[job.id] = await self._claim_problem(job)
        return self._problems[job.id]

    async def _claim_problem(self, job: Job) -> str | None:
        return await self.hub.claim_problem(job, self.spec, self._flavors)

    def launch_key(self, launch_id: str) -> bytes:
        """Return the key of one launch."""
        return self._keys.of(launch_id)

    def seal(self, launch_id: str) -> Seal:
        """Return the seal of one launch."""
        return self._keys.seal(launch_id)


def _common_spec(options: Options) -> JobSpec:
    """Return what all launches of a run have in common: image, command."""
    return JobSpec(
        command=BOOT_COMMAND,
        image=options.image,
        python=options.python,
        dependencies=options.dependencies.at_launch,
        volumes=options.volumes,
        env=options.env,
    )


class AdoptedConnection(Connection):
    """The way to the jobs of a run that another process has started, with the same token.

    What they were launched with is not known here; but that they run what all our jobs run is.
    """

    async def open(self, flavors: tuple[str, ...]) -> None:  # noqa: ARG002 - it launches nothing
        """Check the token."""
        await self.hub.resolve_namespace()

    async def _claim_problem(self, job: Job) -> str | None:
        return await self.hub.claim_of_run_problem(job, BOOT_COMMAND)
