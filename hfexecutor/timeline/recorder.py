"""Remembers what has happened in a run, in little memory, so that it can be shown at any time."""

from __future__ import annotations

import threading
from array import array
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hfexecutor import events

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["MOST_CALLS", "NOWHERE", "Attempt", "Job", "Recorder", "Snapshot", "Stretch"]

MOST_CALLS: Final = 100_000  # the first ones; of later ones only the number is kept
MOST_JOBS: Final = 5_000
MOST_PERIODS: Final = 20_000  # installations and transfers
MOST_AGAIN: Final = 10_000  # attempts that were lost with their job, or have raised, and ran again
MOST_NAMES: Final = 1_000  # of functions, and of exceptions; others have none

_NONE, _WAITING, _SENT, _DONE, _FAILED, _CANCELLED = range(6)
_AT_ONCE: Final = 256  # calls for which place is made
NOWHERE: Final = 0xFFFF  # for a slot
_NEVER: Final = 0.0  # for a moment


class Stretch(NamedTuple):
    """As :class:`~hfexecutor.timeline.spans.Period`."""

    began: float
    ended: float | None
    size: int = 0


class Snapshot(NamedTuple):
    """What was remembered, as it is kept: columns of calls, attempts before their last, jobs."""

    began: float | None
    ended: float | None
    columns: list[array[Any]]
    again: list[Attempt]
    names: list[str]
    jobs: list[Job]
    calls_left_out: int
    others_left_out: int


class Job:
    """What is remembered of a job."""

    __slots__ = (
        "began", "dollars", "ended", "flavor", "id", "installs", "launched", "slots", "transfers",
        "up", "url",
    )  # fmt: skip

    def __init__(self, job_id: str) -> None:
        self.id, self.url, self.flavor, self.slots = job_id, "", "", 1
        self.launched: float | None = None
        self.began: float | None = None
        self.up: float | None = None
        self.ended: float | None = None
        self.dollars: float | None = None
        self.installs: dict[float, Stretch] = {}  # by when they began
        self.transfers: list[Stretch] = []

    def copy(self) -> Job:
        """Return another one that stays as it is."""
        other = Job(self.id)
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        other.installs, other.transfers = dict(self.installs), list(self.transfers)
        return other


class Attempt(NamedTuple):
    """An attempt that is not the one with the outcome.

    It was lost with its job; or it has `raised`; or it was `stopped` at that moment, as another one
    that ran at the same time had ended. A `backup` may be under way.
    """

    call: int
    job: int
    sent: float
    raised: events.CallRetried | None = None
    stopped: float | None = None
    backup: bool = False


