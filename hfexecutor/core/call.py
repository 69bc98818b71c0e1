"""A call on its way from ``submit`` to its future."""

from __future__ import annotations

from typing import Any, NamedTuple

from hfexecutor.remote import entries

__all__ = ["Attachment", "Call", "Function"]


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


class Call:
    """One submitted call: the bytes that travel, and what has become of it so far.

    The core looks at everything here but `future`, which only the edges touch.

    Attributes:
        id: Unique in this process, and never 0.
        future: What its submitter holds.
        function: The function that its data refers to, None if it is part of the data.
        data: The pickled call.
        attachments: What has to be in a worker before it.
        worker: Id of the worker that holds it, empty while it is queued.
        claimed: Its future says that it is running: it can be cancelled no longer.
        lost: How many workers were lost while they ran it, or may have run it.
        bounced: How many workers left without having had it.
        killed: Somebody asked for it to be stopped.
        kept_as: Under what its result is kept for later runs; opaque to the core, None for no use.
    """

    __slots__ = (
        "attachments",
        "bounced",
        "claimed",
        "data",
        "function",
        "future",
        "id",
        "kept_as",
        "killed",
        "lost",
        "worker",
    )

    def __init__(
        self,
        call_id: int,
        future: Any,
        data: bytes,
        function: Function | None,
        attachments: tuple[Attachment, ...] = (),
    ) -> None:
        self.id = call_id
        self.future = future
        self.data = data
        self.function = function
        self.attachments = attachments
        self.kept_as: Any = None
        self.worker = ""
        self.claimed = False
        self.lost = 0
        self.bounced = 0
        self.killed = False

    @property
    def kept(self) -> tuple[tuple[int, int, bytes], ...]:
        """Kind, number and bytes of what the call refers to, which workers keep."""
        if self.function is None:
            return self.attachments
        return (*self.attachments, (entries.FUNCTION, *self.function))

    @property
    def size(self) -> int:
        """Bytes that travel if the worker has nothing yet of what the call refers to."""
        return len(self.data) + sum(len(data) for _, _, data in self.kept)

    def __repr__(self) -> str:
        marks = [
            f"in {self.worker}" if self.worker else "",
            "claimed" if self.claimed else "",
            f"lost {self.lost}" if self.lost else "",
            "killed" if self.killed else "",
        ]
        return f"<Call {self.id} {', '.join(mark for mark in marks if mark) or 'queued'}>"
