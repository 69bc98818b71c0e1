"""The seam between a job of a LocalHub and whatever carries it out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

# Answers the body of a request that comes through an exposed port with the body of the reply.
Answer = Callable[[bytes], "bytes | Awaitable[bytes]"]


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume that a runner is to let its job see.

    Attributes:
        directory: of this machine; what is in it is kept in step with the volume.
        place: where the job is to see it.
        read_only: whether the job is not to write there.
        note: what its user has to know of it.
    """

    directory: str
    place: str
    read_only: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Launch:
    """One attempt at a job, as its runner gets it. `secrets` stays out of the repr.

    `volumes` are as the API has them, and `mounts` are the same ones on this machine. `number`
    counts the jobs of the hub from 0.
    """

    job_id: str
    attempt: int
    image: str
    command: tuple[str, ...]
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    labels: Mapping[str, str]
    flavor: str
    volumes: tuple[Mapping[str, object], ...] = ()
    mounts: tuple[Mount, ...] = ()
    number: int | None = None
    ssh: bool = False

    def __str__(self) -> str:
        return f"job {self.job_id}, attempt {self.attempt}"


class Running(Protocol):
    """An attempt that has been started."""

    @property
    def pids(self) -> tuple[int, ...]:
        """Return the processes that carry it out, if there are any."""

    @property
    def doors(self) -> Mapping[int, Answer]:
        """Return what answers at exposed ports; a port not named here is one of this machine."""

    async def wait(self) -> int:
        """Return the exit code (negative: the signal), once nothing of the attempt is left.

        Raises:
            OutOfMemoryError: it was killed since it took more memory than its flavor has.
        """

    def kill(self) -> None:
        """End the attempt at once. Does not wait, and may come twice or too late."""


class Runner(Protocol):
    """Carries out jobs. All methods are called in the event loop of the hub."""

    async def start(self, launch: Launch, write: Callable[[bytes], None]) -> Running:
        """Start an attempt that calls `write` with what the job prints.

        Is cancelled when the job is to end before that; nothing of the attempt may be left then.

        Raises:
            CannotStartError: the job ends in stage ERROR with its message.
        """

    async def close(self) -> None:
        """End everything that was started, and hold nothing more."""
