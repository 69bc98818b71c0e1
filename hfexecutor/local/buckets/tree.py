"""What is listed of a bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from .bucket import Bucket, File


@dataclass(frozen=True, slots=True)
class Folder:
    """What a path is below which there are files."""

    path: str
    uploaded: datetime


def listed(
    bucket: Bucket, prefix: str, after: str, *, recursive: bool
) -> Iterator[tuple[str, File | Folder]]:
    """Yield what a list shows, each with what stands for it in the order of paths.

    Clients say of the Hub that it compares prefixes letter by letter, so that "logs" also gives
    what is in "logs_of_yesterday", and that a list that is not recursive has folders in it. That
    such a list goes as deep as the prefix and one step further is concluded from what they do with
    it.

    Args:
        bucket: of which bucket.
        prefix: how paths begin.
        after: only what comes after this place in the order.
        recursive: whether files are shown however deep they are, and no folders.
    """
    depth = prefix.rstrip("/").count("/") + 1 if prefix else 0
    for file in bucket.starting_with(prefix):
        if recursive or file.path.count("/") <= depth:
            place, entry = file.path, file
        else:
            place = "/".join(file.path.split("/")[: depth + 1]) + "/"
            entry = None
        if place > after:
            after = place
            yield place, entry or _folder(bucket, place)


def _folder(bucket: Bucket, place: str) -> Folder:
    return Folder(place[:-1], max(one.uploaded for one in bucket.starting_with(place)))
