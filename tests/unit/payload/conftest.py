"""Real packages on disk: a directory of installed distributions, and a project of the user's."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def unimported(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the import system as it was."""
    modules, finders, folders = dict(sys.modules), list(sys.meta_path), set(sys.path_importer_cache)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]
    sys.meta_path[:] = finders
    for folder in set(sys.path_importer_cache) - folders:  # or each test would search them all
        del sys.path_importer_cache[folder]


class Folder:
    """A directory on the search path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        sys.path.insert(0, str(path))

    def put(self, name: str, content: str | bytes) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        importlib.invalidate_caches()
        return path


class Site(Folder):
    """A directory that distributions are installed to, as pip and uv leave it."""

    def install(
        self,
        name: str,
        version: str = "1.0",
        *,
        files: dict[str, str] | None = None,
        requires: tuple[str, ...] = (),
        url: dict | None = None,
        tag: str = "py3-none-any",
    ) -> None:
        if files is None:
            files = {f"{name}/__init__.py": ""}
        for path, text in files.items():
            self.put(path, text)
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += "".join(f"Requires-Dist: {one}\n" for one in requires)
        self.put(f"{info}/METADATA", metadata)
        pure = str(tag.endswith("any")).lower()
        self.put(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: {pure}\nTag: {tag}\n")
        if url is not None:
            self.put(f"{info}/direct_url.json", json.dumps(url))
        record = "".join(f"{path},sha256=x,1\n" for path in [*files, f"{info}/METADATA"])
        self.put(f"{info}/RECORD", record)


@pytest.fixture
def project(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "project")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "lib" / "site-packages")
