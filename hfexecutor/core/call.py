"""A call on its way from ``submit`` to its future."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Self

from hfexecutor.remote import entries

__all__ = ["Attachment", "Buffer", "Call", "CallOptions", "Function", "number_of"]

_ATTEMPT: Final = 1 << 40  # between the ids of one call's attempts: no process submits as many


class Function(NamedTuple):
    """A pickled function that workers keep: its id, unique in this process, and its bytes."""

    id: int
    data: bytes


class Attachment(NamedTuple):
    """Something that workers keep, and that calls refer to: opaque to the core.

    `kind` is that of the entry it travels as, `id` its number among those of its kind.
    """

    kind: int
    id: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """What a call's submitter wants of it, whatever else its pool is for.

    Attributes:
        call_timeout: Seconds that it may run; None for any.
        max_retries: How often it runs again, whether its job was lost or it has raised; with 0 it
            never begins twice.
        retry: Says whether, and when, it runs again after it has raised; opaque to the core, None
            for never.
        kinds: The kinds of workers that it may run on, the preferred one first.
        on_memory_error: Where its process is killed for memory, it runs once more on one of these
            kinds with more of it, if there is one.
        speculate: A backup of it may be started where it takes far longer than others.
        scheduling_timeout: Seconds that a job for it may wait for its hardware where it takes
            another kind as well.
        keep_remote: A large result of it stays in the run's bucket.
    """

    call_timeout: float | None = None
    max_retries: int = 2
    retry: Any = None
    kinds: tuple[str, ...] = ("",)
    on_memory_error: bool = False
    speculate: bool = False
    scheduling_timeout: float = math.inf
    keep_remote: bool = False


_DEFAULT: Final = CallOptions()


def number_of(call_id: int) -> int:
    """Return the number that a call was submitted under, of which this is the id of an attempt.

    >>> number_of(7), number_of(7 + (1 << 40))
    (7, 7)
    """
    return call_id % _ATTEMPT


class Buffer:
    """Memory that travels beside pickles, known by its content; opaque to the core.

    Attributes:
        name: Of its content; equal content has the same name.
        size: Bytes.
        digests: Of its ranges.
        data: The bytes.
    """

    __slots__ = ("__weakref__", "data", "digests", "name", "size")

    def __init__(
        self, name: bytes, size: int, digests: tuple[bytes, ...] = (), data: Any = b""
    ) -> None:
        self.name = name
        self.size = size
        self.digests = digests
        self.data = data

    def __repr__(self) -> str:
        return f"<Buffer {self.name.hex()[:8]}, {self.size:,} bytes>"


class Call:
    """One submitted call: the bytes that travel, and what has become of it so far.

    After an outcome that is not its last it goes on as another attempt: a new object with an id of
    its own, so that what a job says of the first one is never taken for the second one's.

    The core looks at everything here but `future`, which only the edges touch.

    Attributes:
        id: Unique in this process, and never 0; that of the first attempt is the call's number.
        future: What its submitter holds.
        options: What its submitter wants of it.
        function: The function that its data refers to, None if it is part of the data.
        data: The pickled call.
        attachments: What has to be in a worker before it.
        buffers: What its data refers to, each once.
        worker: Id of the worker that holds it, empty while it is queued.
        claimed: Its future says that it is running: it can be cancelled no longer.
        lost: How many workers were lost while they ran it, or may have run it.
        raised: How many attempts of it have raised before this one.
        avoid: The worker that the last of them was in, empty without one.
        delayed: It is neither queued nor held: it waits for its time.
        twin: The other attempt of it that runs at the same time, None without one.
        is_backup: It is the second of those two.
        backups: How many backups of it there were.
        printed: What a backup prints, apart from what the first attempt does; opaque to the core.
        bounced: How many workers left without having had it.
        killed: Somebody asked for it to be stopped.
        stored: Its buffers are in the run's bucket: a launch request need not carry them.
        name: What its submitter calls the function; for people alone.
        contents: What has to be in the bucket as long as it is open; opaque to the core.
        make_handle: Makes what its future gets of its result; opaque to the core, None for the
            value itself.
        kept_as: Under what its result is kept for later runs; opaque to the core, None for no use.
        key: What identifies it for its submitter, as it travels; empty where it has none.
    """

    __slots__ = (
        "attachments",
        "avoid",
        "backups",
        "bounced",
        "buffers",
        "claimed",
        "contents",
        "data",
        "delayed",
        "function",
        "future",
        "id",
        "is_backup",
        "kept_as",
        "key",
        "killed",
        "lost",
        "make_handle",
        "name",
        "options",
        "printed",
        "raised",
        "stored",
        "tries",
        "twin",
        "worker",
    )

    def __init__(  # noqa: PLR0917 - in the order of what they are made of
        self,
        call_id: int,
        future: Any,
        data: bytes,
        function: Function | None,
        attachments: tuple[Attachment, ...] = (),
        buffers: tuple[Buffer, ...] = (),
        *,
        options: CallOptions = _DEFAULT,
    ) -> None:
        self.id = call_id
        self.future = future
        self.data = data
        self.function = function
        self.attachments = attachments
        self.options = options
        self.buffers = buffers
        self.contents: tuple[Any, ...] = ()
        self.make_handle: Any = None
        self.kept_as: Any = None
        self.key = b""
        self.name = ""
        self.worker = ""
        self.claimed = False
        self.lost = 0
        self.raised = 0
        self.avoid = ""
        self.bounced = 0
        self.killed = False
        self.stored = False
        self.delayed = False
        self.twin: Call | None = None
        self.is_backup = False
        self.backups = 0
        self.printed: Any = None
        self.tries: list[int] | None = None  # how many attempts there were, shared by all of them

    @property
    def number(self) -> int:
        """What it was submitted as, whichever attempt this is."""
        return self.id % _ATTEMPT

    @property
    def kinds(self) -> tuple[str, ...]:
        """What it asks for."""
        return self.options.kinds

    @property
    def retries_left(self) -> int:
        """How often it may run again; less than 0 once it was lost too often."""
        return self.options.max_retries - self.lost - self.raised - self.backups

    def next_attempt(self) -> Self:
        """Return it as it runs again after it has raised, preferably elsewhere."""
        again = self._attempt()
        again.raised, again.avoid = self.raised + 1, self.worker
        return again

    def backup(self) -> Self:
        """Return it as it runs once more at the same time."""
        self.backups += 1
        other = self._attempt()
        other.raised, other.is_backup = self.raised, True
        other.twin, self.twin = self, other
        return other

    def _attempt(self) -> Self:
        if self.tries is None:
            self.tries = [0]
        self.tries[0] += 1
        other = type(self)(
            self.number + self.tries[0] * _ATTEMPT,
            self.future,
            self.data,
            self.function,
            self.attachments,
            self.buffers,
            options=self.options,
        )
        other.kept_as, other.claimed, other.tries = self.kept_as, True, self.tries
        other.lost, other.backups = self.lost, self.backups
        other.stored = self.stored
        other.contents, other.make_handle = self.contents, self.make_handle
        other.name, other.key = self.name, self.key
        return other

    def on_larger(self, kinds: tuple[str, ...]) -> Self:
        """Return it as it runs once more on larger workers, whatever retries it has left."""
        again = self.next_attempt()
        again.options = replace(self.options, kinds=kinds, on_memory_error=False)
        again.raised, again.avoid = self.raised, ""
        return again

    @property
    def kept(self) -> tuple[tuple[int, int, bytes], ...]:
        """Kind, number and bytes of what the call refers to, which workers keep."""
        if self.function is None:
            return self.attachments
        return (*self.attachments, (entries.FUNCTION, *self.function))

    @property
    def itself(self) -> tuple[entries.Entry, ...]:
        """What hands it over, after what it refers to."""
        call = entries.Entry(entries.CALL, self.id, 0, 1, self.data)
        return (entries.Entry(entries.KEY, self.id, 0, 1, self.key), call) if self.key else (call,)

    @property
    def size(self) -> int:
        """Bytes that travel if the worker has nothing yet of what the call refers to."""
        return len(self.data) + len(self.key) + sum(self.refers.values())

    @property
    def refers(self) -> dict[Any, int]:
        """Bytes of each thing that a launch request carries for it, by what that is known as."""
        sizes: dict[Any, int] = {(kind, number): len(data) for kind, number, data in self.kept}
        for buffer in () if self.stored else self.buffers:
            sizes[buffer.name] = buffer.size
        return sizes

    def __repr__(self) -> str:
        marks = [
            f"in {self.worker}" if self.worker else "",
            "claimed" if self.claimed else "",
            f"lost {self.lost}" if self.lost else "",
            f"raised {self.raised}" if self.raised else "",
            "killed" if self.killed else "",
        ]
        return f"<Call {self.id} {', '.join(mark for mark in marks if mark) or 'queued'}>"
