"""What has to be true: of each call and job after every step, and of all at the end."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hfexecutor import errors
from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.core.call import number_of
from hfexecutor.core.rules import Rules
from hfexecutor.remote import entries as wire
from hfexecutor.remote import outcomes

from . import user
from .children import OPEN, lines_of, value_of
from .plan import number_of as number_of_flavor

if TYPE_CHECKING:
    from hfexecutor.core.call import Call
    from hfexecutor.core.machine import Machine
    from hfexecutor.core.worker import Worker

    from .clock import Clock
    from .doors import Doors
    from .hub import Hub, Job
    from .plan import Plan
    from .user import Future, Work

UNKNOWN_FOR = 75.0  # seconds that a job may run which the core does not know, if lists are whole
CROSSING = 1.5  # seconds in which a word has reached the job, where doors work
LONG = 10_000.0  # seconds that no run takes
LATE_LIST = 15.0  # seconds until what is due with the next list is done
LATE = 1.0  # seconds after which what is due is forgotten
REGULAR = 5.0  # seconds between two looks at everything
HEARD = 45.0  # seconds until what was given to a job is there, or what it said of it is here
FIRST_VISIT, FETCHES = 30.0, 60.0  # that a job waits for a message, and for what it has announced
IN_SIGHT = 1000  # lines within which an outcome is said again that was not acknowledged
LAST_WORDS = 100  # lines that all of those take at the most, where they are little
LITTLE = 300_000  # bytes of outcomes that it always says again


class WrongError(AssertionError):
    """Something is not as it has to be: the check's name, and what was seen."""

    def __init__(self, check: str, text: str) -> None:
        super().__init__(f"{check}: {text}")
        self.check = check


