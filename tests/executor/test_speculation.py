"""A call that hangs on a bad machine has a backup in another job."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hfexecutor import CallStoppedError
from hfexecutor.events import BackupStarted


def hang_once(path: str, number: int) -> int:
    """Hang where nobody was before; else be quick."""
    if number == 3 and not Path(path).exists():
        Path(path).touch()
        print("first")
        time.sleep(120)
    print("second" if number == 3 else "")
    return number


def test_the_backup_of_a_call_that_hangs_is_what_counts(make, tmp_path):
    path = str(tmp_path / "hung")
    with make(2, speculate=True) as executor:
        told: list[BackupStarted] = []
        executor.events.listen(told.append, kinds=[BackupStarted])
        begun = time.monotonic()
        futures = [executor.submit(hang_once, path, number) for number in range(12)]
        assert [future.result(90) for future in futures] == list(range(12))
        assert time.monotonic() - begun < 60
        stats = executor.stats()
        assert (stats.backups, stats.retried, stats.done, stats.failed) == (1, 0, 12, 0)
        assert futures[3].logs() == "second\n"
        (event,) = told
        assert (event.call, event.job_id) == (4, futures[3].job_id)
        assert event.first_job_id not in {None, event.job_id}
        assert event.seconds > event.median
        rows = {c.state: c.job_id for c in executor.timeline().calls if c.call == 4}
        assert rows == {"stopped": event.first_job_id, "done": event.job_id}
        begun = time.monotonic()
    assert time.monotonic() - begun < 30, "the other attempt was stopped"


def test_a_kill_ends_both_attempts(make, tmp_path):
    def hang(number: int) -> None:
        time.sleep(120 if number == 3 else 0)

    with make(2, speculate=True) as executor:
        futures = [executor.submit(hang, number) for number in range(12)]
        while not executor.stats().backups:
            time.sleep(0.05)
        futures[3].kill()
        assert isinstance(futures[3].exception(30), CallStoppedError)


def test_at_most_once_calls_have_no_backup(make):
    with pytest.raises(ValueError, match="speculate runs calls again, and with max_retries=0"):
        make(2, speculate=True, max_retries=0)
    with make(2, max_retries=0) as executor:
        with pytest.raises(ValueError, match="speculate runs calls again"):
            executor.with_options(speculate=True)
        assert executor.with_options(speculate=True, max_retries=1).submit(pow, 2, 3).result() == 8
