"""The bytes of one bucket: what `hf_xet` has cut into chunks, and how they make files."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .formats import FormatError, Term, Xorb, chunks_of, files_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EMPTY = "0" * 64  # the hash of a file without any bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """How to put a file, or a part of it, together.

    Attributes:
        skip: how many bytes of the first term do not belong to it.
        terms: the chunks, in their order.
    """

    skip: int
    terms: tuple[Term, ...]

    def chunks(self) -> Iterator[tuple[str, int, int]]:
        """Yield a xorb, its first chunk and the one after the last, for all that is to be read.

        No chunk comes twice: of two ranges that overlap, as in a file that repeats itself,
        `hf_xet` takes the first for both.
        """
        wanted = sorted({(term.xorb, term.start, term.end) for term in self.terms})
        known = ("", 0, 0)
        for xorb, start, end in wanted:
            if xorb == known[0] and start < known[2]:
                known = (xorb, known[1], max(end, known[2]))
                continue
            if known[0]:
                yield known
            known = (xorb, start, end)
        if known[0]:
            yield known


class Cas:
    """The content of a bucket, by hash: content-addressed storage.

    Args:
        directory: where the xorbs are, each a file; it need not exist.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._xorbs: dict[str, Xorb] = {}
        self._files: dict[str, tuple[Term, ...]] = {}
        self._numbers = itertools.count()

    def size(self, xet_hash: str) -> int | None:
        """Return how many bytes a file has; None: there is no such file."""
        if xet_hash == EMPTY:
            return 0
        terms = self._files.get(xet_hash)
        return None if terms is None else sum(term.size for term in terms)

    def plan(self, xet_hash: str, start: int, end: int | None) -> Plan | None:
        """Say how to put the bytes of a file from `start` to `end` together.

        Returns:
            None: there is no such file, or nothing there.
        """
        size = self.size(xet_hash)
        if size is None:
            return None
        end = size if end is None else min(size, end)
        parts, at = [], 0
        for term in self._files.get(xet_hash, ()):
            first, last = max(start, at), min(end, at + term.size)
            if first < last:
                xorb = self._xorbs[term.xorb]
                parts.append(xorb.part(term, first - at, last - first))
            at += term.size
        return Plan(parts[0][1], tuple(part for part, _ in parts)) if parts else None

    def span(self, xorb: str, start: int, end: int) -> tuple[int, int]:
        """Return from where to where some chunks are in a xorb."""
        offsets = self._xorbs[xorb].offsets
        return offsets[start], offsets[end]

    def path(self, xorb: str) -> Path:
        """Return where a xorb is, if it is there."""
        return self.directory / xorb

    @contextlib.contextmanager
    def draft(self) -> Iterator[Path]:
        """Yield a path for a xorb that is on its way; what is left there in the end is deleted."""
        self.directory.mkdir(exist_ok=True)
        path = self.directory / f"{next(self._numbers)}.part"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def take(self, xorb: str, draft: Path) -> bool:
        """Take a xorb in; False: it was there. That its hash is right is not checked.

        Raises:
            FormatError: it is none.
        """
        if xorb in self._xorbs:
            return False
        with draft.open("rb") as file:
            found = chunks_of(file)
        draft.replace(self.path(xorb))
        self._xorbs[xorb] = found
        return True

    def learn(self, shard: bytes) -> None:
        """Take in what a shard tells of files.

        Raises:
            FormatError: it is none, or tells of chunks that are not here.
        """
        files = files_of(shard)
        for term in itertools.chain(*files.values()):
            xorb = self._xorbs.get(term.xorb)
            if xorb is None or not 0 <= term.start < term.end < len(xorb.offsets):
                raise FormatError(f"there are no such chunks of a xorb {term.xorb}")
            if xorb.places[term.end] - xorb.places[term.start] != term.size:
                raise FormatError(f"chunks of the xorb {term.xorb} have another size")
        self._files |= files

    def copy(self, other: Cas, xet_hash: str) -> None:
        """Have a file of another bucket, too."""
        terms = other._files.get(xet_hash, ())
        self.directory.mkdir(exist_ok=True)
        for xorb in {term.xorb for term in terms} - self._xorbs.keys():
            self.path(xorb).hardlink_to(other.path(xorb))
            self._xorbs[xorb] = other._xorbs[xorb]
        if terms:
            self._files[xet_hash] = terms

    def remove(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.directory, ignore_errors=True)
