"""What happens in a run, as an executor tells it: one frozen dataclass for each kind.

Each has `at`, in seconds since 1970; ``str()`` of one is its line in the log.
"""

from __future__ import annotations

import logging
import queue
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "CallCancelled",
    "CallEnded",
    "CallPrinted",
    "CallRetried",
    "CallsSubmitted",
    "Event",
    "Events",
    "JobEnded",
    "JobStarted",
    "JobsLaunched",
    "PackagesNeeded",
    "RunDetached",
    "RunEnded",
    "RunInterrupted",
    "RunStarted",
    "Trouble",
]

logger = logging.getLogger("hfexecutor")


@dataclass(frozen=True, slots=True)
class Event:
    """Something has happened, at this moment (seconds since 1970)."""

    at: float


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """The first call was submitted.

    Attributes:
        name: The run's, by which it can be found from elsewhere.
        way_back: The command that gets back to it, in a shell that has the same token; empty where
            its Hub ends with this process, as an embedded one does.
    """

    name: str
    way_back: str

    def __str__(self) -> str:
        how = f"; to get back to it: {self.way_back}" if self.way_back else ""
        return f"run {self.name}{how}"


@dataclass(frozen=True, slots=True)
class RunDetached(RunStarted):
    """The jobs go on without this process, once they have what waits."""

    def __str__(self) -> str:
        return f"run {self.name} goes on without this process; to get back to it: {self.way_back}"


@dataclass(frozen=True, slots=True)
class RunInterrupted(RunStarted):
    """Everything is being stopped, because of `why`."""

    why: str

    def __str__(self) -> str:
        how = f"; what it has done: {self.way_back}" if self.way_back else ""
        return f"run {self.name} is being stopped: {self.why}{how}"


@dataclass(frozen=True, slots=True)
class JobsLaunched(Event):
    """Requests for so many jobs were sent."""

    jobs: int
    flavor: str

    def __str__(self) -> str:
        return f"launching {_many(self.jobs, 'job')} on {self.flavor}"


@dataclass(frozen=True, slots=True)
class JobStarted(Event):
    """A job takes calls, so many seconds after its request; `slots` of them at once."""

    job_id: str
    job_url: str
    seconds: float
    slots: int | None

    def __str__(self) -> str:
        return f"job {self.job_id} is up after {self.seconds:.1f} s: {self.job_url}"


@dataclass(frozen=True, slots=True)
class JobEnded(Event):
    """A job is over, so many seconds after its request."""

    job_id: str
    job_url: str
    seconds: float

    def __str__(self) -> str:
        return f"job {self.job_id} is over after {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class PackagesNeeded(Event):
    """A call was submitted that needs packages of which none before it did: jobs install them."""

    requirements: tuple[str, ...]

    def __str__(self) -> str:
        return f"jobs install {' '.join(self.requirements)} before they run what needs it"


@dataclass(frozen=True, slots=True)
class CallsSubmitted(Event):
    """These calls were submitted, by their numbers."""

    calls: tuple[int, ...]

    def __str__(self) -> str:
        return f"{_many(len(self.calls), 'call')} submitted"


@dataclass(frozen=True, slots=True)
class CallPrinted(Event):
    """A call has printed a line, or a piece of one.

    Each line is told once, as it arrives: also the lines of an attempt that was lost. What
    arrives when the future is done already is not told.
    """

    call: int
    job_id: str | None
    text: str

    def __str__(self) -> str:
        return f"call {self.call} | {self.text}"


@dataclass(frozen=True, slots=True)
class CallCancelled(Event):
    """A call was cancelled before it began, and is none of those that end."""

    call: int

    def __str__(self) -> str:
        return f"call {self.call} was cancelled"


@dataclass(frozen=True, slots=True)
class CallEnded(Event):
    """A call is done.

    Attributes:
        call: Its number: the calls of an executor are numbered from 1 as they are submitted.
        job_id: The job that ran it; None if it ended without one.
        seconds: How long it ran.
        error: The name of its exception's type, None if it returned a value.
    """

    call: int
    job_id: str | None
    seconds: float
    error: str | None

    def __str__(self) -> str:
        how = "is done" if self.error is None else f"raised {self.error}"
        return f"call {self.call} {how} after {self.seconds:.3f} s"


@dataclass(frozen=True, slots=True)
class CallRetried(Event):
    """A call has raised what `retry_on` names, and runs again.

    Attributes:
        call: Its number.
        job_id: The job that it has raised in.
        error: Which of its attempts has raised what, and where.
        seconds: The pause before the next one begins, at the earliest.
    """

    call: int
    job_id: str | None
    error: str
    seconds: float

    def __str__(self) -> str:
        return f"call {self.call} runs again in {self.seconds:.1f} s: {self.error}"


@dataclass(frozen=True, slots=True)
class Trouble(Event):
    """Something went wrong that the executor deals with: a job was lost, a door is shut."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class RunEnded(Event):
    """The executor was shut down, and no job of it is left.

    Attributes:
        calls: How many ended with a value or an exception.
        failed: Those with an exception.
        jobs: How many were launched.
        seconds: From the first call to the end.
        dollars: The most that the jobs can be billed, None if the Hub lists no price.
    """

    calls: int
    failed: int
    jobs: int
    seconds: float
    dollars: float | None

    def __str__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        cost = f", ${self.dollars:.4f} at most" if self.dollars is not None else ""
        calls, jobs = _many(self.calls, "call"), _many(self.jobs, "job")
        return f"run over: {calls}{failed}, {jobs}, {self.seconds:.1f} s{cost}"


class Events:
    """What happens in a run, for whoever listens; see ``HubExecutor.events``."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Event], object]] = []
        self._over: Event | None = None

    @property
    def are_heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def listen(self, callback: Callable[[Event], object]) -> Callable[[], None]:
        """Have a function called with each event from now on; return what ends that.

        It is called in the executor's own thread, which does nothing else meanwhile: so it should
        be quick. What it raises is logged, and goes no further.
        """
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback) if callback in self._listeners else None

    def __iter__(self) -> Iterator[Event]:
        """Yield the events from now on, up to the :class:`RunEnded`; waits for each."""
        waiting: queue.SimpleQueue[Event] = queue.SimpleQueue()
        stop = self.listen(waiting.put)
        if self._over is not None:  # after listening: it may have come in between
            waiting.put(self._over)

        def events() -> Iterator[Event]:
            try:
                while True:
                    event = waiting.get()
                    yield event
                    if isinstance(event, RunEnded):
                        return
            finally:
                stop()

        return events()

    def tell(self, event: Event) -> None:
        """Give an event to who listens."""
        if isinstance(event, RunEnded):
            self._over = event
        for listener in list(self._listeners):
            try:
                listener(event)
            except Exception:  # a user's code
                logger.exception("a listener of an executor's events raised")


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
