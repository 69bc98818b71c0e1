"""Paths that lead into a zip file, as the import system has them: ``lib.zip/package/module.py``."""

# ruff: noqa: PLC0415 - zipfile is not for who has no such code

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ZipPath", "read_zip", "zip_path"]


class ZipPath(NamedTuple):
    """A file in a zip file.

    Attributes:
        archive: the path of the zip file.
        name: of the file in it, with slashes.
    """

    archive: str
    name: str

    def beside(self) -> list[tuple[ZipPath, int]]:
        """Return all files in its directory, and below, with their sizes."""
        import zipfile

        top = f"{self.name.rpartition('/')[0]}/".lstrip("/")
        with zipfile.ZipFile(self.archive) as archive:
            return [
                (ZipPath(self.archive, info.filename), info.file_size)
                for info in archive.infolist()
                if info.filename.startswith(top) and not info.is_dir()
            ]


def read_zip(path: str, names: Iterable[str]) -> list[bytes]:
    """Return the contents of files in a zip file, which is opened once.

    Raises:
        OSError: one is not there, or the zip file cannot be read.
    """
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return [archive.read(name) for name in names]
    except (KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise OSError(f"{path}: {error}") from error


def zip_path(path: str) -> ZipPath | None:
    """Return what a path means that leads into a zip file; None if it does not."""
    if os.path.lexists(path):
        return None
    import zipfile

    archive = os.path.dirname(path)  # noqa: PTH120 - pathlib takes ten times as long
    while archive != os.path.dirname(archive):  # noqa: PTH120
        if os.path.isfile(archive):  # noqa: PTH113
            name = path[len(archive) + 1 :].replace(os.sep, "/")
            return ZipPath(archive, name) if zipfile.is_zipfile(archive) else None
        archive = os.path.dirname(archive)  # noqa: PTH120
    return None
