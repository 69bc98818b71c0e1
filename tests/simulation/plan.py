"""What a seed amounts to: every knob of a run in one value, which can be printed and made smaller.

A run has a *swarm* of faults: some of all that there are, each at a rate of its own. Where every
run had every fault, those that end a run early would hide all others.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields, replace
from typing import Any, Self

FLAVORS = 3
CHOICES = (((0, 1),), ((0, 1, 2),), ((0,), (1,)), ((0, 1), (1,), (2,)), ((1, 0), (0, 1, 2), (2,)))
LEAVES = 0.1  # of all clients, before their calls are done
RATES = (0.01, 0.03, 0.1, 0.2, 0.4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All knobs. Rates are probabilities, times are seconds; the default is that nothing fails."""

    seed: int
    # --- the user
    calls: int = 20
    batch: int = 20  # calls submitted at a time
    pause: float = 0.0  # between two batches
    durations: tuple[float, ...] = (0.001,)
    functions: int = 1  # that the calls are shared by
    needs: int = 0  # sets of packages and modules that the calls are shared by
    workers: int = 2
    slots: int = 1
    warm: bool = True
    retries: int = 2
    once: float = 0.0  # of all calls, are never to begin twice whatever the others may
    flaky: float = 0.0  # raise the first times
    retry: bool = False  # what flaky calls raise is retried
    straggling: float = 0.0  # take half a minute more the first time
    speculate: bool = False
    idle_timeout: float = 5.0
    call_timeout: float = 0.0  # 0: none
    max_tasks: int = 0  # of a process; 0: any number
    max_cost: float = 0.0  # dollars; 0: any number
    initializer: bool = False
    cancels: float = 0.0  # of all calls
    kills: float = 0.0
    end: str = "close"  # close, cancel, abort: when everything is submitted, or at once
    end_early: bool = False
    leaves: str = ""  # the client: is killed, detaches, detaches now; and another one attaches
    leaves_at: float = 1.0
    away: float = 5.0  # seconds from then on until that
    keep_for: float = 0.0  # seconds that jobs stay for what nobody has fetched
    stopped: bool = False  # by who attaches
    # --- what calls do
    raising: float = 0.0
    dying: float = 0.0
    hanging: float = 0.0
    memory: float = 0.0  # take more memory than there is: the kernel kills their process
    killing: float = 0.0  # take their job along
    large: float = 0.0
    printing: float = 0.0
    mimics: float = 0.0  # of those that print, print what looks like frames, or is one
    heavy: float = 0.0  # carry a large argument
    buffers: int = 0  # that calls refer to, some of them
    # --- the Hub
    cold: tuple[float, float] = (0.5, 2.0)
    api: float = 0.05
    hourly: float = 0.6  # dollars for a job
    door_hourly: float = 0.01  # and for its port
    # Flavors, by number; each costs as much more as its number says. Calls ask for one of these
    # lists each; without, there is but one flavor.
    choices: tuple[tuple[int, ...], ...] = ()
    capacities: tuple[int, ...] = ()  # jobs of each flavor at once, until all is well; -1: any
    scheduling_timeout: float = 0.0  # 0: none
    grow: bool = False  # what was killed for memory runs once more on a larger flavor
    connect_fails: bool = False
    post_undelivered: float = 0.0
    post_unclear: float = 0.0  # and created
    post_unclear_not: float = 0.0  # and not created
    post_hangs: float = 0.0
    post_late: float = 0.0
    post_twice: float = 0.0
    post_limited: float = 0.0
    post_page: float = 0.0  # an answer that would be the same again
    post_refused: float = 0.0
    refuses_ports: bool = False
    capacity: int = 0  # jobs that run at once; 0: any number
    never_starts: float = 0.0  # before everything heals
    never_comes: float = 0.0  # not even then: hardware that the Hub does not have
    list_lag: float = 0.0
    list_misses: float = 0.0
    list_slow: float = 0.0
    list_fails: float = 0.0  # looks; the list of a run is repeated by its edge,
    list_dies: float = 0.0  # and fails for good in the end
    forgets: float = 0.0  # jobs that are over, from lists
    inspect_fails: float = 0.0
    cancel_fails: float = 0.0
    cancel_slow: float = 0.0
    stage_lag: float = 0.0
    odd_stages: float = 0.0
    foreign: float = 0.0
    # --- jobs
    job_killed: float = 0.0
    kill_after: float = 3.0
    job_stillborn: float = 0.0
    job_restarted: float = 0.0
    job_timeout: float = 43200.0  # seconds after which the Hub ends it
    broken: bool = False  # the initializer fails
    fork_fails: float = 0.0
    install_fails: float = 0.0
    terminates: float = 0.0  # of those cancelled, are asked to leave and have a moment for it
    # --- logs
    log_cut: float = 0.0
    log_stall: float = 0.0
    log_repeat: float = 0.0
    log_short: float = 0.0
    log_endless: float = 0.0
    log_none: float = 0.0
    log_lag: float = 0.0
    log_window: int = 0  # lines; 0: all
    # --- doors
    rtt: float = 0.02
    door_at: str = "running"  # launch, running, late, never
    door_lost: float = 0.0  # never delivered
    door_dropped: float = 0.0  # before it was delivered, and nobody knows
    door_unanswered: float = 0.0  # after it was
    door_hangs: float = 0.0
    door_not_found: float = 0.0  # seconds that a new address takes to be known
    door_rejects: float = 0.0
    door_twice: float = 0.0  # delivered twice
    door_forged: float = 0.0  # answered by somebody without the key
    door_patience: float = 60.0  # seconds that a request may stand
    fetch_fails: float = 0.0  # of the ranges of large outcomes, besides
    door_outage: float = 0.0  # that all doors are away for some seconds
    no_door: float = 0.0  # a job whose port cannot be opened
    # --- ranges of buffers; what befalls messages befalls them as well
    range_corrupt: float = 0.0
    no_memory: float = 0.0  # a job has no room for a buffer
    bucket: bool = False  # buffers are stored where there is no door, or many jobs share them
    store_fails: float = 0.0
    store_slow: float = 0.0  # seconds at the most, until all is well
    unreadable: float = 0.0  # to a job whose mount should have it, or very late
    # --- when nothing goes wrong any more
    heals: float = 60.0

    @classmethod
    def of(cls, seed: int) -> Self:
        """Return the plan of a seed."""
        rng = random.Random(seed)
        made = {name: draw(rng) for name, draw in _always(rng).items()}
        for name, draw in _FAULTS.items():
            if rng.random() < made["_density"]:
                made[name] = draw(rng)
        if made["retries"] == 0:
            made.pop("job_restarted", None)  # what the Hub runs twice is not ours to promise
        if made.get("hanging"):
            # What hangs without a timeout is killed by its user, which takes a door that works.
            quiet = made["_density"] < 0.1 and made["warm"]
            made["call_timeout"] = rng.choice((0.0 if quiet else 0.5, 0.5, 3.0))
        if made.get("choices"):
            made["capacities"] = tuple(rng.choice((-1, -1, 0, 1, 2)) for _ in range(FLAVORS))
            made["scheduling_timeout"] = rng.choice((0.0, 3.0, 20.0, 20.0, 60.0))
        if rng.random() < LEAVES:
            made.update({name: draw(rng) for name, draw in _LEAVING.items()})
            if made.get("hanging"):  # nobody is there to kill what hangs
                made["call_timeout"] = made["call_timeout"] or 0.5
        for name, draw in _LATER.items():
            if rng.random() < made["_density"]:
                made[name] = draw(rng)
        del made["_density"]
        return cls(seed=seed, **made)

    def stays(self) -> Self:
        """Return it with a client that does not leave before its calls are done."""
        return replace(self, **{name: DEFAULTS[name] for name in _LEAVING})

    @staticmethod
    def flavors(choice: tuple[int, ...]) -> tuple[str, ...]:
        """Return the names of flavors by their numbers."""
        return tuple(f"flavor-{number}" for number in choice)

    def hourly_of(self, flavor: str) -> float:
        """Return what a job of a flavor costs an hour."""
        return self.hourly * (1 + number_of(flavor))

    def slots_of(self, flavor: str) -> int:
        """Return how many calls a job of a flavor is for."""
        return (self.slots, 1, 4)[number_of(flavor)] if flavor else self.slots

    def capacity_of(self, flavor: str) -> int:
        """Return how many jobs of a flavor may run at once; -1 for any number."""
        if flavor and self.capacities:
            return self.capacities[number_of(flavor)]
        return self.capacity or -1

    @property
    def calls_fit(self) -> bool:
        """Whether jobs can be replaced before their timeout without a call being lost.

        That takes a limit for calls, as much time again to come up, and doors that work.
        """
        hindered = any(
            getattr(self, name) != DEFAULTS[name]
            for name in DEFAULTS
            if name.startswith(("door_", "no_door", "log_", "list_", "post_", "refuses_ports"))
        )
        fits = self.job_timeout > 2 * self.call_timeout + self.cold[1] + self.job_timeout / 10
        return self.call_timeout > 0 and fits and self.warm and not hindered

    def with_changes(self, changes: list[str]) -> Self:
        """Return it with some knobs set, each as "name=value"."""
        parsed = {}
        for change in changes:
            name, _, text = change.partition("=")
            parsed[name] = eval(text, {"__builtins__": {}})
        return replace(self, **parsed)

    def __str__(self) -> str:
        """Return what is not as it is by default."""
        return f"seed={self.seed}, " + ", ".join(Plan(seed=self.seed).difference(self))

    def difference(self, other: Self) -> list[str]:
        """Return the changes that make the other one of it."""
        return [
            f"{field.name}={getattr(other, field.name)!r}"
            for field in fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        ]


