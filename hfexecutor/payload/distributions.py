"""What is installed here, and which distribution a module's file belongs to.

A directory is listed when it is first asked about, and again when it has changed. Then the
distribution whose name is the module's is looked at; only when that is not the owner (scikit-learn
has ``sklearn``, many share ``google``) the records of all are read, once. Everything else that
metadata would tell is left alone: importlib.metadata's own table of packages takes a second for a
large environment, and does not know what an editable install provides.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfexecutor.payload.modules import in_site_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfexecutor.payload.modules import Place

__all__ = ["Distribution", "Installed", "canonical"]

_FIRST_PARTS = r'(?m)^"?([^/,\n"]+)[/,]'


def canonical(name: str) -> str:
    """Return a distribution's name in the one spelling by which names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True, slots=True)
class Distribution:
    """An installed distribution, as its metadata describe it.

    Attributes:
        name: its canonical name.
        version: empty where the metadata have none.
        requires: what it requires, as it says so itself.
        direct_url: where it was installed from, if not from an index (PEP 610).
        tags: what its wheel was built for, like ``"py3-none-any"``; none if it was no wheel.
        pure: whether it has no machine code, as far as it says so.
    """

    name: str
    version: str
    requires: tuple[str, ...] = ()
    direct_url: dict[str, Any] = field(default_factory=dict, hash=False)
    tags: tuple[str, ...] = ()
    pure: bool = True

    @classmethod
    def at(cls, path: str) -> Distribution:
        """Return the distribution whose metadata are in this directory."""
        from importlib.metadata import Distribution as Metadata  # noqa: PLC0415 - 30 ms

        metadata = Metadata.at(path)
        fields = metadata.metadata  # parsed whenever it is asked for
        wheel = metadata.read_text("WHEEL") or ""
        return cls(
            name=canonical(fields["Name"] or _name_in(os.path.basename(path))),  # noqa: PTH119
            version=fields["Version"] or "",
            requires=tuple(fields.get_all("Requires-Dist") or ()),
            direct_url=_json(metadata.read_text("direct_url.json")),
            tags=tuple(re.findall(r"(?m)^Tag:\s*(\S+)", wheel)),
            pure=not re.search(r"(?mi)^Root-Is-Purelib:\s*false", wheel),
        )


class Installed:
    """All distributions in the directories of the search path."""

    def __init__(self) -> None:
        self._directories: dict[str, _Directory] = {}
        self._distributions: dict[tuple[str, int], Distribution] = {}

    def owner(self, place: Place) -> Distribution | None:
        """Return the distribution that a module was installed by, None if none says so."""
        root = place.root
        directory = self._directory(root)
        path = directory.owner(os.path.relpath(place.file, root).replace(os.sep, "/"))
        return None if path is None else self._read(path)

    def named(self, name: str) -> Distribution | None:
        """Return the distribution of this canonical name that an import would find first."""
        for entry in sys.path:
            path = self._directory(entry or os.curdir).infos.get(name)
            if path is not None:
                return self._read(path)
        return None

    def _directory(self, path: str) -> _Directory:
        stamp = _stamp(path)
        known = self._directories.get(path)
        if known is None or known.stamp != stamp:
            known = self._directories[path] = _Directory(path, stamp)
        return known

    def _read(self, path: str) -> Distribution:
        key = (path, _stamp(path))
        if key not in self._distributions:
            self._distributions[key] = Distribution.at(path)
        return self._distributions[key]


class _Directory:
    """The distributions in one directory, and what is theirs in it."""

    def __init__(self, path: str, stamp: int) -> None:
        self.stamp = stamp
        self.infos = dict(_metadata_directories(path))
        self._owners: dict[str, list[str]] | None = None

    def owner(self, file: str) -> str | None:
        """Return the metadata directory of who has installed a file, relative to this directory."""
        first = file.partition("/")[0]
        likely = self.infos.get(canonical(first.partition(".")[0]))
        if likely is not None and _lists(_record(likely), file):
            return likely
        if self._owners is None:
            self._owners = self._read_records()
        owners = self._owners.get(first, [])
        return next((path for path in owners if _lists(_record(path), file)), None)

    def _read_records(self) -> dict[str, list[str]]:
        owners: dict[str, list[str]] = {}
        for path in self.infos.values():
            for first in set(re.findall(_FIRST_PARTS, _record(path))):
                owners.setdefault(first, []).append(path)
        return owners


def _metadata_directories(path: str) -> Iterator[tuple[str, str]]:
    try:
        entries = list(os.scandir(path))
    except OSError:  # a zip file, or nothing at all: what search paths have in them
        return
    for entry in entries:
        # In the directory of a project an egg-info tells of its sources, not of an installation.
        if entry.name.endswith(".dist-info") or (
            entry.name.endswith(".egg-info") and in_site_directory(path)
        ):
            yield _name_in(entry.name), entry.path


def _name_in(directory: str) -> str:
    return canonical(directory.rpartition(".")[0].partition("-")[0])


def _record(path: str) -> str:
    """Return the list of what a distribution has installed: a path and a comma to a line."""
    for name in ("RECORD", "installed-files.txt", "top_level.txt"):
        try:
            text = Path(path, name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if name == "RECORD":
            return text
        if name == "installed-files.txt":  # relative to the metadata directory
            return "".join(f"{line.removeprefix('../')},\n" for line in text.split())
        return "".join(f"{top}/,\n{top}.py,\n" for top in text.split())
    return ""


def _lists(record: str, file: str) -> bool:
    if f"\n{file}," in record or record.startswith(f"{file},") or f'"{file}"' in record:
        return True
    return f"{file.partition('/')[0]}/,\n" in record  # only the names of its packages are known


def _stamp(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - on the road of every new module
    except OSError:
        return 0


def _json(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
