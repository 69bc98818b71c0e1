"""Who uses the executor: submits, cancels, kills, closes; and the futures that he holds."""

from __future__ import annotations

import json
import math
import random
from typing import TYPE_CHECKING, Any, NamedTuple

from hfexecutor.core.call import Attachment, Buffer, Call, CallOptions, Function
from hfexecutor.futures import Printed
from hfexecutor.remote import entries as wire
from hfexecutor.remote.ranges import RANGE_BYTES, digest_of, name_of

if TYPE_CHECKING:
    from .plan import Plan

PENDING, RUNNING, CANCELLED, NOTIFIED, FINISHED = (
    "pending",
    "running",
    "cancelled",
    "cancelled and notified",
    "finished",
)
# What a message and a launch take is less here than in earnest: what has to be cut, or is too large
# for a launch, need not be megabytes.
MESSAGE, ROOM, HEAVY = 1 << 17, 100_000, 150_000
STRAGGLE = 30.0  # seconds that a straggler takes more than others do
LONGEST_PAUSE = 5.0  # before a call runs again that has raised


KILLED = -9  # an exit code
DEATHS = {"die": 3, "segfault": -11, "memory": KILLED}  # the last by the kernel, for all it takes
NEVER = 99  # no flavor has this number


class Work(NamedTuple):
    """What one call does."""

    kind: str
    duration: float
    function: int
    prints: int = 0
    size: int = 1  # of its value's pickle, in bytes, at least
    need: int = 0
    mimics: bool = False
    fails: int = 0  # the first times that it ends
    kinds: tuple[str, ...] = ("",)  # of workers that it asks for
    memory: int = NEVER  # number of the flavor that has enough for it, if it takes much
    straggles: bool = False  # the first time
    buffers: tuple[int, ...] = ()  # that its data refers to

    def dies(self, flavor: int) -> bool:
        """Whether it takes its process along, on the flavor of this number."""
        return self.kind in DEATHS and flavor < self.memory

    def lasts(self, attempt: int) -> float:
        """Return the seconds that this attempt of it takes; the first is 0."""
        return self.duration + (STRAGGLE if self.straggles and not attempt else 0.0)

    def raises(self, attempt: int) -> bool:
        """Whether this attempt of it raises; the first is 0."""
        return self.kind == "raise" or attempt < self.fails


class Future:
    """A future as `concurrent.futures` has it: its states, and nothing besides."""

    __slots__ = (
        "_printed",
        "asked",
        "call",
        "ended_at",
        "error",
        "job",
        "killed_at",
        "outcome",
        "state",
    )

    def __init__(self, call: int) -> None:
        self.call = call
        self.state = PENDING
        self.outcome: Any = None
        self.error: BaseException | None = None
        self.job = ""
        self.asked = ""  # what its owner asked for: cancel, kill
        self.ended_at = -1.0
        self.killed_at = -1.0
        self._printed: Printed | None = None

    @property
    def printed(self) -> Printed:
        if self._printed is None:
            self._printed = Printed()
        return self._printed

    @property
    def done(self) -> bool:
        return self.state in {CANCELLED, NOTIFIED, FINISHED}

    def cancel(self) -> bool:
        if self.state in {RUNNING, FINISHED}:
            return False
        if self.state == PENDING:
            self.state = CANCELLED
        return True

    def claim(self) -> bool:
        """Do what ``set_running_or_notify_cancel`` does; True as well if it runs already."""
        if self.state == RUNNING:
            return True
        if self.state == CANCELLED:
            self.state = NOTIFIED
            return False
        if self.state == PENDING:
            self.state = RUNNING
            return True
        return False

    def finish(self, outcome: Any, error: BaseException | None) -> None:
        assert self.state == RUNNING, f"the future of call {self.call} ends while {self.state}"
        self.state = FINISHED
        self.outcome, self.error = outcome, error

    def __repr__(self) -> str:
        return f"<Future {self.call} {self.state} {self.outcome or self.error or ''}>"


