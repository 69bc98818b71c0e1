"""A run is recorded as it happens, and drawn: with a real hub, real jobs, and one that is lost."""

from __future__ import annotations

import os
import signal
import time

import pytest

from hfexecutor.timeline import recorder

from .workplace import Workplace


def work(seconds):
    time.sleep(seconds)
    if seconds == 0.125:
        raise ValueError(seconds)
    return os.getpid()


def kill_the_job_once(path):
    """Kill the job in which this runs, the first time."""
    if not path.exists():
        path.touch()
        time.sleep(0.2)
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)


def test_calls_are_shown_where_and_when_they_ran(make, tmp_path):
    before = time.time()
    with make(2, slots_per_job=2, name="nightly") as executor:
        futures = [executor.submit(work, seconds) for seconds in (0.25, 0.125, 0.25)]
        pids = [futures[0].result(), futures[2].result()]
        during = executor.timeline()
    after = executor.timeline(tmp_path / "run.html")

    assert [call.state for call in during.calls] == ["done", "failed", "done"]
    assert not during.over
    assert after.over
    first, second, third = after.calls
    assert [call.name for call in after.calls] == ["work"] * 3
    assert second.error == "ValueError"
    for call, seconds in zip(after.calls, (0.25, 0.125, 0.25), strict=True):
        assert seconds <= call.seconds < seconds + 5
        assert before < call.submitted <= call.sent <= call.began < call.ended <= call.heard
    # Two at once, and the third in the place that is free first.
    assert {first.slot, second.slot} == {0, 1}
    assert third.slot == (first.slot if pids[0] == pids[1] else second.slot)
    assert third.began >= min(first.ended, second.ended) - 0.001
    (job,) = after.jobs
    assert (job.id, job.slots, job.flavor) == (futures[0].job_id, 2, "cpu-basic")
    assert before < job.launched <= job.began <= job.up <= first.began
    assert third.heard <= job.ended <= after.until
    assert job.dollars == after.dollars > 0
    assert after.shares["running"] == pytest.approx(sum(call.seconds for call in after.calls))
    there = 2 * (job.ended - job.launched)
    assert sum(after.shares.values()) == pytest.approx(there, abs=0.01)
    assert (tmp_path / "run.html").read_text(encoding="utf-8") == after.to_html()
    assert repr(after).startswith("<Timeline nightly: 3 calls, 1 failed, 1 job, ")


@pytest.mark.usefixtures("short_patience")
def test_a_call_whose_job_was_lost_is_shown_twice(make, tmp_path):
    with make(1) as executor:
        executor.submit(work, 0).result()
        executor.submit(kill_the_job_once, tmp_path / "once").result()
        timeline = executor.timeline()

    first, second = executor.timeline().jobs
    lost, done = [call for call in timeline.calls if call.call == 2]
    assert (lost.state, lost.job_id) == ("lost", first.id)
    assert (done.state, done.job_id) == ("done", second.id)
    assert done.began > first.ended
    assert timeline.shares["lost"] >= 0.2
    assert "1 call was lost with a job" in str(timeline)


def test_what_is_installed_and_fetched_is_shown(tmp_path):
    workplace = Workplace(tmp_path)
    workplace.wheel("alpha", "1.0", "def large(n): return bytes(n)")
    workplace.install("alpha")
    lines = workplace.run(
        """
        import alpha
        from hfexecutor import HubExecutor

        with HubExecutor(1, endpoint="local") as executor:
            executor.submit(alpha.large, 3 << 20).result()
        timeline = executor.timeline()
        (job,) = timeline.jobs
        (install,) = job.installs
        (call,) = timeline.calls
        print(job.up <= install.began < install.ended <= call.began)
        print(timeline.shares["installing"] > 0)
        fetched = max(job.transfers, key=lambda period: period.size)
        print(fetched.size >> 20, call.ended <= fetched.began < fetched.ended <= call.heard)
        """
    )

    assert lines == ["True", "True", "3 True"]


def test_a_call_that_runs_is_shown_while_it_does(make, tmp_path):
    with make(1) as executor:
        executor.submit(work, 0).result()
        future = executor.submit(time.sleep, 60)
        waiting = executor.submit(time.sleep, 60)
        while not future.running():
            time.sleep(0.01)
        time.sleep(0.3)
        timeline = executor.timeline()
        waiting.cancel()
        future.kill()

    states = {call.call: call.state for call in timeline.calls}
    assert (states[1], states[2]) == ("done", "sent")
    (lane,) = timeline.lanes
    assert [(bar.call.call, bar.open) for bar in lane.bars] == [(1, False), (2, True)]
    assert lane.bars[1].ended == timeline.until


def test_an_executor_that_ran_nothing_has_a_timeline(make):
    with make(1) as executor:
        assert executor.timeline().findings == ("No job was there.",)


def test_calls_beyond_the_limit_are_counted_and_said(make, monkeypatch):
    monkeypatch.setattr(recorder, "MOST_CALLS", 5)
    with make(1) as executor:
        list(executor.map(abs, range(8)))
    timeline = executor.timeline()

    assert [call.call for call in timeline.calls] == [1, 2, 3, 4, 5]
    assert timeline.notes == ("The first 5 calls are shown; 3 later ones are not.",)
    assert timeline.notes[0] in timeline.to_html()


def test_a_map_in_chunks_is_named_after_its_function(make):
    with make(1) as executor:
        list(executor.map(abs, range(4), chunksize=2))
        list(executor.map(lambda n: n, range(2)))

    names = [call.name for call in executor.timeline().calls]
    assert names == ["abs", "abs", "<lambda>", "<lambda>"]
