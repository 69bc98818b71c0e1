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

from pydantic import TypeAdapter, ValidationError

from hfexecutor.errors import HubRequestError
from hfexecutor.hub.api import Api, read
from hfexecutor.hub.clock import Clock, SystemClock
from hfexecutor.hub.doors import Doors
from hfexecutor.hub.failures import NotFoundError
from hfexecutor.hub.launch import LaunchAmbiguousError, LaunchLimitedError, launch, load_api
from hfexecutor.hub.models import Hardware, Identity, Job
from hfexecutor.hub.network import Network
from hfexecutor.hub.streams import Streams
from hfexecutor.hub.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping

    import httpx
    from huggingface_hub import HfApi

    from hfexecutor.hub.launch import JobSpec
    from hfexecutor.hub.logs import LogLine

__all__ = ["HubClient"]

_LOG: Final = logging.getLogger("hfexecutor.hub")
_HARDWARE: Final = TypeAdapter(list[Hardware])
_ENTRIES: Final = TypeAdapter(list[Any])
_OBJECT: Final = TypeAdapter(dict[str, Any])
_PARALLEL_LAUNCHES: Final = 16


class HubClient:
    """Talk to one Hub, as one user, about the jobs of one namespace.

    Create it inside the running loop that uses it, and `aclose` it there.

    Args:
        endpoint: The Hub's address.
        token: The user's token.
        namespace: Whose jobs; None asks the Hub for the token's owner, once.
        give_up_after: Seconds for which a request that may be repeated is repeated.
        transport: Replaces the network (all of it but launches), for tests.
        clock: Replaces time, for tests.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        token: str,
        namespace: str | None,
        give_up_after: float = 300.0,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.namespace = namespace
        self._token = token
        network = Network(self.endpoint, token, transport)
        self._api = Api(
            self.endpoint,
            token,
            clock=clock or SystemClock(),
            give_up_after=give_up_after,
            network=network,
        )
        self._streams = Streams(self._api, token, network)
        self._doors = Doors(self.endpoint, token, network)
        self._launcher: HfApi | None = None
        self._launching = asyncio.Semaphore(_PARALLEL_LAUNCHES)
        self._naming = asyncio.Lock()

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
                self.namespace = (await self.whoami()).name
        return self.namespace

    async def hardware(self) -> list[Hardware]:
        """Return the flavors there are."""
        answer = await self._get("api/jobs/hardware", "list the hardware")
        return read(_HARDWARE.validate_python, answer)

    async def billing(self) -> dict[str, Any]:
        """Return what the Hub billed for jobs in the current period, in its own words."""
        answer = await self._get("api/settings/billing/usage/jobs", "read the bill")
        return read(_OBJECT.validate_python, answer)

    async def list_jobs(self, labels: Mapping[str, str], stages: Iterable[str] = ()) -> list[Job]:
        """Return all jobs that have all of `labels`, in one of `stages` if any are named.

        An entry that cannot be read is left out with a warning: the others must not suffer.
        """
        filters = {"label": [f"{k}={v}" for k, v in labels.items()], "stage": list(stages)}
        params = {name: values for name, values in filters.items() if values}
        jobs: dict[str, Job] = {}  # a list that changes while it is paged may say a job twice
        doing = f"list the jobs of {await self.resolve_namespace()}"
        async with contextlib.aclosing(self._api.pages(await self._path(), doing, params)) as pages:
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

    async def admit_launch(self) -> None:
        """Wait until the rate limit allows a launch; the next `launch` may then be `admitted`."""
        await self._api.admit(f"launch a job in {await self.resolve_namespace()}")

    async def launch(self, spec: JobSpec, *, patience: float = 60.0, admitted: bool = False) -> Job:
        """Start a job: one POST, as soon as the rate limit allows it.

        Args:
            spec: What to start.
            patience: Seconds to wait for the answer once the request is under way.
            admitted: The rate limit has allowed it already, see `admit_launch`.

        Raises:
            LaunchError: One of its four kinds; see :mod:`hfexecutor.hub.launch`.
            RateLimitedError: The Hub's budget leaves no room within `give_up_after`.
        """
        namespace = await self.resolve_namespace()
        doing = f"launch a job in {namespace}"
        async with self._launching:
            if not admitted:
                await self._api.admit(doing)
            try:
                return await in_thread(lambda: launch(self._hf_api(), spec, namespace), patience)
            except LaunchLimitedError as error:
                self._api.limiter.hold(error.seconds)
                raise
            except TimeoutError as error:
                raise LaunchAmbiguousError(
                    f"Could not {doing}: no answer within {patience:g} s"
                ) from error

    async def prepare(self) -> None:
        """Load what launches need, in a thread: the import alone takes half a second."""
        await in_thread(self._hf_api)

    async def knock(self, url: str, body: bytes, *, timeout: float) -> bytes:  # noqa: ASYNC109
        """Send `body` to a job's door, once, and return the answer's body.

        Raises:
            DoorUnreachableError: Not delivered.
            DoorAmbiguousError: Perhaps delivered.
            DoorRejectedError: Refused, with a `status`.
        """
        return await self._doors.post(url, body, timeout)

    def forget_door(self, url: str) -> None:
        """Hang up on a door that will not be needed any more."""
        self._doors.forget(url)

    async def logs(
        self, job_id: str, *, tail: int | None = None
    ) -> AsyncGenerator[list[LogLine], None]:
        """Follow a job's log: yield lines as they come, from the start, in lists never empty.

        Ends when the Hub ends the stream, which need not mean that the job is over, nor that all
        of its log was in it. Close the generator (``contextlib.aclosing``) to hang up.

        Args:
            job_id: Whose log.
            tail: Only the last so many lines of what there is already.

        Raises:
            HubUnavailableError: The stream could not be opened, broke, or fell silent; try again.
            RateLimitedError: Try again later.
            HubRequestError, AuthenticationError: The Hub refuses it.
        """
        path = await self._path(job_id, "logs")
        lines = self._streams.follow(path, tail, f"follow the log of job {job_id}")
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
            self._launcher = load_api(self.endpoint, self._token)
        return self._launcher
