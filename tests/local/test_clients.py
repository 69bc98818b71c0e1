"""Hugging Face's own client, unchanged, against a LocalHub."""

from __future__ import annotations

import httpx
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

IMAGE = "python:3"
ERRORS = (HfHubHTTPError, httpx.HTTPStatusError)  # older releases wrap only some of theirs


def needs(method):
    return pytest.mark.skipif(not hasattr(HfApi, method), reason=f"HfApi has no {method} yet")


@pytest.fixture
def wait(api, hub, until):
    """Wait for a job with no more than every release has."""

    def wait_for(job_id, *stages):
        def job():
            return api.inspect_job(job_id=job_id, namespace=hub.namespace)

        wanted = stages or ("COMPLETED", "CANCELED", "ERROR", "DELETED")
        until(lambda: job().status.stage in wanted)
        return job()

    return wait_for


def test_whoami(api, hub):
    assert api.whoami()["name"] == hub.namespace == "local-user"


def test_run_wait_and_logs(api, hub, wait):
    job = api.run_job(image=IMAGE, command=["echo", "hello"], namespace=hub.namespace)
    assert job.status.stage == "SCHEDULING"
    assert list(api.fetch_job_logs(job_id=job.id, namespace=hub.namespace, follow=True)) == [
        "hello"
    ]
    done = wait(job.id)
    assert done.status.stage == "COMPLETED"
    assert done.owner.name == hub.namespace
    assert done.durations.total_secs is not None
    assert done.url == f"{hub.endpoint}/jobs/{hub.namespace}/{job.id}"


def test_namespace_may_be_left_to_the_client(api, wait):
    job = api.run_job(image=IMAGE, command=["true"])
    assert wait(job.id).status.stage == "COMPLETED"


def test_a_failed_job(api, hub, wait):
    job = api.run_job(image=IMAGE, command=["sh", "-c", "exit 3"], namespace=hub.namespace)
    done = wait(job.id)
    assert done.status.stage == "ERROR"
    assert done.status.message == "Job failed with exit code: 3. Reason: Error"


def test_run_uv_job_with_a_command(api, hub):
    minor = __import__("sys").version_info.minor
    job = api.run_uv_job(
        "python",
        script_args=["-c", "import sys, os; print(sys.version_info[:2], os.environ['SECRET'])"],
        image=f"ghcr.io/astral-sh/uv:python3.{minor}-bookworm",
        secrets={"SECRET": "s3cret"},
        env={"SHOWN": "yes"},
        namespace=hub.namespace,
    )
    logs = list(api.fetch_job_logs(job_id=job.id, namespace=hub.namespace, follow=True))
    assert logs == [f"(3, {minor}) s3cret"]
    seen = api.inspect_job(job_id=job.id, namespace=hub.namespace)
    assert seen.environment == {"SHOWN": "yes"}
    assert seen.secrets == ["SECRET"]


@needs("wait_for_job")  # and so no filters either
def test_list_by_label_and_stage(api, hub, wait):
    mine = [
        api.run_job(
            image=IMAGE,
            command=command,
            namespace=hub.namespace,
            labels={"test": "listing", "n": n},
        )
        for n, command in (("1", ["true"]), ("2", ["false"]))
    ]
    for job in mine:
        wait(job.id)

    def ids(**query):
        return [job.id for job in api.list_jobs(namespace=hub.namespace, **query)]

    assert ids(labels={"test": "listing"}) == [mine[1].id, mine[0].id]
    assert ids(labels={"test": "listing", "n": "1"}) == [mine[0].id]
    assert ids(labels={"test": "listing"}, status="ERROR") == [mine[1].id]
    assert ids(labels={"test": "nothing"}) == []
    assert mine[0].id in ids(status=["COMPLETED", "CANCELED"])


