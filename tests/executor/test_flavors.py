"""A list of flavors: the next one where hardware does not come."""

from __future__ import annotations

import logging
import os
import re
import signal
import time

import pytest

from hfexecutor import CallDiedError, CostLimitError, HubExecutor, HubRequestError, as_completed
from hfexecutor.local import LocalHub, faults

from .conftest import until


@pytest.fixture
def scarce():
    """A Hub that has no cpu-upgrade, and says so."""
    stuck = faults.Stuck(flavor="cpu-upgrade", message="waiting for a free machine")
    with LocalHub(faults=[stuck]) as hub:
        yield hub
        assert hub.running == 0


def executor_on(hub: LocalHub, *flavors: str, **options) -> HubExecutor:
    options = {"scheduling_timeout": 0.5, "slots_per_job": 1, **options}
    return HubExecutor(2, endpoint=hub.endpoint, token=hub.token, flavor=flavors, **options)


def hardware() -> str:
    return os.environ["CPU_CORES"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"max_retries": 0}, marks=pytest.mark.slow),
        pytest.param({"reuse_workers": False}, marks=pytest.mark.slow),
    ],
)
def test_the_next_flavor_does_what_the_first_was_waited_for_in_vain(scarce, caplog, options):
    with caplog.at_level(logging.INFO, "hfexecutor"):
        with executor_on(scarce, "cpu-upgrade", "cpu-basic", **options) as executor:
            assert list(executor.map(pow, range(4), [2] * 4)) == [0, 1, 4, 9]
            cost, stats = executor.cost(), executor.stats()

    stages = {(job.flavor, job.stage) for job in scarce.jobs()}
    assert {stage for flavor, stage in stages if flavor == "cpu-upgrade"} == {"CANCELED"}
    # What never ran costs nothing, and no call was tried there.
    assert stats.retried == 0
    assert {job.flavor for job in cost.jobs if job.dollars} == {"cpu-basic"}
    text = "\n".join(caplog.messages)
    assert "launching 2 jobs on cpu-upgrade" in text
    assert "waiting for a free machine" in text
    assert re.search(r"got no cpu-upgrade in \d+ s: trying cpu-basic", text)
    assert "up to 2 x cpu-upgrade at $0.04/h or 2 x cpu-basic at $0.02/h; at most $0.96" in text


def test_what_must_not_begin_twice_goes_to_the_next_flavor_as_well(scarce):
    options = {"max_retries": 0, "reuse_workers": False}  # each job has its call aboard
    with executor_on(scarce, "cpu-upgrade", "cpu-basic", **options) as executor:
        assert list(executor.map(pow, range(3), [2] * 3)) == [0, 1, 4]
        assert executor.stats().retried == 0


def test_a_view_has_a_patience_of_its_own(scarce):
    with executor_on(scarce, "cpu-basic", scheduling_timeout=None) as executor:
        hasty = executor.with_options(flavor=["cpu-upgrade", "cpu-basic"], scheduling_timeout=0.5)
        assert hasty.submit(pow, 2, 5).result(60) == 32
        assert "scheduling_timeout" in repr(hasty)
    assert {job.flavor for job in scarce.jobs()} == {"cpu-upgrade", "cpu-basic"}


def test_the_words_of_the_hub_are_known_to_a_bar_while_jobs_wait(scarce):
    with executor_on(scarce, "cpu-upgrade", scheduling_timeout=None) as executor:
        future = executor.submit(pow, 2, 3)
        shown = executor._jobs()
        until(lambda: shown().why == "waiting for a free machine")
        assert (shown().running, shown().scheduling) == (0, 1)
        assert future.cancel()


def test_where_the_first_comes_the_next_is_not_asked_for():
    with LocalHub() as hub, executor_on(hub, "cpu-upgrade", "cpu-basic") as executor:
        assert set(executor.map(lambda _: hardware(), range(4))) == {"8"}
        assert "cpu-upgrade or cpu-basic" in repr(executor)
        assert {job.flavor for job in hub.jobs()} == {"cpu-upgrade"}