class Checks:
    """All checks of one run.

    Attributes:
        reached: how often rare paths were taken.
    """

    def __init__(self, clock: Clock, plan: Plan, work: dict[int, Work]) -> None:
        self.clock = clock
        self.plan = plan
        self.worst = plan  # all that has ever gone wrong in this run: what it excuses stays excused
        self.work = work
        self.futures: dict[int, Future] = {}
        self.reached: Counter[str] = Counter()
        self.hub: Hub
        self.doors: Doors
        # Of each attempt of a call, by its id, as all that follows.
        self.begins: dict[int, list[Job]] = {}
        self.launches: dict[int, set[Any]] = {}  # by number: all launches that any attempt began in
        self.retries: dict[int, int] = {}  # that each call may have, by number
        self.paused: dict[int, float] = {}  # until when
        self.given: dict[int, list[str]] = {}  # call: workers that it was handed to, in any way
        self.on_its_way: dict[str, int] = {}  # numbers of messages without an answer, by worker
        self.arrived: dict[int, Any] = {}  # outcomes that the core was told while they counted
        self.ended: set[int] = set()
        self.open = 0
        self.posts: dict[str, int] = {}  # under way, by worker
        self.unknown: dict[str, float] = {}  # jobs, and since when
        self.cancelled_at: dict[int, float] = {}
        self.aborted = False
        self.closed = False
        self.closed_at = 0.0
        self.has_left = False  # the client is gone, or about to
        self._cancels: Counter[str] = Counter()  # by job
        self._readings: dict[str, int] = {}  # of each job's log that began when it was over
        self._backups = 0
        self._failing = False  # an error that ends all calls was seen
        self._spoke: set[str] = set()  # workers that the core has heard
        self.unsure: set[int] = set()  # calls that may never have reached their worker
        self._on_its_way: dict[tuple[int, str], float] = {}  # calls and jobs, and since when
        self._unanswered: list[Worker] = []  # whose messages fail in this step
        self._steps = 0
        self._often = 1 if plan.calls <= 300 and plan.workers <= 12 else 40

    def sometimes(self, path: str) -> None:
        """Note that a rare path was taken."""
        self.reached[path] += 1

    def check(self, name: str, truth: Any, text: str) -> None:
        if not truth:
            raise WrongError(name, f"at {self.clock.now:.3f} s: {text}")

    # --- what users do ------------------------------------------------------------------------

    def submitted(self, calls: Iterable[Call]) -> None:
        for call in calls:
            self.futures[call.id] = call.future
            self.retries[call.id] = call.options.max_retries
            self.open += 1

    def retried(self, call: Call, pause: float) -> None:
        """A call is to run again after a pause."""
        self.paused[call.id] = self.clock.now + pause
        if call.avoid:
            self.check("what is retried has raised", self.work[call.number].fails, f"{call}")

    def cancelled(self, future: Future) -> None:
        """Its owner has cancelled a future."""
        self.open -= 1
        self.cancelled_at[future.call] = self.clock.now

    # --- before and after a step --------------------------------------------------------------

    def before(self, events: list[ev.Event], machine: Machine) -> None:
        self._unanswered = []
        for event in events:
            if isinstance(event, ev.Answered):
                self.on_its_way.pop(event.worker, None)
            if isinstance(event, ev.Unanswered) and event.worker in machine.workers:
                self._unanswered.append(machine.workers[event.worker])
            elif isinstance(event, (ev.Heard, ev.Answered, ev.Fetched)):
                worker = machine.workers.get(event.worker)
                if worker is None:
                    continue
                for news in event.news:
                    if type(news) is ev.Done and news.call in machine.pending.open:
                        self._arrive(news, event, machine)

    def _arrive(self, news: ev.Done, event: Any, machine: Machine) -> None:
        call = machine.pending.open[news.call]
        if news.call not in self.arrived:
            self.arrived[news.call] = news.outcome
            if call.worker != event.worker:
                self.sometimes("an outcome comes from a worker that was given up")
            again = machine.workers[event.worker].log.rereads > 0
            if again and isinstance(event, ev.Heard) and machine.workers[event.worker].bye is None:
                self.sometimes("an outcome is found by reading a log again")
            if isinstance(event, ev.Answered):
                self.sometimes("an outcome comes only by being asked for again")

    def after(self, machine: Machine) -> None:
        self._steps += 1
        if machine.counters.backups > self._backups:
            self._backups = machine.counters.backups
            self.sometimes("a backup begins")
            waiting = machine.pending.waiting
            self.check("a backup begins only where nothing waits", not waiting, f"{waiting} wait")
        for worker in self._unanswered:
            self.unsure |= worker.unsure
        if self._steps % self._often == 0:
            machine.check()
            slots = sum(w.slots for w in machine.workers.values() if not w.is_closing)
            self.check(
                "no more slots than asked for",
                slots <= self.plan.workers or self.worst.cancel_fails,
                f"{slots}",
            )
            for worker in machine.workers.values():
                suspects = sum(call.lost > 0 for call in worker.held.values())
                if suspects:
                    self.check(
                        "a suspect gets no company",
                        len(worker.held) == 1 or self.has_left,
                        f"{list(worker.held.values())[:9]}",
                    )

    # --- calls --------------------------------------------------------------------------------

    def posted(self, command: do.Post) -> None:
        self.posts[command.worker] = self.posts.get(command.worker, 0) + 1
        for call in command.calls:
            self._give(call.id, command.worker)
        self.check(
            "nothing goes aboard a job that may be launched twice",
            all(call.options.max_retries for call in command.calls)
            or command.attempt == 1
            or command.one_shot,
            f"{command}",
        )
        if command.attempt > 1:
            self.sometimes("a launch is repeated")
        self._look_at_kind(command)

    def _look_at_kind(self, command: do.Post) -> None:
        """A flavor is preferred to the next one in a list, unless it did not come."""
        for call in command.calls:
            self.check("a call gets what it asks for", command.kind in call.kinds, f"{command}")
            before = call.kinds[: call.kinds.index(command.kind)]
            for kind in before:
                self.sometimes("the next flavor of a list is launched")
                excused = self.worst.max_cost or self.worst.post_refused or self._passed_over(kind)
                # There may be no more of it for now.
                excused = excused or self.reached["a launch fails while others work"]
                self.check("the preferred flavor comes first", excused, f"{command} for {call}")

    def _passed_over(self, kind: str) -> bool:
        """Whether a job of this kind was waited for long enough, as far as anybody could see.

        It is waited for from its request on, and lists may show it waiting that has begun.
        """
        plan = self.worst
        jobs = [job for job in self.hub.jobs.values() if job.command.kind == kind]
        unseen = math.inf if plan.list_misses else plan.list_lag
        least = plan.scheduling_timeout - 2 * plan.api - unseen
        return plan.scheduling_timeout > 0 and any(
            self._cancels[job.id] and job.waited >= least for job in jobs
        )

    def post_ends(self, command: do.Post) -> None:
        self.posts[command.worker] -= 1

    def reading(self, command: do.ReadLog) -> None:
        """The core reads a log from its start."""
        over = not self.hub.jobs[command.job].alive
        self._readings[command.job] = self._readings.get(command.job, 0) + over

    def sending(self, command: do.Send) -> None:
        # One message is on its way to a worker at a time: until it is answered, it is repeated.
        before = self.on_its_way.setdefault(command.worker, command.number)
        repeated = before == command.number
        self.check("a message is repeated as it was", repeated, f"{command}, after {before}")
        for entry in command.entries:
            if entry.kind == wire.CALL and entry.part == 0:
                self._give(entry.call, command.worker)
        if len(command.entries) > 50:
            self.sometimes("many calls travel together")

    def _give(self, call: int, worker: str) -> None:
        given = self.given.setdefault(call, [])
        if worker not in given:
            given.append(worker)
            if self.retries[number_of(call)] == 0:
                begun = [job for job in self.begins.get(call, ()) if job.worker != worker]
                self.check("no retries", not begun, f"call {call} began in {begun} and is given")

    def began(self, job: Job, call: int) -> None:
        """A call begins in a job."""
        kinds = self.work[number_of(call)].kinds
        self.check("a call runs on what it asks for", job.command.kind in kinds, f"{call} in {job}")
        earlier = self.begins.setdefault(call, [])
        if not job.restarted:
            self.check("a job runs a call once", job not in earlier, f"call {call} in {job}")
        # Where one request makes two jobs, nobody can prevent that both begin what is aboard; and
        # a launch without an answer is repeated before lists show its job if they lag very much, or
        # miss it each time.
        number = number_of(call)
        retries = self.retries[number]
        retries += self.plan.grow and self.work[number].kind == "memory"
        hidden = bool(retries) and self.plan.list_lag > sum(Rules().looks)
        launches = self.launches.setdefault(number, set())
        if not job.restarted:
            launches.add((call, job.worker, job.command.attempt))
        missed = bool(retries) and self.worst.list_misses
        counted = {launch[:2] for launch in launches} if missed else launches
        self.check(
            "no call begins more often than allowed",
            job.restarted or hidden or len(counted) <= 1 + retries,
            f"call {call} begins in {job}, after {earlier}",
        )
        self.check(
            "a pause is kept",
            self.clock.now >= self.paused.get(call, 0.0) or self.has_left,  # nobody is there then
            f"call {call} begins in {job} before {self.paused.get(call)}",
        )
        if call != number and not earlier and len(launches) > 1:
            launch = (job.worker, job.command.attempt)
            same = any(begun[1:] == launch for begun in launches if begun[0] != call)
            self.sometimes(f"a retry begins in {'the same' if same else 'another'} job")
        earlier.append(job)
        future = self.futures[number]
        if future.state in {user.CANCELLED, user.NOTIFIED}:
            self.sometimes("a cancel crosses a start")
            since = self.clock.now - self.cancelled_at.get(call, self.clock.now)
            if self._is_aboard_with_others(job, call):  # the job comes up all the same
                since = min(since, self.clock.now - job.started - 4 * self.plan.api)
            self.check(
                "what is cancelled does not begin",
                since < CROSSING or not self._doors_work(job) or job.restarted,
                f"call {call} begins in {job}, {since:.3f} s after it was cancelled",
            )
        elif len(earlier) > 1:
            self.sometimes("a call runs again")
            if not job.restarted and not job.cancel_failed:  # else it should be gone
                self._justify(job, call, earlier[:-1])

    def _is_aboard_with_others(self, job: Job, call: int) -> bool:
        """Whether a call is in a launch request for which there are other reasons as well.

        It cannot be taken out of that, and the job is told not to run it once it can be told.
        """
        aboard = {one.id for one in job.command.calls}
        return call in aboard and not all(self.futures[i].asked for i in aboard if i != call)

    def _doors_work(self, job: Job) -> bool:
        """Whether what is said to a job arrives at once."""
        return job.command.port is not None and self.doors_always_work

    @property
    def doors_always_work(self) -> bool:
        """Whether what is said to any job arrives at once."""
        plan = self.worst
        faults = (
            plan.door_lost,
            plan.door_dropped,
            plan.door_unanswered,
            plan.door_hangs,
            plan.door_rejects,
            plan.door_forged,
            plan.door_outage,
            plan.no_door,
            plan.door_not_found,
            plan.list_lag,
            plan.list_misses,
            plan.list_slow,
            plan.log_lag,
            plan.log_stall,
            plan.log_none,
            plan.log_cut,
            plan.log_short,
            plan.log_window,
            plan.post_hangs,
            plan.post_late,
            plan.post_unclear,
            plan.post_twice,
            plan.cancel_slow,
            plan.cancel_fails,
            plan.forgets,
            plan.heavy,
            plan.refuses_ports,
        )
        works = plan.warm and plan.door_at in {"launch", "running"} and not self.has_left
        return works and not any(faults)

    def _justify(self, job: Job, call: int, earlier: list[Job]) -> None:
        """A call runs again only because its job was lost, or may have been."""
        for before in earlier:
            if len(self.hub.by_worker[before.worker]) > 1:  # nobody followed both of them
                continue
            self.check(
                "an outcome that was said is read",
                self.logs_fail() or call not in before.log.said or before.restarted,
                f"call {call} begins in {job}, and the log of {before} has its outcome",
            )
            ended = not before.alive and not before.restarted and not self._cancels[before.id]
            readings = self._readings.get(before.id, len(Rules().patience))
            self.check(
                "a log is read again and again before its calls are lost",
                not ended or readings >= len(Rules().patience),
                f"call {call} begins in {job}, the log of {before} was read {readings} times",
            )
            excused = (
                not before.alive
                or before.restarted
                or before.worker not in self._spoke  # nobody could know that it had begun
                or call in self.unsure
                or self.reached["a job is ended because of what it would cost"] > 0
                or self._outcome_is_lost(before)
            )
            self.check(
                "a call runs again only if its job was lost",
                excused,
                f"call {call} begins in {job}, and {before} is alive",
            )

    def left(self, job: Job) -> None:
        """A job leaves by itself: it has said everything, and was told what has arrived."""
        supervisor = job.supervisor
        assert supervisor is not None
        bye = job.log.bye
        self.check("a job says good-bye", bye is not None, f"{job} has not")
        assert bye is not None
        machine = supervisor.machine
        self.check("a good-bye is right", bye["calls"] == machine.pool.answered, f"{bye} in {job}")
        self.check("nobody leaves work undone", bye["returned"] == machine.pool.busy, f"{bye}")
        self._all_is_in_sight(job, LAST_WORDS)
        if (
            not supervisor.was_told_to_leave
            or self.logs_fail()
            or not self._doors_work(job)
            or self.reached["a log is cut"]
        ):
            return
        said_by = self.clock.now - CROSSING - 4 * self.plan.rtt
        old = [c for c in supervisor.unacknowledged if supervisor.told_at[c] < said_by]
        self.check("outcomes are acknowledged", not old, f"{len(old)} in {job}: {old[:9]}")

    def _all_is_in_sight(self, job: Job, lines: int, ago: float = 0.0) -> None:
        """Of what a job keeps, and had some seconds `ago`, all is in the last lines of its log."""
        supervisor = job.supervisor
        assert supervisor is not None
        kept = supervisor.unacknowledged
        if sum(kept.values()) > LITTLE:
            return
        since, then = len(job.log.lines) - lines, self.clock.now - ago
        old = [call for call in kept if supervisor.told_at.get(call, 0.0) <= then]
        gone = [call for call in old if job.log.said.get(call, -1) < since]
        self.check("what is not acknowledged is in sight", not gone, f"{gone[:9]} in {job}")

    def _outcome_is_lost(self, job: Job) -> bool:
        return bool(self.plan.forgets) and job.forgotten

    # --- jobs ---------------------------------------------------------------------------------

    def cancelling(self, job_id: str, machine: Machine) -> None:
        """The core cancels a job: not one that works."""
        job = self.hub.jobs.get(job_id)
        self.check("only our jobs are cancelled", job is not None, job_id)
        assert job is not None
        self._cancels[job_id] += 1
        self.check(
            "a job is cancelled once",
            self._cancels[job_id] <= 2 or job.cancel_failed,
            f"{job} for the {self._cancels[job_id]}th time",
        )
        worker = machine.workers.get(job.worker)
        self.check(
            "the job of a launch under way is not cancelled",
            worker is None or worker.job is not None or worker.cancelling or self.aborted,
            f"{job} of {worker}",
        )
        if worker is None or worker.job is None or worker.job.id != job_id:
            self.sometimes("a job that is nobody's is cancelled")
            return
        if not job.alive or job.restarted or self.aborted or machine.broken:
            return
        if worker.hello is None and job.begun:
            self.sometimes("a job is cancelled that had begun without our knowing")
            return
        working = (
            [
                call
                for call in job.supervisor.running
                if call in worker.held
                and not self.futures[number_of(call)].done
                and call not in worker.unsure
            ]
            if job.supervisor is not None
            else []
        )
        killed = all(self.futures[number_of(call)].asked == "kill" for call in worker.held)
        self.check(
            "a job that works is not cancelled",
            not working or killed or self._failing,
            f"{job} runs {working[:9]}",
        )

    # --- futures ------------------------------------------------------------------------------

    def started(self, command: do.Started) -> None:
        for call in command.calls:
            self.futures[call.number].job = command.job.id

    def complete(self, command: do.Complete) -> None:
        for call, outcome, where, worker in command.completions:
            future = self._end(call.number)
            future.finish(outcome, None)
            future.printed.end(outcome.printed, unterminated=outcome.unterminated)
            if call.backups:
                first = "backup" if call.is_backup else "first"
                self.sometimes(f"of two attempts the {first} has the outcome")
            right = self.is_right(future, call, outcome, worker)
            self.check("an outcome is right", right, f"{call} {outcome}")
            self.check("an error says where", "job" in where, where)

    def is_right(self, future: Future, call: Call, outcome: outcomes.Outcome, worker: str) -> bool:
        work, status = self.work[future.call], outcome.status
        if status == outcomes.TIMEOUT:
            limit = self.worst.call_timeout
            return limit > 0 and (work.kind == "hang" or work.lasts(0) > limit - 0.1)
        if status == outcomes.NOT_INSTALLED:
            return self.worst.install_fails > 0 and work.need > 0
        if status == outcomes.DIED:
            details = outcome.details()
            if details["asked"]:
                return future.asked == "kill"
            code = details["exitcode"] if details["signal"] is None else -details["signal"]
            if code == user.KILLED and call.options.on_memory_error and not call.killed:
                kind = self.hub.by_worker[worker][0].command.kind
                larger = [
                    one for one in call.kinds if number_of_flavor(one) > number_of_flavor(kind)
                ]
                self.check("what takes much memory gets it", not larger, f"{call} on {kind}")
            # Who attaches does not know what was wanted of a call.
            asked = self.plan.grow and not self.has_left
            if code == user.KILLED and asked and not call.options.on_memory_error:
                kind = self.hub.by_worker[worker][0].command.kind
                smaller = any(
                    number_of_flavor(job.command.kind) < number_of_flavor(kind)
                    for attempt, jobs in self.begins.items()
                    if number_of(attempt) == future.call
                    for job in jobs
                )
                self.check("what ran once more had more memory", smaller, f"{call} on {kind}")
            return details["during"] == "call" and user.DEATHS.get(work.kind) == code
        raises = status == outcomes.RAISED
        ends = outcome.payload == value_of(future.call, work)
        if raises and work.kind == "flaky":
            # A completion after a retry was weighed names the attempt that would have come next.
            return ends and (call.options.retry is None or call.retries_left <= 0 or call.killed)
        return (
            ends
            and raises == (work.kind == "raise")
            and (work.kind not in user.DEATHS or work.memory < user.NEVER)
        )

    def fail(self, command: do.Fail) -> None:
        future = command.call.future
        if not future.claim():
            return
        self._end(command.call.number)
        future.finish(None, command.error)
        self._look_at_error(future, command)

    def _look_at_error(self, future: Future, command: do.Fail) -> None:
        error, plan, call = command.error, self.worst, future.call
        arrived = self.arrived.get(command.call.id)
        self.check("no outcome that arrived is lost", arrived is None, f"{future}: {error}")
        if isinstance(error, errors.DetachedError):
            self.check("only who leaves lets go", self.has_left, f"{future}: {error}")
        elif isinstance(error, errors.CostLimitError):
            self.sometimes("a call ends because of what it would cost")
            self.check("there is a limit", plan.max_cost, f"{future}: {error}")
        elif isinstance(error, errors.CallStoppedError):
            self.check("stopped as asked", future.asked == "kill" or self.aborted, f"{future}")
        elif isinstance(error, errors.BrokenHubExecutor):
            self.check("broken", plan.broken, f"{future}")
        elif isinstance(error, errors.JobLostError):
            self.sometimes("a call is lost")
            given = sum(len(self.given[i]) for i in self.given if number_of(i) == call)
            self.check(
                "a call is lost only with its jobs",
                given > self.retries[call] and self._jobs_may_be_lost(call),
                f"{future} after {given} jobs: {error}",
            )
        elif isinstance(error, errors.JobFailedError):
            self._failing = True
            self.check(
                "a job fails for a reason",
                plan.job_stillborn
                or plan.job_killed
                or plan.killing
                or plan.log_none
                or plan.log_window,
                f"{future}: {error}",
            )
        elif isinstance(error, errors.PayloadTooLargeError):
            one_shot = not plan.warm or self.reached["doors are given up"]
            one_shot = one_shot or self.reached["ports are given up"]
            stored = plan.bucket and not plan.store_fails
            large = (plan.heavy or (plan.buffers and not stored)) and one_shot
            full = plan.buffers and plan.no_memory
            self.check("too large for a launch or a job", large or full, f"{future}: {error}")
        elif isinstance(error, errors.HubError):
            self._failing = True
            self.check("the Hub fails for a reason", self._hub_may_fail(call), f"{future}: {error}")
        else:
            raise WrongError("an error is one of ours", repr(error))

    def _jobs_may_be_lost(self, call: int) -> bool:
        plan = self.worst
        if self._began_as_it_was_cancelled(call):
            self.sometimes("a call is lost with a job that began as it was cancelled")
            return True
        if plan.job_timeout < LONG and not plan.calls_fit:
            return True
        if plan.killing or plan.job_killed or plan.job_restarted or plan.job_stillborn:
            return True
        if plan.log_window or plan.log_none or plan.log_short or plan.forgets or plan.log_stall:
            return True
        if plan.log_cut or plan.log_endless or plan.log_lag:
            return True
        return bool(plan.post_unclear or plan.post_twice or plan.post_page or plan.post_hangs)

    def _began_as_it_was_cancelled(self, call: int) -> bool:
        """Whether a job of a call came so late that another flavor was to be tried.

        Where nobody can tell whether it has, it counts as begun.
        """
        patience = self.worst.scheduling_timeout
        workers = {w for i, given in self.given.items() if number_of(i) == call for w in given}
        return patience > 0 and any(
            self._cancels[job.id]
            and (job.started >= 0 or self.worst.inspect_fails)
            and job.waited >= patience - 1.0
            for job in self.hub.jobs.values()
            if job.command.worker in workers
        )

    def _hub_may_fail(self, call: int) -> bool:
        plan = self.worst
        if plan.connect_fails or plan.post_refused or plan.post_page or plan.list_dies:
            return True
        unclear = plan.post_unclear or plan.post_unclear_not or plan.post_hangs or plan.post_late
        if self.retries[call] or not unclear:
            return False
        doors = self.reached["doors are given up"] + self.reached["ports are given up"]
        return not plan.warm or doors > 0

    def cancel_future(self, command: do.CancelFuture) -> None:
        future = command.call.future
        self.check("only the closed cancel", self.closed, f"{future}")
        if future.state == user.RUNNING:
            raise WrongError("what runs is not cancelled", f"{future}")
        if not future.done:
            self.open -= 1
            self.cancelled_at[future.call] = self.clock.now
        future.cancel()
        future.state = user.NOTIFIED
        self.ended.add(future.call)

    def notify(self, command: do.NotifyCancelled) -> None:
        future = command.call.future
        self.check(
            "only the cancelled are notified",
            future.state in {user.CANCELLED, user.NOTIFIED},
            f"{future}",
        )
        future.state = user.NOTIFIED
        self.ended.add(future.call)

    def _end(self, call: int) -> Future:
        self.check("a future ends once", call not in self.ended, f"call {call}")
        self.ended.add(call)
        future = self.futures[call]
        future.ended_at = self.clock.now
        self.open -= 1
        return future

    def report(self, command: do.Report) -> None:
        if command.level >= logging.ERROR:
            raise WrongError("no error is reported", command.text)
        for words, path in _REPORTS.items():
            if words in command.text:
                self.sometimes(path)

    # --- regularly, and at the end ------------------------------------------------------------

    def look_around(self, machine: Machine) -> None:
        """Look at jobs that nobody knows, and at calls that wait where they should not."""
        self._look_at_ahead(machine)
        self._look_at_what_is_due(machine)
        self._look_at_what_was_given(machine)
        self._look_at_what_waits(machine)
        self.look_at_bills()
        self.look_at_costs(machine)
        self._spoke |= {w.id for w in machine.workers.values() if w.has_spoken}
        known = {w.job.id for w in machine.workers.values() if w.job is not None}
        known |= machine.cancelling_jobs
        launching = {w.id for w in machine.workers.values() if w.job is None}
        now = self.clock.now
        for job in self.hub.jobs.values():
            if not job.alive or job.id in known or job.worker in launching or job.cancel_failed:
                self.unknown.pop(job.id, None)
                continue
            since = self.unknown.setdefault(job.id, now)
            bound = UNKNOWN_FOR + 2 * self.plan.list_lag
            if self.plan.list_misses or self.posts.get(job.worker):
                bound *= 3
            self.check(
                "no job is unknown for long",
                now - since < max(bound, 2 * self.plan.idle_timeout),
                f"{job} for {now - since:.0f} s",
            )

    def _look_at_what_waits(self, machine: Machine) -> None:
        """No job is waited for longer than its user wants, where another flavor can be tried."""
        plan = self.worst
        patience = plan.scheduling_timeout
        hidden = plan.list_lag or plan.list_misses or plan.list_slow or plan.list_dies
        if not patience or hidden or plan.odd_stages or plan.stage_lag or plan.max_cost:
            return
        if plan.cancel_fails or plan.cancel_slow:
            return
        if plan.post_refused:  # others may have been refused
            return
        for worker in machine.workers.values():
            job = self.hub.jobs.get(worker.job.id) if worker.job is not None else None
            if job is None or not job.alive or job.started >= 0 or worker.is_closing:
                continue
            later = worker.asked_by[worker.asked_by.index(worker.kind) + 1 :]
            late = self.clock.now - job.created - patience
            self.check(
                "no job is waited for too long",
                late < LATE_LIST or all(self._passed_over(kind) for kind in later),
                f"{worker} waits for {late:.1f} s too long",
            )

    def _look_at_what_is_due(self, machine: Machine) -> None:
        """Nothing of a worker is overdue: each timer is somebody's to remember."""
        for worker in () if machine.finished else machine.workers.values():
            due = min(worker.launch.due, worker.channel.resend_at, worker.log.due)
            late = self.clock.now - due
            self.check("what is due is done", late < LATE, f"{worker} waits for {late:.1f} s")

    def _look_at_what_was_given(self, machine: Machine) -> None:
        """A job gets what it was given, and what it says of it is heard, however bad its log is."""
        now, since = self.clock.now, {}
        for worker in machine.workers.values() if self._messages_arrive else ():
            job = self.hub.jobs.get(worker.job.id) if worker.job is not None else None
            if job is None or not job.alive or job.restarted or job.supervisor is None:
                continue
            if not worker.takes_calls:
                continue
            there = set(job.supervisor.machine.pool.held)
            for call in worker.held.keys() - there:
                key = (call, job.id)
                since[key] = begun = max(self._on_its_way.get(key, now), worker.progress_at)
                bound = HEARD + 4 * worker.longest + (FETCHES if self.plan.large else 0.0)
                late = now - begun
                self.check("what is given is heard of", late < bound, f"{call} in {worker}: {late}")
        self._on_its_way = since

    @property
    def _messages_arrive(self) -> bool:
        """Whether messages to jobs arrive now, and are answered."""
        plan = self.plan
        faults = (
            plan.door_lost,
            plan.door_dropped,
            plan.door_unanswered,
            plan.door_hangs,
            plan.door_rejects,
            plan.door_forged,
            plan.door_outage,
        )
        return self.hub.is_well or not any(faults)

    def look_at_bills(self) -> None:
        """No job is paid for longer than it is of use, and the time that it waits for more."""
        plan = self.worst
        for job in self.hub.jobs.values():
            supervisor = job.supervisor
            if supervisor is None or not job.alive or not supervisor.alive:
                continue
            self._all_is_in_sight(job, IN_SIGHT, ago=1.0)
            if supervisor.is_working:
                continue
            most = 0.0 if job.command.one_shot else plan.idle_timeout
            if not supervisor.visited and supervisor.door and not job.command.calls:
                most = max(most, FIRST_VISIT)
            if supervisor.unacknowledged:
                most = max(most, plan.keep_for)
            if plan.large:
                most += FETCHES
            told = self.clock.now - max(supervisor.told_to_leave_at, supervisor.useful_at)
            self.check(
                "who is told to leave leaves", told < 1.0, f"{job} was told to, {told:.1f} s ago"
            )
            idle = self.clock.now - supervisor.useful_at
            self.check(
                "no job is paid for to wait",
                idle < most + 1.0,
                f"{job} has waited for {idle:.1f} s",
            )

    def look_at_costs(self, machine: Machine) -> None:
        """What the Hub bills is not more than the core has reckoned, and than it may spend."""
        plan = self.worst
        unsure = (
            plan.cancel_fails,
            plan.cancel_slow,
            plan.forgets,
            plan.list_dies,
            plan.list_misses,
            plan.post_hangs,
            plan.post_page,
            plan.post_twice,
            plan.post_unclear,
        )
        if any(unsure):  # a job may run that nobody knows, or that cannot be ended
            return
        dollars = sum(job.dollars for job in self.hub.jobs.values()) - 1e-7
        text = f"${dollars:.3f} for {len(self.hub.jobs)} jobs: {machine.budget}"
        spent = machine.budget.spent(self.clock.now)
        self.check("what jobs cost is reckoned", dollars <= spent, f"{text}, ${spent:.3f}")
        self.check("no more is spent than may be", dollars <= machine.budget.most, text)

    def _look_at_ahead(self, machine: Machine) -> None:
        """Calls do not wait behind a long one, where they cannot be cancelled without a message."""
        for worker in machine.workers.values():
            job = self.hub.jobs.get(worker.job.id) if worker.job is not None else None
            if job is None or not job.alive or job.supervisor is None or not worker.takes_calls:
                continue
            running = job.supervisor.running
            if not self._doors_work(job) or len(running) < worker.slots:
                continue
            oldest = max(self.clock.now - at for at in running.values())
            newest = min(self.clock.now - at for at in running.values())
            self.check(
                "what was handed ahead comes back",
                newest < CROSSING or len(worker.held) <= 4 * worker.slots,
                f"{worker} holds {len(worker.held)} calls behind one of {oldest:.1f} s",
            )

    def budget(self, machine: Machine) -> None:
        """Look at what was asked of the Hub, and at what is kept here."""
        requests = sum(self.hub.requests.values())
        jobs = len(self.hub.jobs)
        seconds = self.clock.now
        rate = 2.0 if self.logs_fail() else 0.7
        most = 60 + 40 * jobs + rate * seconds * (1 + min(jobs, 20) / 4)
        self.check(
            "the Hub is asked seldom",
            requests <= most,
            f"{self.hub.requests} for {jobs} jobs in {seconds:.0f} s: at most {most:.0f}",
        )
        messages = self.doors.messages
        most = 200 + 10 * len(self.futures) + 4 * jobs * seconds
        self.check("jobs are told little", messages <= most, f"{messages} in {seconds:.0f} s")
        listens = self.doors.listens
        self.check("doors are listened at seldom", listens <= most, f"{listens} in {seconds:.0f} s")
        vain = sum(j.ended_by == "itself" and not j.begun for j in self.hub.jobs.values())
        self.check(
            "jobs are not launched in vain",
            vain <= 10 + 3 * self.plan.workers + self.reached["a cancel crosses a start"],
            f"{vain} of {jobs} jobs left without having run a call",
        )
        horizon = self.hub.listed_at - 250  # they are forgotten with the next list
        recent = sum(
            j.alive or max(j.over_at, j.history[-1][0]) > horizon for j in self.hub.jobs.values()
        )
        self.check(
            "jobs that are long over are forgotten",
            len(machine.past_jobs) <= recent + 5,
            f"{len(machine.past_jobs)} of {jobs}, {recent} of them recent",
        )
        size = size_of(machine)
        enough = (
            4500 + 60 * len(machine.pending.open) + 1500 * len(machine.workers)
        )  # the times of late calls
        enough += 20 * self.plan.buffers * len(machine.workers)
        enough += 5 * len(machine.past_jobs) + 4 * jobs + 20 * min(jobs, 1000)  # and their bills
        self.check("little is kept", size <= enough, f"{size} things, {machine!r}")

    def logs_fail(self) -> bool:
        """Whether a log may hide what is in it."""
        plan = self.worst
        hides = plan.log_cut or plan.log_none or plan.log_short or plan.log_window
        return bool(hides or plan.log_stall or plan.log_lag or plan.log_endless or plan.forgets)

    def at_the_end(self, machine: Machine) -> None:
        """Look at everything once more, now that the core says it is done."""
        for future in self.futures.values():
            self.check("every future ends", future.done, f"{future}")
            late = future.ended_at - future.killed_at if future.killed_at >= 0 else 0.0
            self.check(
                "a kill is quick",
                late < CROSSING + 5 or not self.doors_always_work,
                f"{future} ends {late:.1f} s after it was killed",
            )
            self.check("who waits is woken", future.state != user.CANCELLED, f"{future}")
        took, plan = self.clock.now - self.closed_at, self.worst
        # What may be there after an unclear launch is looked for, as long as it may yet appear.
        most = 5 + plan.stage_lag
        most += Rules().lag if plan.post_page or plan.post_unclear_not else 0.0
        prompt = self.doors_always_work and not plan.list_dies
        self.check(
            "an abort is quick", not (self.aborted and prompt) or took < most, f"{took:.1f} s"
        )
        for job in self.hub.jobs.values():
            if not job.alive:
                continue
            excused = job.cancel_failed or self.posts.get(job.worker) or not job.listed
            excused = excused or self.worst.list_misses or self.worst.list_lag
            excused = excused or self.worst.list_dies
            self.check("no job runs on", excused, f"{job} at the end")
            self.sometimes("a job that nobody could know of runs on")

    def printed(self) -> None:
        """Look at what calls have printed: each line is where it belongs, and where no log has
        failed all of them are there.
        """
        plan = self.worst
        if not plan.printing or plan.mimics or plan.log_repeat:
            return
        for future in self.futures.values():
            if future.outcome is None or not self.work[future.call].prints:
                continue
            call, count = future.call, future.outcome.printed
            if future.outcome.status in {outcomes.VALUE, outcomes.RAISED}:
                said = (count, future.outcome.unterminated)
                wanted = (self.work[call].prints, call % OPEN == 0)
                self.check("what is printed is counted", said == wanted, f"{call}: {said}")
            found = future.printed.text()
            if not self.logs_fail():
                wanted = lines_of(call, 0, count).decode()
                wanted = wanted[:-1] if future.outcome.unterminated else wanted
                self.check("what is printed is shown", found == wanted, f"{call}: {found!r}")
            wrong = set(found.splitlines()) - set(lines_of(call, 0, count).decode().splitlines())
            self.check("what is printed is the call's own", not wrong, f"{call}: {found!r}")


