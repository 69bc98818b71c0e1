"""What this machine has of models, datasets and Spaces: what was downloaded from the Hub."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from hfexecutor.local.errors import CannotStartError

if TYPE_CHECKING:
    from collections.abc import Mapping


def snapshot(environ: Mapping[str, str], kind: str, name: str, revision: str, path: str) -> Path:
    """Return the directory in the cache of Hugging Face's client with a revision's files, or some.

    Raises:
        CannotStartError: nothing of it was downloaded.
    """
    repository = _cache(environ) / f"{kind}s--{name.replace('/', '--')}"
    try:
        commit = (repository / "refs" / revision).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        commit = revision
    found = repository / "snapshots" / commit
    if ".." in Path(revision).parts or ".." in Path(path).parts or not (found / path).is_dir():
        option = "" if kind == "model" else f" --repo-type {kind}"
        option += "" if revision == "main" else f" --revision {revision}"
        where = f"{name}/{path}" if path else name
        raise CannotStartError(
            f"LocalHub mounts of a {kind} what this machine's cache has of it, and of {where} it "
            f"has nothing: run `hf download {name}{option}` first, with the real Hub"
        )
    return found / path


def _cache(environ: Mapping[str, str]) -> Path:
    if found := environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(found).expanduser()
    cache = environ.get("XDG_CACHE_HOME") or f"{environ.get('HOME', '/')}/.cache"
    return Path(environ.get("HF_HOME") or f"{cache}/huggingface").expanduser() / "hub"


def show(source: Path, directory: Path, *, linked: bool) -> None:
    """Have the files of a snapshot, which are links there, in a directory.

    Args:
        source: the snapshot.
        directory: is made.
        linked: whether they may be the very files of the cache, since nobody can write to them.
    """
    for parent, _, names in os.walk(source):
        target = directory / Path(parent).relative_to(source)
        target.mkdir()
        for name in names:
            _one(Path(parent, name).resolve(), target / name, linked=linked)


def _one(source: Path, target: Path, *, linked: bool) -> None:
    if linked:
        try:
            target.hardlink_to(source)
        except OSError:  # it is on another file system, or belongs to somebody else
            pass
        else:
            return
    shutil.copyfile(source, target)
