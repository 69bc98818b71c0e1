"""Whether a job that carries our labels is ours, by what only the Hub says of it."""

import httpx
import pytest
import respx

from hfexecutor.errors import AuthenticationError
from hfexecutor.hub.claims import claim_problem, is_proof
from hfexecutor.hub.launch import JobSpec
from hfexecutor.hub.models import Job

ENDPOINT = "https://hub.test"
JOBS = f"{ENDPOINT}/api/jobs/org"
ADA = "5e9ecfc04957053f60648a3e"
EVE = "0123456789abcdef01234567"
SPEC = JobSpec(
    command=("-S", "-c", "print(1)"),
    image="ghcr.io/astral-sh/uv:python3.11-bookworm",
    flavor="cpu-basic",
)


@pytest.fixture
def problem(raw_job):
    def judge(spec=SPEC, us=ADA, without=(), **changes):
        raw = raw_job("x", **changes)
        for key in without:
            del raw[key]
        return claim_problem(Job.parse(raw, ENDPOINT), spec, namespace="org", initiator=us)

    return judge


def test_the_job_that_was_launched_is_ours(problem):
    assert problem() is None
    assert problem(owner={"id": "1", "name": "Org", "type": "org"}) is None
    assert problem(command=["uv", "run", "python3", "-S", "-c", "print(1)"]) is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"initiator": {"id": EVE, "type": "user"}}, "somebody else"),
        ({"initiator": {"id": "x", "type": "duplicated-job"}}, "duplicated-job"),
        ({"initiator": {"id": ADA, "type": "scheduled-job"}}, "scheduled-job"),
        ({"owner": {"id": "1", "name": "evil", "type": "org"}}, "belongs to 'evil'"),
        ({"flavor": "cpu-xl"}, "runs on 'cpu-xl'"),
        ({"dockerImage": "evil/uv:python3.11-bookworm"}, "image 'evil/uv"),
        ({"command": ["uv", "run", "python", "-S", "-c", "print(2)"]}, "another command"),
        ({"command": ["uv", "run", "evil", "-S", "-c", "print(1)"]}, "another command"),
        (
            {"command": ["uv", "run", "--with", "evil", "python", "-S", "-c", "print(1)"]},
            "another command",
        ),
        ({"command": ["sh", "run", "python", "-S", "-c", "print(1)"]}, "another command"),
        ({"command": ["-S", "-c", "print(1)"]}, "another command"),
        ({"command": []}, "another command"),
        ({"arguments": ["more"]}, "another command"),
    ],
)
def test_a_job_that_only_claims_to_be_ours_is_found_out(problem, changes, why):
    assert why in problem(**changes)


def test_what_a_list_leaves_out_is_no_proof_against_a_job(problem):
    assert problem(without=["dockerImage", "command", "arguments", "flavor", "owner"]) is None
    assert problem(without=["initiator"]) is None  # "createdBy" says it as well


def test_without_a_word_of_who_started_it_no_job_is_ours(problem):
    assert "does not say who" in problem(without=["initiator", "createdBy"])
    assert problem(us=None)


def test_a_job_of_a_run_with_several_flavors_may_have_each_of_them_and_no_other(raw_job):
    def says(flavor):
        job = Job.parse(raw_job("x", flavor=flavor), ENDPOINT)
        flavors = ("cpu-basic", "t4-small")
        return claim_problem(job, SPEC, namespace="org", initiator=ADA, flavors=flavors)

    assert says("cpu-basic") is says("t4-small") is None
    assert says("a100-large") == "it runs on 'a100-large'"


def test_uvs_options_may_come_in_any_order(problem):
    spec = JobSpec(command=("-V",), dependencies=("a", "b"), python="3.11")
    words = ["uv", "run", "--python", "3.11", "--with", "b", "--with", "a", "python", "-V"]

    assert problem(spec, command=words) is None
    assert problem(spec, command=[*words[:-2], "--with", "c", *words[-2:]])
    assert problem(spec, command=[word for word in words if word not in {"--with", "b"}])


@pytest.mark.parametrize(
    ("launched", "shown"),
    [
        ("python:3.12", "docker.io/library/python:3.12"),
        ("https://hf.co/spaces/org/space", "org/space"),
        ("Org/Image", "org/image"),
    ],
)
def test_an_image_may_be_shown_under_another_spelling(problem, launched, shown):
    assert problem(JobSpec(command=SPEC.command, image=launched), dockerImage=shown) is None


def test_a_space_is_an_image(problem):
    spec = JobSpec(command=SPEC.command, image="hf.co/spaces/org/space")

    assert problem(spec, without=["dockerImage"], spaceId="org/space") is None
    assert problem(spec, without=["dockerImage"], spaceId="org/other")


@pytest.mark.parametrize("key", ["dockerImage", "command", "flavor", "owner"])
def test_a_reply_that_leaves_something_out_is_no_proof(raw_job, key):
    raw = raw_job("x")
    assert is_proof(Job.parse(raw, ENDPOINT))

    del raw[key]
    assert not is_proof(Job.parse(raw, ENDPOINT))


@pytest.fixture
def hub():
    with respx.mock(assert_all_called=False) as router:
        yield router


def judged(talk, job, **options):
    return talk(lambda client: client.claim_problem(job, SPEC), **options)


def test_who_we_are_is_asked_where_nobody_has_told_it_yet(hub, talk, raw_job):
    route = hub.get(f"{ENDPOINT}/api/whoami-v2").respond(json={"name": "ada", "id": ADA})
    job = Job.parse(raw_job("x"), ENDPOINT)

    async def twice(client):
        return [await client.claim_problem(job, SPEC) for _ in range(2)]

    assert talk(twice) == [None, None]
    assert route.call_count == 1


def test_who_we_are_is_not_asked_twice_where_the_namespace_was_asked_for(hub, talk, raw_job):
    route = hub.get(f"{ENDPOINT}/api/whoami-v2").respond(json={"name": "ada", "id": ADA})
    hub.get(f"{ENDPOINT}/api/jobs/ada").respond(json=[raw_job("x", owner={"name": "ada"})])

    async def act(client):
        (job,) = await client.list_jobs({})
        return await client.claim_problem(job, SPEC)

    assert talk(act, namespace=None) is None
    assert route.call_count == 1


def test_a_job_of_which_a_list_says_little_is_asked_for_itself(hub, talk, raw_job):
    hub.get(f"{ENDPOINT}/api/whoami-v2").respond(json={"name": "ada", "id": ADA})
    theirs = raw_job("x", command=["uv", "run", "python", "evil"])
    route = hub.get(f"{JOBS}/x").respond(json=theirs)
    little = Job.parse({"id": "x", "status": {"stage": "RUNNING"}}, ENDPOINT)

    assert judged(talk, little) == "it runs another command"
    assert route.call_count == 1


def test_a_job_that_is_gone_is_not_ours(hub, talk):
    hub.get(f"{JOBS}/x").mock(return_value=httpx.Response(404))
    little = Job.parse({"id": "x", "status": {"stage": "RUNNING"}}, ENDPOINT)

    assert "no longer" in judged(talk, little)


def test_a_hub_that_does_not_say_who_we_are_is_an_error_and_no_proof(hub, talk, raw_job):
    hub.get(f"{ENDPOINT}/api/whoami-v2").respond(401)

    with pytest.raises(AuthenticationError):
        judged(talk, Job.parse(raw_job("x"), ENDPOINT))
