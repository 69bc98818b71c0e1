"""A child: runs calls, one after the other, in a process of its own.

It is forked from the supervisor and keeps nothing of it but three pipes. Whatever a call does to
this process, its file descriptors included, is that call's affair: the supervisor sees the end of
the child and says so.
"""

from __future__ import annotations

import os
import select
import sys
import time

from . import client_names, outcomes, pickling, pipes, plain, shared_memory
from .bucket import MOST_WITHOUT_BUCKET, NoRoomError, mount
from .buffers import layout_of
from .child_setup import ChildPipes, renew_streams, set_up
from .entries import (
    CALL_HEAD_BYTES,
    MOST_IN_LOG,
    body_of,
    buffers_of,
    head_of,
    kinds_of,
    unpack_archive,
)
from .functions import Functions, load, load_mapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType
    from typing import Any, NoReturn

    from .bucket import Bucket
    from .buffers import Buffer

    # head, data, and the descriptors that came with it
    _Taken = tuple[tuple[int, int, float, int, int], bytes | bytearray, Sequence[int]]

_AT_ONCE = 1 << 16  # bytes of a result that are copied to be written with its head
_unpack_ticket, _TICKET_BYTES = pipes.TICKET.unpack, pipes.TICKET.size
_SOURCES = f"{__package__}.sources"
_IN_PIPE = 1 << 18  # bytes of a result beyond which it goes through shared memory
LOST_SUPERVISOR = 70  # exit codes of a child that cannot go on
LOST_PIPES = 71
_NO_CALL = ((0, 0, 0.0, 0, 0), b"", ())


def live(
    ends: ChildPipes, initializer: bytes, folder: str, bucket: Bucket, *, has_door: bool
) -> NoReturn:
    """Be a child until the supervisor closes the pipes. Does not return."""
    status = LOST_PIPES
    try:
        Child(set_up(ends), initializer, folder, bucket, has_door=has_door).work()
    except EOFError:
        status = LOST_SUPERVISOR
    except OSError as error:
        _complain(error)
    except BaseException:  # ours: what calls raise does not get here
        sys.excepthook(*sys.exc_info())
    os._exit(status)


def _complain(error: OSError) -> None:
    try:
        os.write(2, f"[hfexecutor: the call broke its process's pipes: {error}]\n".encode())
    except OSError:
        return


