"""How many calls share a machine, if nobody says how many."""

from __future__ import annotations

import os
import time

from hfexecutor import HubExecutor


def where(seconds: float) -> tuple[str, str | None]:
    time.sleep(seconds)
    return os.environ["JOB_ID"], os.environ.get("CUDA_VISIBLE_DEVICES")


def places(hub, workers: int, calls: int, **options) -> list[tuple[str, str | None]]:
    with HubExecutor(workers, endpoint=hub.endpoint, token=hub.token, **options) as executor:
        return list(executor.map(where, [0.3] * calls))


def test_the_cpus_of_a_job_are_filled_before_another_one_is_paid_for(hub):
    found = places(hub, 4, 4)  # a cpu-basic has two

    assert len({job for job, _ in found}) == 2
    assert {device for _, device in found} == {None}


def test_the_last_job_has_as_many_slots_as_are_left(hub):
    with HubExecutor(3, endpoint=hub.endpoint, token=hub.token) as executor:
        list(executor.map(where, [0.5] * 6))
        workers = executor._pool.machine.workers.values()
        assert sorted(worker.slots for worker in workers) == [1, 2]


def test_each_gpu_has_one_call(hub):
    found = places(hub, 4, 4, flavor="l4x4")

    assert len({job for job, _ in found}) == 1
    assert sorted(device for _, device in found) == ["0", "1", "2", "3"]


def test_a_machine_with_one_gpu_has_one_call(hub):
    found = places(hub, 2, 2, flavor="t4-small")  # of four vCPU

    assert len({job for job, _ in found}) == 2
    assert {device for _, device in found} == {None}


def test_devices_that_the_user_names_stay(hub):
    found = places(hub, 2, 2, flavor="l4x4", env={"CUDA_VISIBLE_DEVICES": "3"})

    assert {device for _, device in found} == {"3"}
