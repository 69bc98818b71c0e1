"""What clients have left behind that no client owns: files in buckets, and folders of this machine.

Everything here blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from hfexecutor.bucket_paths import RESULTS_BUCKET, VALUES_BUCKET, run_of_value
from hfexecutor.hub.launch import load_api
from hfexecutor.runtime.buckets import hub_errors
from hfexecutor.runtime.results_store import Segment, segments_in, superfluous
from hfexecutor.runtime.scratch import abandoned

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["BucketLeftovers", "Leftover", "folders"]


class Leftover(NamedTuple):
    """Something that nobody needs any more.

    Attributes:
        kind: "values" of a run in the bucket of values, "results" in that of results, or a "folder"
            of this machine.
        place: Where it is.
        run: The nonce of the run, empty where it is of none.
        size: Bytes.
        seconds: How old it is; of several files the newest.
        paths: The files, in a bucket.
    """

    kind: Literal["values", "results", "folder"]
    place: str
    run: str
    size: int
    seconds: float
    paths: tuple[str, ...] = ()


class BucketLeftovers:
    """What is left in the buckets of a namespace.

    Methods raise HubError: the Hub refuses it, or cannot be reached.

    Args:
        endpoint: The Hub's address.
        token: The user's.
        namespace: Whose buckets.
    """

    def __init__(self, endpoint: str, token: str, namespace: str) -> None:
        self._api = load_api(endpoint)
        self._token = token
        self._namespace = namespace

    def values(
        self, is_owned: Callable[[str], bool], older_than: float, now: float
    ) -> list[Leftover]:
        """Return what runs have left in the bucket of values.

        Args:
            is_owned: Says of a run, by its nonce, that it is not to be touched.
            older_than: Seconds since a run has last put something there.
            now: Seconds since 1970.
        """
        files: dict[str, list[Any]] = {}
        for entry in self._files(VALUES_BUCKET):
            nonce = run_of_value(entry.path)
            if nonce is not None:
                files.setdefault(nonce, []).append(entry)
        found = []
        for nonce, entries in files.items():
            seconds = now - max(_written(entry, now) for entry in entries)
            if seconds >= older_than and not is_owned(nonce):
                place = f"{self._namespace}/{VALUES_BUCKET}/{nonce}"
                size, paths = sum(e.size for e in entries), tuple(e.path for e in entries)
                found.append(Leftover("values", place, nonce, size, seconds, paths))
        return found

    def results(self, now: float) -> list[Leftover]:
        """Return what the bucket of results keeps beyond its bounds."""
        segments = {one.path: one for one in segments_in(self._files(RESULTS_BUCKET))}
        by_name: dict[str, list[Segment]] = {}
        for path in superfluous(segments.values(), now):
            by_name.setdefault(segments[path].name, []).append(segments[path])
        return [
            Leftover(
                "results",
                f"{self._namespace}/{RESULTS_BUCKET}/{name}",
                "",
                sum(one.size for one in old),
                now - max(one.written for one in old),
                tuple(one.path for one in old),
            )
            for name, old in by_name.items()
        ]

    def delete(self, one: Leftover) -> None:
        """Delete the files of one of these."""
        bucket = VALUES_BUCKET if one.kind == "values" else RESULTS_BUCKET
        with hub_errors(f"bucket {bucket}", "delete files of"):
            self._api.batch_bucket_files(
                f"{self._namespace}/{bucket}", delete=list(one.paths), token=self._token
            )

    def _files(self, bucket: str) -> list[Any]:
        """Return the files of a bucket; none where it was never made."""
        from huggingface_hub.errors import BucketNotFoundError  # noqa: PLC0415 - half a second

        with hub_errors(f"bucket {bucket}", "look into"):
            try:
                tree = self._api.list_bucket_tree(
                    f"{self._namespace}/{bucket}", recursive=True, token=self._token
                )
                return [entry for entry in tree if entry.type == "file"]
            except BucketNotFoundError:
                return []


def _written(entry: Any, now: float) -> float:
    """Return when a file was written; now, if nobody says: so it is left alone."""
    moments = [moment for moment in (entry.uploaded_at, entry.mtime) if moment is not None]
    return max((moment.timestamp() for moment in moments), default=now)


def folders(now: float) -> list[Leftover]:
    """Return what killed clients of this user have left among the temporary files."""
    found = []
    for path in abandoned():
        try:
            size, written = _contents(path)
        except FileNotFoundError:  # somebody else has just deleted it
            continue
        found.append(Leftover("folder", str(path), "", size, now - written))
    return found


def _contents(path: Path) -> tuple[int, float]:
    size, written = 0, path.stat().st_mtime
    for file in path.rglob("*"):
        stat = file.lstat()
        size, written = size + stat.st_size, max(written, stat.st_mtime)
    return size, written
