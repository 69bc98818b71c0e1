"""Buckets and their files as the JSON of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfexecutor.local.replies import stamp

from .tree import Folder

if TYPE_CHECKING:
    from .bucket import Bucket, File
    from .store import Report


def bucket(one: Bucket) -> dict[str, Any]:
    """Return a bucket as the API shows it."""
    return {
        "id": one.id,
        "private": one.private,
        "createdAt": stamp(one.created),
        "updatedAt": stamp(one.updated),
        "size": one.size,
        "totalFiles": one.files,
    }


def entry(one: File | Folder) -> dict[str, Any]:
    """Return a file or a folder as lists show it."""
    shown: dict[str, Any] = {"path": one.path, "uploadedAt": stamp(one.uploaded)}
    if isinstance(one, Folder):
        return {"type": "directory", **shown}
    shown |= {"type": "file", "size": one.size, "xetHash": one.xet_hash}
    if one.mtime is not None:
        shown["mtime"] = stamp(one.mtime)
    if one.content_type is not None:
        shown["contentType"] = one.content_type
    return shown


def report(one: Report) -> dict[str, Any]:
    """Return how a batch went: the fields that the published schema asks for."""
    return {
        "success": not one.failed,
        "processed": one.processed,
        "succeeded": one.processed - len(one.failed),
        "failed": [{"path": path, "error": error} for path, error in one.failed],
    }
