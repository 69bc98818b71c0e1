"""Ranges: how buffers of many megabytes travel through a door, beside the messages. Pure.

A buffer is named by its content, and cut into ranges. Each is a request of its own: a head that is
sealed, with the digest of the range, and then the range as it is in memory. So ranges may come over
several connections, in any order and more than once, and nothing of one is believed before it was
compared with its digest::

    MAC (16 bytes), number of the request (8), name (32), size (8), part (4), digest (32), the bytes
"""

from __future__ import annotations

import struct
from collections import namedtuple

from .entries import RANGE_BYTES, FrameError
from .seals import open_ranged, seal_ranged

TYPE_CHECKING = False  # importing typing would cost a job's start several milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterable
    from hashlib import sha256
    from typing import NamedTuple

    from .seals import Buffer, Seal
else:
    try:  # the same as `hashlib`, without the modules that it imports
        from _hashlib import openssl_sha256 as sha256
    except ImportError:  # a Python without OpenSSL
        from hashlib import sha256

__all__ = [
    "PATH",
    "RANGE_BYTES",
    "REPLY_BYTES",
    "Range",
    "count_of",
    "digest_of",
    "name_of",
    "open_range",
    "pack_reply",
    "seal_range",
    "unpack_reply",
]

PATH = "/range"  # where they are posted to
REPLY_BYTES = 200  # of the answer to a range: nothing, or why it cannot be kept
_SIZE = struct.Struct("<Q")
_RANGE = struct.Struct("<32sQI32s")


if TYPE_CHECKING:

    class Range(NamedTuple):
        """A range of a buffer: the buffer's name and size, which part it is, and its digest."""

        name: bytes
        size: int
        part: int
        digest: bytes
else:
    Range = namedtuple("Range", "name size part digest")  # noqa: PYI024 - see above


def digest_of(data: Buffer) -> bytes:
    """Return the digest of a range."""
    digest: bytes = sha256(data).digest()
    return digest


def name_of(size: int, digests: Iterable[bytes]) -> bytes:
    """Return the name of a buffer: 32 bytes, the same for the same content and no other."""
    return digest_of(b"".join((_SIZE.pack(size), *digests)))


def count_of(size: int) -> int:
    """Return how many ranges a buffer has."""
    return -(-size // RANGE_BYTES)


def seal_range(seal: Seal, number: int, part: Range) -> bytes:
    """Return what is sent before the bytes of a range."""
    return seal_ranged(seal, number, _RANGE.pack(*part))


def pack_reply(why: str) -> bytes:
    """Return what is answered to a range: an empty `why` says that it is kept."""
    return why.encode()[:REPLY_BYTES].ljust(REPLY_BYTES)


def unpack_reply(body: Buffer) -> str:
    """Return what :func:`pack_reply` packed."""
    return bytes(body).decode("utf-8", "replace").rstrip()


def open_range(seal: Seal, blob: Buffer) -> tuple[int, Range, memoryview]:
    """Return number, range and bytes of what was sent.

    Raises:
        FrameError: It does not come from the holder of the key, or did not arrive as it was sent.
    """
    number, head, data = open_ranged(seal, blob, _RANGE.size)
    part = Range(*_RANGE.unpack(head))
    start = part.part * RANGE_BYTES
    if len(data) != min(RANGE_BYTES, part.size - start) or digest_of(data) != part.digest:
        raise FrameError("a range that is not what was sent")
    return number, part, data
