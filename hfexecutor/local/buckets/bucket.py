"""One bucket: its files, and what has changed in it. Knows nothing of HTTP, and of no disk."""

from __future__ import annotations

import bisect
import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_REPLAYED = 10_000  # changes that a follower can still get; how many the Hub keeps is not known
_MAX_PATH = 1024  # bytes; the Hub's limit is not known

Op = Literal["add", "update", "delete"]


def why_not(path: str) -> str | None:
    """Say why no file of a bucket can have this path; None: one can.

    The Hub's own rules are not published. These keep what no directory could have out of mounts.
    """
    if not path or len(path.encode(errors="replace")) > _MAX_PATH:
        return f"Invalid path: must have 1 to {_MAX_PATH} bytes"
    if any(part in ("", ".", "..") for part in path.split("/")):
        return "Invalid path: no part of it may be empty, '.' or '..'"
    if not path.isprintable():
        return "Invalid path: holds characters that cannot be shown"
    return None


@dataclass(frozen=True, slots=True)
class File:
    """A file of a bucket.

    Attributes:
        path: where it is.
        size: bytes.
        xet_hash: what `hf_xet` calls its content.
        mtime: when its source was changed, as the client says.
        uploaded: when it got into the bucket.
        content_type: as the client says.
    """

    path: str
    size: int
    xet_hash: str
    mtime: datetime | None
    uploaded: datetime
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one path; `file` is None where it was deleted."""

    op: Op
    path: str
    file: File | None


@dataclass(frozen=True, slots=True)
class Changes:
    """What was done at once.

    Attributes:
        number: counts the batches of a bucket, from 1.
        moment: when.
        items: one for each path.
    """

    number: int
    moment: datetime
    items: tuple[Change, ...]


@dataclass(slots=True, eq=False)
class Bucket:
    """What is in a bucket.

    Attributes:
        namespace: whose it is.
        name: of the bucket; it can be given another one.
        private: whether a token is needed to read it.
        key: names the bucket for as long as it exists, whatever it is called.
        size: bytes of all files.
        total: how many batches of changes there have been.
        gone: whether it has been deleted.
    """

    namespace: str
    name: str
    private: bool
    key: str = field(default_factory=lambda: secrets.token_hex(12))
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    size: int = 0
    total: int = 0
    gone: bool = False
    _updated: datetime | None = None
    _files: dict[str, File] = field(default_factory=dict, repr=False)
    _sorted: list[str] = field(default_factory=list, repr=False)
    _recent: deque[Changes] = field(default_factory=deque, repr=False)
    _kept: int = field(default=0, repr=False)
    _listeners: set[Callable[[], None]] = field(default_factory=set, repr=False)

    @property
    def id(self) -> str:
        """What the API calls it."""
        return f"{self.namespace}/{self.name}"

    @property
    def updated(self) -> datetime:
        """When anything last changed in it."""
        return self._updated or self.created

    @property
    def files(self) -> int:
        """How many files it has."""
        return len(self._files)

    def get(self, path: str) -> File | None:
        """Return the file at a path."""
        return self._files.get(path)

    def find(self, xet_hash: str) -> File | None:
        """Return a file that has this content."""
        return next((one for one in self._files.values() if one.xet_hash == xet_hash), None)

    def starting_with(self, prefix: str) -> Iterator[File]:
        """Yield the files of which the paths begin so, in the order of their paths."""
        begin = bisect.bisect_left(self._sorted, prefix)
        for path in self._sorted[begin:]:
            if not path.startswith(prefix):
                return
            yield self._files[path]

    def below(self, folder: str) -> Iterator[File]:
        """Yield the files of a folder and of those in it; "": all."""
        return self.starting_with(f"{folder}/" if folder else "")

    def grown_by(self, files: Iterable[File], deleted: Iterable[str]) -> int:
        """Return by how many bytes these changes would make the bucket larger."""
        after = {file.path: file.size for file in files} | dict.fromkeys(deleted, 0)
        return sum(
            size - (old.size if (old := self._files.get(path)) else 0)
            for path, size in after.items()
        )

    def change(self, files: Iterable[File], deleted: Iterable[str] = ()) -> None:
        """Put files into the bucket, and take others out of it, all at once."""
        items: dict[str, Change] = {}
        for file in files:
            old = self._files.get(file.path)
            self.size += file.size - (old.size if old else 0)
            self._files[file.path] = file
            if old is None:
                bisect.insort(self._sorted, file.path)
            items[file.path] = Change("update" if old else "add", file.path, file)
        for path in deleted:
            if (old := self._files.pop(path, None)) is not None:
                self.size -= old.size
                del self._sorted[bisect.bisect_left(self._sorted, path)]
                items[path] = Change("delete", path, None)
        if items:
            self._remember(tuple(items.values()))

    def _remember(self, items: tuple[Change, ...]) -> None:
        self.total += 1
        self._updated = datetime.now(UTC)
        self._recent.append(Changes(self.total, self._updated, items))
        self._kept += len(items)
        while self._kept > _REPLAYED and len(self._recent) > 1:
            self._kept -= len(self._recent.popleft().items)
        self._tell()

    def delete(self) -> None:
        """Be no more; who follows the bucket notices."""
        self.gone = True
        self._tell()

    def since(self, number: int) -> list[Changes] | None:
        """Return the changes after the batch of this number; None: some are no longer known."""
        first = self._recent[0].number if self._recent else self.total + 1
        if number + 1 < first:
            return None
        return [one for one in self._recent if one.number > number]

    def number_at(self, moment: datetime) -> int | None:
        """Return the number of the last batch before a moment; None: that is no longer known."""
        number = self._recent[0].number - 1 if self._recent else self.total
        if number > 0 and moment < self._recent[0].moment:
            return None
        for one in self._recent:
            if one.moment >= moment:
                break
            number = one.number
        return number

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have a function called after each change; returns what ends that."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()
