"""What happened, and who says so. All that the core ever learns comes as one of these.

Each news of a job names its worker, and each answer the request that it answers (an attempt, a
reading, a number), so that late news of a former try is recognised as such.
"""

# Annotations are no strings here, as elsewhere: `NamedTuple` compiles each one that is, and an
# import of this library would pay for some two hundred.

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sized

    from hfexecutor.core.call import Call
    from hfexecutor.errors import HubExecutorError

__all__ = [
    "Aborted",
    "Admitted",
    "Answered",
    "Broken",
    "Bye",
    "CancelEnded",
    "Cancelled",
    "Closed",
    "CollectFailed",
    "Collected",
    "ConnectFailed",
    "Connected",
    "Detached",
    "Done",
    "DoorFailure",
    "EdgeFailed",
    "Event",
    "FetchFailed",
    "FetchRefused",
    "Fetched",
    "GivenBack",
    "Heard",
    "Held",
    "Hello",
    "Inspected",
    "Installing",
    "JobSeen",
    "Keyed",
    "KillAsked",
    "Large",
    "LaunchFailed",
    "LaunchFailure",
    "Launched",
    "ListFailed",
    "Listed",
    "ListenFailed",
    "Listened",
    "Loaded",
    "LogEnded",
    "Looked",
    "News",
    "Offer",
    "Outcome",
    "RangeFailed",
    "RangeKept",
    "RangeRefused",
    "Refused",
    "RetryWeighed",
    "StoreFailed",
    "Stored",
    "Submitted",
    "Unacknowledged",
    "Unanswered",
    "Unneeded",
    "Unshared",
]

# --- the user says ---------------------------------------------------------------------------


class Submitted(NamedTuple):
    """Calls were submitted, in this order."""

    calls: tuple["Call", ...]


class Cancelled(NamedTuple):
    """The future of a call was cancelled by its owner."""

    call: int


class KillAsked(NamedTuple):
    """A call is to be stopped, even if it is running."""

    call: int


class Unshared(NamedTuple):
    """Buffers of these names will hardly be used again: jobs need not keep them."""

    names: tuple[bytes, ...]


class Unneeded(NamedTuple):
    """Nobody refers to this result any more, a file of the bucket: neither a handle nor a call."""

    name: str


class Closed(NamedTuple):
    """No more calls come; with `cancel`, those that have not begun are not wanted any more."""

    cancel: bool = False


class Aborted(NamedTuple):
    """Everything is to stop at once; with `broken`, calls end as in a pool that has broken."""

    why: str
    broken: bool = False


class Detached(NamedTuple):
    """The jobs are to go on without this process.

    What waits is handed over first, to jobs that are there or come up; with `now` it is not. Calls
    that are open then end with `error`, here alone.
    """

    error: "HubExecutorError"
    now: bool = False


# --- the Hub says ----------------------------------------------------------------------------


class JobSeen(NamedTuple):
    """A job as a reply of the Hub shows it.

    `launch` is the label that says which launch it answers, `door` the address of its port, empty
    while the Hub tells none, `foreign` why it is not ours in spite of its labels, empty if it is.
    `aboard` are the calls that its labels name, as far as there was room; `started` is when it
    began to run, in seconds since 1970 by the Hub's clock, None while nobody says.
    """

    id: str
    stage: str
    url: str = ""
    launch: str = ""
    message: str = ""
    cancel_reason: str = ""
    door: str = ""
    foreign: str = ""
    aboard: tuple[int, ...] = ()
    started: float | None = None


class Offer(NamedTuple):
    """What the Hub offers as one kind of worker.

    A job of it is for so many calls at once as it has `slots`, if the user says nothing else.
    `hourly` is its price in dollars an hour, None where the Hub lists none, and `door_hourly` that
    of an exposed port. It has so many GB of `memory`, 0 where the Hub does not say.
    """

    kind: str
    slots: int
    hourly: float | None = None
    door_hourly: float = 0.0
    memory: float = 0.0


class Connected(NamedTuple):
    """Token, namespace and these kinds are good: all that one Connect has named."""

    offers: tuple[Offer, ...]