@needs("wait_for_job")
def test_wait_for_job(api, hub):
    job = api.run_job(image=IMAGE, command=["true"], namespace=hub.namespace)
    done = api.wait_for_job(job_id=job.id, namespace=hub.namespace, poll_interval=0.01)
    assert done.status.stage == "COMPLETED"


def test_cancel(api, hub):
    job = api.run_job(image=IMAGE, command=["sleep", "60"], namespace=hub.namespace)
    api.cancel_job(job_id=job.id, namespace=hub.namespace)
    assert api.inspect_job(job_id=job.id, namespace=hub.namespace).status.stage == "CANCELED"


@needs("update_job_expose")
def test_labels_and_expose_can_be_replaced(api, hub, wait):
    job = api.run_job(
        image=IMAGE,
        command=["sleep", "60"],
        namespace=hub.namespace,
        labels={"old": "1"},
        expose=[8000],
    )
    assert api.update_job_labels(
        job_id=job.id, labels={"new": "2"}, namespace=hub.namespace
    ).labels == {"new": "2"}
    running = wait(job.id, "RUNNING")
    assert len(running.status.expose_urls) == 1
    changed = api.update_job_expose(
        job_id=job.id, expose=[9000], expose_public=[9001], namespace=hub.namespace
    )
    assert (changed.expose, changed.expose_public) == ([9000, 9001], [9001])
    assert len(changed.status.expose_urls) == 2
    api.cancel_job(job_id=job.id, namespace=hub.namespace)


@needs("rerun_job")
def test_rerun(api, hub, wait):
    job = api.run_job(
        image=IMAGE, command=["sh", "-c", "echo $S"], namespace=hub.namespace, secrets={"S": "kept"}
    )
    again = api.rerun_job(job_id=job.id, namespace=hub.namespace)
    assert again.initiator.type == "duplicated-job"
    assert again.initiator.id == job.id
    logs = list(api.fetch_job_logs(job_id=again.id, namespace=hub.namespace, follow=True))
    assert logs == ["kept"]
    for one in (job, again):
        wait(one.id)


def test_hardware(api):
    hardware = {one.name: one for one in api.list_jobs_hardware()}
    assert hardware["cpu-basic"].unit_cost_micro_usd == 167
    assert hardware["cpu-basic"].cpu == "2 vCPU"
    assert round(hardware["h200x8"].unit_cost_usd * 60, 2) == 40.0
    assert hardware["t4-small"].accelerator.model == "T4"


def test_metrics(api, hub, wait):
    code = "import sys; print(1, flush=True); sys.stdin.close(); import time; time.sleep(60)"
    job = api.run_job(image=IMAGE, command=["python", "-c", code], namespace=hub.namespace)
    wait(job.id, "RUNNING")
    sample = next(iter(api.fetch_job_metrics(job_id=job.id, namespace=hub.namespace)))
    assert sample["memory_total_bytes"] == 16 << 30
    assert sample["memory_used_bytes"] >= 0
    api.cancel_job(job_id=job.id, namespace=hub.namespace)


@needs("wait_for_job")  # older releases raise here
def test_metrics_of_a_finished_job(api, hub, wait):
    job = api.run_job(image=IMAGE, command=["true"], namespace=hub.namespace)
    wait(job.id)
    assert list(api.fetch_job_metrics(job_id=job.id, namespace=hub.namespace)) == []


def test_a_bad_token_is_refused(hub):
    with pytest.raises(ERRORS, match="401"):
        HfApi(endpoint=hub.endpoint, token="hf_wrong").inspect_job(
            job_id="0" * 24, namespace=hub.namespace
        )


def test_an_unknown_job_is_not_found(api, hub):
    with pytest.raises(ERRORS, match="404"):
        api.inspect_job(job_id="0" * 24, namespace=hub.namespace)


def test_an_unknown_flavor_is_a_bad_request(api, hub):
    with pytest.raises(ERRORS, match="flavor"):
        api.run_job(image=IMAGE, command=["true"], flavor="cpu-galactic", namespace=hub.namespace)
