"""What happens in a run, as an executor tells it: one frozen dataclass for each kind.

Each has `at`, in seconds since 1970; ``str()`` of one is its line in the log.
"""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    _Listener = tuple[Callable[["Event"], object], frozenset[type["Event"]] | None]

__all__ = [
    "BackupStarted",
    "CallCancelled",
    "CallEnd",
    "CallEnded",
    "CallPrinted",
    "CallRetried",
    "CallSubmitted",
    "CallsEnded",
    "CallsSent",
    "CallsSubmitted",
    "Event",
    "Events",
    "Installing",
    "JobCreated",
    "JobEnded",
    "JobStarted",
    "JobsLaunched",
    "PackagesNeeded",
    "RunDetached",
    "RunEnded",
    "RunInterrupted",
    "RunStarted",
    "Transferred",
    "Transferring",
    "Trouble",
]

logger = logging.getLogger("hfexecutor")

SLOW_TRANSFER = 0.05  # seconds from which on a transfer is told
LARGE_TRANSFER = 1 << 20  # bytes from which on it is told


# `dataclass` compiles each method of each class by itself, and an import of this library pays for
# that: these three are the same for all events, so they are written here, once.
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Event:
    """Something has happened, at this moment (seconds since 1970)."""

    at: float

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash(_values(self))

    def __repr__(self) -> str:
        said = (f"{field.name}={getattr(self, field.name)!r}" for field in fields(self))
        return f"{type(self).__qualname__}({', '.join(said)})"


def _values(event: Any) -> tuple[Any, ...]:
    return tuple(getattr(event, field.name) for field in fields(event))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RunDetached(RunStarted):
    """The jobs go on without this process, once they have what waits."""

    def __str__(self) -> str:
        return f"run {self.name} goes on without this process; to get back to it: {self.way_back}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RunInterrupted(RunStarted):
    """Everything is being stopped, because of `why`."""

    why: str

    def __str__(self) -> str:
        how = f"; what it has done: {self.way_back}" if self.way_back else ""
        return f"run {self.name} is being stopped: {self.why}{how}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class JobsLaunched(Event):
    """Requests for so many jobs were sent, within the last moment."""

    jobs: int
    flavor: str

    def __str__(self) -> str:
        return f"launching {_many(self.jobs, 'job')} on {self.flavor}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class JobCreated(Event):
    """There is a job, so many seconds after its request; it is meant for `slots` calls at once."""

    job_id: str
    job_url: str
    flavor: str
    seconds: float
    slots: int

    def __str__(self) -> str:
        return f"job {self.job_id} was created after {self.seconds:.1f} s: {self.job_url}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class JobStarted(Event):
    """A job takes calls, so many seconds after its request; `slots` of them at once.

    `began` is when it had hardware and began to run, as the Hub says, or its first line shows; what
    is between that and `at` is its cold start. None where nobody says.
    """

    job_id: str
    job_url: str
    seconds: float
    slots: int | None
    began: float | None = None

    def __str__(self) -> str:
        return f"job {self.job_id} is up after {self.seconds:.1f} s: {self.job_url}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class JobEnded(Event):
    """A job is over, so many seconds after its request.

    `began` is as for :class:`JobStarted`. `dollars` are the most that can be billed for it; None
    where the Hub lists no price.
    """

    job_id: str
    job_url: str
    seconds: float
    began: float | None = None
    dollars: float | None = None

    def __str__(self) -> str:
        return f"job {self.job_id} is over after {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PackagesNeeded(Event):
    """A call was submitted that needs packages of which none before it did: jobs install them."""

    requirements: tuple[str, ...]

    def __str__(self) -> str:
        return f"jobs install {' '.join(self.requirements)} before they run what needs it"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Installing(Event):
    """A job installs packages; told when it begins, and when it ends after so many `seconds`.

    `began` is when, in seconds since 1970 by the job's clock; `failed`: it was in vain.
    """

    job_id: str
    began: float
    seconds: float | None
    failed: bool

    def __str__(self) -> str:
        if self.seconds is None:
            return f"job {self.job_id} installs packages"
        how = "could not install packages, in" if self.failed else "has installed packages in"
        return f"job {self.job_id} {how} {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Transferred(Event):
    """Bytes have gone through a job's port, in so many seconds: calls, large values, results.

    Only what took a while, or is large, is told: see `SLOW_TRANSFER` and `LARGE_TRANSFER`.
    """

    job_id: str
    seconds: float
    size: int
    fetched: bool

    def __str__(self) -> str:
        what = "fetched from" if self.fetched else "sent to"
        return f"{self.size:,} bytes {what} job {self.job_id} in {self.seconds:.2f} s"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Transferring(Event):
    """How far the large values are that are on their way, in bytes, for all jobs together.

    Told up to ten times a second, and once when nothing is on its way any more. Only listeners hear
    it that name it in their `kinds`.

    Attributes:
        sent: Bytes of arguments that have arrived in jobs.
        to_send: How many those values have in all.
        fetched: Bytes of results that have arrived here.
        to_fetch: How many those results have in all.
    """

    sent: int = 0
    to_send: int = 0
    fetched: int = 0
    to_fetch: int = 0

    def __str__(self) -> str:
        ways = ((self.sent, self.to_send, "sent"), (self.fetched, self.to_fetch, "fetched"))
        words = [f"{done:,} of {total:,} bytes {what}" for done, total, what in ways if total]
        return ", ".join(words) or "nothing is on its way"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CallSubmitted(Event):
    """A call is being submitted: told in the thread that does so, with its context variables.

    For who has to know what was current there, as a span. It makes `submit` wait, so only listeners
    hear it that name it in their `kinds`; it is told before the call is known to anybody else.
    """

    call: int
    name: str

    def __str__(self) -> str:
        return f"call {self.call} of {self.name} is being submitted"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CallsSubmitted(Event):
    """These calls were submitted, by their numbers; `names` has what their functions are called."""

    calls: tuple[int, ...]
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{_many(len(self.calls), 'call')} submitted"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CallsSent(Event):
    """These calls are on their way to a job, or in it, and wait or run there.

    A call that is told of again was given back, if the job of before is there still, or else lost
    with it.
    """

    calls: tuple[int, ...]
    job_id: str

    def __str__(self) -> str:
        return f"{_many(len(self.calls), 'call')} sent to job {self.job_id}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CallCancelled(Event):
    """A call was cancelled before it began, and is none of those that end."""

    call: int

    def __str__(self) -> str:
        return f"call {self.call} was cancelled"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CallEnded(Event):
    """A call is done.

    Attributes:
        call: Its number: the calls of an executor are numbered from 1 as they are submitted.
        job_id: The job that ran it; None if it ended without one.
        seconds: How long it ran.
        error: The name of its exception's type, None if it returned a value.
        began: When it began to run, in seconds since 1970 by the job's clock; None if it did not,
            or nobody knows.
        slot: Which of the job's slots it ran in, from 0; None as for `began`.
    """

    call: int
    job_id: str | None
    seconds: float
    error: str | None
    began: float | None = None
    slot: int | None = None

    def __str__(self) -> str:
        how = "is done" if self.error is None else f"raised {self.error}"
        return f"call {self.call} {how} after {self.seconds:.3f} s"