class _Names:
    """Texts by small numbers; 0 is none."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {"": 0}
        self.texts = [""]

    def number(self, text: str) -> int:
        number = self._numbers.get(text)
        if number is None:
            if len(self.texts) > MOST_NAMES:
                return 0
            number = self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return number


class Recorder:
    """Listens to the events of a run; may be asked for a recording in any thread, at any time.

    It is there from the start, for nobody knows before that a run will be slow. Each call takes
    47 bytes, in columns; the place of a call in them is its number.
    """

    KINDS: Final = frozenset(
        {
            events.RunStarted, events.RunEnded, events.JobCreated, events.JobStarted,
            events.JobEnded, events.Installing, events.Transferred, events.CallsSubmitted,
            events.CallsSent, events.CallsEnded, events.CallCancelled, events.CallRetried,
            events.BackupStarted,
        }
    )  # fmt: skip

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards all that follows: one thread writes, others read
        self._began: float | None = None
        self._ended: float | None = None
        self._jobs: list[Job] = []
        self._numbers: dict[str, int] = {}  # jobs by their id: their place in that list, and 1 more
        self._names = _Names()
        self._left_out = 0
        self._periods = 0
        self._again: list[Attempt] = []
        self._backups: dict[int, Attempt] = {}  # that are under way, by call
        self._last = 0  # the highest number of a call
        self._state = array("B")
        self._submitted, self._sent, self._heard = array("d"), array("d"), array("d")
        self._started, self._seconds = array("d"), array("f")
        self._job, self._slot = array("I"), array("H")
        self._name, self._error = array("H"), array("H")
        self._columns: tuple[tuple[array[Any], Any], ...] = (
            (self._state, _NONE),
            (self._submitted, _NEVER),
            (self._sent, _NEVER),
            (self._heard, _NEVER),
            (self._started, _NEVER),
            (self._seconds, 0.0),
            (self._job, 0),
            (self._slot, NOWHERE),
            (self._name, 0),
            (self._error, 0),
        )
        self._handlers: dict[type, Callable[[Any], None]] = {
            events.RunStarted: self._run_started,
            events.RunEnded: self._run_ended,
            events.JobCreated: self._job_created,
            events.JobStarted: self._job_started,
            events.JobEnded: self._job_ended,
            events.Installing: self._installing,
            events.Transferred: self._transferred,
            events.CallsSubmitted: self._calls_submitted,
            events.CallsSent: self._calls_sent,
            events.CallsEnded: self._calls_ended,
            events.CallCancelled: self._call_cancelled,
            events.CallRetried: self._call_retried,
            events.BackupStarted: self._backup_started,
        }

    def __repr__(self) -> str:
        return f"<Recorder {len(self._state)} calls, {len(self._jobs)} jobs>"

    def __call__(self, event: events.Event) -> None:
        """Take an event."""
        with self._lock:
            self._handlers[type(event)](event)

    # --- the run and its jobs ----------------------------------------------------------------

    def _run_started(self, event: events.RunStarted) -> None:
        self._began = event.at

    def _run_ended(self, event: events.RunEnded) -> None:
        self._ended = event.at

    def _job_of(self, job_id: str) -> Job | None:
        """Return what is known of a job, or make place for it; None where there is none left."""
        number = self._numbers.get(job_id)
        if number is None:
            if len(self._jobs) >= MOST_JOBS:
                self._left_out += 1
                return None
            self._jobs.append(Job(job_id))
            number = self._numbers[job_id] = len(self._jobs)
        return self._jobs[number - 1]

    def _job_created(self, event: events.JobCreated) -> None:
        if (job := self._job_of(event.job_id)) is not None:
            job.url, job.flavor, job.slots = event.job_url, event.flavor, event.slots
            job.launched = event.at - event.seconds

    def _job_started(self, event: events.JobStarted) -> None:
        if (job := self._job_of(event.job_id)) is not None:
            job.up, job.began = event.at, event.began
            job.slots = event.slots or job.slots

    def _job_ended(self, event: events.JobEnded) -> None:
        if (job := self._job_of(event.job_id)) is not None:
            job.ended, job.dollars = event.at, event.dollars
            job.began = job.began if event.began is None else event.began

    def _installing(self, event: events.Installing) -> None:
        job = self._job_of(event.job_id)
        if job is None or not self._has_room():
            return
        began, seconds = event.began, event.seconds
        job.installs[began] = Stretch(began, None if seconds is None else began + seconds)

    def _transferred(self, event: events.Transferred) -> None:
        job = self._job_of(event.job_id)
        if job is None:
            return
        period = Stretch(event.at - event.seconds, event.at, event.size)
        last = job.transfers[-1] if job.transfers else None
        # Parts of one result, and others that are fetched at the same time.
        if last is not None and period.began <= (last.ended or 0.0):
            began, size = min(last.began, period.began), last.size + period.size
            job.transfers[-1] = Stretch(began, event.at, size)
        elif self._has_room():
            job.transfers.append(period)

    def _has_room(self) -> bool:
        self._periods += 1
        room = self._periods <= MOST_PERIODS
        self._left_out += not room
        return room

    # --- calls -------------------------------------------------------------------------------

    def _calls_submitted(self, event: events.CallsSubmitted) -> None:
        calls, names = event.calls, event.names or ("",) * len(event.calls)
        self._last = max(self._last, *calls)
        if self._last > len(self._state) < MOST_CALLS:
            self._grow(min(max(self._last, len(self._state) + _AT_ONCE), MOST_CALLS))
        if len(calls) == 1:  # one call after the other: each costs its caller time
            if (place := calls[0] - 1) < len(self._state):
                self._state[place], self._submitted[place] = _WAITING, event.at
                self._name[place] = self._names.number(names[0])
            return
        self._set(calls, (self._state, _WAITING), (self._submitted, event.at))
        if names.count(names[0]) == len(names):
            self._set(calls, (self._name, self._names.number(names[0])))
        else:
            for call, name in zip(calls, names, strict=True):
                self._set((call,), (self._name, self._names.number(name)))

    def _set(self, calls: tuple[int, ...], *values: tuple[array[Any], Any]) -> None:
        """Set a value of each of these calls in each of these columns."""
        known, first, last = len(self._state), calls[0], calls[-1]
        if last <= known and calls == tuple(range(first, last + 1)):  # nearly always: all at once
            for column, value in values:
                column[first - 1 : last] = array(column.typecode, (value,)) * len(calls)
            return
        for column, value in values:
            for call in calls:
                if call <= known:
                    column[call - 1] = value

    def _grow(self, places: int) -> None:
        more = places - len(self._state)
        for column, nothing in self._columns:
            column.extend(array(column.typecode, (nothing,)) * more)

    def _calls_sent(self, event: events.CallsSent) -> None:
        if event.job_id not in self._numbers:
            self._job_of(event.job_id)
        job, calls, known = self._numbers.get(event.job_id, 0), event.calls, len(self._state)
        for call in calls:
            before = self._job[call - 1] if call <= known else 0
            if before and before != job and self._jobs[before - 1].ended is not None:
                self._keep(Attempt(call, before, self._sent[call - 1]))
        if len(calls) == 1:  # as above
            if (place := calls[0] - 1) < known:
                self._state[place], self._job[place], self._sent[place] = _SENT, job, event.at
            return
        self._set(calls, (self._state, _SENT), (self._job, job), (self._sent, event.at))

    def _call_retried(self, event: events.CallRetried) -> None:
        """An attempt has raised: the call waits for the next one."""
        place = event.call - 1
        if place < len(self._state):
            job = self._numbers.get(event.job_id or "", 0)
            self._keep(Attempt(event.call, job, self._sent[place], event))
            self._state[place], self._job[place] = _WAITING, 0

    def _backup_started(self, event: events.BackupStarted) -> None:
        if event.call <= len(self._state) and self._job_of(event.job_id) is not None:
            job = self._numbers[event.job_id]
            self._backups[event.call] = Attempt(event.call, job, event.at, backup=True)

    def _end_backup(self, call: int, job_id: str | None, at: float) -> None:
        """One of two attempts has the outcome: keep the other one."""
        backup, place = self._backups.pop(call), call - 1
        if self._numbers.get(job_id or "") == backup.job:
            self._keep(Attempt(call, self._job[place], self._sent[place], stopped=at))
            self._job[place], self._sent[place] = backup.job, backup.sent
        else:
            self._keep(backup._replace(stopped=at))

    def _keep(self, attempt: Attempt) -> None:
        if len(self._again) < MOST_AGAIN:
            self._again.append(attempt)
        else:
            self._left_out += 1

    def _calls_ended(self, event: events.CallsEnded) -> None:
        at, known, numbers = event.at, len(self._state), self._numbers
        heard, state, started = self._heard, self._state, self._started
        lasted, slots, jobs = self._seconds, self._slot, self._job
        for call, job_id, seconds, error, began, slot in event.ended:
            place = call - 1
            if place >= known:
                continue
            if call in self._backups:
                self._end_backup(call, job_id, at)
            heard[place] = at
            state[place] = _DONE if error is None else _FAILED
            if error is not None:
                self._error[place] = self._names.number(error)
            if began is not None and slot is not None:
                started[place], lasted[place], slots[place] = began, seconds, slot
                if job_id is not None:  # an earlier job may have answered after all
                    jobs[place] = numbers.get(job_id, 0)

    def _call_cancelled(self, event: events.CallCancelled) -> None:
        if event.call <= len(self._state):
            self._state[event.call - 1] = _CANCELLED

    # --- asked about it ----------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return a copy of what is remembered."""
        with self._lock:
            return Snapshot(
                began=self._began,
                ended=self._ended,
                columns=[column[:] for column, _ in self._columns],
                again=[*self._again, *self._backups.values()],
                names=list(self._names.texts),
                jobs=[job.copy() for job in self._jobs],
                calls_left_out=max(0, self._last - MOST_CALLS),
                others_left_out=self._left_out,
            )