def make_work(plan: Plan, rng: random.Random) -> Work:
    """Return what one more call does."""
    kind = "value"
    for name, rate in (
        ("raise", plan.raising),
        ("flaky", plan.flaky),
        ("die", plan.dying),
        ("segfault", plan.dying / 2),
        ("memory", plan.memory),
        ("hang", plan.hanging),
        ("killjob", plan.killing),
        ("large", plan.large),
    ):
        if rate and rng.random() < rate:
            kind = name
            break
    prints = rng.choice((1, 3, 40)) if rng.random() < plan.printing else 0
    size = rng.choice(LARGE) if kind == "large" else 1
    return Work(
        kind,
        rng.choice(plan.durations),
        rng.randrange(1, plan.functions + 1),
        prints,
        size,
        need=rng.randrange(plan.needs + 1) if plan.needs else 0,
        mimics=prints > 0 and rng.random() < plan.mimics,
        fails=rng.randint(1, 3) if kind == "flaky" else 0,
        kinds=plan.flavors(rng.choice(plan.choices)) if plan.choices else ("",),
        memory=rng.choice((1, 2, NEVER)) if plan.grow and kind == "memory" else NEVER,
        straggles=plan.straggling > 0 and rng.random() < plan.straggling,
        buffers=_some_buffers(plan, rng) if plan.buffers else (),
    )


def _some_buffers(plan: Plan, rng: random.Random) -> tuple[int, ...]:
    count = rng.choice((0, 1, 1, 2))
    return tuple(sorted({rng.randrange(plan.buffers) for _ in range(count)}))


# Most are just large enough to be fetched, few take several parts.
LARGE = (*(300_000,) * 20, *(1_200_000,) * 3, 4_000_000)
_FUNCTIONS = [Function(number, bytes(200)) for number in range(64)]
# Packages and archives that calls need, by number: some of them do not go together.
NEEDS: tuple[dict[str, Any], ...] = (
    {},
    {"requirements": {"a": "a==1"}},
    {"requirements": {"b": "b==1"}, "archives": {"m": 1}},
    {"requirements": {"a": "a==2"}, "archives": {"m": 1, "n": 3}},
    {"archives": {"m": 2}},
    {"requirements": {"a": "a==1", "b": "b==1"}},
)
_ATTACHMENTS = [
    (
        Attachment(wire.NEED, number, json.dumps(need).encode()),
        *(
            Attachment(wire.ARCHIVE, archive, wire.pack_archive(name, f"{archive}", bytes(50)))
            for name, archive in need.get("archives", {}).items()
        ),
    )
    if need
    else ()
    for number, need in enumerate(NEEDS)
]
_DATA, _MORE = bytes(8), bytes(HEAVY)  # the latter is more than a message takes


def options_of(plan: Plan, work: Work, rng: random.Random) -> CallOptions:
    """Return what a user wants of one more call."""
    once = plan.once > 0 and rng.random() < plan.once
    return CallOptions(
        call_timeout=plan.call_timeout or None,
        max_retries=0 if once else plan.retries,
        retry=True if plan.retry else None,
        kinds=work.kinds,
        on_memory_error=plan.grow,
        speculate=plan.speculate and plan.retries > 0 and not once,
        scheduling_timeout=plan.scheduling_timeout or math.inf,
    )


def make_call(number: int, work: Work, *, heavy: bool, options: CallOptions) -> Call:
    limit = options.call_timeout or 0.0
    data = wire.call_head(work.function, work.need, limit) + (_MORE if heavy else _DATA)
    function = _FUNCTIONS[work.function]
    attachments = _ATTACHMENTS[work.need]
    buffers = tuple(BUFFERS[number] for number in work.buffers)
    if buffers:
        names = b"".join(buffer.name for buffer in buffers)
        kinds = bytes(len(buffers))
        data = wire.call_head(work.function, work.need, limit, kinds, names) + _DATA
    return Call(number, Future(number), data, function, attachments, buffers, options=options)


def _make_buffer(number: int, size: int) -> Buffer:
    data = b"%d" % number * (size // len(b"%d" % number))
    digests = tuple(digest_of(data[i : i + RANGE_BYTES]) for i in range(0, len(data), RANGE_BYTES))
    return Buffer(name_of(len(data), digests), len(data), digests, memoryview(data))


# Some fit into a launch request, most are one range, and some are several.
BUFFERS = [_make_buffer(i, size) for i, size in enumerate((9_000, 500_000, 2_500_000) * 4)]
SHARED_BYTES, SHARED_JOBS = 500_000, (4, 2)
BUFFER_BYTES, MOST_BUFFERS = 4_000_000, 5  # that a worker keeps
