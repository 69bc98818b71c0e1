"""What the machine wants done: small values, carried out in their order by the supervisor."""

from __future__ import annotations

__all__ = [
    "Close",
    "Effect",
    "Fork",
    "Give",
    "Install",
    "Kill",
    "Load",
    "Reply",
    "Resume",
    "Stop",
]


class Effect:
    """One thing to do to the process of a slot. Equal to another one that would do the same."""

    __slots__ = ("slot",)
    __hash__ = None  # type: ignore[assignment] # what it says may be a list

    def __init__(self, slot: int) -> None:
        self.slot = slot

    def _rest(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, (self.slot, *self._rest())))})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Effect)
            and type(other) is type(self)
            and (other.slot, *other._rest()) == (self.slot, *self._rest())
        )


class Fork(Effect):
    """Start a process.

    Tell the machine with `forked`, or with `fork_failed` where there is no memory, process or
    descriptor left. `cloudpickle`: its first calls will want that, so import it before.
    """

    __slots__ = ("cloudpickle",)

    def __init__(self, slot: int, *, cloudpickle: bool) -> None:
        super().__init__(slot)
        self.cloudpickle = cloudpickle


class Give(Effect):
    """Give the process items (kind, number, data), and then the tickets of these calls."""

    __slots__ = ("items", "calls")  # noqa: RUF023 - as they are given

    def __init__(self, slot: int, items: list[tuple[bytes, int, bytes]], calls: list[int]) -> None:
        super().__init__(slot)
        self.items = items
        self.calls = calls


class Install(Effect):
    """Install requirements into an environment; tell `installed`, or `install_failed`."""

    __slots__ = ("environment", "requirements")

    def __init__(self, environment: int, requirements: list[str]) -> None:
        super().__init__(-1)  # it is of no slot
        self.environment = environment
        self.requirements = requirements


class Load(Effect):
    """Read a buffer from its file into the memory that is made for it; tell `loaded`."""

    __slots__ = ("number", "name")  # noqa: RUF023 - as they are given

    def __init__(self, number: int, name: bytes) -> None:
        super().__init__(-1)  # it is of no slot
        self.number = number
        self.name = name


class Reply(Effect):
    """Answer the request that stands under a ticket, with success; nothing if it is gone."""

    __slots__ = ("ticket", "body")  # noqa: RUF023 - as they are given

    def __init__(self, ticket: int, body: bytes) -> None:
        super().__init__(-1)  # it is of no slot
        self.ticket = ticket
        self.body = body


class Stop(Effect):
    """Halt the process (SIGSTOP); when it stands, tell all that it had said, and then `stopped`."""

    __slots__ = ()


class Resume(Effect):
    """Let the process go on, if it was halted by us."""

    __slots__ = ()


class Kill(Effect):
    """Kill the process and all that it has started (SIGKILL). Its end is told as any other."""

    __slots__ = ()


class Close(Effect):
    """Give the process nothing any more: it ends when it has done what it has."""

    __slots__ = ()
