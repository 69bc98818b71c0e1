"""What calls need in this job: which packages lie where, and which process has what. Pure.

Packages are installed into a directory, an *environment*, which is put on the search path of
processes. One is enough for most jobs: what another call needs besides is added to it. Only where
two calls want different versions of something, each gets an environment of its own.

What a process has imported stays as it is. So a process has one environment in its life, and one
version of each piece of the client's code; a call that wants another one gets another process.
"""

from __future__ import annotations

from .effects import Install

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


__all__ = ["FAILED", "READY", "WAITING", "Environments", "Need", "World", "need_of"]

READY, WAITING, FAILED = "ready", "waiting", "failed"


class Need:
    """What a call needs.

    Attributes:
        requirements: by the names of their distributions (a path or a URL is its own name).
        archives: numbers of archives, by the names of the modules in them.
        environment: where its packages are; None if it needs none, or they are nowhere yet.
        state: READY when calls can run, FAILED when they never will.
        failure: why.
    """

    def __init__(
        self,
        requirements: Iterable[tuple[str, str]] = (),
        archives: Iterable[tuple[str, int]] = (),
    ) -> None:
        self.requirements = dict(requirements)
        self.archives = dict(archives)
        self.environment: int | None = None
        self.state = WAITING if self.requirements else READY
        self.failure = ""

    def __repr__(self) -> str:
        return f"<Need {self.state} {[*self.requirements.values(), *self.archives]}>"


def need_of(data: bytes) -> Need:
    """Return the need that a client tells of, in JSON: equal needs are equal bytes there."""
    import json  # noqa: PLC0415 - calls of the standard library do not pay for it

    values = json.loads(data)
    return Need(values.get("requirements", ()), values.get("archives", ()))


_NOTHING = Need()


class Environments:
    """The needs of all calls, and what is being done about them. One installation at a time."""

    def __init__(self) -> None:
        self._needs: dict[int, Need] = {}
        self._environments: list[dict[str, str]] = []  # what was installed into each of them
        self._installing: Need | None = None
        self.archives: dict[int, bytes] = {}

    def __repr__(self) -> str:
        return f"<Environments {self._environments}, installing {self._installing}>"

    def learn(self, number: int, data: bytes) -> None:
        """Take what calls mean that need `number`."""
        if number not in self._needs:
            self._needs[number] = need_of(data)

    def knows(self, number: int) -> bool:
        """Say whether a need was heard of."""
        return number in self._needs

    def need(self, number: int) -> Need:
        """Return a need; one that was never heard of is that of nothing."""
        return self._needs.get(number, _NOTHING)

    # --- installations --------------------------------------------------------------------------

    def next_install(self, wanted: Iterable[int]) -> Install | None:
        """Return what is to be installed now for the first of the needs that lack something."""
        if self._installing is not None:
            return None
        for number in wanted:
            need = self.need(number)
            if need.state != WAITING:
                continue
            place = self._place(need)
            if need.requirements.items() <= self._environments[place].items():
                need.environment, need.state = place, READY
                continue
            return self._begin(need, place)
        return None

    def _begin(self, need: Need, place: int) -> Install:
        need.environment = place
        self._installing = need
        # With what is there, so that the resolver keeps to it.
        together = {**self._environments[place], **need.requirements}
        return Install(place, list(together.values()))

    def _place(self, need: Need) -> int:
        """Return the first environment that has nothing else in its place of what is needed."""
        for index, have in enumerate(self._environments):
            if all(have.get(name, text) == text for name, text in need.requirements.items()):
                return index
        self._environments.append({})
        return len(self._environments) - 1

    def installed(self) -> None:
        """Note that the installation has succeeded."""
        need, self._installing = self._installing, None
        if need is not None and need.environment is not None:
            self._environments[need.environment].update(need.requirements)
            need.state = READY

    def install_failed(self, why: str) -> Install | None:
        """Note that it has failed; return what to try instead, once: an environment of its own."""
        need, self._installing = self._installing, None
        if need is None or need.environment is None:
            return None
        if self._environments[need.environment]:
            self._environments.append({})
            return self._begin(need, len(self._environments) - 1)
        need.environment, need.state, need.failure = None, FAILED, why
        return None


class World:
    """What one process has on its search path.

    Attributes:
        environment: its environment; None while it has none.
        archives: numbers of its archives, by the names of the modules in them.
    """

    def __init__(self) -> None:
        self.environment: int | None = None
        self.archives: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<World {self.environment}, {self.archives}>"

    def suits(self, need: Need) -> bool:
        """Say whether a call can run there, once what it lacks is added."""
        if need.state != READY:
            return False
        if need.environment is not None and self.environment not in {None, need.environment}:
            return False
        have = self.archives
        return all(have.get(name, number) == number for name, number in need.archives.items())

    def add(self, need: Need) -> tuple[int | None, list[int]]:
        """Add what a call lacks there; return the environment and the archives that are new."""
        environment = None
        if self.environment is None and need.environment is not None:
            environment = self.environment = need.environment
        new = [number for name, number in need.archives.items() if name not in self.archives]
        self.archives.update(need.archives)
        return environment, new
