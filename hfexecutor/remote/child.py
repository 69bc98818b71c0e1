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

from . import items, outcomes, pickling
from .settling import Pipes, renew_streams, settle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any, NoReturn

_AT_ONCE = 1 << 16  # bytes of an answer that are copied to be written with its head
LOST_SUPERVISOR = 70  # exit codes of a child that cannot go on
LOST_PIPES = 71


def live(pipes: Pipes, initializer: bytes) -> NoReturn:
    """Be a child until the supervisor closes the pipes. Does not return."""
    status = LOST_PIPES
    try:
        Child(settle(pipes), initializer).work()
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
    """Take calls, run them, answer.

    Args:
        pipes: to and from the supervisor.
        initializer: pickled ``(function, args)`` to run first, empty for none.
    """

    def __init__(self, pipes: Pipes, initializer: bytes) -> None:
        self._pipes = pipes
        self._initializer = initializer
        self._items = items.Reader(pipes.items)
        self._poll = select.poll()
        self._poll.register(pipes.tickets, select.POLLIN)
        self._pid = os.getpid()
        self._functions: dict[int, bytes | bytearray] = {}  # pickled, until they are needed
        self._loaded: dict[int, Callable[..., Any]] = {}
        self._data: bytes | bytearray = b""  # of the call that was taken

    def work(self) -> None:
        """Answer call after call, until the initializer fails or the supervisor is gone.

        Raises:
            EOFError: the supervisor is gone.
            OSError: a call did something to our pipes.
        """
        failure = self._initialize()
        if failure:
            self._answer(outcomes.INITIALIZER, 0, 0.0, failure)
            return
        self._answer(items.READY, 0, 0.0, b"")
        while True:
            call = self._take()
            self._answer(*self._perform(call))

    def _initialize(self) -> bytes:
        """Run the initializer; return what it raised, nothing if all is well."""
        if not self._initializer:
            return b""
        try:
            function, args = pickling.loads(self._initializer)
            function(*args)
        except BaseException as error:
            failure: bytes = _tell().raised(error).encode()
            return failure
        return b""

    def _take(self) -> int:
        """Wait for a ticket and return its call; the call's data is in `_data` then."""
        while True:
            try:
                ticket = os.read(self._pipes.tickets, items.TICKET.size)
                break
            except BlockingIOError:  # not ours to change: the supervisor takes back through it
                self._poll.poll()
        if not ticket:
            raise EOFError
        (call,) = items.TICKET.unpack(ticket)
        while True:
            kind, number, data = self._items.item()
            if kind == items.FUNCTION:
                self._functions[number] = data
            elif number == call:
                self._data = data
                return number

    def _perform(self, call: int) -> tuple[bytes, int, float, bytes]:
        """Run the call that was taken; return the answer."""
        try:
            function, args, kwargs = self._load()
        except BaseException as error:
            details = _tell().describe_bad_call(error)
            return outcomes.BAD_CALL, call, 0.0, outcomes.json_payload(details)
        start = time.perf_counter()
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            duration = time.perf_counter() - start
            return outcomes.RAISED, call, duration, _tell().raised(error).encode()
        duration = time.perf_counter() - start
        try:
            return outcomes.VALUE, call, duration, pickling.dumps(value)
        except BaseException as error:
            details = _tell().describe_unpicklable(value, error)
            return outcomes.UNPICKLABLE, call, duration, outcomes.json_payload(details)

    def _load(self) -> tuple[Callable[..., Any], Any, Any]:
        data, self._data = self._data, b""
        (number,) = items.TICKET.unpack_from(data)
        with memoryview(data) as view:
            loaded = pickling.loads(view[items.TICKET.size :])
        if not number:
            return loaded  # type: ignore[no-any-return]
        function = self._loaded.get(number)
        if function is None:
            # Unpickled once: what it keeps in its globals stays, as in any pool of processes.
            function = self._loaded[number] = pickling.loads(self._functions[number])
            self._functions[number] = b""
        return (function, *loaded)

    def _answer(self, status: bytes, call: int, duration: float, payload: bytes) -> None:
        if os.getpid() != self._pid:  # the call forked, and both have returned from it
            os._exit(0)
        self._end_output()
        head = items.answer_head(status, call, duration, len(payload))
        if len(payload) <= _AT_ONCE:
            _write(self._pipes.answers, head + payload)
        else:
            _write(self._pipes.answers, head)
            _write(self._pipes.answers, payload)

    def _end_output(self) -> None:
        """Write out what was printed and mark its end; repair what the call did to it."""
        try:
            sys.stdout.flush()
            sys.stderr.flush()
            os.get_inheritable(1)
            os.get_inheritable(2)
        except Exception:  # closed, or replaced by who knows what
            renew_streams(self._pipes.prints)
        os.write(self._pipes.prints, self._pipes.marker)


def _write(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):
        with memoryview(data) as view:
            written += os.write(fd, view[written:])


def _tell() -> ModuleType:
    from . import telling  # noqa: PLC0415 - calls that end well do not pay for it

    return telling
