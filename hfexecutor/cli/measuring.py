"""What only a job can show of a Hub, measured with two of them, for a cent at the most.

Each job has a time limit of its own, so it ends even if this process does not come to that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hfexecutor.cli import measured_job
from hfexecutor.environment import default_image
from hfexecutor.errors import HubError, HubRequestError
from hfexecutor.hub.doors import DoorError
from hfexecutor.hub.hardware import DOOR_HOURLY
from hfexecutor.hub.hosts import Door, is_loopback, split
from hfexecutor.hub.launch import JobSpec, LaunchError
from hfexecutor.labels import OURS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from hfexecutor.hub.client import HubClient
    from hfexecutor.hub.models import Job

__all__ = ["JOBS", "MINUTES", "Finding", "measure", "most_dollars"]

JOBS: Final = 2
MINUTES: Final = 4  # that each of them may live
_PORT: Final = 23_456
_COMMAND: Final = ("-c", "import os;exec(os.environ['PROBE_SOURCE'])")
_SOURCE: Final = Path(measured_job.__file__).read_text(encoding="utf-8")
_BULK: Final = (8, 110_000)  # variables, and bytes of each
_WAIT: Final = 90.0  # seconds for a job to run, and its door to answer
_LOG_WAIT: Final = 20.0  # seconds for a line to be in the log
_NOT_TOLD: Final = "not seen"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was measured.

    Attributes:
        name: What it is.
        found: What was found, in words.
        value: The figure or the yes or no in it, None where there is none.
    """

    name: str
    found: str
    value: float | bool | str | None = None


async def most_dollars(hub: HubClient, flavor: str) -> float | None:
    """Return what the jobs can cost at the most, None where the Hub names no price."""
    for item in await hub.hardware():
        if item.name == flavor and item.hourly is not None:
            return JOBS * (MINUTES + 1) * (item.hourly + DOOR_HOURLY) / 60
    return None


async def measure(hub: HubClient, flavor: str) -> AsyncIterator[Finding]:
    """Yield what is found, one thing after the other; no job is left however it ends."""
    await hub.prepare()
    measuring = _Measuring(hub, flavor)
    try:
        async for finding in measuring.findings():
            yield finding
    except (DoorError, LaunchError, TimeoutError) as error:
        yield Finding("stopped early", f"{type(error).__name__}: {error}".rstrip(": "))
    finally:
        left = await measuring.clear_up()
    yield Finding("left running", f"{left} jobs", left)


