import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hfexecutor.hub.models import TERMINAL, Hardware, Identity, Job, is_terminal

TEXT = st.text("aZ0-\0é", max_size=5)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
FIELDS = [
    "flavor", "owner", "labels", "createdBy", "initiator", "dockerImage", "spaceId", "command",
    "arguments", "expose", "secrets",
]  # fmt: skip
STATUS = ["message", "cancelReason", "exposeUrls", "sshUrl"]
ADA = "5e9ecfc04957053f60648a3e"


def test_a_job_is_read_as_the_hub_describes_it(raw_job):
    status = {
        "stage": "ERROR",
        "message": "Job timeout",
        "cancelReason": "NO_CREDITS",
        "failureCount": 2,
        "exposeUrls": ["https://x--1.hf.jobs", "https://x--2.hf.jobs"],
    }
    job = Job.parse(raw_job("x", status=status), "https://hub.test/")

    assert (job.id, job.stage, job.message) == ("x", "ERROR", "Job timeout")
    assert job.cancel_reason == "NO_CREDITS"
    assert job.expose_urls == ("https://x--1.hf.jobs", "https://x--2.hf.jobs")
    assert job.labels == {"hfexecutor-run": "abc"}
    assert (job.flavor, job.image) == ("cpu-basic", "ghcr.io/astral-sh/uv:python3.11-bookworm")
    assert job.command == ("uv", "run", "python", "-S", "-c", "print(1)")
    assert (job.initiator, job.initiator_type, job.created_by) == (ADA, "user", ADA)
    assert job.url == "https://hub.test/jobs/org/x"
    assert job.finished


def test_new_and_missing_fields_do_no_harm():
    job = Job.parse({"id": "x", "status": {"stage": "RUNNING", "mood": "fine"}, "new": 1}, "")

    assert (job.labels, job.expose_urls, job.owner, job.arguments) == ({}, (), "", ())
    assert (job.image, job.command, job.initiator, job.created_by) == (None,) * 4


@pytest.mark.parametrize(
    "broken", [{}, {"id": "x"}, {"id": 7, "status": {"stage": "RUNNING"}}, {"id": "x", "status": 1}]
)
def test_a_job_without_id_or_stage_is_none(broken):
    with pytest.raises(ValidationError):
        Job.parse(broken, "")


def test_an_unreadable_job_is_reported_without_its_environment(raw_job):
    with pytest.raises(ValidationError) as caught:
        Job.parse(raw_job(status={}), "")

    assert "ketchup" not in str(caught.value)


def some_of(names):
    return st.dictionaries(st.sampled_from(names), ANYTHING)


@given(some_of(FIELDS), some_of(STATUS))
def test_an_odd_field_that_nothing_hangs_on_costs_no_job(fields, status):
    job = Job.parse({**fields, "id": "x", "status": {**status, "stage": "RUNNING"}}, "")

    assert (job.id, job.stage) == ("x", "RUNNING")


def test_jobs_cannot_be_changed(raw_job):
    with pytest.raises(ValidationError):
        Job.parse(raw_job(), "").stage = "ERROR"


def test_an_unknown_stage_is_not_the_end():
    assert {stage: is_terminal(stage) for stage in (*TERMINAL, "RUNNING", "PAUSED")} == {
        "COMPLETED": True, "CANCELED": True, "ERROR": True, "DELETED": True,
        "RUNNING": False, "PAUSED": False,
    }  # fmt: skip


def test_hardware_says_what_it_costs():
    gpu = {"type": "gpu", "model": "T4", "quantity": "2", "vram": "16 GB", "manufacturer": "Nvidia"}
    raw = {
        "name": "t4-small", "prettyName": "Nvidia T4", "cpu": "4 vCPU", "ram": "15 GB",
        "accelerator": gpu, "unitCostMicroUSD": 6667, "unitCostUSD": 0.0067, "unitLabel": "minute",
    }  # fmt: skip
    hardware = Hardware.model_validate(raw)

    assert (hardware.name, hardware.cpu, hardware.ram) == ("t4-small", "4 vCPU", "15 GB")
    assert (hardware.unit_cost_micro_usd, hardware.unit_label) == (6667, "minute")


def test_an_identity_has_a_name_and_an_id():
    raw = {"type": "user", "id": ADA, "name": "ada", "orgs": [{"name": "org"}, {}], "canPay": True}

    assert Identity.model_validate(raw) == Identity(name="ada", id=ADA)
    assert Identity.model_validate({"name": "ada", "id": 7}).id is None