class CallEnd(NamedTuple):
    """How one of many calls has ended: as :class:`CallEnded` says it."""

    call: int
    job_id: str | None
    seconds: float
    error: str | None
    began: float | None
    slot: int | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CallsEnded(Event):
    """Calls are done, all that were heard of at once.

    For listeners that an event for each call would cost too much: only they hear it that name it in
    their `kinds`.
    """

    ended: tuple[CallEnd, ...]

    def __str__(self) -> str:
        return f"{_many(len(self.ended), 'call')} ended"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CallRetried(Event):
    """A call has raised what `retry_on` names, and runs again.

    Attributes:
        call: Its number.
        job_id: The job that it has raised in.
        error: Which of its attempts has raised what, and where.
        seconds: The pause before the next one begins, at the earliest.
        began, slot: Of the attempt that has raised, as for :class:`CallEnded`.
        ran: How long that ran, in seconds.
    """

    call: int
    job_id: str | None
    error: str
    seconds: float
    began: float | None = None
    slot: int | None = None
    ran: float = 0.0

    def __str__(self) -> str:
        return f"call {self.call} runs again in {self.seconds:.1f} s: {self.error}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BackupStarted(Event):
    """A call takes far longer than others: with `speculate`, a second attempt of it begins.

    The first outcome of the two is the call's; the other attempt is stopped then.

    Attributes:
        call: Its number.
        job_id: The job of the backup.
        first_job_id: That of the first attempt.
        seconds: How long that runs, as far as it is known.
        median: What such calls take in the middle, in seconds.
    """

    call: int
    job_id: str
    first_job_id: str | None
    seconds: float
    median: float

    def __str__(self) -> str:
        return (
            f"call {self.call} runs for {self.seconds:.1f} s in job {self.first_job_id}, and "
            f"others took {self.median:.1f} s: a backup of it begins in job {self.job_id}"
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Trouble(Event):
    """Something went wrong that the executor deals with: a job was lost, a door is shut."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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


_BY_NAME: Final = frozenset(
    {CallSubmitted, CallsEnded, Transferring}
)  # heard only by who asks for it


class _Heard(dict[type[Event], tuple["Callable[[Event], object]", ...]]):
    """By kind of event, who wants to hear of it; found out when it is first asked for."""

    def __init__(self, listeners: list[_Listener]) -> None:
        super().__init__()
        self._listeners = listeners

    def __missing__(self, kind: type[Event]) -> tuple[Callable[[Event], object], ...]:
        wanted = [
            callback
            for callback, kinds in self._listeners
            if (kind not in _BY_NAME if kinds is None else kind in kinds)
        ]
        callbacks = self[kind] = tuple(wanted)
        return callbacks


class Events:
    """What happens in a run, for whoever listens; see ``HubExecutor.events``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards changes of the listeners
        self._listeners: list[_Listener] = []
        self._heard = _Heard([])  # another one whenever these are others
        self._over: Event | None = None

    def are_heard(self, kind: type[Event]) -> bool:
        """Say whether anybody wants to hear of events of a kind."""
        return bool(self._heard[kind])

    def listen(
        self, callback: Callable[[Event], object], *, kinds: Iterable[type[Event]] | None = None
    ) -> Callable[[], None]:
        """Have a function called with each event from now on; return what ends that.

        It is called in the executor's own thread, which does nothing else meanwhile: so it should
        be quick. What it raises is logged, and goes no further.

        Args:
            callback: The function.
            kinds: Only events of exactly these classes; None, the default, for all. Of what nobody
                wants to hear no event is made.
        """
        listener = (callback, None if kinds is None else frozenset(kinds))
        with self._lock:
            self._listeners = [*self._listeners, listener]
            self._heard = _Heard(self._listeners)

        def stop() -> None:
            with self._lock:
                self._listeners = [one for one in self._listeners if one is not listener]
                self._heard = _Heard(self._listeners)

        return stop

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
        kind = type(event)
        if kind is RunEnded:
            self._over = event
        for callback in self._heard[kind]:
            try:
                callback(event)
            except Exception:  # a user's code
                logger.exception("a listener of an executor's events raised")


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
