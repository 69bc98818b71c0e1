"""A run is found again: by its name, from its jobs alone."""

from __future__ import annotations

import logging

import pytest

from hfexecutor import HubExecutor
from hfexecutor.runs import list_runs


def found(hub, name):
    return list_runs(name, endpoint=hub.endpoint, token=hub.token)


def test_jobs_carry_the_name_of_their_run_and_the_calls_aboard(make, hub):
    with make(2, name="carries") as executor:
        assert executor.name == "carries"
        list(executor.map(pow, [2, 3], [5, 2]))

    labels = [job.labels for job in hub.jobs() if job.labels.get("hfexecutor-name") == "carries"]
    assert {label["hfexecutor-calls"] for label in labels} <= {"1", "2", "1-2", ""}
    assert "1" in "".join(label["hfexecutor-calls"] for label in labels)
    assert len({label["hfexecutor-run"] for label in labels}) == 1
    assert {label.get("hfexecutor-script", "") for label in labels} == {
        found(hub, "carries")[0].script
    }


def test_a_run_is_listed_while_it_lasts_and_afterwards(make, hub):
    with make(1, name="listed") as executor:
        executor.submit(pow, 2, 5).result()
        (during,) = found(hub, "listed")
        assert during.running == 1
        assert during.flavors == ("cpu-basic",)
        assert during.dollars > 0
    (after,) = found(hub, "listed")

    assert after.nonce == during.nonce
    assert after.running == 0
    assert after.finished is not None
    assert after in found(hub, None)


def test_of_runs_with_the_same_name_the_latest_comes_first(make, hub):
    nonces = []
    for _ in range(2):
        with make(1, name="again") as executor:
            executor.submit(pow, 2, 5).result()
            nonces.append(executor._pool.connection.nonce)

    assert [run.nonce for run in found(hub, "again")] == nonces[::-1]


def test_a_job_that_only_has_the_labels_is_no_run(hub):
    from huggingface_hub import HfApi

    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    api.run_job(
        image="python:3.11",
        command=["true"],
        labels={"hfexecutor": "job", "hfexecutor-run": "x", "hfexecutor-name": "forged"},
        namespace=hub.namespace,
    )

    assert found(hub, "forged") == []


def test_the_first_line_says_how_to_get_back(make, hub, caplog):
    with caplog.at_level(logging.INFO, "hfexecutor"), make(1, name="back") as executor:
        executor.submit(pow, 2, 5).result()

    words = f"hfexecutor attach back --endpoint {hub.endpoint}"
    assert f"run back; to get back to it: {words}" in caplog.messages


def test_what_is_interrupted_says_how_to_get_back(make, hub, caplog):
    def interrupted():
        with make(1, name="cut") as executor:
            executor.submit(pow, 2, 5).result()
            raise KeyboardInterrupt

    with caplog.at_level(logging.INFO, "hfexecutor"), pytest.raises(KeyboardInterrupt):
        interrupted()

    assert (
        "run cut is being stopped: KeyboardInterrupt left the with block; what it has done: "
        f"hfexecutor attach cut --endpoint {hub.endpoint}"
    ) in caplog.messages


def test_a_hub_that_ends_with_the_executor_is_none_to_come_back_to(caplog):
    with caplog.at_level(logging.INFO, "hfexecutor"), HubExecutor(1, endpoint="local") as executor:
        executor.submit(pow, 2, 5).result()

    assert f"run {executor.name}" in caplog.messages
    with pytest.raises(ValueError, match="lasts as long as its executor"):
        list_runs(endpoint="local")
