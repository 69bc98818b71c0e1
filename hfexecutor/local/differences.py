"""Where a job of a LocalHub is not what it would be on the Hub, in words for its user."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .hardware import FLAVORS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .images import Image
    from .interpreters import Interpreter
    from .runners import Launch, Mount

_GPU_SIGNS = ("/dev/nvidia0", "/dev/kfd", "/dev/neuron0")
_GIB = 1 << 30


class Difference(NamedTuple):
    """One difference; `slight`: the job does what it would do there, if not as fast."""

    text: str
    slight: bool = False


def memory() -> int:
    """Return the bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def of_image(name: str, image: Image, interpreter: Interpreter | None) -> list[Difference]:
    """Say what is not known of an image, or cannot be had here."""
    found = []
    if not image.known:
        python = interpreter.version if interpreter else "?"
        found.append(
            Difference(
                f"the image {name!r} is not known here: the job has Python {python}, uv and "
                f"nothing else of what may be in it"
            )
        )
    if image.python is not None and interpreter is None:
        found.append(Difference(without(image.python)))
    return found


def without(version: str) -> str:
    """Say that a Python is not to be had, and what to do."""
    return (
        f"Python {version} is not to be had here: run `uv python install {version}`, or ask for an "
        f"image of the Python that the hub runs on"
    )


def of_hardware(launch: Launch) -> list[Difference]:
    """Say what this machine lacks of what the flavor has."""
    flavor, cpus = FLAVORS[launch.flavor], os.cpu_count() or 1
    found = []
    if flavor.count and not any(Path(sign).exists() for sign in _GPU_SIGNS):
        found.append(
            Difference(
                f"{flavor.name} has {flavor.count} {flavor.maker} {flavor.model}, and this machine "
                f"has no accelerator"
            )
        )
    if flavor.cpus > cpus:
        text = (
            f"{flavor.name} has {flavor.cpus} CPUs, as CPU_CORES and OMP_NUM_THREADS tell, and "
            f"this machine has {cpus}"
        )
        found.append(Difference(text, slight=True))
    if flavor.ram_gb * _GIB > memory():
        text = (
            f"{flavor.name} has {flavor.ram_gb} GB of memory, and this machine has "
            f"{memory() // _GIB} GB"
        )
        found.append(Difference(text, slight=True))
    return found


def of_mounts(mounts: Iterable[Mount], hindered: str | None) -> list[Difference]:
    """Say how volumes differ; `hindered`: why none can be mounted here, if so."""
    found = [Difference(one.note, slight=True) for one in mounts if one.note]
    if hindered:
        found += [
            Difference(
                f"this machine lets nobody mount ({hindered}): the volume at {one.place} is at "
                f"{one.directory}, and arguments and variables that begin with {one.place} are "
                f"changed to that{', which can be written to' if one.read_only else ''}"
            )
            for one in mounts
        ]
    return found
