"""The user's own modules: which files travel when a call imports one of them.

A module that is a single file travels alone. A package travels as a whole, for packages import
parts of themselves by names that are made at run time. Only Python sources do, and what else the
user asks for; never what is hidden, an environment or a cache, and never a key.
"""

from __future__ import annotations

import fnmatch
import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from hfexecutor.errors import DependencyError, PayloadTooLargeError
from hfexecutor.payload.archives import Archive, build_archive
from hfexecutor.payload.imports import Import, source_imports
from hfexecutor.payload.modules import Place, is_extension, locate
from hfexecutor.payload.zip_paths import ZipPath, read_zip, zip_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["MOST_BYTES", "LocalCode", "Stamp", "stamp"]

MOST_BYTES: Final = 8 << 20
_NAMED: Final = 8  # files that an error about their size lists
_MEGABYTE: Final = 1_000_000
_SKIPPED_DIRECTORIES: Final = frozenset({"__pycache__", "node_modules", "site-packages"})
_KEYS: Final = (
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.env"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*"),
)


class Stamp(NamedTuple):
    """What tells that a file or directory is still the same one. Zeros for one that is gone."""

    modified: int = 0
    size: int = 0


def stamp(path: str) -> Stamp:
    """Return the stamp of a file or directory."""
    try:
        status = os.stat(path)  # noqa: PTH116 - asked at many submits
    except OSError:
        return Stamp()
    return Stamp(status.st_mtime_ns, status.st_size)


class _Unit(NamedTuple):
    """What travels together: a package, or a module that is in none."""

    place: Place
    archive: Archive
    files: frozenset[str]  # that travel
    stamps: dict[str, Stamp]  # of all files and directories that it was made of


class LocalCode:
    """Reads the user's modules, and packs them; remembers both until a file changes.

    Args:
        package_data: patterns of further files of packages, like ``"mypackage/templates/*.html"``,
            relative to where the package is.
        most_bytes: how large the files of one package may be.
    """

    def __init__(self, package_data: Iterable[str] = (), most_bytes: int = MOST_BYTES) -> None:
        self._patterns = tuple(package_data)
        self._most_bytes = most_bytes
        self._imports: dict[str, tuple[Stamp, frozenset[Import]]] = {}
        self._units: dict[str, _Unit] = {}
        self._lock = threading.Lock()  # guards _units: several threads submit

    def imports(self, place: Place) -> frozenset[Import]:
        """Return what a module imports.

        Raises:
            DependencyError: it is machine code.
        """
        if is_extension(place.file):
            raise DependencyError(
                f"the call imports {place.name}, which is machine code ({place.file}) and not "
                "installed: it may not run in a job. Build a wheel for Linux and name it in "
                "dependencies, or use an image that has it and dependencies=None"
            )
        now = stamp(_on_disk(place.file))
        known = self._imports.get(place.file)
        if known is not None and known[0] == now:
            return known[1]
        found: frozenset[Import] = frozenset()
        if place.file.endswith(".py"):
            package = place.name if place.is_package else place.name.rpartition(".")[0]
            found = source_imports(_read(place.file), package)
        self._imports[place.file] = (now, found)
        return found

    def archive(self, place: Place) -> tuple[Archive, dict[str, Stamp]]:
        """Return the archive that a module travels in, and the stamps of what is in it.

        Raises:
            PayloadTooLargeError: the files are larger than may be.
            DependencyError: the module is a link to somewhere outside of its package.
        """
        whole = _unit_of(place)
        with self._lock:
            unit = self._units.get(whole.name)
            if unit is None or unit.place != whole or not _unchanged(unit.stamps):
                unit = self._units[whole.name] = self._pack(whole)
        if place.file not in unit.files:
            raise DependencyError(
                f"the call imports {place.name}, but {place.file} is not sent: it is hidden, or a "
                f"link that leads out of {os.path.dirname(whole.file)}"  # noqa: PTH120
            )
        return unit.archive, unit.stamps

    def _pack(self, place: Place) -> _Unit:
        if not place.is_package:
            files = {place.file: _arcname(place)}
            stamps = {path: stamp(path) for path in map(_on_disk, files)}
            contents = {_arcname(place): _read(place.file)}
            self._check_size(place, {place.file: len(contents[_arcname(place)])})
        elif (inside := zip_path(place.file)) is not None:
            files, stamps = self._list(place, inside), {inside.archive: stamp(inside.archive)}
            top = len(inside.archive) + 1
            with _reading():
                found = read_zip(inside.archive, [path[top:] for path in files])
            contents = dict(zip(files.values(), found, strict=True))
        else:
            files, stamps = self._walk(place)
            contents = {name: _read(path) for path, name in files.items()}
        return _Unit(place, build_archive(place.name, contents), frozenset(files), stamps)

    def _list(self, place: Place, init: ZipPath) -> dict[str, str]:
        """Return the files of a package in a zip file by their path."""
        prefix, top = place.name.replace(".", "/"), os.path.dirname(init.name)  # noqa: PTH120
        files, sizes = {}, {}
        for path, size in init.beside():
            inside = path.name[len(top) + 1 :]
            *directories, name = inside.split("/")
            hidden = any(part.startswith(".") for part in (*directories, name))
            arcname = f"{prefix}/{inside}"
            if hidden or not _SKIPPED_DIRECTORIES.isdisjoint(directories):
                continue
            if self._travels(arcname, name):
                full = f"{path.archive}/{path.name}"
                files[full], sizes[full] = arcname, size
        self._check_size(place, sizes)
        return files

    def _walk(self, place: Place) -> tuple[dict[str, str], dict[str, Stamp]]:
        """Return the files of a package by their path, and stamps of these and its directories."""
        files: dict[str, str] = {place.file: _arcname(place)}
        stamps: dict[str, Stamp] = {place.file: stamp(place.file)}
        prefix = place.name.replace(".", "/")
        for top in place.directories:
            for directory, names in _directories(top, place.file):
                stamps[directory] = stamp(directory)
                for name in names:
                    path = os.path.join(directory, name)  # noqa: PTH118
                    inside = os.path.relpath(path, top).replace(os.sep, "/")
                    arcname = f"{prefix}/{inside}"
                    if self._travels(arcname, name):
                        files.setdefault(path, arcname)
                        stamps[path] = stamp(path)
            self._check_size(place, {path: stamps[path].size for path in files})
        return files, stamps

    def _travels(self, arcname: str, name: str) -> bool:
        if name.endswith(".py"):
            return True
        if any(fnmatch.fnmatch(name, key) for key in _KEYS):
            return False
        return any(fnmatch.fnmatch(arcname, pattern) for pattern in self._patterns)

    def _check_size(self, place: Place, sizes: dict[str, int]) -> None:
        total = sum(sizes.values())
        if total <= self._most_bytes:
            return
        largest = sorted(sizes.items(), key=lambda item: -item[1])[:_NAMED]
        listed = "".join(f"\n  {size:>12,} bytes  {path}" for path, size in largest)
        raise PayloadTooLargeError(
            f"{place.name} is local code of {total / _MEGABYTE:.1f} MB in {len(sizes):,} files, "
            f"and may be {self._most_bytes / _MEGABYTE:.1f} MB (local_code_limit). The largest:"
            f"{listed}"
        )


