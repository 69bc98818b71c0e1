"""What jobs say, whichever way it came: through the log, or through the door."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.core.channel import Door
from hfexecutor.errors import BrokenHubExecutor
from hfexecutor.remote import entries as wire
from hfexecutor.remote.outcomes import DIED, IN_BUCKET, INITIALIZER, MISMATCH, VALUE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hfexecutor.core.call import Call
    from hfexecutor.core.doors import Doors
    from hfexecutor.core.ends import Ends
    from hfexecutor.core.retries import Retries
    from hfexecutor.core.speculation import Paces
    from hfexecutor.core.state import State
    from hfexecutor.core.storing import Storing
    from hfexecutor.core.tracking import Tracking
    from hfexecutor.core.worker import Worker

__all__ = ["Incoming"]

# What a job may say about itself, as the outcome of call 0: the initializer failed, its process
# died in it, or the image has another Python. Anything else is no word of ours.
_ABOUT_THE_JOB = frozenset({INITIALIZER, DIED, MISMATCH})


class Incoming:
    """Follow what jobs say.

    Attributes:
        broken: Why no call can run any more, None if they can.
    """

    def __init__(
        self,
        state: State,
        ends: Ends,
        doors: Doors,
        tracking: Tracking,
        *,
        retries: Retries,
        paces: Paces,
        storing: Storing,
    ) -> None:
        self._state = state
        self._ends = ends
        self._retries = retries
        self._paces = paces
        self._storing = storing
        self._doors = doors
        self._tracking = tracking
        self.broken: BrokenHubExecutor | None = None
        self._notes: dict[type, Callable[[Worker, Any], None]] = {
            ev.Hello: self._note_hello,
            ev.Large: self._note_large,
            ev.Loaded: self._note_loaded,
            ev.GivenBack: lambda worker, news: ends.requeue(worker, news.calls),
            ev.Unacknowledged: lambda worker, news: worker.note_unacknowledged(news.outcomes),
            ev.Refused: self._note_refused,
            ev.Bye: self._note_bye,
        }

    # --- the ways ----------------------------------------------------------------------------

    def heard(self, event: ev.Heard) -> None:
        """Lines of a log."""
        state, worker = self._state, self._state.news_of(event.worker)
        if worker is None:
            return
        worker.log.silent = False  # also by lines that are none of ours
        worker.note_starts(event.starts)
        listening = worker.channel.listening
        if listening.heeds_log:
            for item in event.news:
                if type(item) is ev.Done:
                    news = item.call in state.pending.open
                    listening.log_says(item.call, state.now, news=news)
        self._note(worker, event.news)
        if worker.over:
            return
        if self._tracking.adopting is not None and event.starts and worker.hello is None:
            # It was said long ago, and the log is a window.
            self._note_hello(worker, ev.Hello(None, worker.port is not None))
        if event.forged:
            text = (
                f"the log of {worker.describe()} has lines that look like the worker's and are not "
                "authentic; they count as something that was printed"
            )
            state.report(logging.WARNING, text)
        if worker.was_started_again and not worker.is_closing and not state.adopted:
            # The new supervisor runs the calls of the launch once more.
            text = f"{worker.describe()} was started again, cancelling it"
            state.report(logging.WARNING, text)
            self._ends.stop(worker)
        if event.gap:  # frames are missing: what was in them is kept there, if it is not here
            worker.ask_again(state.now)

    def answered(self, event: ev.Answered) -> None:
        """The answer to a message."""
        state, worker = self._state, self._state.news_of(event.worker)
        if worker is None:
            return
        message = worker.channel.answered(event.number, event.seconds)
        if message is None:
            return
        state.counters.messages += 1
        state.ports.answered()
        self._note(worker, event.news)
        worker.surveyed = worker.surveyed or (worker.asked_for_all and message.has(wire.AGAIN))
        if message.has(wire.RECALL):
            back = any(isinstance(item, ev.GivenBack) and item.calls for item in event.news)
            worker.recalling = False
            worker.in_vain = 0 if back else worker.in_vain + 1

    def fetched(self, event: ev.Fetched) -> None:
        """A range of a large outcome, the last one with the outcome."""
        worker = self._state.news_of(event.worker)
        if worker is None:
            return
        worker.channel.fetching.arrived(event.number, event.call)
        self._note(worker, event.news)

    def listened(self, event: ev.Listened) -> None:
        """What a worker says as it happens. The log says it again, later."""
        state, worker = self._state, self._state.news_of(event.worker)
        if worker is None:
            return
        listening = worker.channel.listening
        ended = [item.call for item in event.news if isinstance(item, ev.Done)]
        news = next((call for call in ended if call in state.pending.open), 0)
        listening.answered(event.number, event.position, state.now, news=news, ended=ended)
        self._note(worker, event.news)

    # --- the news ----------------------------------------------------------------------------

    def _note(self, worker: Worker, news: Sequence[ev.News]) -> None:
        if (adopting := self._tracking.adopting) is not None:
            adopting.learn_from(worker, news)
        for item in news:
            kind = type(item)
            if kind is ev.Done:
                self._note_outcome(worker, item)  # type: ignore[arg-type]
            elif worker.over:  # what it said before has ended it
                return
            elif (note := self._notes.get(kind)) is not None:
                note(worker, item)

    def _note_refused(self, worker: Worker, refused: ev.Refused) -> None:
        text = f"{worker.describe()} refused a message: {refused.text}"
        self._state.report(logging.WARNING, text)

    def _note_bye(self, worker: Worker, bye: ev.Bye) -> None:
        if worker.bye is None:
            worker.bye = bye
            self._state.polling.leaves(self._state.now)

    def _note_hello(self, worker: Worker, hello: ev.Hello) -> None:
        """Its job runs, and what is aboard begins."""
        if worker.hello is not None:  # it is said again until somebody comes to the door
            return
        worker.greet(hello, self._state.now)
        self._tracking.has_come_up(worker)
        if worker.channel.door is Door.AWAITED:
            if hello.door:
                self._state.polling.nudge(self._state.now)
                self._doors.open(worker)
            else:
                self._doors.could_not_open(worker, hello.why)

    def _note_outcome(self, worker: Worker, done: ev.Done) -> None:
        state = self._state
        call = state.pending.open.get(done.call)
        outcome = done.outcome
        if not done.call:
            self._note_word_of_job(worker, outcome)
        elif call is None or self._storing.is_collecting(call):
            # Answered before, by this worker or another, or cancelled.
            worker.note_answer(done.call)
        elif call.worker != worker.id and not call.lost:  # a job speaks for itself alone
            text = f"{worker.describe()} answers a call that it was not given"
            state.report(logging.WARNING, text)
        else:
            # An earlier worker may answer while another one has it.
            if call.worker != worker.id:
                self._ends.release(call, stop=not state.adopted)
            worker.answered(call, outcome.duration, state.now)
            state.pending.queue(call.kinds).duration = worker.duration
            self._note_end(worker, call, done)

    def _note_end(self, worker: Worker, call: Call, done: ev.Done) -> None:
        state, outcome, where = self._state, done.outcome, worker.describe()
        if worker.one_shot:
            self._storing.note_size(outcome)
        if call.options.speculate:
            self._note_pace(worker, call, outcome)
        # Its future may have been cancelled in this moment, in another thread.
        wanted = call.claimed or state.claim(call)
        adopting = self._tracking.adopting
        if wanted and outcome.status == IN_BUCKET and not call.options.keep_remote:
            if adopting is not None:
                adopting.end(call)
            self._storing.collect(call, outcome, worker)
            return
        if wanted and done.out_of_memory and self._retries.on_larger(call, worker):
            return
        if wanted and call.options.retry is not None and self._retries.may_follow(call, outcome):
            self._retries.ask(call, outcome, where, worker.id)
            return
        completion = do.Completion(call, outcome, where, worker.id)
        if wanted and adopting is not None and adopting.doubts(completion):
            return
        state.pending.close(call.id)
        if wanted:
            state.completions.append(completion)
        else:
            self._ends.note_cancelled(call)

    def _note_pace(self, worker: Worker, call: Call, outcome: ev.Outcome) -> None:
        """Note how long it took; if two attempts are under way, this one was faster."""
        if outcome.status in {VALUE, IN_BUCKET}:
            self._paces.note(call.options, outcome.duration)
        if call.tries is not None:
            self._ends.stop_twin(call)
            if worker.job is not None:  # its future may have the other one's
                self._state.do(do.Started((call,), worker.job, of_two=True))

    def _note_word_of_job(self, worker: Worker, outcome: ev.Outcome) -> None:
        """No call can run, says a job; all others would say the same."""
        if outcome.status in _ABOUT_THE_JOB:
            self._state.do(do.Unwrap(worker.id, outcome, worker.describe()))
        else:
            text = f"{worker.describe()} sent an outcome of no call, which is ignored"
            self._state.report(logging.WARNING, text)

    def no_call_can_run(self, event: ev.Broken) -> None:
        """What a job said of itself, as an error."""
        error = event.error
        if isinstance(error, BrokenHubExecutor):
            self.broken = error
        else:  # an image with another Python: the next job would be none the better
            self.broken = BrokenHubExecutor(f"no call can run: {error}")
            self.broken.__cause__ = error
        self._ends.fail_all(error)

    def _note_loaded(self, worker: Worker, loaded: ev.Loaded) -> None:
        """A worker has read a file of the bucket; where it could not, it is sent what is in it."""
        if worker.channel.loaded(loaded.number, read=not loaded.why) and loaded.why:
            text = f"{worker.describe()} cannot read a stored argument: {loaded.why}"
            self._state.report(logging.INFO, f"{text}; it gets it through its port")

    def _note_large(self, worker: Worker, large: ev.Large) -> None:
        """Get a large outcome of which a worker has announced the size."""
        if large.call not in self._state.pending.open:  # answered meanwhile, or cancelled
            worker.acknowledge(large.call)
        elif large.call in worker.held:
            worker.channel.fetch(large.call, large.size, large.layout)
