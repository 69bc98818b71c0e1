"""What is to be done: all that the core ever asks of the world is one of these."""

# Annotations are no strings here, as elsewhere: `NamedTuple` compiles each one that is, and an
# import of this library would pay for some two hundred.

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from hfexecutor.core.call import Buffer, Call
    from hfexecutor.core.events import JobSeen, Outcome
    from hfexecutor.core.fetching import Key
    from hfexecutor.remote.entries import Entry

__all__ = [
    "BackupStarted",
    "CancelFuture",
    "CancelJob",
    "Collect",
    "Command",
    "Complete",
    "Completion",
    "Connect",
    "Fail",
    "Fetch",
    "Finish",
    "Forget",
    "Inspect",
    "Launch",
    "List",
    "Listen",
    "LookFor",
    "NotifyCancelled",
    "Post",
    "ReadLog",
    "Report",
    "Send",
    "SendRange",
    "Started",
    "StopLog",
    "Store",
    "Unwrap",
    "WeighRetry",
    "Withdraw",
]

# --- of the Hub ------------------------------------------------------------------------------


class Connect(NamedTuple):
    """Check token, namespace and these kinds. Answered by Connected or ConnectFailed."""

    kinds: tuple[str, ...]


class Launch(NamedTuple):
    """Wait until the rate limit lets a launch through. Answered by Admitted or LaunchFailed."""

    worker: str
    attempt: int


class Post(NamedTuple):
    """Send the launch request. Answered by Launched or LaunchFailed.

    `port` is None for a job without a door. `arguments` and `results`: it mounts the folders of the
    bucket that large ones are in.
    """

    worker: str
    kind: str
    attempt: int
    calls: tuple["Call", ...]
    slots: int
    one_shot: bool
    port: int | None
    arguments: bool = False
    results: bool = False


class Withdraw(NamedTuple):
    """Forget a launch whose request was not sent. Not answered."""

    worker: str


class LookFor(NamedTuple):
    """List the jobs that carry the label of this launch. Answered by Looked."""

    worker: str


class List(NamedTuple):
    """List the jobs of the run. Answered by Listed or ListFailed."""


class Inspect(NamedTuple):
    """Ask for one job. Answered by Inspected, or ListFailed."""

    worker: str
    job: str


class CancelJob(NamedTuple):
    """Make sure that a job runs no longer. Answered by CancelEnded.

    With `look`, find out whether it ever began.
    """

    job: str
    look: bool = False


# --- of a job --------------------------------------------------------------------------------


class ReadLog(NamedTuple):
    """Read a log from its start. Answered by any number of Heard, and LogEnded."""

    worker: str
    job: str
    reading: int


class StopLog(NamedTuple):
    """Stop that reading. Answered by LogEnded, unless it has ended already."""

    worker: str
    reading: int


class Send(NamedTuple):
    """Take a message to a door. Answered by Answered or Unanswered.

    The same number again is the same message: the worker does it once.
    """

    worker: str
    job: str
    door: str
    port: int
    number: int
    entries: tuple["Entry", ...]
    patience: float


class SendRange(NamedTuple):
    """Take a range of a buffer to a door. Answered by RangeKept, RangeFailed or RangeRefused."""

    worker: str
    job: str
    door: str
    port: int
    number: int
    buffer: "Buffer"
    part: int
    patience: float


class Fetch(NamedTuple):
    """Fetch a range of a large outcome from a door.

    Answered by Fetched, FetchFailed or FetchRefused. What has arrived is kept for as long as its
    key is.
    """

    worker: str
    job: str
    door: str
    port: int
    number: int
    call: int
    key: "Key"
    start: int
    stop: int
    patience: float


class Listen(NamedTuple):
    """Ask a door for what comes after a position, and wait. Answered by Listened or ListenFailed.

    The worker answers when it has something to say, and after `seconds` anyway.
    """

    worker: str
    job: str
    door: str
    port: int
    number: int
    position: int
    seconds: float
    patience: float


class Forget(NamedTuple):
    """A worker is over: stop all that is still done for it, but cancelling its job."""

    worker: str


class Unwrap(NamedTuple):
    """Make an error of an outcome for call 0. Answered by Broken."""

    worker: str
    outcome: "Outcome"
    where: str


# --- of the bucket ---------------------------------------------------------------------------


class Store(NamedTuple):
    """Put a buffer into the run's bucket. Answered by Stored or StoreFailed."""

    buffer: "Buffer"


class Collect(NamedTuple):
    """Get a value from the bucket, of which the outcome says where it is, and remove it there.

    Answered by Collected or CollectFailed.
    """

    call: "Call"
    outcome: "Outcome"
    where: str
    worker: str


class Remove(NamedTuple):
    """Remove a result from the bucket."""

    name: str


# --- of futures ------------------------------------------------------------------------------


class Started(NamedTuple):
    """Calls are in this job; in another one as well, if it is one `of_two` attempts."""

    calls: tuple["Call", ...]
    job: "JobSeen"
    of_two: bool = False


class BackupStarted(NamedTuple):
    """A call runs for `seconds` in a job, where others took `median`: a backup begins in another.

    `call` is the backup. There is nothing to do but to tell of it.
    """

    call: "Call"
    seconds: float
    median: float
    first: "JobSeen | None"
    job: "JobSeen"


class Completion(NamedTuple):
    """A call, how it ended, and where: in words, and the worker's id."""

    call: "Call"
    outcome: "Outcome"
    where: str
    worker: str


class Complete(NamedTuple):
    """Give outcomes to their futures, which are running."""

    completions: tuple[Completion, ...]


class WeighRetry(NamedTuple):
    """Say whether a call is to run again, the last attempt of which ended like this.

    `call` is the next attempt. Answered by RetryWeighed.
    """

    call: "Call"
    outcome: "Outcome"
    where: str
    worker: str


class Fail(NamedTuple):
    """End a future, running or not, with an error."""

    call: "Call"
    error: BaseException


class CancelFuture(NamedTuple):
    """Cancel a future that is not running."""

    call: "Call"


class NotifyCancelled(NamedTuple):
    """Wake who waits for a future that was cancelled."""

    call: "Call"


# --- of the edges ----------------------------------------------------------------------------


class Report(NamedTuple):
    """Write a line into the log, at a level of :mod:`logging`."""

    level: int
    text: str


class Finish(NamedTuple):
    """Nothing is left to do."""


Command: TypeAlias = (
    Connect
    | Launch
    | Post
    | Withdraw
    | LookFor
    | List
    | Inspect
    | CancelJob
    | ReadLog
    | StopLog
    | Send
    | SendRange
    | Fetch
    | Listen
    | Forget
    | Unwrap
    | Store
    | Collect
    | Remove
    | Started
    | BackupStarted
    | Complete
    | WeighRetry
    | Fail
    | CancelFuture
    | NotifyCancelled
    | Report
    | Finish
)
