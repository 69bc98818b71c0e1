"""Needs as they travel: under numbers, each part once for each worker."""

from __future__ import annotations

import itertools
import json
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from hfexecutor.core.call import Attachment
from hfexecutor.payload.requirements import name_of
from hfexecutor.remote import entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hfexecutor.payload.archives import Archive
    from hfexecutor.payload.imports import Import

__all__ = ["NO_NEED", "Attached", "Attacher", "shipped"]

_numbers = itertools.count(1)


class Attached(NamedTuple):
    """What goes along with a call.

    Attributes:
        number: That of its need.
        attachments: What has to be there before it.
        imports: What it imports: what it returns can be unpickled where that can be imported.
    """

    number: int
    attachments: tuple[Attachment, ...]
    imports: frozenset[Import] = frozenset()


NO_NEED: Final = Attached(0, ())


class Attacher:
    """Gives needs and archives their numbers. Safe to use from several threads."""

    def __init__(self) -> None:
        self._archives: dict[tuple[str, str], int] = {}
        self._needs: dict[tuple[tuple[str, ...], tuple[int, ...]], int] = {}
        self._lock = threading.Lock()  # guards both: equal things have one number

    def attach(self, requirements: tuple[str, ...], archives: Sequence[Archive]) -> Attached:
        """Return what a call needs as it travels."""
        if not requirements and not archives:
            return NO_NEED
        with self._lock:
            numbers = {
                archive.name: self._archives.setdefault(
                    (archive.name, archive.digest), next(_numbers)
                )
                for archive in archives
            }
            key = (requirements, tuple(numbers.values()))
            number = self._needs.setdefault(key, next(_numbers))
        attachments = [
            Attachment(
                entries.ARCHIVE,
                numbers[archive.name],
                entries.pack_archive(archive.name, archive.digest, archive.data),
            )
            for archive in archives
        ]
        # By its own text where it has no name: then it is the same only if it reads the same.
        pairs = [[name_of(text) or text, text] for text in requirements]
        words = {"requirements": pairs, "archives": list(numbers.items())}
        need = Attachment(entries.NEED, number, json.dumps(words).encode())
        return Attached(number, (*attachments, need))


def shipped(attachments: Iterable[Attachment]) -> tuple[list[str], list[str]]:
    """Return the requirements and the names of the local code that went along with a call."""
    packages: list[str] = []
    local: list[str] = []
    for attachment in attachments:
        if attachment.kind == entries.NEED:
            words = json.loads(attachment.data)
            packages += [text for _, text in words["requirements"]]
            local += [name for name, _ in words["archives"]]
    return packages, local