class ConnectFailed(NamedTuple):
    """They are not, or nobody can be asked; `for_good` says that asking again is of no use."""

    kinds: tuple[str, ...]
    error: "HubExecutorError"
    for_good: bool = False


class Admitted(NamedTuple):
    """A launch has its turn: its request is sent if, and only if, the core says so now."""

    worker: str
    attempt: int


class Launched(NamedTuple):
    """A launch was answered with a job."""

    worker: str
    attempt: int
    job: JobSeen


class LaunchFailure(Enum):
    """What is known of a job after its launch was not answered with one."""

    REFUSED = "refused"  # there is none, and asking again is of no use
    LIMITED = "limited"  # there is none yet: the Hub asks for patience
    UNDELIVERED = "undelivered"  # there is none: the request never arrived
    UNCLEAR = "unclear"  # there may be one
    HOPELESS = "hopeless"  # there may be one, and the same request would fail again


class LaunchFailed(NamedTuple):
    """A launch was not answered with a job."""

    worker: str
    attempt: int
    failure: LaunchFailure
    error: Exception


class Looked(NamedTuple):
    """The jobs that carry a launch's label; None: the list failed."""

    worker: str
    jobs: tuple[JobSeen, ...] | None


class Listed(NamedTuple):
    """All jobs of the run, as a list shows them that was asked for at `asked`."""

    asked: float
    jobs: tuple[JobSeen, ...]


class ListFailed(NamedTuple):
    """A list failed, for as long as it was repeated."""

    error: "HubExecutorError"


class Inspected(NamedTuple):
    """One job, asked for by its id; None: the Hub does not know it."""

    worker: str
    job: JobSeen | None


class CancelEnded(NamedTuple):
    """A job was cancelled, or is over anyway; with `error` nobody knows.

    `began` is False where the Hub says that it never did.
    """

    job: str
    error: "HubExecutorError | None" = None
    began: bool = True


# --- a job says ------------------------------------------------------------------------------


class Outcome(Protocol):
    """How a call ended, as far as the core looks at it; its payload is opaque."""

    status: bytes
    duration: float
    began: float
    slot: int

    @property
    def payload(self) -> "Sized":
        """What belongs to the status."""


class Hello(NamedTuple):
    """Its supervisor runs, with so many slots (None: it does not say) and a door or without.

    `clock` is when it began, in seconds since 1970 by its own clock; None where it does not say.
    """

    slots: int | None
    door: bool
    why: str = ""
    clock: float | None = None


class Done(NamedTuple):
    """A call has ended; call 0: no call can run there.

    With `out_of_memory` its process was killed, as the kernel does where there is none left.
    """

    call: int
    outcome: Outcome
    out_of_memory: bool = False


class Large(NamedTuple):
    """A call has ended, and its outcome of `size` bytes is to be fetched.

    `layout` has kind and size of each buffer at its end, one after the other.
    """

    call: int
    size: int
    layout: tuple[int, ...] = ()


class Installing(NamedTuple):
    """It installs packages, since so many seconds after its start.

    It took `seconds`, None while it goes on; with `failed` in vain.
    """

    began: float
    seconds: float | None
    failed: bool = False


class Loaded(NamedTuple):
    """It has a buffer that it was told to read from a file; `why` says why not, else it is empty.

    `number` is that of the order.
    """

    number: int
    why: str


class GivenBack(NamedTuple):
    """Calls that it had not begun, and will not."""

    calls: tuple[int, ...]


class Held(NamedTuple):
    """Calls that it holds."""

    calls: tuple[int, ...]


class Keyed(NamedTuple):
    """A call has a key of its submitter's: its digest, and how it begins."""

    call: int
    digest: bytes
    text: str


class Unacknowledged(NamedTuple):
    """So many outcomes it keeps because we have not acknowledged them."""

    outcomes: int


class Refused(NamedTuple):
    """Somebody came to its door without the key."""

    text: str


class Bye(NamedTuple):
    """It leaves, having answered so many calls; with `returned` it leaves others undone."""

    calls: int
    returned: bool


News: TypeAlias = (
    Hello
    | Done
    | Large
    | Installing
    | Loaded
    | GivenBack
    | Held
    | Keyed
    | Unacknowledged
    | Refused
    | Bye
)


