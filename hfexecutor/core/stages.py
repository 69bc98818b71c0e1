"""What a worker's stage and frames together mean: one table, no I/O, no clock.

Two sources tell about a worker. Its **stage** comes from the Hub's list, lags about a second
behind the truth and may use words that we do not know. Its **frames** come from its log, may
arrive later than the stage, twice, or never. Neither alone decides anything; what they mean
together is looked up here and nowhere else.

Rules that the table keeps:

1. An outcome in hand is never given up, whatever the stage says.
2. "Over, but an outcome is missing" first means *read the log again*, and only when that was done
   often enough (`Evidence.exhausted`), *lost*.
3. A job is only over when a terminal stage says so, or the Hub does not know the job any more:
   a log that ends, or goes on for ever, says nothing about the job.
4. A worker that never spoke failed before our code ran: the job is at fault, not the call.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

__all__ = [
    "TERMINAL",
    "Action",
    "Evidence",
    "Phase",
    "Words",
    "decide",
    "phase_of",
    "ran_out_of_memory",
]


class Phase(Enum):
    """What a stage word amounts to."""

    WAITING = "waiting"  # SCHEDULING
    RUNNING = "running"
    OVER = "over"  # COMPLETED
    FAILED = "failed"  # ERROR: exit code, timeout, out of memory, no such image
    STOPPED = "stopped"  # CANCELED, by whomever
    GONE = "gone"  # DELETED, or not known to the Hub any more
    UNCLEAR = "unclear"  # a new word, or not seen yet: never taken as over


_PHASES = {
    "SCHEDULING": Phase.WAITING,
    "RUNNING": Phase.RUNNING,
    "COMPLETED": Phase.OVER,
    "ERROR": Phase.FAILED,
    "CANCELED": Phase.STOPPED,
    "DELETED": Phase.GONE,
}


_MEMORY = re.compile(
    r"OOM ?Killed|out of memory|exit ?code:? 137\b(?!.*reason)", re.IGNORECASE | re.DOTALL
)


def phase_of(stage: str | None) -> Phase:
    """Return the phase of a stage word; an unknown word is UNCLEAR, which ends nothing."""
    return _PHASES.get(stage or "", Phase.UNCLEAR)


def ran_out_of_memory(stage: str, message: str) -> bool:
    """Say whether the Hub has ended a job as a whole for its memory, by what it says of that.

    There is no field for it. Exit code 137 is SIGKILL, which is what the kernel ends a process
    with that takes too much: where no other reason is given, that is it. Who cancels a job, and a
    timeout, get other stages or words.

    >>> ran_out_of_memory("ERROR", "Job failed with exit code: 137. Reason: OOMKilled")
    True
    """
    return phase_of(stage) is Phase.FAILED and _MEMORY.search(message) is not None


class Words(Enum):
    """How far the worker's frames have come."""

    NONE = "none"  # no HELLO: our code was not seen running
    OWING = "owing"  # HELLO, and calls without outcome
    IDLE = "idle"  # HELLO, and every call it holds is answered
    BYE_OWING = "bye, owing"  # said BYE, but an outcome is missing
    BYE = "bye"  # said BYE, and nothing is missing


class Evidence(NamedTuple):
    """All that a decision rests on."""

    phase: Phase
    words: Words
    exhausted: bool = False  # the log was read again as often as patience allows


class Action(Enum):
    """What happens next."""

    FOLLOW = "follow"  # keep the log open, or open it again
    READ_AGAIN = "read again"  # over, but something is missing: the log may be late
    FINISH = "finish"  # over and nothing missing
    LOSE = "lose"  # over, something missing, patience exhausted: its calls run again or fail
    FAIL = "fail"  # over before our code ran: the job's own failure


TERMINAL = (Phase.OVER, Phase.FAILED, Phase.STOPPED, Phase.GONE)
_ALIVE = (Phase.WAITING, Phase.RUNNING, Phase.UNCLEAR)

# (phase, words) -> (action while the log may be late, action when patience is exhausted)
TABLE: dict[tuple[Phase, Words], tuple[Action, Action]] = {
    # While the job lives patience has no end: a log that was read again in vain may just be empty.
    **{
        (phase, words): (Action.FOLLOW, Action.FOLLOW)
        for phase in _ALIVE
        for words in (Words.NONE, Words.OWING, Words.IDLE)
    },
    # It said good-bye and is about to end: only the stage is late.
    **{(phase, Words.BYE): (Action.FOLLOW, Action.FOLLOW) for phase in _ALIVE},
    # It said good-bye, so what is missing was said before: the log has a hole, read it again. The
    # one case of a live job that is lost: nothing more will come of it, whenever its stage changes.
    **{(phase, Words.BYE_OWING): (Action.READ_AGAIN, Action.LOSE) for phase in _ALIVE},
    # COMPLETED without a word of ours fails, too: the command was not what ran.
    **{(phase, Words.NONE): (Action.READ_AGAIN, Action.FAIL) for phase in TERMINAL},
    # Even where the Hub does not know the job any more: its log may outlive it.
    **{(phase, Words.OWING): (Action.READ_AGAIN, Action.LOSE) for phase in TERMINAL},
    **{(phase, Words.BYE_OWING): (Action.READ_AGAIN, Action.LOSE) for phase in TERMINAL},
    # ERROR and CANCELED as well: what it owed is here, so how it ended is of no interest.
    **{(phase, Words.IDLE): (Action.FINISH, Action.FINISH) for phase in TERMINAL},
    **{(phase, Words.BYE): (Action.FINISH, Action.FINISH) for phase in TERMINAL},
}


def decide(evidence: Evidence) -> Action:
    """Look the evidence up."""
    patient, exhausted = TABLE[evidence.phase, evidence.words]
    return exhausted if evidence.exhausted else patient