def _unit_of(place: Place) -> Place:
    """Return the outermost package that a module is part of, itself if it is in none."""
    parts = place.name.split(".")
    for depth in range(1, len(parts)):
        parent = locate(".".join(parts[:depth]))
        if parent.is_package and _holds(parent, place):
            return parent
    return place


def _holds(package: Place, place: Place) -> bool:
    """Say whether a module lies where its package does: editable installs can put it elsewhere."""
    return any(place.file.startswith(f"{top}{os.sep}") for top in package.directories)


def _arcname(place: Place) -> str:
    path = place.name.replace(".", "/")
    suffix = os.path.splitext(place.file)[1]  # noqa: PTH122
    return f"{path}/__init__{suffix}" if place.is_package else f"{path}{suffix}"


def _directories(top: str, init: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the directories of a package, and the names of the files in them that may travel.

    Links may lead to elsewhere in the package: to where it really is, if it is linked itself, and
    to where its ``__init__`` really is, for some editable installs are a tree of links.
    """
    real = (os.path.realpath(top), os.path.dirname(os.path.realpath(init)))  # noqa: PTH120
    inside = tuple(f"{path}{os.sep}" for path in real)
    for directory, subdirectories, names in os.walk(top):
        subdirectories[:] = sorted(
            name for name in subdirectories if _is_of_the_package(directory, name)
        )
        visible = (name for name in sorted(names) if not name.startswith("."))
        paths = ((name, os.path.join(directory, name)) for name in visible)  # noqa: PTH118
        yield directory, [n for n, path in paths if os.path.realpath(path).startswith(inside)]


def _is_of_the_package(directory: str, name: str) -> bool:
    if name.startswith(".") or name in _SKIPPED_DIRECTORIES or name.endswith(".egg-info"):
        return False
    return not os.path.exists(os.path.join(directory, name, "pyvenv.cfg"))  # noqa: PTH110, PTH118


def _unchanged(stamps: dict[str, Stamp]) -> bool:
    return all(stamp(path) == before for path, before in stamps.items())


def _on_disk(path: str) -> str:
    """Return the file that changes when this one does: the zip file that it is in, if it is."""
    inside = zip_path(path)
    return path if inside is None else inside.archive


def _read(path: str) -> bytes:
    inside = zip_path(path)
    with _reading():
        if inside is None:
            return Path(path).read_bytes()
        return read_zip(inside.archive, [inside.name])[0]


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DependencyError(
            f"local code that the call imports cannot be read: {error}"
        ) from error
