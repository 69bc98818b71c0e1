"""The run of another process: its jobs are found by their labels, its calls by what they say.

Nothing is launched and nothing is given to anybody. Jobs that a list shows are adopted, whatever
their stage; their logs are read, and those that live are asked through their doors what they hold.
A call becomes known when a job speaks of it, and its future with it. Whoever has its outcome may
say so: it may have been in several jobs, one after the other. Only when nobody is left who could
have it, it is lost.

One that has raised may have been run again: of all attempts that jobs tell of the last one counts.
So what was raised is believed only once each job has told what it knows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hfexecutor.core import events as ev
from hfexecutor.core.call import number_of
from hfexecutor.core.channel import Door
from hfexecutor.core.commands import Completion, Started
from hfexecutor.core.stages import TERMINAL
from hfexecutor.core.worker import Worker
from hfexecutor.errors import JobLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hfexecutor.core.call import Call
    from hfexecutor.core.ends import Ends
    from hfexecutor.core.state import State

__all__ = ["Adopting", "port_of"]

_PORT = re.compile(r"https?://[^/.]*--(\d{1,5})\.")
_VALUE = b"V"  # an outcome that is none of an exception
_ANY_PORT = 1  # a Hub on this machine has doors at any address of it


class Adopting:
    """Jobs and calls of a run that another process has started.

    Args:
        state: Of the machine.
        ends: Of workers and calls.
        make: Returns a new call, with a future, for a number.
        first: The number of the first message to each door: higher than any that another process
            has used, for a worker does none twice.

    Attributes:
        listed: The Hub has shown the jobs.
    """

    def __init__(
        self, state: State, ends: Ends, make: Callable[[int], Call], *, first: int
    ) -> None:
        self._state = state
        self._ends = ends
        self._make = make
        self._first = first
        self._known: set[int] = set()  # numbers of calls
        self._jobs: set[str] = set()  # ids of jobs that were adopted
        self._latest: dict[int, int] = {}  # attempts of calls, by the calls' numbers
        self._raised: dict[int, Completion] = {}  # not believed yet, by attempt
        self.listed = False

    @property
    def is_complete(self) -> bool:
        """Whether every job has told once what it knows, as far as it could be asked."""
        return self.listed and all(self._has_told(w) for w in self._state.workers.values())

    def _has_told(self, worker: Worker) -> bool:
        if worker.surveyed or worker.log.silent:
            return True
        waits = worker.hello is None and worker.phase not in TERMINAL
        return waits and not worker.has_begun

    # --- jobs --------------------------------------------------------------------------------

    def adopt(self, job: ev.JobSeen) -> None:
        """Take over a job that a list shows for the first time."""
        state = self._state
        if job.foreign or not job.launch or job.id in self._jobs or job.launch in state.workers:
            return
        self._jobs.add(job.id)
        worker = Worker(
            job.launch,
            slots=1,
            one_shot=not job.door,
            port=port_of(job.door),
            limits=state.limits,
            times=state.pending.times,
            rules=state.rules,
            jitter=state.rng.random,
            now=state.now,
        )
        worker.launch.launched(job)
        state.workers[worker.id] = worker
        worker.see(job)
        self.see(worker)
        self.learn(worker, job.aboard)
        state.do(worker.read_log(state.now))
        state.polling.expect(state.now)
        state.touch(worker)

    def see(self, worker: Worker) -> None:
        """Take the address of a door that was not known, and have it asked for everything."""
        assert worker.job is not None
        if not worker.job.door or worker.phase in TERMINAL or worker.asked_for_all:
            return
        if worker.port is None:
            worker.take_port(port_of(worker.job.door))
        worker.channel.count_from(self._first)
        worker.asked_for_all = True
        worker.channel.outgoing.again(())

    # --- calls -------------------------------------------------------------------------------

    def learn_from(self, worker: Worker, news: Iterable[ev.News]) -> None:
        """Learn of calls as a job speaks of them."""
        for item in news:
            if isinstance(item, (ev.Done, ev.Large)):
                self.learn(worker, (item.call,))
            elif isinstance(item, ev.Held):
                self.learn(worker, item.calls, holds=True)

    def learn(self, worker: Worker, numbers: Iterable[int], *, holds: bool = False) -> None:
        """Note that a job has had these calls; with `holds`, that it has them now."""
        state = self._state
        new = [
            call
            for number in numbers
            if number and (call := self._new_to(worker, number, holds=holds)) is not None
        ]
        if new:
            worker.board(new)
            state.touch(worker)
            if worker.job is not None:
                state.do(Started(tuple(new), worker.job))

    def _new_to(self, worker: Worker, number: int, *, holds: bool) -> Call | None:
        """Return a call that a worker turns out to hold; None for one that is known already."""
        pending = self._state.pending
        if number not in self._known:
            self._known.add(number)
            if not self._is_latest(number):
                return None
            call = pending.open[number] = self._make(number)
            return call
        known = pending.open.get(number)
        if known is None or known.worker == worker.id:
            return None
        known.lost = max(known.lost, 1)  # another one has had it, too: whichever answers
        if not holds or known.worker:
            return None
        pending.take(known)
        return known

    def _is_latest(self, attempt: int) -> bool:
        """Note an attempt of a call; say whether none after it is known. Those before it end."""
        before = self._latest.get(number_of(attempt), -1)
        if attempt < before:
            return False
        self._latest[number_of(attempt)] = attempt
        self._raised.pop(before, None)
        earlier = self._state.pending.close(before)
        if earlier is not None and (worker := self._state.workers.get(earlier.worker)) is not None:
            worker.drop(earlier.id)
        return True

    def doubts(self, completion: Completion) -> bool:
        """Keep what a call has raised as long as there may be another attempt of it."""
        call = completion.call
        if completion.outcome.status == _VALUE or self.is_complete:
            return False
        call.worker, call.delayed = "", True
        self._raised[call.id] = completion
        return True

    def settle(self) -> None:
        """Follow up on what jobs have told."""
        state = self._state
        if self._raised and self.is_complete:
            for call_id, completion in self._raised.items():
                if state.pending.close(call_id) is not None:
                    state.completions.append(completion)
            self._raised.clear()
        self._give_up()

    def _give_up(self) -> None:
        """End the calls that nobody holds, if nobody is left who could know of them."""
        state = self._state
        if not state.pending.waiting:
            return
        for worker in state.workers.values():
            shut = worker.channel.door in {Door.ABSENT, Door.SHUT}
            if not worker.surveyed and not (shut and worker.log.silent):
                return
        open_calls = state.pending.open.values()
        for call in [call for call in open_calls if not call.worker and not call.delayed]:
            why = self._ends.reasons.pop(call.id, None)
            self._ends.fail(call, why or JobLostError("the call was handed to no job"))


def port_of(address: str) -> int | None:
    """Return the port that a door's address names; None without an address."""
    if not address:
        return None
    match = _PORT.match(address)
    return int(match[1]) if match is not None else _ANY_PORT
