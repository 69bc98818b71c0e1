"""When ports are given up for the rest of a run."""

from hfexecutor.core.ports import Ports
from hfexecutor.core.rules import Limits, Rules


def ports(**limits):
    return Ports(Limits(**limits), Rules(shut_doors=3, unused=2))


def test_without_reuse_of_workers_there_are_none():
    assert ports(reuse_workers=False).given_up


def test_one_door_that_cannot_be_used_is_enough_before_any_could():
    tried = ports()

    assert "one-shot" in tried.shut()
    assert tried.given_up


def test_a_job_that_says_itself_why_it_has_none_may_have_had_bad_luck():
    tried = ports()

    assert [tried.shut(known=True), tried.shut(known=True)] == [""] * 2
    assert "one-shot" in tried.shut(known=True)
    assert tried.given_up


def test_after_one_that_answered_it_takes_several_in_a_row():
    tried = ports()
    tried.answered()
    said = [tried.shut(), tried.shut()]
    tried.answered()
    said += [tried.shut(), tried.shut()]

    assert said == [""] * 4
    assert not tried.given_up
    assert tried.shut()
    assert tried.given_up


def test_jobs_in_a_row_to_whose_door_nobody_came_are_enough():
    tried = ports()
    tried.unused()
    tried.answered()

    assert tried.unused() == ""
    assert "idle_timeout" in tried.unused()
    assert tried.unused() == ""  # it is said once
