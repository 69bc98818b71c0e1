"""Jobs as the Hub shows them: their stages, their logs, and what both mean together.

What they mean is one table, in :mod:`~hfexecutor.core.stages`; here it is asked, whenever there is
news of one of them, and what it says is done.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from hfexecutor.core import commands as do
from hfexecutor.core import failures
from hfexecutor.core.channel import Door
from hfexecutor.core.stages import TERMINAL, Action, Phase, Words, decide, phase_of

if TYPE_CHECKING:
    from hfexecutor.core import events as ev
    from hfexecutor.core.adopting import Adopting
    from hfexecutor.core.doors import Doors
    from hfexecutor.core.ends import Ends
    from hfexecutor.core.launches import Launches
    from hfexecutor.core.retries import Retries
    from hfexecutor.core.state import State
    from hfexecutor.core.worker import Worker

__all__ = ["POLL", "Tracking"]

POLL = ("poll",)  # on the agenda: time for a list


class Tracking:
    """Follow the jobs of all workers from their launch to their end."""

    def __init__(
        self, state: State, ends: Ends, launches: Launches, doors: Doors, retries: Retries
    ) -> None:
        self._state = state
        self._ends = ends
        self._launches = launches
        self._doors = doors
        self._retries = retries
        self._stillborn = 0  # jobs in a row that were over before a word of ours
        self.adopting: Adopting | None = None  # it is the run of another process

    # --- stages ------------------------------------------------------------------------------

    def poll(self, *, anyway: bool) -> None:
        """Ask for the stages of all jobs if it is time, and there are any; or `anyway`."""
        state, polling = self._state, self._state.polling
        if state.now >= polling.due:
            if anyway or any(w.job is not None for w in state.workers.values()):
                polling.ask(state.now)
                state.do(do.List())
            else:
                polling.due = math.inf
        state.agenda.set(POLL, polling.due)

    def listed(self, event: ev.Listed) -> None:
        """Bring workers up to date, and stop jobs that should not exist."""
        state = self._state
        seen: set[str] = set()
        alive: set[str] = set()
        for job in event.jobs:
            if phase_of(job.stage) not in TERMINAL:
                alive.add(job.id)
            if self.adopting is not None:
                self.adopting.adopt(job)
            worker = state.workers.get(job.launch)
            if worker is not None and worker.job is not None and worker.job.id == job.id:
                seen.add(worker.id)
                worker.missed, worker.missable = 0, state.rules.missed
                self._see(worker, job)
                if worker.phase is Phase.WAITING and not state.adopted:
                    waited_until = event.asked - state.rules.lag  # a list is late by that at most
                    worker.may_run(max(worker.runs_since, waited_until))
                    state.budget.waits(worker.id, waited_until)
            elif job.id in alive and self.adopting is None and self._is_stray(job):
                text = f"cancelling job {job.id}: another one answers its launch"
                state.report(logging.WARNING, text)
                self._ends.stop_stray(job)
        for worker in list(state.workers.values()):
            # A list that was asked for before the launch was answered need not show its job.
            expected = worker.job is not None and event.asked > worker.launched_at
            if expected and worker.id not in seen:
                self._note_absence(worker)
        self._ends.forget_past(alive)
        if self.adopting is not None:
            self.adopting.listed = True
        patience = (self._patience(w) for w in state.workers.values() if w.job is not None)
        state.polling.answered(state.now, min(patience, default=math.inf))

    def _is_stray(self, job: ev.JobSeen) -> bool:
        """Say whether a job of this run belongs to nobody, not even to a launch under way."""
        if job.foreign:
            self._launches.tell_of_foreign(job)
            return False
        if self._ends.is_known(job.id):
            return False
        worker = self._state.workers.get(job.launch)
        if worker is not None and worker.job is None:
            self._ends.doubt = True  # its launch may be answered with another one
        return worker is None or worker.job is not None

    def _note_absence(self, worker: Worker) -> None:
        """A list does not show a job: lists lag, and drop old jobs. Ask for it by its id.

        Each time twice as many lists may pass: where they lag, they hide all jobs that are new.
        """
        worker.missed += 1
        if worker.missed >= worker.missable and not worker.inspecting:
            assert worker.job is not None
            worker.inspecting, worker.missable = True, 2 * worker.missed
            self._state.do(do.Inspect(worker.id, worker.job.id))

    def inspected(self, event: ev.Inspected) -> None:
        """A job was asked for by its id."""
        worker = self._state.workers.get(event.worker)
        if worker is None or worker.job is None:
            return
        worker.inspecting = False
        if event.job is None:
            self._state.report(logging.WARNING, f"{worker.describe()} is unknown to the Hub")
            self._see(worker, worker.job._replace(stage="DELETED"))
        elif event.job.id == worker.job.id:
            self._see(worker, event.job)

    def list_failed(self, event: ev.ListFailed) -> None:
        """The Hub does not say how the jobs are, for as long as it was asked."""
        for worker in self._state.workers.values():
            worker.inspecting = False
        if self.adopting is None:  # else nothing of ours is at stake: go on where it was
            self._ends.fail_all(event.error)
        self._state.polling.failed(self._state.now)

    def _see(self, worker: Worker, job: ev.JobSeen) -> None:
        """Note what the Hub says about one worker's job."""
        state = self._state
        state.touch(worker)
        changed = worker.see(job)
        if self.adopting is not None:
            self.adopting.see(worker)
        self._doors.open(worker)  # also where the stage is the same: its address may be new
        if not changed or worker.over:
            return
        if worker.phase in TERMINAL:
            worker.log.limit(state.now)
            # Who owes nothing is done with. For all others the end of the log decides: the stage
            # may be quicker than the last lines.
            if worker.evidence.words in {Words.BYE, Words.IDLE}:
                self._conclude(worker)
        if not worker.over and worker.log.waits_for_stage:
            self.read_on(worker)

    def _patience(self, worker: Worker) -> float:
        """Return how many seconds may pass until this worker's stage is asked for again."""
        rules = self._state.rules
        if worker.bye is not None or worker.is_leaving or worker.log.silent:
            return rules.ending
        if worker.hello is None:
            wait = self._state.pending.queue(worker.asked_by).scheduling_timeout
            left = worker.launched_at + wait - self._state.now
            return min(rules.coming, left) if left > rules.quick else rules.coming
        if worker.channel.door is Door.AWAITED:
            return rules.ending
        return rules.calm

    # --- logs --------------------------------------------------------------------------------

    def log_ended(self, event: ev.LogEnded) -> None:
        """A reading has ended, which says nothing about the job."""
        worker = self._state.workers.get(event.worker)
        if worker is None or not worker.log.ended(event.reading, said=event.said):
            return
        worker.tail = event.tail
        self._state.touch(worker)
        self._log_is_silent(worker)

    def _log_is_silent(self, worker: Worker) -> None:
        polling, now = self._state.polling, self._state.now
        if worker.bye is not None and not worker.held:
            polling.left(now)
        elif worker.has_spoken:
            polling.nudge(now)
        else:  # the log of a job that has not begun may end at once, each time it is opened
            polling.expect(now)
        self._conclude(worker)

    def read_on(self, worker: Worker) -> None:
        """Read the log again, or go on without, if nothing that is missing could be in it."""
        self._state.touch(worker)
        if worker.bye is None or worker.held:
            self._state.do(worker.read_log(self._state.now))
        else:
            worker.log.skip()
            self._log_is_silent(worker)

    def _conclude(self, worker: Worker) -> None:
        """Do what stage and words together mean, now that there is news of one of them."""
        now, action = self._state.now, decide(worker.evidence)
        if action is Action.READ_AGAIN:
            worker.log.read_again(now)
        elif action is Action.FOLLOW:
            # What was said meanwhile may be out of the window by the next reading.
            worker.ask_again(now)
            worker.log.follow(now, patient=worker.evidence.words is Words.BYE)
        elif action is Action.FINISH:
            self._ends.remove(worker)
        elif action is Action.FAIL and not worker.was_cancelled and not worker.cancelling:
            self._never_ran(worker)
        else:  # what was cancelled before it could run is not its own failure, heard of or not
            self._retries.rescue(worker)
            self._ends.lose(worker)

    def _never_ran(self, worker: Worker) -> None:
        """A job was over before our code said a word: bad image, no credits, killed, cancelled.

        Where no job has ever come up the next one would not either. But one that had begun, and
        ended without any output, was ended from outside: that may go better next time.
        """
        error = failures.never_ran(worker)
        self._stillborn += 1
        assert worker.job is not None
        # Once one has come up, image and account are good: this is about the one job.
        hopeless = not self._state.kinds.has_come_up and not worker.was_ended_from_outside
        enough = self._stillborn >= self._state.rules.stillborn
        if self.adopting is None and (hopeless or worker.job.cancel_reason):
            self._ends.fail_all(error)
            self._ends.remove(worker)
        elif self.adopting is None and enough:
            self._ends.fail_queue(worker.asked_by, error)
            self._ends.remove(worker)
        else:
            self._ends.pass_on(worker, error, attempted=True)

    def has_come_up(self, worker: Worker) -> None:
        """Note that a worker's HELLO was heard."""
        self._stillborn = 0
        kind = self._state.kinds[worker.kind]
        kind.cold_start = self._state.now - worker.launched_at
        kind.passed_over_until = -math.inf
