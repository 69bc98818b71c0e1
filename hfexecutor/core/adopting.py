"""The run of another process: its jobs are found by their labels, its calls by what they say.

Nothing is launched and nothing is given to anybody. Jobs that a list shows are adopted, whatever
their stage; their logs are read, and those that live are asked through their doors what they hold.
A call becomes known when a job speaks of it, and its future with it. Whoever has its outcome may
say so: it may have been in several jobs, one after the other. Only when nobody is left who could
have it, it is lost.

A call may have had several attempts: after it had raised, or at the same time. A value counts,
whichever it was; what was raised does only if no other attempt has a value, and of several the last
one's. So it is believed once each job has told what it knows.
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
from hfexecutor.remote.outcomes import DIED, VALUE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hfexecutor.core.call import Call
    from hfexecutor.core.ends import Ends
    from hfexecutor.core.state import State

__all__ = ["Adopting", "port_of"]

_PORT = re.compile(r"https?://[^/.]*--(\d{1,5})\.")
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
        numbers: Of the calls that have a key, by its digest; of several with one key the last.
        keys: How the keys of calls begin, by number.
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
        self._raised: dict[int, Completion] = {}  # not believed yet, by the number of the call
        self._over: set[int] = set()  # numbers of calls that have ended
        self.numbers: dict[bytes, int] = {}
        self.keys: dict[int, str] = {}
        self._others: dict[int, list[str]] = {}  # workers that hold a call besides its own, by id
        self._second: list[ev.JobSeen] = []  # of launches that another job answers as well
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
        if job.foreign or not job.launch or job.id in self._jobs:
            return
        self._jobs.add(job.id)
        if job.launch in state.workers:
            self._second.append(job)
        else:
            self._take_over(job)

    def _take_over(self, job: ev.JobSeen) -> None:
        state = self._state
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
            elif isinstance(item, ev.Keyed):
                number = number_of(item.call)
                self.numbers[item.digest] = max(number, self.numbers.get(item.digest, 0))
                self.keys[number] = item.text

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
            if number_of(number) in self._over:  # with another attempt
                return None
            call = self._make(number)
            pending.add_attempt(call)
            return call
        known = pending.open.get(number)
        if known is None or known.worker == worker.id:
            return None
        known.lost = max(known.lost, 1)  # another one has had it, too: whichever answers
        if holds and known.worker:  # one of the two has given it back since; which, nobody says
            self._others.setdefault(number, []).append(worker.id)
        if not holds or known.worker or known.delayed:  # delayed: it has raised elsewhere
            return None
        pending.take(known)
        return known

    def doubts(self, completion: Completion) -> bool:
        """Keep what a call has raised as long as another attempt of it may have a value.

        One that counts ends all others.
        """
        call = completion.call
        if completion.outcome.status == VALUE or (self.is_complete and self._is_alone(call)):
            self.end(call)
            return False
        before = self._raised.get(call.number)
        if before is not None and before.call is call:
            return True  # in two jobs: the first that was heard counts
        if before is not None and _rank(before) > _rank(completion):
            self._state.pending.close(call.id)
        else:
            if before is not None:
                self._state.pending.close(before.call.id)
            if not call.worker and not call.delayed:
                self._state.pending.take(call)
            call.worker, call.delayed = "", True
            self._raised[call.number] = completion
        return True

    def _is_alone(self, call: Call) -> bool:
        """Whether nobody runs another attempt of a call."""
        return all(other is call or other.delayed for other in self._state.pending.of(call.number))

    def end(self, call: Call) -> None:
        """A call is over: so are its other attempts."""
        self._over.add(call.number)
        self._raised.pop(call.number, None)
        for other in self._state.pending.of(call.number):
            if other is not call:
                self._forget(other)

    def _forget(self, call: Call) -> None:
        self._state.pending.close(call.id)
        if (worker := self._state.workers.get(call.worker)) is not None:
            worker.drop(call.id)

    def settle(self) -> None:
        """Follow up on what jobs have told."""
        state = self._state
        for job in [job for job in self._second if job.launch not in state.workers]:
            self._second.remove(job)
            self._take_over(job)
        if self._raised and self.is_complete:
            for completion in list(self._raised.values()):
                call = completion.call
                if call.id in state.pending.open and self._is_alone(call):
                    state.pending.close(call.id)
                    state.completions.append(completion)
                    self.end(call)
        self._give_up()

    def _give_up(self) -> None:
        """End the calls that nobody holds, if nobody is left who could know of them."""
        state = self._state
        if not state.pending.waiting or self._second:
            return
        for worker in state.workers.values():
            shut = worker.channel.door in {Door.ABSENT, Door.SHUT}
            if not worker.surveyed and not (shut and worker.log.silent):
                return
        open_calls = state.pending.open.values()
        for call in [call for call in open_calls if not call.worker and not call.delayed]:
            if self._is_elsewhere(call):
                continue
            why = self._ends.reasons.pop(call.id, None)
            if len(state.pending.of(call.number)) > 1:  # another attempt may do better
                self._forget(call)
                continue
            self._ends.fail(call, why or JobLostError("the call was handed to no job"))

    def _is_elsewhere(self, call: Call) -> bool:
        """Look for another worker that says it holds a call; say whether there is one."""
        state, others = self._state, self._others.get(call.id, [])
        while others:
            if (worker := state.workers.get(others.pop())) is not None:
                state.pending.take(call)
                worker.board([call])
                state.touch(worker)
                return True
        return False


def _rank(completion: Completion) -> tuple[bool, int]:
    """Order what attempts of a call have come to: one that was stopped may have been a backup."""
    return completion.outcome.status != DIED, completion.call.id


def port_of(address: str) -> int | None:
    """Return the port that a door's address names; None without an address."""
    if not address:
        return None
    match = _PORT.match(address)
    return int(match[1]) if match is not None else _ANY_PORT
