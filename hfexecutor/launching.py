"""Launching a worker: what its request carries, and how a lost answer is made good.

There is no idempotency key, and the Hub has been seen to answer 500 although the job was created.
So after a POST without a proper answer the job is looked for by the label that only this launch
carries, several times, because lists lag; and only when it is not there the POST is sent again,
with the same label: should both exist in the end, the watch cancels the one that we do not hold.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from typing import TYPE_CHECKING, Any

import tenacity

from hfexecutor.connection import LAUNCH_LABEL, RUN_LABEL
from hfexecutor.environment import client_python
from hfexecutor.errors import HubUnavailableError, PayloadTooLargeError, RateLimitedError
from hfexecutor.hub.hosts import is_loopback, split
from hfexecutor.hub.launch import (
    JobSpec,
    LaunchAmbiguousError,
    LaunchError,
    LaunchLimitedError,
    LaunchRefusedError,
    LaunchUndeliveredError,
)
from hfexecutor.package import BOOT_COMMAND, launch_secrets, message_room
from hfexecutor.remote import entries as wire
from hfexecutor.remote import frames

if TYPE_CHECKING:
    from hfexecutor.connection import Connection
    from hfexecutor.hub.models import Job
    from hfexecutor.options import Options
    from hfexecutor.worker import Worker

__all__ = ["LAUNCH_MESSAGE", "aboard_bytes", "compose_launch", "launch", "too_large"]

logger = logging.getLogger("hfexecutor")

ABOARD_BYTES = 550_000  # of calls in a launch request, at the most
LAUNCH_MESSAGE = 0
DEFAULT_TIMEOUT = 12 * 3600.0
PORTS = range(20_000, 32_000)  # below the ports that systems hand out by themselves
PRINT_CAP = 256 * 1024
LOOKS = (0.25, 0.5, 1.0, 2.0)  # seconds before each look for a job whose launch got no answer
LATE = 5.0  # seconds without an answer after which a first look is taken meanwhile


def aboard_bytes(options: Options) -> int:
    """Return how many bytes of calls a launch request can carry beside what these options need."""
    variables = (*options.env.items(), *options.secrets.items())
    taken = sum(len(name.encode()) + len(value.encode()) + 2 for name, value in variables)
    room = message_room(taken) - len(options.initializer or b"")
    if room <= 0:
        raise PayloadTooLargeError(
            f"initializer and initargs leave no room for a call in a launch request ({-room:,} "
            "bytes too many beside env and secrets); have the initializer load its data itself"
        )
    return min(ABOARD_BYTES, room)


def too_large(size: int, room: int) -> PayloadTooLargeError:
    """Return the error for a call that a launch request cannot carry."""
    return PayloadTooLargeError(
        f"the call is {size:,} bytes when pickled; a job that is started for one call can be "
        f"given at most {room:,} beside these options. Use reuse_workers=True, where calls of any "
        "size go to running jobs, or let the function load its data itself."
    )


async def launch(connection: Connection, options: Options, worker: Worker) -> Job:
    """Start the worker's job and return it; the rate limit has allowed the first try.

    Raises:
        HubError: The Hub refuses it, or could not be reached for `give_up_after` seconds.
    """
    spec = compose_launch(connection, options, worker)
    try:
        return await _persist(connection, options, worker, spec)
    except LaunchLimitedError as error:
        raise RateLimitedError(f"{error} (for over {options.give_up_after:g} s)") from error
    except LaunchError as error:
        tried = f" (for over {options.give_up_after:g} s)" if _worth_another_try(error) else ""
        raise HubUnavailableError(f"{error}{tried}") from error


async def _persist(connection: Connection, options: Options, worker: Worker, spec: JobSpec) -> Job:
    """Post, look, and post again, until there is a job or patience ends.

    After an unclear answer there may be a job that shows later: calls that must not run twice are
    not posted again.
    """

    def again(error: BaseException) -> bool:
        return _worth_another_try(error) and (options.max_retries > 0 or not worker.doubtful)

    async for attempt in tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(again),
        stop=tenacity.stop_after_delay(options.give_up_after),
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=10),
        before_sleep=tenacity.before_sleep_log(logger, logging.INFO),
        sleep=asyncio.sleep,
        reraise=True,
    ):
        with attempt:
            try:
                first = attempt.retry_state.attempt_number == 1
                return await _post(connection, worker, spec, admitted=first)
            except LaunchRefusedError as error:
                raise error.error from error
            except LaunchAmbiguousError as error:
                logger.info("%s; looking for the job", error)
                worker.doubtful = True
                if (job := await _look_for(connection, worker.launch_id)) is not None:
                    return job
                raise
    raise AssertionError("unreachable: tenacity reraises")


async def _post(connection: Connection, worker: Worker, spec: JobSpec, *, admitted: bool) -> Job:
    """Post once; while the answer is late, look whether the job exists all the same."""
    posting = asyncio.ensure_future(connection.hub.launch(spec, admitted=admitted))
    pause = LATE
    try:
        while not (await asyncio.wait({posting}, timeout=pause))[0]:
            pause *= 2
            if (job := await _look(connection, worker.launch_id)) is not None:
                logger.info("the launch of job %s hangs, going on without its answer", job.id)
                return job
        return posting.result()
    finally:
        posting.cancel()


def _worth_another_try(error: BaseException) -> bool:
    if isinstance(error, LaunchAmbiguousError):
        return error.again
    return isinstance(error, (LaunchLimitedError, LaunchUndeliveredError))


async def _look_for(connection: Connection, launch_id: str) -> Job | None:
    """Look for the job of a launch until there is one, or patience ends."""
    for pause in LOOKS:
        await asyncio.sleep(pause)
        if (job := await _look(connection, launch_id)) is not None:
            return job
    return None


async def _look(connection: Connection, launch_id: str) -> Job | None:
    """Look for the job of a launch by its label, once."""
    labels = {RUN_LABEL: connection.nonce, LAUNCH_LABEL: launch_id}
    jobs = await connection.hub.list_jobs(labels)
    # One that is over already counts: it may have done its calls, and its log says so.
    return min(jobs, key=lambda job: job.finished, default=None)


def compose_launch(connection: Connection, options: Options, worker: Worker) -> JobSpec:
    """Return the launch request of a worker, with the calls aboard in its secrets."""
    if not worker.one_shot:
        worker.port = secrets.choice(PORTS)
    config = json.dumps(_config(connection, options, worker)).encode()
    entries = [wire.Entry(wire.CONFIG, 0, 0, 1, config)]
    if options.initializer is not None:
        entries.append(wire.Entry(wire.INIT, 0, 0, 1, options.initializer))
    known: set[int] = set()
    for call in worker.held.values():
        function = call.function
        if function is not None and function.id not in known:
            known.add(function.id)
            entries.append(wire.Entry(wire.FUNCTION, function.id, 0, 1, function.data))
        entries.append(wire.Entry(wire.CALL, call.id, 0, 1, call.data))
    message = frames.seal_message(worker.seal, LAUNCH_MESSAGE, wire.pack(entries))
    return JobSpec(
        command=tuple(BOOT_COMMAND),
        image=options.image,
        python=options.python,
        dependencies=options.dependencies,
        env=options.env,
        secrets={
            **options.secrets,
            **launch_secrets(
                connection.launch_key(worker.launch_id).hex(), message, client_python()
            ),
        },
        flavor=options.flavor,
        timeout=options.timeout or DEFAULT_TIMEOUT,
        labels={**options.labels, RUN_LABEL: connection.nonce, LAUNCH_LABEL: worker.launch_id},
        expose=() if worker.port is None else (worker.port,),
    )


def _config(connection: Connection, options: Options, worker: Worker) -> dict[str, Any]:
    local = is_loopback(split(connection.hub.endpoint).host)
    return {
        "python": [int(part) for part in client_python().split(".")],
        "slots": "auto" if options.slots_per_job == "auto" else worker.slots,
        "most_slots": worker.slots,
        "idle_timeout": options.idle_timeout,
        "call_timeout": options.call_timeout,
        "port": worker.port,
        # The Hub's proxy comes from outside the container; on this machine nobody else should.
        "host": "127.0.0.1" if local else "0.0.0.0",  # noqa: S104
        "one_shot": worker.one_shot,
        "print_cap": PRINT_CAP,
    }
