"""Behind the door: open what comes in, once, and seal the reply. Pure."""

from __future__ import annotations

from . import entries, frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .entries import Entry

__all__ = ["Desk"]

_REMEMBERED = 1024  # messages whose replies can be repeated
_REMEMBERED_BYTES = 16 << 20  # of which some have outcomes in them


class Desk:
    """Deal with sealed messages.

    Args:
        seal: of the launch.
        receive: does what a message says and returns the reply.
    """

    def __init__(self, seal: frames.Seal, receive: Callable[[list[Entry]], list[Entry]]) -> None:
        self._seal = seal
        self._receive = receive
        self._replies: dict[int, bytes] = {}
        self._bytes = 0
        self._forgotten = 0  # no reply up to this number can be repeated; 0 is the launch message

    def answer(self, message: bytes | bytearray) -> tuple[int, bytes]:
        """Return HTTP status and body for a message. The same number again does nothing twice."""
        try:
            number, body = frames.open_message(self._seal, message)
        except frames.FrameError:
            return 403, b""
        reply = self._replies.get(number)
        if reply is not None:
            return 200, reply
        try:
            said = entries.unpack(body)
        except frames.FrameError:  # authentic, and still nonsense: a bug of the client
            return 400, b""
        reads = all(entry.kind == entries.FETCH for entry in said)
        if number <= self._forgotten and not reads:
            return 409, b""
        reply = frames.seal_reply(self._seal, number, entries.pack(self._receive(said)))
        if not reads:  # those do nothing, can be done again, and are too large to remember
            self._remember(number, reply)
        return 200, reply

    def _remember(self, number: int, reply: bytes) -> None:
        self._replies[number] = reply
        self._bytes += len(reply)
        while len(self._replies) > _REMEMBERED or self._bytes > _REMEMBERED_BYTES:
            oldest = min(self._replies)
            self._bytes -= len(self._replies.pop(oldest))
            self._forgotten = max(self._forgotten, oldest)
