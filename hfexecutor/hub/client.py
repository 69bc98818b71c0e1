"""The one thing that the pool holds of a Hub: every request of a run goes through here.

Lives in one event loop. Reads and cancels are repeated until they succeed or `give_up_after` is
over; launches, door messages and log streams are tried once, because only the pool knows what a
second try would mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

from pydantic import ConfigDict, TypeAdapter, ValidationError

from hfexecutor.errors import HubRequestError
from hfexecutor.hub.api import Api, read
from hfexecutor.hub.claims import claim_of_run_problem, claim_problem, is_proof
from hfexecutor.hub.clock import Clock, SystemClock
from hfexecutor.hub.credentials import Credentials
from hfexecutor.hub.doors import Doors
from hfexecutor.hub.failures import NAMESPACE, NotFoundError
from hfexecutor.hub.launch import (
    LaunchAmbiguousError,
    LaunchLimitedError,
    launch,
    load_api,
)
from hfexecutor.hub.models import Hardware, Identity, Job, Usage
from hfexecutor.hub.network import Network
from hfexecutor.hub.streams import Streams
from hfexecutor.hub.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping

    import httpx
    from huggingface_hub import HfApi

    from hfexecutor.hub.hosts import Door
    from hfexecutor.hub.launch import JobSpec
    from hfexecutor.hub.logs import LogLine
    from hfexecutor.hub.ranges import Query

__all__ = ["HubClient"]

_LOG: Final = logging.getLogger("hfexecutor.hub")
_GONE: Final = "the Hub knows it no longer"
_HARDWARE: Final = TypeAdapter(list[Hardware], config=ConfigDict(defer_build=True))
_ENTRIES: Final = TypeAdapter(list[Any], config=ConfigDict(defer_build=True))


class HubClient:
    """Talk to one Hub, as one user, about the jobs of one namespace.

    Create it inside the running loop that uses it, and `aclose` it there.

    Args:
        endpoint: The Hub's address.
        token: The user's token, or more than one: see :mod:`hfexecutor.hub.credentials`.
        namespace: Whose jobs; None asks the Hub for the token's owner, once.
        give_up_after: Seconds for which a request that may be repeated is repeated.
        transport: Replaces the network (all of it but launches), for tests.
        clock: Replaces time, for tests.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        token: str | Credentials,
        namespace: str | None,
        give_up_after: float = 300.0,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.namespace = namespace
        self._credentials = Credentials(token) if isinstance(token, str) else token
        network = Network(self.endpoint, self._credentials, transport)
        self._api = Api(
            self.endpoint,
            self._credentials,
            clock=clock or SystemClock(),
            give_up_after=give_up_after,
            network=network,
        )
        self._streams = Streams(self._api, self._credentials, network)
        self._doors = Doors(self.endpoint, self._credentials, network)
        self._launcher: HfApi | None = None
        self._naming = asyncio.Lock()  # whoami is asked by one at a time
        self._initiator: str | None = None  # who we are, as the Hub notes it on our jobs

    def __repr__(self) -> str:
        return f"<HubClient {self.endpoint} {self.namespace or '(namespace not known yet)'}>"

    @property
    def requests(self) -> int:
        """How many requests to the API were made so far; those to doors do not count there."""
        return self._api.admitted

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._doors.aclose()
        await self._streams.aclose()
        await self._api.aclose()

    async def whoami(self) -> Identity:
        """Return whose token it is. Its rate limit is strict: ask once."""
        return read(
            Identity.model_validate, await self._get("api/whoami-v2", "find out whose token it is")
        )

    async def resolve_namespace(self) -> str:
        """Return the namespace, asking the Hub for it if nobody named one."""
        async with self._naming:
            if self.namespace is None:
                identity = await self.whoami()
                self.namespace, self._initiator = identity.name, identity.id
        return self.namespace

    async def hardware(self) -> list[Hardware]:
        """Return the flavors there are."""
        answer = await self._get("api/jobs/hardware", "list the hardware")
        return read(_HARDWARE.validate_python, answer)

    async def bills(self) -> dict[str, float]:
        """Return what jobs of this billing period have cost so far, in dollars, by their ids.

        The Hub's route is for the user whose token it is: jobs that an organisation pays for need
        not be in it.
        """
        answer = await self._get("api/settings/billing/usage/jobs", "ask what jobs have cost")
        usage = read(Usage.model_validate, answer)
        return {bill.job: bill.micro_usd / 1e6 for bill in usage.bills}

    async def list_jobs(self, labels: Mapping[str, str]) -> list[Job]:
        """Return all jobs that have all of `labels`.

        An entry that cannot be read is left out with a warning: the others must not suffer.
        """
        params = {"label": [f"{key}={value}" for key, value in labels.items()]} if labels else {}
        jobs: dict[str, Job] = {}  # a list that changes while it is paged may say a job twice
        doing = f"list the jobs of {await self.resolve_namespace()}"
        found = self._api.pages(await self._path(), doing, params, advice={404: NAMESPACE})
        async with contextlib.aclosing(found) as pages:
            async for page in pages:
                for raw in read(_ENTRIES.validate_python, page):
                    if (job := self._job_or_none(raw)) is not None:
                        jobs[job.id] = job
        return list(jobs.values())

    async def inspect(self, job_id: str) -> Job:
        """Return one job.

        Raises:
            NotFoundError: The Hub does not know it (any more).
        """
        answer = await self._get(await self._path(job_id), f"inspect job {job_id}")
        return read(lambda raw: Job.parse(raw, self.endpoint), answer)

    async def cancel(self, job_id: str) -> None:
        """Make sure that a job runs no longer; nothing happens if it is over already."""
        url = self._api.url(await self._path(job_id, "cancel"))
        try:
            await self._api.request("POST", url, f"cancel job {job_id}", urgent=True)
        except NotFoundError:
            return
        except HubRequestError:  # perhaps just because there is nothing left to cancel
            if not await self._is_over(job_id):
                raise

    async def label(self, job_id: str, labels: Mapping[str, str]) -> None:
        """Give a job other labels than it has.

        Raises:
            HubRequestError: The Hub does not take one of them.
        """
        url = self._api.url(await self._path(job_id, "labels"))
        await self._api.request("PUT", url, f"label job {job_id}", body={"labels": dict(labels)})

    async def token(self) -> str:
        """Return the token of the moment, for requests that other clients make."""
        return await self._credentials.for_hub()

    def token_now(self) -> str:
        """Return the same to another thread than that of the client; it may block."""
        return self._credentials.read()

    async def admit_launch(self) -> None:
        """Wait until the rate limit allows a launch; cancelled meanwhile, it has spent nothing.

        Raises:
            RateLimitedError: The Hub's budget leaves no room within `give_up_after`.
        """
        await self._api.admit(f"launch a job in {await self.resolve_namespace()}")

    async def launch(self, spec: JobSpec, *, patience: float = 60.0) -> Job:
        """Start a job: one POST, at once. The rate limit was asked before, by `admit_launch`.

        Args:
            spec: What to start.
            patience: Seconds to wait for the answer.

        Raises:
            LaunchError: One of its four kinds; see :mod:`hfexecutor.hub.launch`.
        """
        namespace = await self.resolve_namespace()
        token = await self._credentials.for_hub()

        def post() -> Job:
            return launch(self._hf_api(), spec, namespace, token, self._credentials.redact)

        try:
            job = await in_thread(post, patience)
        except LaunchLimitedError as error:
            self._api.limiter.hold(error.seconds)
            raise
        except TimeoutError as error:
            raise LaunchAmbiguousError(
                f"Could not launch a job in {namespace}: no answer within {patience:g} s"
            ) from error
        self._initiator = self._initiator or job.initiator
        return job

    async def claim_problem(
        self, job: Job, spec: JobSpec, flavors: Collection[str] = ()
    ) -> str | None:
        """Say why a job that was found by the label of a launch is not the job of it.

        See :func:`hfexecutor.hub.claims.claim_problem`. A list may leave out what proves it: then
        the job itself is asked for. Who we are is known from the first job that was launched, or
        from whoami; where neither was heard yet, whoami is asked, once.

        Returns:
            None when the job is ours, else a reason that reads after "the job is not ours: ".

        Raises:
            HubError: The Hub does not tell.
        """
        proven = await self._proven(job)
        if proven is None:
            return _GONE
        namespace, initiator = await self._us()
        return claim_problem(
            proven, spec, namespace=namespace, initiator=initiator, flavors=flavors
        )

    async def claim_of_run_problem(self, job: Job, command: tuple[str, ...]) -> str | None:
        """Say why a job that carries the labels of some run is none of ours, None if it is one.

        See :func:`hfexecutor.hub.claims.claim_of_run_problem`; `command` is what all jobs run. Of a
        job that is over nothing is asked that a list leaves out: nothing is sent to it.

        Raises:
            HubError: The Hub does not tell.
        """
        proven = job if job.finished else await self._proven(job)
        if proven is None:
            return _GONE
        namespace, initiator = await self._us()
        return claim_of_run_problem(proven, command, namespace=namespace, initiator=initiator)

    async def _proven(self, job: Job) -> Job | None:
        """Return a job with what proves whose it is; None if the Hub knows it no longer."""
        if is_proof(job):
            return job
        try:
            return await self.inspect(job.id)
        except NotFoundError:
            return None

    async def _us(self) -> tuple[str, str | None]:
        """Return whose jobs ours are, and the Hub's id of who starts them."""
        async with self._naming:
            if self._initiator is None:
                self._initiator = (await self.whoami()).id
        return await self.resolve_namespace(), self._initiator

    async def prepare(self) -> None:
        """Load what launches need, in a thread: the import alone takes half a second."""
        await in_thread(self._hf_api)

    async def knock(self, door: Door, body: bytes, *, timeout: float) -> bytes:  # noqa: ASYNC109
        """Send `body` to a job's door, once, and return the answer's body.

        Raises:
            DoorUnreachableError: Not delivered.
            DoorAmbiguousError: Perhaps delivered.
            DoorRejectedError: Refused, with a `status`; 0 where nothing was sent because that is
                no address of the job's port, see :func:`hfexecutor.hub.hosts.door_problem`.
        """
        return await self._doors.post(door, body, timeout)

    async def fetch(self, door: Door, query: Query, *, timeout: float) -> None:  # noqa: ASYNC109
        """Send a query to a job's door, once, and read the answer's body into its places.

        When this returns, or raises anything but `CancelledError`, nothing writes there any more.
        What the query's check raises is raised here.

        Raises:
            DoorError: As in :meth:`knock`.
        """
        await self._doors.fetch(door, query, timeout)

    def forget_door(self, door: Door) -> None:
        """Hang up on a door that will not be needed any more."""
        self._doors.forget(door)

    async def logs(self, job_id: str) -> AsyncGenerator[list[LogLine], None]:
        """Follow a job's log: yield lines as they come, from the start, in lists never empty.

        Ends when the Hub ends the stream, which need not mean that the job is over, nor that all
        of its log was in it. Close the generator (``contextlib.aclosing``) to hang up.

        Args:
            job_id: Whose log.

        Raises:
            HubUnavailableError: The stream could not be opened, broke, or fell silent; try again.
            RateLimitedError: Try again later.
            HubRequestError, AuthenticationError: The Hub refuses it.
        """
        path = await self._path(job_id, "logs")
        lines = self._streams.follow(path, f"follow the log of job {job_id}")
        async with contextlib.aclosing(lines):
            async for some in lines:
                yield some

    async def _get(self, path: str, doing: str) -> httpx.Response:
        return await self._api.request("GET", self._api.url(path), doing)

    async def _path(self, *parts: str) -> str:
        steps = ("api", "jobs", await self.resolve_namespace(), *parts)
        return "/".join(quote(step, safe="") for step in steps)

    def _job_or_none(self, raw: Any) -> Job | None:
        try:
            return Job.parse(raw, self.endpoint)
        except (TypeError, ValidationError) as error:
            _LOG.warning("Left out a job that the Hub describes in an unknown way: %s", error)
            return None

    async def _is_over(self, job_id: str) -> bool:
        try:
            return (await self.inspect(job_id)).finished
        except NotFoundError:
            return True

    def _hf_api(self) -> HfApi:
        if self._launcher is None:
            self._launcher = load_api(self.endpoint)
        return self._launcher