def test_each_flavor_of_a_list_is_looked_at_before_a_job_exists():
    with LocalHub() as hub:
        with executor_on(hub, "cpu-basic", "l40s1") as executor:
            with pytest.raises(HubRequestError, match=r"no flavor 'l40s1'.*'l40sx1'"):
                executor.submit(pow, 2, 3).result(30)
        with executor_on(hub, "cpu-basic", "h200x8") as executor:
            with pytest.raises(CostLimitError, match=r"each job of h200x8 costs \$40.00"):
                executor.submit(pow, 2, 3).result(30)
        with executor_on(hub, "cpu-basic", "h200x8", max_cost=0.5) as executor:
            with pytest.raises(CostLimitError, match="does not pay for a single minute of h200x8"):
                executor.submit(pow, 2, 3).result(30)
        assert not hub.jobs()


def test_calls_of_a_view_run_on_its_flavor_and_share_all_else():
    with LocalHub() as hub:
        with executor_on(hub, "cpu-basic", scheduling_timeout=None, max_cost=1.0) as executor:
            large = executor.with_options(flavor="cpu-upgrade")
            largest = large.with_options(flavor="cpu-performance")
            futures = {
                executor.submit(hardware): "2",
                large.submit(hardware): "8",
                largest.submit(hardware): "32",
            }
            for future in as_completed(futures):
                assert future.result() == futures[future]
            stats, cost = executor.stats(), executor.cost()
            assert "(flavor)" in repr(large)

        # Two places for three flavors: idle jobs made way.
        assert (stats.done, stats.jobs_started) == (3, 3)
        assert {job.flavor for job in cost.jobs} == {"cpu-basic", "cpu-upgrade", "cpu-performance"}
        assert cost.dollars == pytest.approx((0.02 + 0.04 + 1.91) / 60, rel=0.01)
        assert hub.running == 0


def test_a_wrong_flavor_of_a_view_ends_its_own_calls_alone():
    with LocalHub() as hub, executor_on(hub, "cpu-basic", scheduling_timeout=None) as executor:
        unknown = executor.with_options(flavor="l40s1").submit(pow, 2, 3)
        dear = executor.with_options(flavor="h200x8").submit(pow, 2, 3)
        assert executor.submit(pow, 2, 3).result(60) == 8
        assert isinstance(unknown.exception(60), HubRequestError)
        assert isinstance(dear.exception(60), CostLimitError)
        assert executor.submit(pow, 2, 4).result(60) == 16
        for wrong in ([], ["a", "a"], ""):
            with pytest.raises(ValueError, match="flavor"):
                executor.with_options(flavor=wrong)


def greedy(cores: int) -> str:
    """Take more memory than machines of fewer cores have."""
    if int(os.environ["CPU_CORES"]) < cores:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.environ["CPU_CORES"]


def test_a_call_that_was_killed_for_memory_runs_once_more_on_the_next_larger_flavor(caplog):
    flavors = ["cpu-basic", "cpu-performance", "cpu-upgrade"]
    with LocalHub() as hub, caplog.at_level(logging.INFO, "hfexecutor"):
        with executor_on(
            hub, *flavors, scheduling_timeout=None, on_memory_error="next flavor", max_retries=0
        ) as executor:
            assert executor.submit(greedy, 2).result(60) == "2"
            assert executor.submit(greedy, 8).result(60) == "8"
            with pytest.raises(CallDiedError, match="likely out of memory"):
                executor.submit(greedy, 32).result(60)
            plain = executor.with_options(on_memory_error=None, flavor="cpu-basic")
            with pytest.raises(CallDiedError, match="likely out of memory"):
                plain.submit(greedy, 8).result(60)
            assert executor.stats().retried == 2
        assert {job.flavor for job in hub.jobs()} == {"cpu-basic", "cpu-upgrade"}
    assert "call 2 was killed for memory on cpu-basic, trying cpu-upgrade" in caplog.text


@pytest.mark.slow
def test_a_job_that_the_hub_ends_for_memory_as_a_whole_counts_for_the_call_in_it(caplog):
    flavors = ["cpu-basic", "cpu-upgrade"]
    whole = faults.EndJob.oom(job=0, after=3.0)
    with LocalHub(faults=[whole]) as hub, caplog.at_level(logging.INFO, "hfexecutor"):
        with executor_on(
            hub, *flavors, scheduling_timeout=None, on_memory_error="next flavor", max_retries=0
        ) as executor:
            future = executor.submit(cores_after, 8)
            assert future.result(60) == "8"
    assert "call 1 was killed for memory on cpu-basic, trying cpu-upgrade" in caplog.text


def cores_after(cores: int) -> str:
    """Take until the end of the job, where the machine is too small."""
    if int(os.environ["CPU_CORES"]) < cores:
        time.sleep(60)
    return os.environ["CPU_CORES"]