DEFAULTS: dict[str, Any] = {
    field.name: field.default for field in fields(Plan) if field.name != "seed"
}


def number_of(flavor: str) -> int:
    """Return the number of a flavor; 0 for the only one."""
    return int(flavor.rpartition("-")[2] or 0)


def _rate(rng: random.Random) -> float:
    return rng.choice(RATES)


def _low(rng: random.Random) -> float:
    return rng.choice((0.002, 0.01, 0.05))


def _always(rng: random.Random) -> dict[str, Any]:
    sizes = ("one", "few", "some", "many", "huge", "giant")
    size = rng.choices(sizes, (1, 4, 6, 3, 0.4, 0.02))[0]
    calls, workers = {
        "one": (1, 1),
        "few": (rng.randint(2, 12), rng.randint(1, 4)),
        "some": (rng.randint(13, 300), rng.randint(1, 12)),
        "many": (rng.randint(300, 3000), rng.randint(1, 60)),
        "huge": (rng.randint(3000, 20_000), rng.choice((8, 100, 1000))),
        "giant": (rng.randint(20_000, 100_000), rng.choice((8, 100, 1000))),
    }[size]
    pace = rng.choice(((0.0,), (0.001,), (0.0, 0.001, 0.02, 0.3), (0.2,), (0.0, 3.0)))
    if size in {"many", "huge", "giant"}:
        pace = rng.choice(((0.0,), (0.001,), (0.0, 0.001, 0.02)))
    return {
        "_density": lambda r: r.choice((0.0, 0.05, 0.15, 0.3)),
        "calls": lambda _: calls,
        "workers": lambda _: workers,
        "durations": lambda _: pace,
        "batch": lambda r: r.choice((1, 5, 50, 1000)) if calls < 1000 else max(1000, calls // 20),
        "pause": lambda r: r.choice((0.0, 0.0, 0.001, 0.05, 2.0)) if calls < 300 else 0.001,
        "functions": lambda r: r.choice((1, 1, 3, 50)),
        "slots": lambda r: r.choice((1, 1, 1, 2, 4)),
        "warm": lambda r: calls > 300 or r.random() < 0.85,
        "retries": lambda r: r.choice((0, 1, 2, 2, 2)),
        "idle_timeout": lambda r: r.choice((2.0, 5.0, 60.0)),
        "cold": lambda r: r.choice(((0.0, 0.1), (0.5, 2.0), (5.0, 8.0), (0.2, 30.0))),
        "api": lambda r: r.choice((0.002, 0.05, 0.3)),
        "rtt": lambda r: r.choice((0.0005, 0.02, 0.105)),
        "door_at": lambda r: r.choice(("launch", "running", "running", "late")),
        "stage_lag": lambda r: r.choice((0.0, 0.0, 1.3)),
        "end": lambda r: r.choice(("close", "close", "close", "cancel", "abort")),
        "end_early": lambda r: r.random() < 0.15,
        "heals": lambda r: r.choice((5.0, 30.0, 120.0)),
    }


_LEAVING: dict[str, Any] = {
    "leaves": lambda r: r.choice(("is killed", "is killed", "detaches", "detaches now")),
    "leaves_at": lambda r: r.choice((0.1, 1.0, 5.0, 20.0)) * r.uniform(0.5, 1.5),
    "away": lambda r: r.choice((0.0, 1.0, 5.0, 60.0, 1000.0)),
    "keep_for": lambda r: r.choice((0.0, 10.0, 100.0, 600.0)),
    "stopped": lambda r: r.random() < 0.15,
}


_FAULTS: dict[str, Any] = {
    "cancels": _rate,
    "kills": _rate,
    "raising": _rate,
    "dying": _low,
    "memory": _low,
    "hanging": _low,
    "killing": _low,
    "needs": lambda r: r.choice((1, 3, 5)),
    "mimics": _rate,
    "large": _rate,
    "printing": _rate,
    "heavy": _low,
    "connect_fails": lambda r: r.random() < 0.1,
    "post_undelivered": _rate,
    "post_unclear": _rate,
    "post_unclear_not": _rate,
    "post_hangs": _rate,
    "post_late": _rate,
    "post_twice": _rate,
    "post_limited": _rate,
    "post_page": lambda r: r.choice((0.01, 0.1)),
    "post_refused": lambda r: r.choice((0.01, 0.1)),
    "refuses_ports": lambda r: r.random() < 0.3,
    "capacity": lambda r: r.choice((1, 2, 5)),
    "never_starts": _rate,
    "never_comes": lambda r: r.choice((0.01, 0.1, 0.3, 1.0)),
    "list_lag": lambda r: r.choice((0.3, 0.7, 3.0, 10.0)),
    "list_misses": lambda r: r.choice((0.05, 0.3, 0.5)),
    "list_slow": lambda r: r.choice((0.5, 3.0)),
    "list_fails": _rate,
    "list_dies": lambda r: r.choice((0.0, 0.003, 0.05)),
    "forgets": _rate,
    "inspect_fails": _rate,
    "cancel_fails": _rate,
    "cancel_slow": lambda r: r.choice((0.5, 3.0)),
    "odd_stages": _rate,
    "foreign": _rate,
    "job_killed": _rate,
    "kill_after": lambda r: r.choice((0.0, 0.5, 3.0, 20.0)),
    "job_stillborn": lambda r: r.choice((0.1, 0.3)),
    "job_restarted": _rate,
    "job_timeout": lambda r: r.choice((10.0, 30.0, 100.0)),
    "max_cost": lambda r: r.choice((0.005, 0.015, 0.05, 0.2)),
    "broken": lambda r: r.random() < 0.1,
    "initializer": lambda _: True,
    "max_tasks": lambda r: r.choice((1, 2, 10, 1000)),
    "fork_fails": _rate,
    "install_fails": _rate,
    "terminates": lambda r: r.choice((0.3, 1.0)),
    "log_cut": _rate,
    "log_stall": _rate,
    "log_repeat": _rate,
    "log_short": _rate,
    "log_endless": _rate,
    "log_none": _rate,
    "door_patience": lambda r: r.choice((0.05, 0.5, 3.0)),
    "log_lag": lambda r: r.choice((0.05, 0.5, 2.0)),
    "log_window": lambda r: r.choice((5, 20, 100, 1000)),
    "door_lost": _rate,
    "door_dropped": _rate,
    "door_unanswered": _rate,
    "door_hangs": lambda r: r.choice((0.01, 0.05)),
    "door_not_found": lambda r: r.choice((0.3, 1.0)),
    "door_rejects": lambda r: r.choice((0.002, 0.02)),
    "door_twice": _rate,
    "door_forged": lambda r: r.choice((0.002, 0.02)),
    "door_outage": _rate,
    "no_door": _rate,
    "once": _rate,
    "flaky": _rate,
    "retry": lambda _: True,
    "choices": lambda r: r.choice(CHOICES),
    "grow": lambda _: True,
    "straggling": _low,
    "speculate": lambda _: True,
    "buffers": lambda r: r.choice((1, 3, 12)),
    "range_corrupt": _rate,
    "no_memory": _low,
    "bucket": lambda _: True,
    "store_fails": _rate,
    "store_slow": lambda r: r.choice((1.0, 30.0)),
}

# New ones come here: then what else is in the plans of the fixed seeds stays as it is.
_LATER: dict[str, Any] = {
    "fetch_fails": _rate,
    "unreadable": _rate,
}
