"""What a call needs in a job besides Python: packages, and code of the user's own.

:class:`NeedsFinder` answers it for each call that is submitted, in the caller's thread. Finding out
takes milliseconds; to find that nothing has changed takes microseconds, and a call of the standard
library alone does not even pay for that.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from hfexecutor.payload.attachments import Attached, Attacher
from hfexecutor.payload.distributions import Distribution, Installed
from hfexecutor.payload.imports import Import, names_anything, pickled_imports
from hfexecutor.payload.local_code import MOST_BYTES, LocalCode, Stamp, stamp
from hfexecutor.payload.modules import Kind, Place, in_site_directory, locate
from hfexecutor.payload.requirements import (
    Dependencies,
    is_on_an_index,
    pin_all,
    platform_note,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from importlib.machinery import ModuleSpec

    from hfexecutor.core.call import Function
    from hfexecutor.payload.archives import Archive

__all__ = ["NOTHING", "Findings", "Needs", "NeedsFinder"]

logger = logging.getLogger("hfexecutor")

_KNOWN_FUNCTIONS: Final = 1024  # functions whose imports are remembered
_KNOWN_ANSWERS: Final = 4096
_REST: Final = 10  # looking for changes takes at most a tenth of the time


class Needs(NamedTuple):
    """What a call needs in a job. Equal needs are met by the same job.

    Attributes:
        requirements: what is installed, sorted, one of them for each distribution.
        archives: local code that is put on the search path, sorted by name.
    """

    requirements: tuple[str, ...] = ()
    archives: tuple[Archive, ...] = ()


NOTHING: Final = Needs()


class Findings(NamedTuple):
    """An answer with its reasons, for whoever explains it.

    Attributes:
        needs: the answer.
        attached: the same as it travels.
        distributions: what is imported of installed distributions, by canonical name.
        missing: modules that are imported and found nowhere here; perhaps they are in the image.
        notes: what may go wrong in a job.
        stamps: of the files and directories that the answer depends on.
        loaded: the specs of its local modules that are imported here: a reload makes a new one.
    """

    needs: Needs
    attached: Attached
    distributions: dict[str, Distribution]
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    stamps: dict[str, Stamp]
    loaded: tuple[tuple[str, ModuleSpec | None], ...]

    def is_reloaded(self) -> bool:
        """Say whether one of the modules was loaded again, or was not when this was found out."""
        return any(_spec_of(name) is not spec for name, spec in self.loaded)


def _spec_of(name: str) -> ModuleSpec | None:
    return getattr(sys.modules.get(name), "__spec__", None)


class NeedsFinder:
    """Finds what calls need. Safe to use from several threads.

    Args:
        dependencies: the option.
        initializer: its pickle, which runs in each process before any call.
        package_data: see :class:`LocalCode`.
        most_bytes: see :class:`LocalCode`.
        of_each_call: what the user wrote down is what calls need, and not what every job has.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        dependencies: Dependencies,
        *,
        initializer: bytes | None = None,
        package_data: Iterable[str] = (),
        most_bytes: int = MOST_BYTES,
        of_each_call: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._dependencies = dependencies
        self._of_each_call = of_each_call
        self._overridden = dependencies.names
        self._local = LocalCode(package_data, most_bytes)
        self._installed = Installed()
        self._attacher = Attacher()
        self._clock = clock
        self._always = pickled_imports(initializer) if initializer else frozenset()
        self._functions: OrderedDict[int, frozenset[Import]] = OrderedDict()
        self._answers: dict[frozenset[Import], Findings] = {}
        self._stamps: dict[str, Stamp] = {}  # of all answers together
        self._look_again = 0.0  # when files may be looked at again
        self._noted: set[str] = set()
        self._lock = threading.RLock()  # guards all of these; answers that hold are read without

    def attached(self, function: Function | None, data: bytes) -> Attached:
        """Return what goes along with a call. Raises what :meth:`find` does."""
        number, function_data = (0, b"") if function is None else function
        return self.explain(number, function_data, data).attached

    def find(self, function: int, function_data: bytes, data: bytes) -> Needs:
        """Return what a call needs.

        Args:
            function: the number under which the function travels apart; 0 if it does not.
            function_data: its pickle.
            data: the pickle of the rest of the call.

        Raises:
            DependencyError: a job can have something neither installed nor sent.
            PayloadTooLargeError: local code is larger than may be.
        """
        return self.explain(function, function_data, data).needs

    def explain(self, function: int, function_data: bytes, data: bytes) -> Findings:
        """Return what a call needs, and why. Raises what :meth:`find` does."""
        imports = self._of_function(function, function_data) if function else self._always
        if names_anything(data) and (more := pickled_imports(data)):
            imports |= more
        return self._explain(imports)

    def _explain(self, imports: frozenset[Import]) -> Findings:
        findings = self._answers.get(imports)
        if findings is not None and not (findings.stamps and self._changed(findings)):
            return findings
        with self._lock:
            findings = self._answers.get(imports)
            if findings is None:
                if len(self._answers) >= _KNOWN_ANSWERS:
                    self._answers.clear()
                findings = self._answers[imports] = self._look_up(imports)
                self._stamps.update(findings.stamps)
        self._say(findings.notes)
        return findings

    @property
    def initializer_needs(self) -> bool:
        """Whether the initializer needs more than Python has.

        Raises what :meth:`find` does.
        """
        return bool(self._always) and self._explain(self._always).needs is not NOTHING

    def _of_function(self, function: int, data: bytes) -> frozenset[Import]:
        known = self._functions.get(function)
        if known is not None:
            return known
        found = self._always | pickled_imports(data)
        with self._lock:
            self._functions[function] = found
            if len(self._functions) > _KNOWN_FUNCTIONS:
                self._functions.popitem(last=False)
        return found

    def _changed(self, findings: Findings) -> bool:
        """Look whether files that answers depend on have changed; forget all answers if so.

        A large package has thousands of files. So after each look comes a rest of several times
        as long, in which only a reload is noticed: no burst of submits is slow, and a person who
        edits a file and submits again is never as quick.
        """
        now = self._clock()
        if now < self._look_again and not findings.is_reloaded():
            return False
        with self._lock:
            changed = findings.is_reloaded() or any(
                stamp(path) != before for path, before in self._stamps.items()
            )
            if changed:
                self._answers.clear()
                self._stamps.clear()
            after = self._clock()
            self._look_again = after + _REST * (after - now)
        return changed

    def _look_up(self, imports: frozenset[Import]) -> Findings:
        search = _Search(self._installed, self._local, self._overridden)
        search.follow(imports)
        dependencies, pins = self._dependencies, {}
        notes: list[str] = []
        if dependencies.auto:
            pins = pin_all(search.distributions.values(), self._installed, self._overridden)
            notes = [note for d in search.distributions.values() if (note := platform_note(d))]
        archives = tuple(search.archives[name] for name in sorted(search.archives))
        if search.stamps or search.distributions or search.missing:
            directories = _directories(every=bool(search.missing))
            search.stamps.update((path, stamp(path)) for path in directories)
        requirements = dependencies.merge(pins.values())
        if self._of_each_call and not dependencies.auto:
            requirements = dependencies.given
        needs = Needs(requirements, archives) if requirements or archives else NOTHING
        return Findings(
            needs,
            self._attacher.attach(requirements, archives)._replace(imports=imports),
            search.distributions,
            tuple(sorted(search.missing)),
            tuple(sorted(notes)),
            search.stamps,
            tuple((name, _spec_of(name)) for name in search.local_modules),
        )

    def _say(self, notes: tuple[str, ...]) -> None:
        for note in notes:
            if note not in self._noted:
                self._noted.add(note)
                logger.warning("%s", note)


