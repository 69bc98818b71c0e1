"""Jobs that are close to their timeout, on an embedded Hub."""

from __future__ import annotations

import time


def slow_square(n: int) -> int:
    time.sleep(0.4)
    return n * n


def test_jobs_are_replaced_before_a_call_could_reach_their_timeout(make):
    # After its first second a job has no time for another call, if that took its call_timeout.
    with make(1, timeout=90, call_timeout=80) as executor:
        futures = [executor.submit(slow_square, n) for n in range(6)]
        assert [future.result() for future in futures] == [n * n for n in range(6)]
        assert len({future.job_id for future in futures}) > 1
        assert executor.stats().retried == 0
