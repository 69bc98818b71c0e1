"""A job from within: the real machine of `hfexecutor/remote`, driven in virtual time.

What the machine is told and what it writes are the bytes that travel in earnest: messages that are
sealed, frames with their MACs. Only what it wants done (fork, give, stop, ...) is done to a model
of processes (:mod:`.children`), as `hfexecutor/remote/supervisor.py` does it to real ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from hfexecutor.remote import effects, pipes
from hfexecutor.remote.entries import buffers_of
from hfexecutor.remote.machine import Machine

from .children import Child
from .clock import LivelockError
from .memory import Memory
from .user import BUFFERS

if TYPE_CHECKING:
    import random

    from hfexecutor.remote.entries import Entry
    from hfexecutor.remote.frames import Seal

    from .clock import Clock, Timer
    from .plan import Plan
    from .user import Work

MOST_AT_ONCE = 1000  # times that it may want something before it is content
WAKES = 0.0001  # seconds until it has heard what a process says


class Supervisor:
    """One supervisor, from its first word to its last.

    Args:
        clock: the time.
        plan: how processes behave, and installations.
        rng: chance.
        chance: says whether something goes wrong now that does so at a rate.
        sometimes: called with what has happened that seldom does.
        seal: of the launch.
        launch: the entries of its message.
        door: whether the port can be opened.
        work: what each call does, by its id.
        write: takes lines for the log.
        mimic: makes lines that look like its own.
        began: called with a call that begins.
        left: called when it leaves by itself.
        job_dies: called when a call takes the job along.
        flavor: the number of that of the job.

    Attributes:
        alive: it has neither left nor been killed.
        door: it takes messages.
        visited: it has had one.
        told_at: when the outcomes came about that it keeps, by call.
        useful_at: the last moment in which there was something to do for it.
        told_to_leave_at: when that was; infinity for not yet.
    """

    def __init__(
        self,
        clock: Clock,
        plan: Plan,
        rng: random.Random,
        *,
        chance: Callable[[float], bool],
        sometimes: Callable[[str], None],
        seal: Seal,
        launch: Iterable[Entry],
        port: int | None,
        opens: bool,
        work: dict[int, Work],
        write: Callable[[bytes], None],
        mimic: Callable[[], bytes],
        began: Callable[[int], None],
        left: Callable[[], None],
        job_dies: Callable[[], None],
        flavor: int = 0,
    ) -> None:
        self.clock = clock
        self.plan = plan
        self.rng = rng
        self._chance = chance
        self._sometimes = sometimes
        self._work = work
        self._write = write
        self._mimic = mimic
        self._began = began
        self._left = left
        self._job_dies = job_dies
        self._flavor = flavor
        self.alive = True
        self.door = port is not None and opens
        self.visited = False
        self.told_at: dict[int, float] = {}
        self.useful_at = clock.now
        self.told_to_leave_at = math.inf
        self.installing = self._is_up = False
        self._packages: dict[int, set[str]] = {}  # by environment
        self._tickets = 0
        self._standing: dict[int, Callable[[int, bytes], None]] = {}
        self._pids = 0
        self._said: set[int] = set()  # slots whose processes have something to tell
        self._awake: Timer | None = None
        self._timer: Timer | None = None
        self._due = math.inf
        self._effects: dict[type, Callable[[Any], None]] = {
            effects.Fork: self._fork,
            effects.Give: self._give,
            effects.Stop: lambda effect: self._child(effect).halt(),
            effects.Resume: lambda effect: self._child(effect).go_on(),
            effects.Kill: lambda effect: self._child(effect).kill(),
            effects.Close: lambda effect: self._child(effect).close(),
            effects.Install: self._install,
            effects.Load: self._load,
            effects.Reply: self._reply,
        }
        stream = f"{rng.getrandbits(32):08x}"
        # What comes in the launch message is little.
        self.memory = Memory(lambda: self._is_up and chance(plan.no_memory))
        self.machine = Machine(
            seal, launch, stream, take_back=self._take_back, memory=self.memory, folder="/sim"
        )
        self.children: list[Child | None] = [None] * self.machine.config.slots
        self.machine.start(clock.now)
        self._is_up = True
        self._perform()
        error = None if self.door or port is None else "address already in use"
        self.machine.greet(port if self.door else None, error, clock.now)
        self._act()

    # --- what is true of it ---------------------------------------------------------------------

    @property
    def running(self) -> dict[int, float]:
        """The calls that run, and since when."""
        found = (child for child in self.children if child is not None)
        return {child.call: child.began_at for child in found if child.call and child.alive}

    @property
    def is_working(self) -> bool:
        """Whether a call runs here, or is about to."""
        pool = self.machine.pool
        waits = self.installing or bool(pool.queue) or pool.buffers.is_loading
        return waits or any(child is not None and child.is_working for child in self.children)

    @property
    def unacknowledged(self) -> dict[int, int]:
        """The calls whose outcomes it keeps, and how large these are."""
        return {call: len(data) for call, data in self.machine.log.unacknowledged.all()}

    @property
    def was_told_to_leave(self) -> bool:
        return self.machine._orders.leave

    # --- what happens ---------------------------------------------------------------------------

    def listen(self, message: bytes, answer: Callable[[int, bytes], None]) -> None:
        """Take a request that stands; `answer` is called once, with status and body.

        The status is 0 where the connection is cut.
        """
        self._tickets += 1
        reply = self.machine.message(message, self.clock.now, self._tickets)
        if reply is None:
            self._standing[self._tickets] = answer
        else:
            answer(*reply)
        self._wake(0.0)

    def _reply(self, effect: effects.Reply) -> None:
        self._standing.pop(effect.ticket)(200, effect.body)

    def message(self, message: bytes) -> tuple[int, bytes]:
        """Take a message that came through the door; return status and body of the reply."""
        machine, now = self.machine, self.clock.now
        # What waits, for a process that cannot be forked say, is work until it is taken back.
        pool = machine.pool
        useful = not self.visited or machine.log.awaits_fetches
        useful = useful or pool.busy or pool.buffers.is_loading
        answer = machine.message(message, now)
        assert answer is not None, "a message stands"
        if useful or machine.pool.busy or machine.log.awaits_fetches:
            self.visited, self.useful_at = True, now
        if self.was_told_to_leave:
            self.told_to_leave_at = min(self.told_to_leave_at, now)
        self._wake(0.0)
        return answer

    def range(self, message: bytes) -> tuple[int, bytes]:
        """Take a range that came through the door; return status and body of the reply."""
        answer = self.machine.range(message, self.clock.now)
        self.visited, self.useful_at = True, self.clock.now
        self._wake(0.0)
        return answer

    def terminate(self) -> None:
        """Be asked to leave at once, by a signal."""
        if self.alive:
            self.machine.terminate()
            self._act()

    def stop(self) -> None:
        """Be killed."""
        self.alive = False
        standing, self._standing = self._standing, {}
        for answer in standing.values():
            answer(0, b"")
        for child in self.children:
            if child is not None:
                child.vanish()
        for timer in (self._awake, self._timer):
            if timer is not None:
                timer.cancel()

    def _hear_of(self, slot: int) -> None:
        self._said.add(slot)
        self._wake(WAKES)

    def _wake(self, seconds: float) -> None:
        if self._awake is None and self.alive:
            self._awake = self.clock.later(seconds, self._turn)

    def _turn(self) -> None:
        self._awake = None
        if not self.alive:
            return
        said, self._said = self._said, set()
        for slot in sorted(said):
            if (child := self.children[slot]) is not None:
                child.hear()
        self._act()

    def _hear_outcome(self, call: int) -> None:
        self.told_at[call] = self.useful_at = self.clock.now

    # --- what the machine wants -----------------------------------------------------------------

    def _act(self) -> None:
        """Do what the machine wants until it wants nothing, and write what it says."""
        self._perform()
        machine = self.machine
        if machine.over:
            self._leave()
            return
        self._write_log()
        due = machine.due()
        if due != self._due or self._timer is None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._due = due
            if due < math.inf:
                self._timer = self.clock.at(due, self._on_time)

    def _perform(self) -> None:
        for _ in range(MOST_AT_ONCE):
            if not (wanted := self.machine.step(self.clock.now)):
                return
            for effect in wanted:
                self._effects[type(effect)](effect)
        raise LivelockError(f"{self.machine} always wants something: {wanted}")

    def _on_time(self) -> None:
        self._timer = None
        if self.alive:
            self._act()

    def _write_log(self) -> None:
        while chunk := self.machine.log.chunk():
            self._write(chunk)

    def _leave(self) -> None:
        self.machine.stop()
        self.door = False
        for child in self.children:
            if child is not None:
                child.hear()
        self.machine.take_leave(self.clock.now)
        self._write_log()
        self.stop()
        self._left()

    # --- processes ------------------------------------------------------------------------------

    def _child(self, effect: effects.Effect) -> Child:
        child = self.children[effect.slot]
        assert child is not None, f"{effect} without a process"
        return child

    def _give(self, effect: effects.Give) -> None:
        for kind, call, data in effect.items:
            for name in buffers_of(data) if kind == pipes.CALL else ():
                if name in self.machine.pool.buffers.stored:  # the child reads it itself
                    continue
                assert self.memory.content(name) == _CONTENTS[name], f"call {call} gets wrong bytes"
        self._child(effect).give(effect.items, effect.calls)

    def _take_back(self, slot: int) -> list[int]:
        child = self.children[slot]
        return [] if child is None else child.take_back()

    def _fork(self, effect: effects.Fork) -> None:
        slot = effect.slot
        assert self.children[slot] is None, f"a second process in slot {slot}"
        if self._chance(self.plan.fork_fails):
            self.machine.fork_failed(slot, self.clock.now)
            return
        marker = b"\0" + self.rng.randbytes(15)
        initializer = "fails" if self.plan.broken else "well" if self.plan.initializer else ""
        self.children[slot] = Child(
            self.clock,
            self.rng,
            slot,
            machine=self.machine,
            marker=marker,
            work=self._work,
            initializer=initializer,
            most_calls=self.plan.max_tasks,
            packages=self._packages,
            mimic=self._mimic,
            began=self._began,
            said=self._hear_of,
            outcome=self._hear_outcome,
            ended=self._bury,
            job_dies=self._job_dies,
            flavor=self._flavor,
        )
        self.machine.forked(slot, marker)

    def _bury(self, child: Child, code: int) -> None:
        if not self.alive:
            return
        child.hear()
        self._pids += 1
        self.machine.ended(child.slot, self._pids, code, self.clock.now)
        self.children[child.slot] = None
        if child.call:
            self._hear_outcome(child.call)
        self._act()

    # --- stored buffers -------------------------------------------------------------------------

    def _load(self, effect: effects.Load) -> None:
        """Read a file of a mount, which may be wrong, or very late."""
        why, memory = "", self.memory.open(effect.name)
        seconds = self.rng.uniform(0.0, 2.0)
        if self._chance(self.plan.unreadable):
            seconds = self.rng.choice((seconds, 100.0))
            why = self.rng.choice(("", "simulated: it is not there"))
        self.clock.later(seconds, self._loaded, effect, memory, why)

    def _loaded(self, effect: effects.Load, memory: bytearray, why: str) -> None:
        if not self.alive:
            return
        if why:
            self._sometimes("a stored buffer cannot be read")
        else:
            self._sometimes("a stored buffer is read")
            memory[:] = _CONTENTS[effect.name]
        self.machine.loaded(effect.number, why)
        self.useful_at = self.clock.now
        self._act()

    # --- packages -------------------------------------------------------------------------------

    def _install(self, effect: effects.Install) -> None:
        assert not self.installing, "two installations at once"
        self.installing = True
        self._packages.setdefault(effect.environment, set())
        self.clock.later(self.rng.uniform(0.1, 3.0), self._installed, effect)

    def _installed(self, effect: effects.Install) -> None:
        self.installing = False
        if not self.alive:
            return
        if self._chance(self.plan.install_fails):
            self.machine.install_failed("no solution found", self.clock.now)
        else:
            self._packages[effect.environment].update(effect.requirements)
            self.machine.installed(self.clock.now)
        self.useful_at = self.clock.now  # also if it failed: that is what a call ends with
        self._act()


_CONTENTS = {buffer.name: buffer.data for buffer in BUFFERS}