def _directories(*, every: bool) -> list[str]:
    """Return where something may be installed, or written, while this process runs."""
    return [path or os.curdir for path in sys.path if every or in_site_directory(path)]


class _Search:
    """Follows imports from a call to distributions and through local code."""

    def __init__(self, installed: Installed, local: LocalCode, overridden: frozenset[str]) -> None:
        self.distributions: dict[str, Distribution] = {}
        self.archives: dict[str, Archive] = {}
        self.missing: set[str] = set()
        self.stamps: dict[str, Stamp] = {}
        self.local_modules: list[str] = []
        self._installed = installed
        self._local = local
        self._overridden = overridden
        self._seen: dict[str, Place] = {}
        self._covered: set[str] = set()  # modules whose distribution is installed in the job

    def follow(self, imports: Iterable[Import]) -> None:
        """Add all that these imports need."""
        road = list(imports)
        while road:
            module, name = road.pop()
            place = self._visit_all(module, road)
            if name and place.directories and place.name not in self._covered:
                inner = locate(f"{module}.{name}")
                if inner.kind in {Kind.FILE, Kind.NAMESPACE}:
                    self._visit_all(inner.name, road)

    def _visit_all(self, module: str, road: list[Import]) -> Place:
        """Visit a module, and before it the packages that it is in; return the last of them."""
        parts = module.split(".")
        for depth in range(1, len(parts) + 1):
            name = ".".join(parts[:depth])
            if name not in self._seen:
                self._seen[name] = locate(name)
                self._visit(self._seen[name], road)
            if name in self._covered:  # what is in it comes with it
                break
        return self._seen[name]

    def _visit(self, place: Place, road: list[Import]) -> None:
        if place.kind is Kind.MISSING or (place.kind is Kind.MEMORY and place.is_top):
            self.missing.add(place.name)
        if place.kind is not Kind.FILE:
            return
        owner = self._installed.owner(place)
        if owner is not None and self._can_be_installed(owner):
            self.distributions[owner.name] = owner
            self._covered.add(place.name)
            return
        self.local_modules.append(place.name)
        road.extend(self._local.imports(place))
        archive, stamps = self._local.archive(place)
        self.archives[archive.name] = archive
        self.stamps.update(stamps)

    def _can_be_installed(self, owner: Distribution) -> bool:
        """Say whether a job is to install this; what came from a path of this machine is sent.

        Machine code is not sent: what then is wrong with it is said where it is pinned.
        """
        return is_on_an_index(owner) or owner.name in self._overridden or not owner.pure
