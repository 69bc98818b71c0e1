"""What is mounted in jobs: buckets, datasets and models, as ``hf jobs run -v`` writes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from huggingface_hub import Volume

__all__ = ["merge_volumes", "read_volumes"]

_HINT = "like 'hf://datasets/org/name:/data' or 'hf://buckets/org/name/folder:/out:rw'"


def read_volumes(given: Iterable[str | Volume] | None) -> tuple[Volume, ...]:
    """Return volumes, checked.

    Raises:
        TypeError: not a list of texts and ``huggingface_hub.Volume``.
        ValueError: a text cannot be read, or two volumes have one mount path.
    """
    if not given:
        return ()
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise TypeError(f"volumes must be a list, {_HINT}, not {given!r}")
    volumes = tuple(map(_read, given))
    paths = [volume.mount_path for volume in volumes]
    if twice := {path for path in paths if paths.count(path) > 1}:
        raise ValueError(f"volumes has two for the mount path {min(twice)!r}")
    return volumes


def merge_volumes(
    given: Iterable[str | Volume] | None, defaults: Iterable[str | Volume]
) -> tuple[Volume, ...]:
    """Return `given`, and those of `defaults` whose mount paths are free."""
    ours = read_volumes(given)
    taken = {volume.mount_path for volume in ours}
    return (*(v for v in read_volumes(defaults) if v.mount_path not in taken), *ours)


def _read(item: str | Volume) -> Volume:
    from huggingface_hub import Volume, utils  # noqa: PLC0415 - half a second, for who needs it

    if isinstance(item, Volume):
        return item
    if not isinstance(item, str):
        raise TypeError(f"volumes must be texts or huggingface_hub.Volume, {_HINT}, not {item!r}")
    try:
        mount = utils.parse_hf_mount(item)  # type: ignore[attr-defined] # no stub says so
    except ValueError as error:
        raise ValueError(f"volumes has {item!r}, and wants something {_HINT}: {error}") from error
    return Volume(
        type=mount.source.type,
        source=mount.source.id,
        mount_path=mount.mount_path,
        read_only=mount.read_only,
        path=mount.source.path_in_repo or None,
        revision=mount.source.revision,
    )