class _Measuring:
    """Two jobs: one that answers at its port, and one with much in its environment."""

    def __init__(self, hub: HubClient, flavor: str) -> None:
        self._hub = hub
        self._flavor = flavor
        self._labels = {**OURS, "hfexecutor-doctor": uuid.uuid4().hex[:12]}
        self._jobs: set[str] = set()
        self._log = _Log(hub)
        self._door: Door | None = None

    async def findings(self) -> AsyncIterator[Finding]:
        """Yield them."""
        begun = time.monotonic()
        # The Hub's proxy comes from outside the container; on this machine nobody else should.
        local = is_loopback(split(self._hub.endpoint).host)
        host = "127.0.0.1" if local else "0.0.0.0"  # noqa: S104
        where = {"PROBE_PORT": str(_PORT), "PROBE_HOST": host}
        job = await self._launch(where, expose=(_PORT,))
        answered = time.monotonic() - begun
        yield Finding("launch answered", _seconds(answered), round(answered, 3))
        in_reply = bool(job.expose_urls)
        yield Finding("exposeUrls in the reply", _yes(in_reply), in_reply)
        following = asyncio.create_task(self._log.follow(job.id))
        try:
            async for finding in self._at_the_port(job, begun):
                yield finding
            async for finding in self._in_the_log(job):
                yield finding
            async for finding in self._labels_of(job):
                yield finding
            async for finding in self._environment():
                yield finding
            yield await self._grace(job)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    # --- the first job ------------------------------------------------------------------------

    async def _at_the_port(self, job: Job, begun: float) -> AsyncIterator[Finding]:
        listed = running = None
        url = job.expose_urls[0] if job.expose_urls else ""
        early = bool(url) and job.stage == "SCHEDULING"
        while running is None:
            _check_time(begun + _WAIT, "the job does not run")
            seen = {one.id: one for one in await self._hub.list_jobs(self._labels)}.get(job.id)
            now = time.monotonic() - begun
            if seen is not None:
                listed = now if listed is None else listed
                url = url or (seen.expose_urls[0] if seen.expose_urls else "")
                early = early or (bool(seen.expose_urls) and seen.stage == "SCHEDULING")
                if seen.stage == "RUNNING" and url:
                    running = now
                elif seen.finished:
                    raise TimeoutError(f"the job ended at once: {seen.stage} {seen.message or ''}")
            await asyncio.sleep(0.2)
        yield Finding("in a list after", _seconds(listed), _rounded(listed))
        yield Finding("RUNNING after", _seconds(running), _rounded(running))
        yield Finding("exposeUrls before RUNNING", _yes(early), early)
        self._door = Door(url, job.id, _PORT)
        while True:
            try:
                reply = await self._ask("ping")
                break
            except DoorError:
                _check_time(begun + _WAIT, "the port does not answer")
                await asyncio.sleep(0.2)
        opened = time.monotonic() - begun
        yield Finding("the port answers after", _seconds(opened), _rounded(opened))
        shown = "authorization" in reply["headers"]
        yield Finding("Authorization reaches the job", _yes(shown), shown)
        trips = [await self._timed("ping") for _ in range(10)]
        trip = statistics.median(trips)
        yield Finding("round trip to the port", f"{1000 * trip:.1f} ms", round(trip, 4))

    async def _in_the_log(self, job: Job) -> AsyncIterator[Finding]:
        lags = []
        for number in range(5):
            await self._ask(f"say {number}")
            said = time.monotonic()
            heard = await self._log.until(f"say {number}".__eq__)
            if heard is not None:
                lags.append(max(0.0, heard - said))
        lag = statistics.median(lags) if lags else None
        yield Finding("log behind the port", _seconds(lag), _rounded(lag))
        await self._ask("long")
        await self._log.until(lambda text: text.endswith("x."))
        pieces = [len(text) for text in self._log.texts if text.startswith("xx")]
        whole = pieces == [measured_job.LONG_LINE + 1]
        text = "whole" if whole else f"in pieces of {', '.join(map(str, pieces)) or 'nothing'}"
        yield Finding(f"a line of {measured_job.LONG_LINE:,} characters comes", text, whole)
        await self._ask("many")
        last = f"many {measured_job.MANY_LINES - 1}"
        await self._log.until(lambda text: text == last)
        again = _Log(self._hub)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOG_WAIT):
                reading = asyncio.create_task(again.follow(job.id))
                await again.until(lambda text: text == last)
                reading.cancel()
        lines = len(again.texts)
        complete = any(text == "many 0" for text in again.texts)
        rest = "the whole log" if complete else "its end alone"
        yield Finding("a log read again has", f"{lines:,} lines, {rest}", lines)

    async def _labels_of(self, job: Job) -> AsyncIterator[Finding]:
        for what, key, value in (
            ("a label's value of 100 characters is", "probe", "v" * 100),
            ("a label's value of 101 characters is", "probe", "v" * 101),
            ("a label's key of 101 characters is", "k" * 101, "v"),
        ):
            try:
                await self._hub.label(job.id, {**self._labels, key: value})
                yield Finding(what, "taken", value=True)
            except HubRequestError:
                yield Finding(what, "refused", value=False)

    async def _grace(self, job: Job) -> Finding:
        begun = time.monotonic()
        await self._hub.cancel(job.id)
        while not (await self._hub.inspect(job.id)).finished:
            _check_time(begun + measured_job.PATIENCE + 30, "the job goes on after its cancel")
            await asyncio.sleep(0.2)
        await asyncio.sleep(2.0)  # its last lines
        told = [text.split()[1] for text in self._log.texts if text.startswith("terminated ")]
        if not told:
            return Finding("a cancelled job gets", "no SIGTERM: it is killed at once", 0.0)
        return Finding("a cancelled job gets", f"SIGTERM, and {told[-1]} s", float(told[-1]))

    # --- the second ---------------------------------------------------------------------------

    async def _environment(self) -> AsyncIterator[Finding]:
        count, size = _BULK
        bulk = {f"BULK_{number}": "b" * size for number in range(count)}
        name = f"secrets of {count * size:,} bytes are"
        try:
            job = await self._launch(bulk)
        except LaunchError as error:
            yield Finding(name, f"refused: {error}", value=False)
            return
        log = _Log(self._hub)
        following = asyncio.create_task(log.follow(job.id))
        last = await log.until(lambda text: text.startswith("bulk "), _WAIT)
        arrived = next((text for text in log.texts if text.startswith("bulk ")), "")
        whole = arrived == f"bulk {count * size}"
        yield Finding(
            name, "taken, and arrive" if whole else f"lost: {arrived or _NOT_TOLD}", whole
        )
        begun = time.monotonic()
        while not (await self._hub.inspect(job.id)).finished:
            _check_time(begun + _WAIT, "the job does not end")
            await asyncio.sleep(0.1)
        lag = None if last is None else time.monotonic() - last
        yield Finding("the stage is behind the last line", _seconds(lag), _rounded(lag))
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    # --- both ---------------------------------------------------------------------------------

    async def _launch(self, secrets: dict[str, str], expose: tuple[int, ...] = ()) -> Job:
        await self._hub.admit_launch()
        spec = JobSpec(
            command=_COMMAND,
            image=default_image(),
            flavor=self._flavor,
            secrets={**secrets, "PROBE_SOURCE": _SOURCE},
            timeout=60.0 * MINUTES,
            labels=self._labels,
            expose=expose,
        )
        job = await self._hub.launch(spec)
        self._jobs.add(job.id)
        return job

    async def _ask(self, wish: str) -> dict[str, Any]:
        assert self._door is not None
        found = json.loads(await self._hub.knock(self._door, wish.encode(), timeout=10))
        return found if isinstance(found, dict) else {"headers": []}

    async def _timed(self, wish: str) -> float:
        begun = time.monotonic()
        await self._ask(wish)
        return time.monotonic() - begun

    async def clear_up(self) -> int:
        """Cancel what there is; return how many jobs run all the same."""
        with contextlib.suppress(HubError):  # what a list does not show yet is known by its id
            self._jobs |= {job.id for job in await self._hub.list_jobs(self._labels)}
        left = 0
        for job_id in self._jobs:
            try:
                await self._hub.cancel(job_id)
                left += not (await self._hub.inspect(job_id)).finished
            except HubError:
                left += 1
        return left


