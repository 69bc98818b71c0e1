"""A slot: the place of one process at a time. What it was given, and how far it has come. Pure.

::

    EMPTY ── wanted ──► FORKING ── forked ──► STARTING ── ready ──► READY

    READY ── condemned ──► STOPPING ── stands, in that call ──► KILLED
      │ ▲                      │
      │ └───── in another ◄────┘
      └── has done its share of calls, or is not wanted any more ──► CLOSING

and from each of them back to EMPTY when the process has ended. One that is CLOSING still has the
call that it is in, and can be condemned for that as well; if that is over when it stands, it goes
on closing.

A process is killed for one call. What we know of it is what it has said, and that may be late: it
may have finished the call and begun the next one, which nobody wants dead. So it is halted first;
then all that it has said is heard, what it has not begun is taken back, and what is left is the
call that it is in.
"""

from __future__ import annotations

from math import inf

from . import schedule
from .environments import World
from .output import ChildOutput

__all__ = ["CLOSING", "EMPTY", "FORKING", "KILLED", "READY", "STARTING", "STOPPING", "Slot"]

EMPTY = "empty"
FORKING = "forking"
STARTING = "starting"
READY = "ready"
STOPPING = "stopping"
KILLED = "killed"
CLOSING = "closing"
_TAKE_CALLS = frozenset({STARTING, READY})


class Slot:
    """One process, or the place for it.

    Attributes:
        index: which slot this is.
        phase: one of the constants of this module.
        given: the calls that the process has, in the order in which it takes them.
        known: the functions that it has.
        began: when it began its present call, as far as was heard.
        stale_at: when calls that were given ahead are taken back; infinity without any.
        finished: how many calls it has finished.
        closed: it was told that there is nothing more to come.
        condemned: the calls that it is to be killed in, with the status of their outcome.
        output: what it prints.
        pace: how many calls it is given at once.
        world: what is on its search path.
        may_initialize: it was told to run its initializer, if there is one.
    """

    def __init__(self, index: int, print_cap: int) -> None:
        self.index = index
        self.phase = EMPTY
        self._print_cap = print_cap
        self.clear()

    def __repr__(self) -> str:
        return f"<Slot {self.index} {self.phase} [{len(self.given)} calls]>"

    def clear(self) -> None:
        """Be the place of no process."""
        self.phase = EMPTY
        self.given: dict[int, bytes] = {}
        self.known: set[int] = set()
        self.began = 0.0
        self.stale_at = inf
        self.finished = 0
        self.closed = False
        self.condemned: dict[int, bytes] = {}
        self.output = ChildOutput(b"", self._print_cap)
        self.pace = schedule.Pace()
        self.world = World()
        self.may_initialize = False

    def start(self, marker: bytes) -> None:
        """Be the place of a new process, which ends each call's output with `marker`."""
        self.phase = STARTING
        self.output = ChildOutput(marker, self._print_cap)

    @property
    def first(self) -> int:
        """The first of the calls that the process has; 0 for none."""
        return next(iter(self.given), 0)

    @property
    def current(self) -> int:
        """The call that the process runs or is about to, as far as was heard; 0 for none."""
        return 0 if self.phase == STARTING else next(iter(self.given), 0)

    @property
    def runs(self) -> bool:
        """Whether it runs its calls, as far as was heard."""
        return self.phase in {READY, CLOSING}

    @property
    def takes_calls(self) -> bool:
        """Whether it may be given calls."""
        return self.phase in _TAKE_CALLS

    def room(self, most_calls: int | None) -> int:
        """Return how many calls it may have at once, of at most `most_calls` in its life."""
        depth = self.pace.depth if self.phase == READY else 1
        return depth if most_calls is None else min(depth, most_calls - self.finished)
