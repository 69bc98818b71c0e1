"""Messages through the door: opened if they are authentic, done once, answered each time. Pure."""

from __future__ import annotations

from . import entries, seals
from .entries import FrameError
from .orders import LackingError
from .ranges import open_range, pack_reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .buffer_cache import BufferCache
    from .buffers import Buffer
    from .entries import Entry
    from .listeners import Listeners

    Reply = bytes | Callable[[], tuple[Buffer, ...]]  # or what returns its pieces, when it is time

__all__ = ["FORBIDDEN", "OK", "Messages"]

OK, BAD_REQUEST, FORBIDDEN, CONFLICT = 200, 400, 403, 409
_REMEMBERED = 1024  # messages whose replies can be repeated
_REMEMBERED_BYTES = 16 << 20  # of which some have outcomes in them


class Messages:
    """Deal with sealed messages.

    Args:
        seal: of the launch.
        listeners: takes requests that are to stand.
        receive: does what a message says and returns the reply; takes the entries and the time.
        read: returns a range of an outcome; takes the call, where the range begins and ends, the
            time, and whether the message is new. An old one, that somebody sends again, must not
            hold the worker.
        buffers: take ranges.

    Attributes:
        heard_at: when somebody who does not only look at us has last said something; None: never.
    """

    def __init__(
        self,
        seal: seals.Seal,
        listeners: Listeners,
        receive: Callable[[list[Entry], float], list[Entry]],
        read: Callable[[int, int, int, float, bool], Buffer],
        buffers: BufferCache,
    ) -> None:
        self._seal = seal
        self._listeners = listeners
        self._receive = receive
        self._read = read
        self._buffers = buffers
        self._replies: dict[int, bytes] = {}
        self._bytes = 0
        self._forgotten = 0  # no reply up to this number can be repeated; 0 is the launch message
        self._newest = 0
        self.heard_at: float | None = None

    def answer(
        self, message: bytes | bytearray, now: float, ticket: int
    ) -> tuple[int, Reply] | None:
        """Return HTTP status and body for a message. The same number again does nothing twice.

        None if the request is to stand: its answer is given to its `ticket` later.
        """
        try:
            number, body = seals.open_message(self._seal, message)
        except FrameError:
            return FORBIDDEN, b""
        reply = self._replies.get(number)
        if reply is not None:
            self.heard_at = now
            return OK, reply
        try:
            said = entries.unpack(body)
        except FrameError:  # authentic, and still nonsense: a bug of the client
            return BAD_REQUEST, b""
        if len(said) == 1 and said[0].kind == entries.CONTACT:
            return OK, seals.seal_reply(self._seal, number, entries.pack([self._contact(now)]))
        self.heard_at = now
        if len(said) == 1 and said[0].kind in {entries.LISTEN, entries.FETCH}:
            return self._ask(ticket, number, said[0], now)
        return self._do(number, said, now)

    def take_range(self, message: bytes | bytearray, now: float) -> tuple[int, bytes]:
        """Keep a range; return HTTP status and body. It may come any number of times."""
        try:
            number, part, data = open_range(self._seal, message)
        except FrameError:
            return FORBIDDEN, b""
        self.heard_at = now
        body = pack_reply(self._buffers.take(number, part, data))
        return OK, seals.seal_reply(self._seal, number, body)

    def _do(self, number: int, said: list[Entry], now: float) -> tuple[int, bytes]:
        """Do what a message says that was not answered before."""
        if number <= self._forgotten:
            return CONFLICT, b""
        self._newest = max(number, self._newest)
        try:
            received = self._receive(said, now)
        except LackingError:  # nobody can tell what was said in this job's former life
            return CONFLICT, b""
        reply = seals.seal_reply(self._seal, number, entries.pack(received))
        self._remember(number, reply)
        return OK, reply

    def _fetch(self, number: int, order: Entry, now: float) -> Reply:
        """Return a range of an outcome; that can be done again, and is too large to remember."""
        new = number > self._newest
        self._newest = max(number, self._newest)
        start, stop = entries.unpack_ids(order.data)
        data = self._read(order.call, start, stop, now, new)
        return lambda: (seals.reply_head(self._seal, number, data), data)

    def _contact(self, now: float) -> Entry:
        """Return how many milliseconds ago somebody was in touch; none where nobody ever was."""
        if self._listeners.standing:
            silent = [0]
        else:
            silent = [] if self.heard_at is None else [int(1000 * (now - self.heard_at))]
        return entries.Entry(entries.CONTACT, 0, 0, 1, entries.pack_ids(silent))

    def _ask(self, ticket: int, number: int, order: Entry, now: float) -> tuple[int, Reply] | None:
        """Answer a message that only wants to hear something."""
        try:
            if order.kind == entries.FETCH:
                return OK, self._fetch(number, order, now)
            self._listeners.add(ticket, number, order, now)
        except (FrameError, ValueError):  # as above
            return BAD_REQUEST, b""
        return None

    def _remember(self, number: int, reply: bytes) -> None:
        self._replies[number] = reply
        self._bytes += len(reply)
        while len(self._replies) > _REMEMBERED or self._bytes > _REMEMBERED_BYTES:
            oldest = min(self._replies)
            self._bytes -= len(self._replies.pop(oldest))
            self._forgotten = max(self._forgotten, oldest)