class _Log:
    """The lines of a job's log, and when each came."""

    def __init__(self, hub: HubClient) -> None:
        self._hub = hub
        self._news = asyncio.Condition()
        self._lines: list[tuple[str, float]] = []

    @property
    def texts(self) -> list[str]:
        """The lines so far."""
        return [text for text, _ in self._lines]

    async def follow(self, job_id: str) -> None:
        """Read it to its end, and once more from its start where it breaks off."""
        while True:
            known = len(self._lines)
            with contextlib.suppress(HubError):
                async with contextlib.aclosing(self._hub.logs(job_id)) as found:
                    seen = 0
                    async for lines in found:
                        now = time.monotonic()
                        new = [(line.text, now) for line in lines][max(0, known - seen) :]
                        seen += len(lines)
                        async with self._news:
                            self._lines += new
                            self._news.notify_all()
            await asyncio.sleep(0.5)

    async def until(
        self, wanted: Callable[[str], bool], seconds: float = _LOG_WAIT
    ) -> float | None:
        """Return when a line came, waiting for it; None if it does not come."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._news:
                while True:
                    for text, at in self._lines:
                        if wanted(text):
                            return at
                    await self._news.wait()
        return None


def _check_time(deadline: float, what: str) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(what)


def _seconds(seconds: float | None) -> str:
    return _NOT_TOLD if seconds is None else f"{seconds:.2f} s"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
