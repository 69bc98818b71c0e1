"""A worker: one job that runs calls. What it holds, what it has said, and what that amounts to."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from hfexecutor.core import dispatch
from hfexecutor.core.channel import Channel, Door
from hfexecutor.core.launch import Launching
from hfexecutor.core.log_reading import LogReading
from hfexecutor.core.stages import (
    TERMINAL,
    Evidence,
    Phase,
    Words,
    phase_of,
    ran_out_of_memory,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hfexecutor.core.call import Call
    from hfexecutor.core.commands import Fetch, Listen, ReadLog, Send, SendRange
    from hfexecutor.core.events import Bye, Hello, JobSeen
    from hfexecutor.core.pending import CallTimes
    from hfexecutor.core.rules import Limits, Rules

__all__ = ["Worker"]

JOB_STARTED = "===== Job started"  # the Hub's own line at the head of a log
_SMOOTHING = 0.05  # the mean reaches back some twenty calls
# A stage never goes back: where it seems to, a list was older than the one before it. That also
# goes for words that nobody knows.
_RANK = {Phase.UNCLEAR: 0, Phase.WAITING: 0, Phase.RUNNING: 1, **dict.fromkeys(TERMINAL, 2)}


class Worker:
    """State of one worker, from the wish for a job to its end.

    Args:
        worker_id: The label value that only its launch carries.
        kind: What it is a worker of.
        asked_by: The kinds that the calls ask for which it is started for.
        slots: Calls it runs at once (a guess until HELLO, where a job counts its CPUs).
        one_shot: It leaves when the calls aboard are done, and has no door.
        port: The port that its job exposes; None without a door.
        limits: What the user wants.
        times: How long calls may take.
        rules: Pauses and sizes.
        jitter: Returns a number from 0 to 1.
        now: The time.
    """

    def __init__(
        self,
        worker_id: str,
        *,
        kind: str = "",
        asked_by: tuple[str, ...] = ("",),
        slots: int,
        one_shot: bool,
        port: int | None,
        limits: Limits,
        times: CallTimes,
        rules: Rules,
        jitter: Callable[[], float],
        now: float,
    ) -> None:
        self._rules = rules
        # After how many seconds its timeout is so near that a call would have no time at all.
        self._lifetime = limits.timeout - rules.ahead_of(limits.timeout)
        self._times = times
        self._jitter = jitter
        self.id = worker_id
        self.kind = kind
        self.asked_by = asked_by
        self.slots = slots
        self.one_shot = one_shot
        self.port = port
        self.launch = Launching(worker_id, rules, patience=limits.give_up_after, jitter=jitter)
        self.channel = self._new_channel()
        self.log = LogReading(worker_id, rules)
        self.launched_at = now
        self.runs_since = math.inf  # when its job may have begun, at the earliest: see `may_run`
        # What the Hub says.
        self.job: JobSeen | None = None
        self.phase = Phase.UNCLEAR
        self.missed = 0  # lists in a row that did not show it,
        self.missable = rules.missed  # and how many may do so until it is asked for by its id
        self.inspecting = False
        # What it says.
        self.hello: Hello | None = None
        self.bye: Bye | None = None
        self.starts = 0  # supervisors that have spoken in its log
        self.tail: tuple[str, ...] = ()
        self.unheard = False  # it keeps outcomes that did not arrive here
        self.asked_for_all = False  # it is to say what it holds, and what it keeps
        self.surveyed = False  # it has said so
        # What it holds.
        self.held: dict[int, Call] = {}
        self.ahead: deque[Call] = deque()  # those that are not known to have begun
        self._begun: set[int] = set()  # those whose futures are running, one for each slot
        self.unsure: set[int] = set()  # those in a message that may not have been delivered
        self.recalling = False  # the answer to a recall has not come yet
        self.in_vain = 0  # recalls in a row that brought nothing back
        self._suspects = 0  # held calls that lost a worker
        # How it works.
        self.duration: float | None = None  # mean seconds of its recent calls
        self.longest = 0.0  # seconds of its longest call
        self.answers = 0
        self.greeted_at = math.inf
        self.served = False  # it was given a call
        self.progress_at = now
        self.asked_at = -math.inf
        self.asked_progress = -math.inf  # what progress_at was then
        self.probe_after = rules.probe
        self.judge_at = math.inf  # when what it was asked for should have come
        # How it ends.
        self.retiring = (
            False  # it gets no more calls: its timeout is near, or others need its place
        )
        self.leave_by = math.inf  # told to leave: when it has to have left
        self.never_began = False  # its job was cancelled before
        self.cancelling = False  # its job is being cancelled, or will be as soon as there is one
        self.was_cancelled = False  # its job was asked to end, whatever was heard of that
        self.over = False

    def __repr__(self) -> str:
        state = self.launch if self.job is None else f"{self.job.id} {self.phase.value}"
        return f"<Worker {self.id} {state}, {len(self.held)} calls, {self.channel.door.value}>"

    # --- what is true of it ------------------------------------------------------------------

    @property
    def evidence(self) -> Evidence:
        """What decides about its end."""
        if self.bye is not None:
            words = Words.BYE_OWING if self.held else Words.BYE
        elif self.has_spoken:
            words = Words.OWING if self.held else Words.IDLE
        else:
            words = Words.NONE
        return Evidence(self.phase, words, self.log.is_exhausted)

    @property
    def has_spoken(self) -> bool:
        """Whether our code was heard there; its HELLO may be out of sight."""
        return self.hello is not None or self.starts > 0

    @property
    def was_started_again(self) -> bool:
        """Whether the Hub has begun its job anew, which knows only of the calls of its launch."""
        return self.starts > 1

    @property
    def has_begun(self) -> bool:
        """Whether its job was seen running, or heard."""
        return self.has_spoken or self.phase not in {Phase.UNCLEAR, Phase.WAITING}

    @property
    def waits_for_hardware(self) -> bool:
        """Whether its job is known to wait, as far as the last list tells."""
        return self.phase is Phase.WAITING and not self.has_spoken and not self.is_closing

    @property
    def is_leaving(self) -> bool:
        """Whether it was told to leave."""
        return self.leave_by < math.inf

    @property
    def is_closing(self) -> bool:
        """Whether it is on its way out, and gets no more calls."""
        return self.leave_by < math.inf or self.cancelling or self.over or self.bye is not None

    @property
    def takes_calls(self) -> bool:
        """Whether calls may be given to it now."""
        return self.channel.takes_calls and not self.is_closing and not self.retiring

    @property
    def takes_orders(self) -> bool:
        """Whether what is said to it arrives, sooner or later."""
        return self.channel.takes_orders and self.bye is None and not self.over

    @property
    def was_ended_from_outside(self) -> bool:
        """Whether its job began and ended without any output: killed, evicted, cancelled."""
        said = [line for line in self.tail if not line.startswith(JOB_STARTED)]
        return not said and (self._ran or len(self.tail) > 0)

    @property
    def ran_out_of_memory(self) -> bool:
        """Whether its job as a whole was ended for that, as far as the Hub says."""
        job = self.job
        return job is not None and ran_out_of_memory(job.stage, job.message)

    @property
    def owes_nothing(self) -> bool:
        """Whether it said good-bye, and every outcome that it ever said has arrived here.

        Then the calls that it still holds never reached it; unless it has begun anew, and knows
        nothing of what it was before.
        """
        bye = None if self.was_started_again else self.bye
        return bye is not None and not bye.returned and bye.calls == self.answers

    @property
    def holds_only_killed(self) -> bool:
        """Whether all that it holds is to be stopped."""
        return bool(self.held) and all(call.killed for call in self.held.values())

    @property
    def begun(self) -> frozenset[int]:
        """The calls that run there, as far as anybody can know."""
        return frozenset(self._begun)

    @property
    def may_all_run_again(self) -> bool:
        """Whether none of what it holds is to begin only once."""
        return all(call.options.max_retries for call in self.held.values())

    @property
    def holds_only_unsure(self) -> bool:
        """Whether all that it holds may never have reached it."""
        return self.held.keys() <= self.unsure

    def is_stalled(self, now: float) -> bool:
        """Whether its outcomes fail to appear as earlier ones promised.

        Those that just miss a request which stands have to wait for the next one, so they may be
        two round trips on their way.
        """
        patience = max(self._rules.stall, 3 * (self.duration or 0.0))
        patience += 2 * self.channel.round_trip
        return len(self.held) >= self.slots and now - self.progress_at > patience

    def pace(self, now: float) -> float | None:
        """Return the seconds that a call takes there: the mean, or what the present one shows."""
        if self.duration is None or not self.is_stalled(now):
            return self.duration
        return max(self.duration, now - self.progress_at)

    def can_begin(self, count: int) -> bool:
        """Say whether it can begin so many more calls at once, beside nothing that may kill it."""
        return len(self.held) + count <= self.slots and not self._suspects

    def view(self, now: float, *, alone: bool = False, risk: bool = False) -> dispatch.View:
        """Return what dispatch needs to know; see there for `alone` and `risk`."""
        return dispatch.View(
            slots=self.slots,
            held=len(self.held),
            duration=self.pace(now),
            round_trip=self.channel.round_trip,
            alone=alone,
            risk=risk or self._suspects > 0,
        )

    def describe(self) -> str:
        """Return the job's id, stage and page in one line, for error messages."""
        if self._description is None:  # asked for each outcome
            self._description = self._describe()
        return self._description

    def _describe(self) -> str:
        job = self.job
        if job is None:
            return "a job that was not created"
        stage = job.stage
        if self.has_spoken and self.phase in {Phase.UNCLEAR, Phase.WAITING}:
            stage = "RUNNING"  # it says so itself: the list is late
        detail = f": {job.message}" if job.message else ""
        reason = f", cancel reason {job.cancel_reason}" if job.cancel_reason else ""
        return f"job {job.id} (stage {stage}{detail}{reason}) {job.url}"

    def log_tail(self) -> str:
        """Return the last lines of its log, for error messages."""
        return "\nThe last lines of its log:\n" + "\n".join(self.tail) if self.tail else ""

    @property
    def due(self) -> float:
        """When it has to be looked at again, if nothing is heard of it until then."""
        due = min(self.launch.due, self.channel.due, self.log.due, self.judge_at, self.leave_by)
        return due if self.retiring else min(due, self.ages_at)

    @property
    def ages_at(self) -> float:
        """When it is given the last call: one that begins later may not end before its timeout.

        How long one takes say the limits of the calls that there are, and where one has none the
        longest that it has run. Where that leaves no time it takes one all the same, as its
        successor would have no more of it.
        """
        if self._ages_at is None:  # asked at each turn, in hardly any of which it changes
            self._ages_at = self.reckon_age()
        return self._ages_at

    def reckon_age(self) -> float:
        """Return what `ages_at` should be; whatever changes a part of it has it forgotten."""
        if self.hello is None or self.port is None:  # without a door it is given nothing later
            return math.inf
        times = self._times
        needed = max(times.longest, self.longest) if times.endless else times.longest
        ages_at = self.runs_since + self._lifetime - needed
        return ages_at if self.served else max(ages_at, self.greeted_at + self._rules.door_wait)

    def forget_age(self) -> None:
        """Note that something has changed that `ages_at` depends on."""
        self._ages_at = None

    def may_run(self, since: float) -> None:
        """Note when its job may have begun, at the earliest."""
        self.runs_since, self._ages_at = since, None

    # --- what it is given --------------------------------------------------------------------

    def board(self, calls: Iterable[Call]) -> None:
        """Take calls aboard that travel in its launch request."""
        calls = list(calls)
        self._hold(calls)
        self.channel.aboard(calls)

    def give(self, calls: Iterable[Call], now: float) -> None:
        """Put calls on their way to its door."""
        if not self.held:
            self.progress_at = now
        calls = list(calls)
        self._hold(calls)
        self.channel.give(calls)

    def _hold(self, calls: list[Call]) -> None:
        if calls and not self.served:
            self.served, self._ages_at = True, None
        for call in calls:
            call.worker = self.id
            self.held[call.id] = call
            self._suspects += call.lost > 0
        self.ahead.extend(calls)

    def begin_calls(self, claim: Callable[[Call], bool]) -> list[Call]:
        """Mark the futures of what runs there as running; return calls that were cancelled.

        A call has begun there, as far as anybody can know, when it is among the first that it
        holds, one for each slot. All others wait, and can be cancelled.
        """
        cancelled: list[Call] = []
        while self.ahead and len(self._begun) < self.slots:
            call = self.ahead.popleft()
            if call.id not in self.held:  # taken back meanwhile
                continue
            if call.claimed or claim(call):
                call.claimed = True
                self._begun.add(call.id)
            else:
                cancelled.append(call)
        return cancelled

    def drop(self, call_id: int) -> Call | None:
        """Forget a call: answered, given back or cancelled."""
        call = self.held.pop(call_id, None)
        if call is not None:
            self._suspects -= call.lost > 0
            self._begun.discard(call_id)
            self.channel.release(call)
            if not self.held:
                self.ahead.clear()
        return call

    def waits_of(self, kinds: tuple[str, ...]) -> int:
        """Return how many calls that ask for these kinds wait there."""
        return sum(self.held[call_id].kinds == kinds for call_id in self.not_begun())

    def to_recall(self, count: int, kinds: tuple[str, ...]) -> list[int]:
        """Return the ids of calls to ask back, so that `count` of them come.

        Those are the last that it was given; but it may run them in another order (one that
        travelled in parts, one that came back and was given again), so after a recall in vain all
        are asked for.
        """
        ids = [call.id for call in self.held.values() if call.kinds == kinds]
        return ids if self.in_vain else ids[len(ids) - count :]

    def not_begun(self) -> list[int]:
        """Return the ids of calls that wait there, as far as anybody can know."""
        return [call_id for call_id in self.held if call_id not in self._begun]

    def send(self, now: float) -> list[Send | SendRange | Fetch | Listen]:
        """Return what goes to its door now."""
        owes = bool(self.held) and not self.cancelling
        return self.channel.send(now, owes=owes, since=self.progress_at)

    def take_port(self, port: int | None) -> None:
        """Have a door after all, of which nothing was known."""
        self.port, self.one_shot, self._ages_at = port, port is None, None
        self.channel = self._new_channel()

    def give_up_port(self) -> None:
        """Be launched without a port."""
        self.port, self.one_shot, self._ages_at = None, True, None
        self.channel = self._new_channel()

    def _new_channel(self) -> Channel:
        return Channel(self.id, self.port, self._rules, jitter=self._jitter)

    def ask_again(self, now: float) -> None:
        """Have it say again which of the calls it holds are done; not more than twice a second."""
        if self.takes_orders and self.held and now - self.asked_at > self._rules.ask_every:
            self.asked_at = now
            self.channel.outgoing.again(list(self.held)[: self._rules.ask_most])

    # --- what is heard of it -----------------------------------------------------------------

    _ran = False  # its job was seen running
    _description: str | None = None
    _ages_at: float | None = None  # None: to be reckoned anew

    def read_log(self, now: float) -> ReadLog:
        """Read its log from the start."""
        assert self.job is not None
        command = self.log.open(self.job.id)
        if self.phase in TERMINAL:  # or a log that goes on without end would be read for ever
            self.log.limit(now)
        return command

    def see(self, job: JobSeen) -> bool:
        """Take what the Hub says of its job; say whether the phase is another one."""
        before, phase = self.phase, phase_of(job.stage)
        if self.job is not None and _RANK[phase] < _RANK[before]:
            job = job._replace(stage=self.job.stage, message=self.job.message)
            phase = before
        if self.job is not None and not job.door:
            job = job._replace(door=self.job.door)
        if self.job is not None and job.started is None:
            job = job._replace(started=self.job.started)
        self.job, self.phase, self._description = job, phase, None
        self._ran = self._ran or phase is Phase.RUNNING
        return phase is not before

    def note_starts(self, starts: int) -> None:
        """Note how many supervisors have spoken in its log."""
        if starts > self.starts:
            self.starts, self._description = starts, None

    def greet(self, hello: Hello, now: float) -> None:
        """Take its HELLO."""
        self.hello, self._description = hello, None
        self.progress_at, self.probe_after = now, self._rules.probe
        self.greeted_at, self._ages_at = min(self.greeted_at, now), None
        if hello.slots is not None and hello.slots > 0:
            self.slots = hello.slots

    def note_answer(self, call_id: int) -> None:
        """Note an outcome that nobody waits for any more."""
        self.answers += self.drop(call_id) is not None
        self.acknowledge(call_id)

    def answered(self, call: Call, seconds: float, now: float) -> None:
        """Note that it has answered `call` after running it for `seconds`."""
        self.drop(call.id)
        self.acknowledge(call.id)
        self.progress_at, self.in_vain = now, 0
        self.probe_after = max(self._rules.probe, 4 * seconds)
        self.answers += 1
        if seconds > self.longest:
            self.longest, self._ages_at = seconds, None
        mean = self.duration or 0.0
        self.duration = mean + max(_SMOOTHING, 1 / self.answers) * (seconds - mean)

    def acknowledge(self, call_id: int) -> None:
        """Note that an outcome is safe here."""
        if self.channel.door is not Door.ABSENT:
            self.channel.outgoing.acknowledge(call_id)

    def note_unacknowledged(self, count: int) -> None:
        """Note how many outcomes it keeps because they were not acknowledged."""
        self.unheard = count > self.channel.outgoing.acknowledgements