class Heard(NamedTuple):
    """Lines of a worker's log.

    `gap`: frames were missed; `starts`: how many supervisors have spoken so far; `forged`: there is
    something, for the first time, that looks like a frame and is not authentic.
    """

    worker: str
    news: tuple[News, ...]
    gap: bool = False
    starts: int = 1
    forged: bool = False


class LogEnded(NamedTuple):
    """A reading of a log has ended: by itself, because it broke, or because it was stopped.

    `said`: there was at least a line that no earlier one had shown; `tail`: its last lines that are
    no frames.
    """

    worker: str
    reading: int
    said: bool
    tail: tuple[str, ...] = ()


class Answered(NamedTuple):
    """A message to a door was answered, after so many seconds."""

    worker: str
    number: int
    news: tuple[News, ...]
    seconds: float


class DoorFailure(Enum):
    """What is known of a message that was not answered with success."""

    UNREACHABLE = "unreachable"  # it was not delivered
    AMBIGUOUS = "ambiguous"  # it may have been
    REJECTED = "rejected"  # somebody refuses it, with a status
    FORGED = "forged"  # it was answered by somebody without the key


class Unanswered(NamedTuple):
    """A message to a door was not answered with success."""

    worker: str
    number: int
    failure: DoorFailure
    status: int
    why: str


class RangeKept(NamedTuple):
    """A range of a buffer is there."""

    worker: str
    number: int


class RangeFailed(NamedTuple):
    """A range of a buffer may not have arrived."""

    worker: str
    number: int
    why: str


class RangeRefused(NamedTuple):
    """There is no room for the buffer of a range, of which nothing is kept."""

    worker: str
    number: int
    why: str


class Fetched(NamedTuple):
    """A range of a large outcome has arrived; the last one that was missing brings it as news."""

    worker: str
    number: int
    call: int
    news: tuple[News, ...]


class FetchFailed(NamedTuple):
    """A range of a large outcome did not arrive, and nobody writes into its place any more."""

    worker: str
    number: int
    call: int
    why: str


class FetchRefused(NamedTuple):
    """There is no memory here for a large outcome."""

    worker: str
    number: int
    call: int
    why: str


class Listened(NamedTuple):
    """A request that stood at a door was answered, perhaps with nothing; `position` comes next."""

    worker: str
    number: int
    position: int
    news: tuple[News, ...]


class ListenFailed(NamedTuple):
    """A request that stood at a door broke off."""

    worker: str
    number: int
    why: str


# --- the edges say ---------------------------------------------------------------------------


class Broken(NamedTuple):
    """No call can run, says a job; `error` is what its outcome for call 0 amounts to."""

    worker: str
    error: "HubExecutorError"


class RetryWeighed(NamedTuple):
    """A call runs again after so many seconds, by its id as that; None: it does not."""

    call: int
    pause: float | None


class Stored(NamedTuple):
    """A buffer of this name is in the run's bucket."""

    name: bytes


class StoreFailed(NamedTuple):
    """It could not be put there, and nothing would change that."""

    name: bytes
    error: "HubExecutorError"


class Collected(NamedTuple):
    """The value of a call is here from the bucket: this is its outcome."""

    call: int
    outcome: Outcome


class CollectFailed(NamedTuple):
    """The value of a call is not to be had from the bucket, or not what its job has put there."""

    call: int
    error: "HubExecutorError"


class EdgeFailed(NamedTuple):
    """An edge died of an error that nobody foresaw, while it worked for a worker (or for none)."""

    worker: str
    error: "HubExecutorError"


Event: TypeAlias = (
    Submitted
    | Cancelled
    | KillAsked
    | Unshared
    | Unneeded
    | Closed
    | Aborted
    | Detached
    | Connected
    | ConnectFailed
    | Admitted
    | Launched
    | LaunchFailed
    | Looked
    | Listed
    | ListFailed
    | Inspected
    | CancelEnded
    | Heard
    | LogEnded
    | Answered
    | Unanswered
    | RangeKept
    | RangeFailed
    | RangeRefused
    | Fetched
    | FetchFailed
    | FetchRefused
    | Listened
    | ListenFailed
    | Broken
    | RetryWeighed
    | Stored
    | StoreFailed
    | Collected
    | CollectFailed
    | EdgeFailed
)
