"""The key of a launch, and the messages that are sealed with it."""

from __future__ import annotations

import struct

from .entries import FrameError

TYPE_CHECKING = False  # importing typing would cost a job's start several milliseconds
if TYPE_CHECKING:
    from collections.abc import Sequence
    from hmac import HMAC, compare_digest
    from hmac import new as hmac_new

    Buffer = bytes | bytearray | memoryview
else:
    try:  # the same as `hmac`, without the modules that it imports
        from _hashlib import compare_digest, hmac_new
    except ImportError:  # a Python without OpenSSL
        from hmac import compare_digest
        from hmac import new as hmac_new

__all__ = [
    "REPLY_HEAD_BYTES",
    "Seal",
    "check_reply",
    "compare_digest",
    "framed",
    "open_message",
    "open_ranged",
    "open_reply",
    "reply_head",
    "seal_message",
    "seal_ranged",
    "seal_reply",
]

_MAC_BYTES = 16
_LENGTH = struct.Struct("<Q")
_PREFIX = REPLY_HEAD_BYTES = _MAC_BYTES + _LENGTH.size


def framed(part: bytes) -> bytes:
    """Return a part with its length before it: so, what several make together is theirs alone."""
    return _LENGTH.pack(len(part)) + part


# What stands before the number in what a MAC is computed from.
_OF_NUMBER = _LENGTH.pack(_LENGTH.size)
_DOWN, _REPLY = framed(b"down") + _OF_NUMBER, framed(b"reply") + _OF_NUMBER
_RANGE = framed(b"range") + _OF_NUMBER


class Seal:
    """The key of one launch, and the only place where it is kept.

    Args:
        key: the launch key. Hand over a bytearray and overwrite it afterwards where no copy may
            stay behind in memory.
    """

    __slots__ = ("_state",)

    def __init__(self, key: bytes | bytearray) -> None:
        self._state: HMAC | None = hmac_new(key, b"", "sha256")

    def mac(self, head: bytes, body: Buffer) -> bytes:
        """Return 16 bytes that only a holder of the key can compute.

        It is of several parts: the last one is `body`, and `head` the others, :func:`framed`.
        """
        state = self._begin()
        state.update(head + _LENGTH.pack(len(body)))
        state.update(body)
        return state.digest()[:_MAC_BYTES]

    def _begin(self) -> HMAC:
        if self._state is None:
            raise FrameError("the key was wiped")
        return self._state.copy()

    def mac_of_pieces(self, head: bytes, pieces: Sequence[Buffer]) -> bytes:
        """Return the same, where the last part is in pieces."""
        state = self._begin()
        state.update(head + _LENGTH.pack(sum(map(len, pieces))))
        for piece in pieces:
            state.update(piece)
        return state.digest()[:_MAC_BYTES]

    def wipe(self) -> None:
        """Forget the key, in this process (OpenSSL overwrites its memory)."""
        self._state = None

    def __repr__(self) -> str:
        return f"<Seal {'wiped' if self._state is None else 'of a launch'}>"


def seal_message(seal: Seal, number: int, body: Buffer) -> bytes:
    """Return a message to a worker: MAC, number, body."""
    return _seal(seal, _DOWN, number, body)


def open_message(seal: Seal, blob: Buffer) -> tuple[int, memoryview]:
    """Return number and body of a message to a worker.

    Raises:
        FrameError: it does not come from the holder of the key.
    """
    return _open(seal, _DOWN, blob)


def seal_reply(seal: Seal, number: int, body: Buffer) -> bytes:
    """Return a worker's reply to message `number`."""
    return _seal(seal, _REPLY, number, body)


def open_reply(seal: Seal, number: int, blob: Buffer) -> memoryview:
    """Return the body of the reply to message `number`.

    Raises:
        FrameError: it does not come from the holder of the key, or answers another message.
    """
    found, body = _open(seal, _REPLY, blob)
    if found != number:
        raise FrameError(f"a reply to message {found}, not {number}")
    return body


def reply_head(seal: Seal, number: int, body: Buffer) -> bytes:
    """Return what stands before the body of a reply, for one that is not to be copied."""
    packed = _LENGTH.pack(number)
    return seal.mac(_REPLY + packed, body) + packed


def check_reply(seal: Seal, number: int, head: Buffer, pieces: Sequence[Buffer]) -> None:
    """See that these pieces are the body of the reply to message `number`, as `head` says.

    Raises:
        FrameError: they do not come from the holder of the key, or answer another message.
    """
    packed = _LENGTH.pack(number)
    mac = seal.mac_of_pieces(_REPLY + packed, pieces)
    if bytes(head[_MAC_BYTES:]) != packed or not compare_digest(bytes(head[:_MAC_BYTES]), mac):
        raise FrameError("a reply that is not authentic")


def seal_ranged(seal: Seal, number: int, head: Buffer) -> bytes:
    """Return the head of a range as it travels; its bytes follow, under their digest in the head.

    So a range that goes to many workers is hashed once for all of them.
    """
    return _seal(seal, _RANGE, number, head)


def open_ranged(seal: Seal, blob: Buffer, size: int) -> tuple[int, memoryview, memoryview]:
    """Return number, head (of `size` bytes) and bytes of a range.

    Raises:
        FrameError: the head does not come from the holder of the key.
    """
    view = memoryview(blob)
    number, head = _open(seal, _RANGE, view[: _PREFIX + size])
    return number, head, view[_PREFIX + size :]


def _seal(seal: Seal, way: bytes, number: int, body: Buffer) -> bytes:
    packed = _LENGTH.pack(number)
    return b"".join((seal.mac(way + packed, body), packed, body))


def _open(seal: Seal, way: bytes, blob: Buffer) -> tuple[int, memoryview]:
    view = memoryview(blob)
    mac, number, body = bytes(view[:_MAC_BYTES]), view[_MAC_BYTES:_PREFIX], view[_PREFIX:]
    if len(view) < _PREFIX or not compare_digest(mac, seal.mac(way + number, body)):
        raise FrameError("a message that is not authentic")
    return _LENGTH.unpack(number)[0], body
