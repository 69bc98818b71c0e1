"""Another process that watches a run whose client is gone, and what it has to find.

Its core is told of the same world by the same edges, and knows nothing but what the Hub and the
jobs say. What it comes to is compared with what the jobs have done in truth.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

from hfexecutor import errors
from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.core.call import Call, number_of
from hfexecutor.core.machine import Machine
from hfexecutor.core.rules import Limits, Rules
from hfexecutor.remote import entries as wire
from hfexecutor.runtime.adopted import RULES

from . import user
from .client import Client

if TYPE_CHECKING:
    from .checks import Checks
    from .clock import Clock
    from .hub import Hub, Job

_LOST = (errors.JobLostError, errors.JobFailedError)
FIRST = 1_000_000  # of its messages: no client of a run sends so many


class Attached(Client):
    """The machine of another process, and what stands around it."""

    def __init__(self, clock: Clock, hub: Hub, rng: random.Random, checks: Checks) -> None:
        self.futures: dict[int, user.Future] = {}
        self.found = Found(self, checks)
        self.stopped_at = math.inf
        super().__init__(clock, hub, rng, self.found)  # type: ignore[arg-type]
        self._step()  # nothing has happened yet, and it is to look for jobs

    def _make_machine(self, limits: Limits, rules: Rules) -> Machine:
        return Machine(
            Limits(),
            rules._replace(ending=RULES.ending, calm=RULES.calm, acks=RULES.acks),
            claim=lambda call: call.future.claim(),
            rng=random.Random(self.plan.seed),
            adopt=self._known,
            first=FIRST,
        )

    def _known(self, call_id: int) -> Call:
        number = number_of(call_id)
        future = self.futures.setdefault(number, user.Future(number))
        return Call(call_id, future, b"", None)

    @property
    def is_done(self) -> bool:
        """Whether all that is known has ended."""
        return all(future.done for future in self.futures.values())

    def _finish(self, command: do.Finish) -> None:
        super()._finish(command)
        self.die()

    def leave(self) -> None:
        """Watch no longer."""
        self.tell(ev.Detached(errors.DetachedError("the jobs were left to themselves"), now=True))

    def cancel(self) -> None:
        """Stop the run."""
        self.found.aborted, self.stopped_at = True, self.clock.now
        self.tell(ev.Aborted("the run was cancelled"))


class Found:
    """Checks of what is found; those of the run itself go on beside them."""

    def __init__(self, client: Attached, checks: Checks) -> None:
        self._client = client
        self._checks = checks
        self.aborted = False
        self._jobs: set[str] = set()  # whose logs were read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._checks, name)

    def before(self, events: list[ev.Event], machine: Machine) -> None:
        """Nothing: what is known of it is in the logs."""

    def after(self, machine: Machine) -> None:
        machine.check()

    def reading(self, command: do.ReadLog) -> None:
        self._checks.check("only our jobs are read", command.job != "foreign", f"{command}")
        self._jobs.add(command.job)

    def sending(self, command: do.Send) -> None:
        kinds = {entry.kind for entry in command.entries}
        orders = kinds & {wire.CALL, wire.KILL, wire.RECALL, wire.LEAVE}
        self._checks.check("who watches gives no orders", not orders or self.aborted, f"{command}")

    def cancelling(self, job_id: str, _: Machine) -> None:
        self._checks.check("who watches cancels nothing", self.aborted, job_id)

    def started(self, command: do.Started) -> None:
        for call in command.calls:
            call.future.job = command.job.id

    def complete(self, command: do.Complete) -> None:
        checks = self._checks
        for call, outcome, where, worker in command.completions:
            future = call.future
            self._end(future)
            future.finish(outcome, None)
            user_s = checks.futures[call.number]
            if not user_s.asked:  # else it may be stopped, or not
                right = checks.is_right(user_s, call, outcome, worker)
                checks.check("what is found is right", right, f"{call} {outcome} in {where}")

    def fail(self, command: do.Fail) -> None:
        future = command.call.future
        if not future.claim():
            return
        self._end(future)
        future.finish(None, command.error)
        fits = isinstance(command.error, (*_LOST, errors.DetachedError, errors.CallStoppedError))
        broken = self._checks.worst.broken and isinstance(command.error, errors.BrokenHubExecutor)
        name = "who attaches fails no call"
        self._checks.check(name, fits or broken, f"{future}: {command.error!r}")

    def _end(self, future: user.Future) -> None:
        self._checks.check("what is found ends once", not future.done, f"{future}")

    def cancel_future(self, command: do.CancelFuture) -> None:
        self._end(command.call.future)
        command.call.future.cancel()
        command.call.future.state = user.NOTIFIED

    # --- at the end ---------------------------------------------------------------------------

    def is_stopped(self) -> None:
        """No job runs on that a list could show."""
        plan = self._checks.worst
        if plan.list_lag or plan.list_misses or plan.list_dies:
            return
        for job in self._checks.hub.jobs.values():
            excused = job.cancel_failed or job.forgotten or job.created > self._client.stopped_at
            text = f"{job} after a cancel at {self._client.stopped_at:.1f} s"
            self._checks.check("who stops a run stops its jobs", excused or not job.alive, text)

    def is_whole(self) -> None:
        """All is known that the jobs have done which a list has shown."""
        for job in self._checks.hub.jobs.values():
            if job.id in self._jobs and job.started >= 0:
                for call in job.begun | {one.id for one in job.command.calls}:
                    self._look_at(job, call)

    def _look_at(self, job: Job, call: int) -> None:
        checks, number = self._checks, number_of(call)
        future = self._client.futures.get(number)
        if checks.futures[number].asked:
            return
        hidden = call not in job.log.said or self._is_hidden(job)
        if future is None:
            checks.check("what a job has said is known", hidden, f"call {call} of {job}")
            return
        # A job that never comes up may have it aboard: a label has not room for everything.
        waits = any(other.alive for other in checks.hub.jobs.values())
        checks.check("what is found ends", future.done or waits, f"{future} of {job}")
        if isinstance(future.error, _LOST):
            checks.sometimes("a call of a client that is gone is lost")
            checks.check("what a job has said is not lost", hidden, f"{future} of {job}")
        else:
            checks.sometimes("a call of a client that is gone is found")

    def _is_hidden(self, job: Job) -> bool:
        """Whether a log may not show all that is in it."""
        return job.forgotten or self._checks.logs_fail()
