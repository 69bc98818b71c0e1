"""From installed distributions to requirements that give a job the same ones.

What a call needs is pinned to the version that is installed here, and so is what that requires
itself: a result pickled by another version of a library two steps away need not load here.

``packaging`` is imported where it is used: it takes a tenth of a cold start, and a call of the
standard library alone has no use for it.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import re
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfexecutor.errors import DependencyError
from hfexecutor.payload.distributions import Distribution, canonical

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from hfexecutor.payload.distributions import Installed

__all__ = [
    "AUTO",
    "Dependencies",
    "is_on_an_index",
    "pin",
    "pin_all",
    "platform_note",
]

AUTO = "auto"
_CARRIED = frozenset({"cloudpickle", "hfexecutor"})  # jobs have them from us
# Alone, or joined to other conditions by "and": without the extra it does not hold.
_FOR_EXTRA = r";(?!.*\bor\b).*\bextra\s*=="
_SCHEMES = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The option `dependencies`, read.

    Attributes:
        auto: whether what a call imports is looked up.
        given: the requirements that the user wrote down.
    """

    auto: bool = True
    given: tuple[str, ...] = ()

    @classmethod
    def read(cls, option: str | Iterable[str] | None) -> Dependencies:
        """Return what the option says.

        Raises:
            TypeError: not a list of strings (a single string is the usual slip).
            ValueError: an empty requirement, or one that reads like a command line option.
        """
        if option is None:
            return cls(auto=False)
        if isinstance(option, str) and option == AUTO:
            return cls()
        checked = _checked(option)
        return cls(AUTO in checked, tuple(item for item in checked if item != AUTO))

    @property
    def names(self) -> frozenset[str]:
        """The canonical names of the distributions that the user wrote down."""
        return frozenset(filter(None, map(name_of, self.given)))

    @property
    def at_launch(self) -> tuple[str, ...]:
        """What a job installs before it takes calls; with `auto` all is installed for calls."""
        return () if self.auto else self.given

    def merge(self, pinned: Iterable[str]) -> tuple[str, ...]:
        """Return what calls need: the user's own requirements, and those pinned besides.

        Nothing if only the user's own are wanted: these every job has from its launch on.
        """
        if not self.auto:
            return ()
        names = self.names
        return (*self.given, *sorted(item for item in pinned if name_of(item) not in names))


def _checked(option: Iterable[str]) -> tuple[str, ...]:
    if isinstance(option, (str, bytes)):
        raise TypeError(
            f"dependencies must be a list of requirements, like [{option!r}], or 'auto'"
        )
    if isinstance(option, Mapping) or not isinstance(option, Iterable):
        raise TypeError(
            "dependencies must be a list of requirements, like ['numpy>=2'], not "
            f"{type(option).__name__}"
        )
    checked = tuple(option)
    for item in checked:
        if not isinstance(item, str):
            raise TypeError(f"dependencies must be strings, not {type(item).__name__}: {item!r}")
        if not item.strip() or item.lstrip().startswith("-"):
            raise ValueError(f"not a requirement: {item!r}; write for example 'numpy>=2'")
    return checked


