"""A child's search path: the client's own code first, installed packages as far back as usual.

Imported by children whose calls need something. Nothing is imported from an archive itself: its
files are put into a directory, where code finds the data beside it as it did on the client's side.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.machinery import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["add_archive", "add_environment"]

_SITE = ("site-packages", "dist-packages")


def add_environment(path: str) -> None:
    """Put the directory of installed packages before those of the image."""
    import site  # noqa: PLC0415 - Python has imported it

    before = set(sys.path)
    site.addsitedir(path)  # heeds what packages have in .pth files
    new = [entry for entry in sys.path if entry not in before]
    sys.path[:] = [entry for entry in sys.path if entry in before]
    at = next((i for i, entry in enumerate(sys.path) if entry.endswith(_SITE)), len(sys.path))
    sys.path[at:at] = new
    os.environ["PATH"] = os.pathsep.join([f"{path}/bin", os.environ.get("PATH", os.defpath)])
    importlib.invalidate_caches()


def add_archive(folder: str, name: str, digest: str, data: bytes | memoryview) -> None:
    """Put the modules of an archive on the search path, before all others.

    Args:
        folder: of the job, for archives; made if it is not there.
        name: of the module or package that is in it, dotted.
        digest: what its directory is called: who finds it there need not make it again.
        data: a zip file.
    """
    path = f"{folder}/{digest}"
    if not os.path.isdir(path):  # noqa: PTH112 - pathlib is not imported here
        _unpack(path, data)
    sys.path.insert(1 if sys.path[:1] == [""] else 0, path)
    if "." in name:
        sys.meta_path.append(_Part(name, path))
    importlib.invalidate_caches()


def _unpack(path: str, data: bytes | memoryview) -> None:
    import io  # noqa: PLC0415 - most children have nothing to unpack
    import zipfile  # noqa: PLC0415

    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)  # noqa: PTH103, PTH120
    unfinished = f"{path}.{os.getpid()}"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(unfinished)
    try:
        os.rename(unfinished, path)  # noqa: PTH104 - at once, for other processes look for it
    except OSError:
        if not os.path.isdir(path):  # noqa: PTH112 - nobody else was quicker
            raise


class _Part:
    """Finds a part of a package that travels in an archive of its own.

    The package is somewhere else, and looks for its parts there alone.
    """

    def __init__(self, name: str, path: str) -> None:
        self._name = name
        self._path = path

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of the part, None for any other module."""
        del path
        if name != self._name:
            return None
        parent = name.rpartition(".")[0].replace(".", "/")
        return PathFinder.find_spec(name, [f"{self._path}/{parent}"], target)
