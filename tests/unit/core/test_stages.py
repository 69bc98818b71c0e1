"""The table of stages and words: every cell is there, and the rules on top of the module hold."""

from __future__ import annotations

from itertools import product

import pytest

from hfexecutor.core import stages
from hfexecutor.core.stages import (
    TABLE,
    Action,
    Evidence,
    Phase,
    Words,
    decide,
    phase_of,
    ran_out_of_memory,
)
from hfexecutor.hub.models import TERMINAL

CELLS = list(product(Phase, Words))
ALIVE = [Phase.WAITING, Phase.RUNNING, Phase.UNCLEAR]
OVER = [phase for phase in Phase if phase not in ALIVE]
OWING = [Words.OWING, Words.BYE_OWING]
ENDS = {Action.FINISH, Action.LOSE, Action.FAIL}


@pytest.mark.parametrize(
    ("stage", "message", "memory"),
    [
        ("ERROR", "Job failed with exit code: 137. Reason: OOMKilled", True),
        ("ERROR", "Job failed with exit code: 137", True),
        ("ERROR", "OOM killed", True),
        ("ERROR", "the container ran out of memory", True),
        ("ERROR", "Job failed with exit code: 137. Reason: Error", False),
        ("ERROR", "Job failed with exit code: 1370", False),
        ("ERROR", "Job failed with exit code: 1. Reason: Error", False),
        ("ERROR", "Job timeout", False),
        ("ERROR", "", False),
        ("CANCELED", "Job failed with exit code: 137. Reason: OOMKilled", False),
        ("RUNNING", "OOMKilled", False),
    ],
)
def test_that_a_job_ran_out_of_memory_is_known_by_what_the_hub_says(stage, message, memory):
    assert ran_out_of_memory(stage, message) is memory


def test_the_table_has_every_cell_and_no_other():
    assert set(TABLE) == set(CELLS)


# Rule 1: an outcome in hand is never given up, whatever the stage says.
@pytest.mark.parametrize("words", Words)
def test_a_worker_that_owes_nothing_is_never_lost(words):
    for phase in Phase:
        if words in {Words.IDLE, Words.BYE}:
            assert not {Action.LOSE, Action.FAIL, Action.READ_AGAIN} & set(TABLE[phase, words])


# Rule 2: over, but an outcome is missing, first means to read again.
@pytest.mark.parametrize("words", Words)
def test_nothing_is_lost_before_patience_is_exhausted(words):
    for phase in Phase:
        patient, exhausted = TABLE[phase, words]

        assert patient not in {Action.LOSE, Action.FAIL}
        if exhausted in {Action.LOSE, Action.FAIL}:
            assert patient is Action.READ_AGAIN


@pytest.mark.parametrize("words", Words)
def test_reading_again_has_an_end(words):
    for phase in Phase:
        patient, exhausted = TABLE[phase, words]

        assert exhausted is not Action.READ_AGAIN
        if patient is Action.READ_AGAIN:
            assert exhausted in ENDS


@pytest.mark.parametrize("phase", OVER)
def test_a_job_that_is_over_is_settled_in_the_end(phase):
    for words in Words:
        assert decide(Evidence(phase, words, exhausted=True)) in ENDS


@pytest.mark.parametrize("phase", OVER)
@pytest.mark.parametrize("words", OWING)
def test_what_a_job_that_is_over_owes_is_lost_in_the_end(phase, words):
    assert decide(Evidence(phase, words)) is Action.READ_AGAIN
    assert decide(Evidence(phase, words, exhausted=True)) is Action.LOSE


# Rule 3: only a terminal stage says that a job is over.
@pytest.mark.parametrize("phase", ALIVE)
@pytest.mark.parametrize("words", [words for words in Words if words is not Words.BYE_OWING])
@pytest.mark.parametrize("exhausted", [False, True])
def test_a_job_that_may_live_is_followed(phase, words, exhausted):
    assert decide(Evidence(phase, words, exhausted)) is Action.FOLLOW


@pytest.mark.parametrize("phase", ALIVE)
def test_a_worker_that_said_goodbye_too_early_is_read_again_then_lost(phase):
    assert decide(Evidence(phase, Words.BYE_OWING)) is Action.READ_AGAIN
    assert decide(Evidence(phase, Words.BYE_OWING, exhausted=True)) is Action.LOSE


# Rule 4: a worker that never spoke failed before our code ran.
@pytest.mark.parametrize("words", Words)
def test_only_a_worker_that_never_spoke_has_failed(words):
    for phase in Phase:
        fails = Action.FAIL in TABLE[phase, words]

        assert fails == (words is Words.NONE and phase in OVER)


@pytest.mark.parametrize(
    ("stage", "phase"),
    [
        ("SCHEDULING", Phase.WAITING),
        ("RUNNING", Phase.RUNNING),
        ("COMPLETED", Phase.OVER),
        ("ERROR", Phase.FAILED),
        ("CANCELED", Phase.STOPPED),
        ("DELETED", Phase.GONE),
    ],
)
def test_the_hubs_words_have_a_phase(stage, phase):
    assert phase_of(stage) is phase


@pytest.mark.parametrize("stage", [None, "", "UPDATING", "completed", " ERROR", "PAUSED"])
def test_a_word_that_nobody_knows_ends_nothing(stage):
    assert phase_of(stage) is Phase.UNCLEAR


def test_the_terminal_stages_are_those_of_the_hub_models():
    assert {word for word, phase in stages._PHASES.items() if phase in OVER} == TERMINAL