_REPORTS = {
    "and not through a bucket": "large arguments are shared no more",
    "going on without its answer": "a launch is found while its answer is late",
    "is given up": "a door is given up",
    "has stalled, opening it again": "a stalled log is opened again",
    "nothing heard of": "a log is opened again for want of a HELLO",
    "another one answers its launch": "a second job is cancelled",
    "was started again": "a job that was started again is cancelled",
    "calls run again": "calls of a lost worker run again",
    "does not begin": "a job that does not begin is cancelled",
    " s: trying ": "the next flavor is tried",
    "can be started, trying": "the next flavor is tried for one that is refused",
    "so far": "a wait for hardware is told",
    "did not leave": "a worker does not leave when told to",
    "one-shot jobs": "doors are given up",
    "without: ": "ports are given up",
    "no more jobs for now": "a launch fails while others work",
    "unknown to the Hub": "the Hub does not know a job any more",
    "no address for the door": "a door has no address",
    "has no door": "a port cannot be opened",
    "could not be cancelled": "a cancel fails",
    "is not ours": "a foreign job is left alone",
    "close to its timeout": "a job gets no more calls because of its age",
    "was killed for memory on": "a call that was killed for memory runs on a larger flavor",
    "makes way for": "a job makes way for another flavor",
    "max_cost pays for no other": "a job is ended because of what it would cost",
}


def size_of(machine: Any) -> int:
    """Return how many things the core's containers hold in all."""
    seen: set[int] = set()
    total = 0
    stack = [machine]
    while stack:
        thing = stack.pop()
        if id(thing) in seen or isinstance(thing, (str, bytes, int, float, type(None), type)):
            continue
        seen.add(id(thing))
        if isinstance(thing, dict):
            total += len(thing)
            stack += thing.values()
        elif isinstance(thing, (list, tuple, set, frozenset)) or type(thing).__name__ == "deque":
            total += len(thing)
            stack += thing
        elif type(thing).__module__.startswith("hfexecutor.core"):
            stack += list(getattr(thing, "__dict__", {}).values())
    return total
