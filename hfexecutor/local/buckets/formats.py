"""What `hf_xet` sends to be stored, as far as a server has to understand it.

A *xorb* is a row of chunks, each compressed by itself. A *shard* says of which chunks of which
xorbs files are made. Both are described by Hugging Face's specification of the Xet protocol.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO

_TAG = b"HFRepoMetaData\0"
_SHARD_HEADER = struct.Struct("<32sQQ")
_ENTRY = struct.Struct("<32sIIII")  # one size for all that follows: 48 bytes
_END = b"\xff" * 32
_VERIFIED, _EXTENDED = 1 << 31, 1 << 30
_CHUNK_HEADER = 8
_CHUNK_VERSION = 0


class FormatError(Exception):
    """What was sent is not what it should be."""


@dataclass(frozen=True, slots=True)
class Term:
    """A part of a file: chunks of a xorb.

    Attributes:
        xorb: its hash.
        start, end: the first chunk, and the one after the last.
        size: bytes of the file that this is.
    """

    xorb: str
    start: int
    end: int
    size: int


def hexadecimal(raw: bytes) -> str:
    """Write a hash as the protocol does: as four little-endian numbers.

    >>> hexadecimal(bytes(range(32)))[:16]
    '0706050403020100'
    """
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", raw))


def files_of(shard: bytes) -> dict[str, tuple[Term, ...]]:
    """Return the files that a shard tells of, by their hashes.

    Raises:
        FormatError: it is no shard.
    """
    try:
        tag, _, _ = _SHARD_HEADER.unpack_from(shard)
        if not tag.startswith(_TAG):
            raise FormatError("no shard")
        found: dict[str, tuple[Term, ...]] = {}
        at = _SHARD_HEADER.size
        while True:
            name, flags, count, _, _ = _ENTRY.unpack_from(shard, at)
            if name == _END:
                return found
            first = at + _ENTRY.size
            entries = [_ENTRY.unpack_from(shard, first + _ENTRY.size * n) for n in range(count)]
            found[hexadecimal(name)] = tuple(
                Term(hexadecimal(xorb), start, end, size) for xorb, _, size, start, end in entries
            )
            rows = count * (2 if flags & _VERIFIED else 1) + bool(flags & _EXTENDED)
            at = first + _ENTRY.size * rows
    except struct.error as error:
        raise FormatError("the shard ends too early") from error


@dataclass(frozen=True, slots=True)
class Xorb:
    """Where the chunks of a xorb are.

    Attributes:
        offsets: in the xorb, of each chunk and of what comes after the last.
        places: the same for what is in the chunks, as it was before it was compressed.
    """

    offsets: tuple[int, ...]
    places: tuple[int, ...]

    def part(self, term: Term, skip: int, size: int) -> tuple[Term, int]:
        """Return the chunks of a term that some bytes of it are in, and how many come before those.

        Args:
            term: of this xorb.
            skip: how many bytes of it come before the wanted ones.
            size: how many are wanted.
        """
        begin = self.places[term.start] + skip
        start = bisect_right(self.places, begin, term.start, term.end) - 1
        end = bisect_left(self.places, begin + size, start + 1, term.end)
        part = Term(term.xorb, start, end, self.places[end] - self.places[start])
        return part, begin - self.places[start]


def chunks_of(file: BinaryIO) -> Xorb:
    """Find the chunks of a xorb. What comes after them does not matter.

    Raises:
        FormatError: it is no xorb.
    """
    end = file.seek(0, os.SEEK_END)
    lengths, sizes, at = [], [], 0
    while at + _CHUNK_HEADER <= end:
        file.seek(at)
        header = file.read(_CHUNK_HEADER)
        if header[0] != _CHUNK_VERSION:
            break
        length = _CHUNK_HEADER + int.from_bytes(header[1:4], "little")
        lengths.append(length)
        sizes.append(int.from_bytes(header[5:8], "little"))
        at += length
    if not lengths or at > end:
        raise FormatError("no xorb, or not all of it")
    return Xorb(tuple(accumulate(lengths, initial=0)), tuple(accumulate(sizes, initial=0)))