class Child:
    """Take calls, run them, send their results.

    Args:
        ends: of the pipes to and from the supervisor.
        initializer: pickled ``(function, args)`` to run first, empty for none.
        folder: where the files of archives go.
        bucket: what the job has of the bucket of large values.
        has_door: of the job: through that large results go, unless they are to stay in the bucket.
    """

    def __init__(
        self, ends: ChildPipes, initializer: bytes, folder: str, bucket: Bucket, *, has_door: bool
    ) -> None:
        self._ends = ends
        self._initializer = initializer
        self._items = pipes.ItemReader(ends.items)
        self._tickets = ends.tickets
        self._poll = select.poll()
        self._poll.register(ends.tickets, select.POLLIN)
        self._pid = os.getpid()
        self._functions = Functions()
        self._folder = folder
        self._bucket = bucket
        self._has_door = has_door
        mount(bucket)
        client_names.install()
        self._needed: list[tuple[bytes, bytes | bytearray]] = []  # and not on the search path yet
        self._taken: _Taken = _NO_CALL  # the call that is about to begin
        self._keeps = 0  # whether the result of the present one stays in the bucket if it is large

    def work(self) -> None:
        """Run call after call, until the initializer fails or the supervisor is gone.

        Raises:
            EOFError: the supervisor is gone.
            OSError: a call did something to our pipes.
        """
        failure = self._initialize()
        if failure:
            self._send(outcomes.INITIALIZER, 0, 0.0, 0.0, [failure])
            return
        self._send(pipes.READY, 0, 0.0, 0.0, [b""])
        while True:
            call = self._take()
            self._send(*self._perform(call))

    def _initialize(self) -> bytes:
        """Run the initializer; return what it raised, nothing if all is well."""
        if not self._initializer:
            return b""
        self._await_needs()
        try:
            if self._needed:
                self._add_needed()
            function, args = load(self._initializer)
            function(*args)
        except BaseException as error:
            failure: bytes = _report().raised(error).encode()
            return failure
        return b""

    def _await_needs(self) -> None:
        """Wait until the supervisor says that all is here that the initializer needs."""
        while (item := self._items.item())[0] != pipes.INITIALIZER:
            self._keep(*item)

    def _keep(self, kind: bytes, number: int, data: bytes | bytearray) -> None:
        """Keep an item until a call wants it."""
        if kind == pipes.FUNCTION:
            self._functions.add(number, data)
        else:
            self._needed.append((kind, data))

    def _add_needed(self) -> None:
        """Put what came on the search path. Raises whatever the disk raises."""
        from . import search_path  # noqa: PLC0415 - most children have no use for it

        needed, self._needed = self._needed, []
        for kind, data in needed:
            if kind == pipes.ENVIRONMENT:
                search_path.add_environment(data.decode())
            else:
                search_path.add_archive(self._folder, *unpack_archive(data))

    def _take(self) -> int:
        """Wait for a ticket and return its call; what came with that is in `_taken` then."""
        while True:
            try:
                ticket = os.read(self._tickets, _TICKET_BYTES)
                break
            except BlockingIOError:  # not ours to change: the supervisor takes back through it
                self._poll.poll()
        if not ticket:
            raise EOFError
        (call,) = _unpack_ticket(ticket)
        while True:
            kind, number, data = self._items.item()
            if kind != pipes.CALL:
                self._keep(kind, number, data)
                continue
            head = head_of(data)
            files = self._receive(buffers_of(data)) if head[3] else []
            if number == call:
                self._taken = head, data, files
                return number
            for fd in files:
                os.close(fd)

    def _receive(self, names: Sequence[bytes]) -> list[int]:
        """Return the descriptors of those buffers that come through the socket: all but files."""
        count = sum(name not in self._bucket for name in names)
        return shared_memory.receive_files(self._ends.handles, count) if count else []

    def _perform(self, call: int) -> tuple[bytes, int, float, float, Sequence[Buffer]]:
        """Run the call that was taken; return the result."""
        try:
            if self._needed:
                self._add_needed()
            function, args, kwargs = self._load()
            if _SOURCES in sys.modules:  # what was loaded may have imported what shows them
                sys.modules[_SOURCES].show_waiting()
        except BaseException as error:
            details = _report().describe_bad_call(error)
            return outcomes.BAD_CALL, call, time.monotonic(), 0.0, [plain.pack(details)]
        start = time.monotonic()  # on which the supervisor is as well
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            duration = time.monotonic() - start
            return outcomes.RAISED, call, start, duration, [_report().raised(error).encode()]
        duration = time.monotonic() - start
        try:
            return self._returned(call, start, duration, value)
        except BaseException as error:
            details = _report().describe_unpicklable(value, error)
            return outcomes.UNPICKLABLE, call, start, duration, [plain.pack(details)]

    def _load(self) -> tuple[Callable[..., Any], Any, Any]:
        (head, data, files), self._taken = self._taken, _NO_CALL
        number, _, _, count, self._keeps = head
        with memoryview(data)[body_of(data) if count else CALL_HEAD_BYTES :] as body:
            if count:
                loaded = load_mapped(body, kinds_of(data), self._buffers_of(data, files))
            else:
                loaded = load(body)
        if not number:
            return loaded  # type: ignore[no-any-return]
        return (self._functions.get(number), *loaded)

    def _buffers_of(self, data: bytes | bytearray, files: Sequence[int]) -> list[Any]:
        """Return the memory of a call's buffers; `files`, of those that were sent, are closed."""
        from .mapped import map_files  # noqa: PLC0415 - most calls have none

        names, sent, bucket = buffers_of(data), iter(map_files(files)), self._bucket
        return [bucket.read(name) if name in bucket else next(sent) for name in names]

    def _returned(
        self, call: int, start: float, duration: float, value: object
    ) -> tuple[bytes, int, float, float, Sequence[Buffer]]:
        """Return the result of a call that has returned something; it may become a file."""
        payload = pickling.dump(value)
        whole = outcomes.VALUE, call, start, duration, payload
        if self._has_door and not self._keeps:
            return whole
        size = sum(map(len, payload))
        if size <= MOST_IN_LOG:
            return whole
        try:
            details = self._bucket.write(payload, layout_of(payload[0]))
            details["type"] = type(value).__name__
            status = outcomes.IN_BUCKET
        except NoRoomError as error:
            if self._has_door or size <= MOST_WITHOUT_BUCKET:
                return whole
            details = {"size": size, "limit": MOST_WITHOUT_BUCKET, "why": str(error)}
            status = outcomes.TOO_LARGE
        return status, call, start, duration, [plain.pack(details)]

    def _send(
        self, status: bytes, call: int, began: float, duration: float, payload: Sequence[Buffer]
    ) -> None:
        if os.getpid() != self._pid:  # the call forked, and both have returned from it
            os._exit(0)
        size = sum(map(len, payload))
        if size > _IN_PIPE and shared_memory.AVAILABLE:
            # Before the marker: whoever has read that finds everything.
            shared_memory.send(self._ends.handles, outcomes.HEAD_BYTES, payload)
            size, payload = pipes.SHARED, ()
        self._end_output()
        head = pipes.pack_result_head(status, call, began, duration, size)
        if size <= _AT_ONCE:
            _write(self._ends.results, b"".join((head, *payload)))
        else:
            _write(self._ends.results, head)
            for piece in payload:
                _write(self._ends.results, piece)

    def _end_output(self) -> None:
        """Write out what was printed and mark its end; repair what the call did to it."""
        try:
            sys.stdout.flush()
            sys.stderr.flush()
            os.get_inheritable(1)
            os.get_inheritable(2)
        except Exception:  # closed, or replaced by who knows what
            renew_streams(self._ends.output)
        os.write(self._ends.output, self._ends.marker)


def _write(fd: int, data: Buffer) -> None:
    written = os.write(fd, data)
    while written < len(data):
        with memoryview(data) as view:
            written += os.write(fd, view[written:])


def _report() -> ModuleType:
    from . import error_report  # noqa: PLC0415 - calls that end well do not pay for it

    return error_report