def name_of(requirement: str) -> str:
    """Return the canonical name in a requirement, empty if it has none (a path, a bare URL)."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return canonical(Requirement(requirement).name)
    except InvalidRequirement:
        return ""


# --- one distribution ---------------------------------------------------------------------------


def is_on_an_index(distribution: Distribution) -> bool:
    """Say whether a job can install this, as far as that can be known here.

    It cannot where the metadata say that it came from a path of this machine.
    """
    url = str(distribution.direct_url.get("url", ""))
    return bool(distribution.version) and (not url or not _is_of_this_machine(url))


def pin(distribution: Distribution) -> str:
    """Return the requirement that installs the same version in a job.

    A local version (``2.8.0+cu128``) is on no index; the version that it is a build of is.

    Raises:
        DependencyError: no job can install it; the message says why, and what to do.
    """
    from packaging.version import InvalidVersion, Version

    name, url = distribution.name, str(distribution.direct_url.get("url", ""))
    version_control = distribution.direct_url.get("vcs_info")
    subdirectory = distribution.direct_url.get("subdirectory")
    fragment = f"#subdirectory={subdirectory}" if subdirectory else ""
    if version_control:
        if not url.startswith(_SCHEMES):
            raise DependencyError(
                f"{name} was installed from {url}, which a job cannot read: it has no key. "
                f"{_advice(name)}"
            )
        commit = version_control.get("commit_id", "")
        return f"{name} @ {version_control.get('vcs', 'git')}+{url}@{commit}{fragment}"
    if url.startswith(_SCHEMES):
        return f"{name} @ {url}{fragment}"
    if not is_on_an_index(distribution):
        origin = f"was installed from {url}" if url else "has no version"
        raise DependencyError(
            f"{name} {origin}, so a job cannot install what is installed here. {_advice(name)}"
        )
    try:
        return f"{name}=={Version(distribution.version).public}"
    except InvalidVersion:
        raise DependencyError(
            f"{name} has the version {distribution.version!r}, which no index can have. "
            f"{_advice(name)}"
        ) from None


def _advice(name: str) -> str:
    return (
        f'Name what is to be installed instead, as in dependencies=["auto", "{name}==..."], or '
        "switch this off with dependencies=None and an image that has it"
    )


def _is_of_this_machine(url: str) -> bool:
    return url.partition("+")[2].startswith("file:") or url.startswith("file:")


def platform_note(distribution: Distribution) -> str:
    """Return what to say of a wheel that was built for one platform, empty if all is well.

    Jobs run Linux. Wheels that an index has for it are tagged manylinux; what is tagged linux was
    built on a machine and is on none.
    """
    platforms = {tag.rpartition("-")[2] for tag in distribution.tags}
    if not platforms or any(p == "any" or p.startswith("manylinux") for p in platforms):
        return ""
    built = ", ".join(sorted(platforms))
    if any(platform.startswith(("linux", "musllinux")) for platform in platforms):
        return f"{distribution.name} was built here ({built}): jobs have to build it themselves"
    return f"{distribution.name} is installed here for {built}: jobs need a wheel for Linux"


# --- many ---------------------------------------------------------------------------------------


def pin_all(
    wanted: Iterable[Distribution], installed: Installed, overridden: frozenset[str]
) -> dict[str, str]:
    """Return requirements by canonical name, for these distributions and what they require.

    What somebody requires in another version than is installed here is left to the job's resolver.

    Args:
        wanted: what a call needs itself.
        installed: what there is.
        overridden: canonical names that the user has requirements of his own for: neither they nor
            what only they require is pinned.

    Raises:
        DependencyError: One of `wanted` cannot be installed in a job.
    """
    direct = {item.name: item for item in wanted if item.name not in overridden}
    pins = {name: pin(item) for name, item in direct.items()}
    unfit = {*overridden, *_CARRIED}
    road = deque((item, "") for item in direct.values())
    seen = {(item.name, "") for item in direct.values()}
    while road:
        item, extra = road.popleft()
        for requirement in _requirements(item, extra):
            name = canonical(requirement.name)
            child = None if name in unfit else installed.named(name)
            if child is None:
                continue
            if requirement.url or not requirement.specifier.contains(
                child.version, prereleases=True
            ):
                unfit.add(name)
                continue
            for wanted_extra in ("", *requirement.extras):
                if (name, wanted_extra) not in seen:
                    seen.add((name, wanted_extra))
                    road.append((child, wanted_extra))
            if name not in pins and is_on_an_index(child):
                pins[name] = pin(child)
    return {name: text for name, text in pins.items() if name in direct or name not in unfit}


def _requirements(distribution: Distribution, extra: str) -> list[Requirement]:
    """Return what a distribution requires in a job."""
    from packaging.requirements import InvalidRequirement, Requirement

    environment = {**_job_environment(), "extra": extra}
    found = []
    for text in distribution.requires:
        # Most requirements of large packages belong to extras; each takes a millisecond to read.
        if re.search(_FOR_EXTRA, text) and (not extra or canonical(extra) not in canonical(text)):
            continue
        try:
            requirement = Requirement(text)
        except InvalidRequirement:  # old metadata; the resolver in the job has its own opinion
            continue
        if requirement.marker is None or requirement.marker.evaluate(environment):
            found.append(requirement)
    return found


def _job_environment() -> dict[str, str]:
    from packaging.markers import default_environment

    environment = {key: str(value) for key, value in default_environment().items()}
    if sys.platform != "linux":
        environment.update(
            os_name="posix",
            sys_platform="linux",
            platform_system="Linux",
            platform_machine="x86_64",
            platform_release="",
            platform_version="",
        )
    return environment
