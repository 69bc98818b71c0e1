"""The API through the whole client, against answers that no well-behaved server gives on demand."""

import json

import httpx
import pytest
import respx

from hfexecutor.errors import (
    AuthenticationError,
    HubRequestError,
    HubUnavailableError,
    RateLimitedError,
)
from hfexecutor.hub.failures import NotFoundError
from hfexecutor.hub.hosts import Door
from hfexecutor.hub.models import Identity

ENDPOINT = "https://hub.test"
JOBS = f"{ENDPOINT}/api/jobs/org"
TOKEN = "hf_" + "a1B2" * 8


@pytest.fixture
def hub():
    with respx.mock(assert_all_called=False) as router:
        yield router


def test_every_request_shows_the_token(hub, talk):
    route = hub.get(f"{ENDPOINT}/api/whoami-v2").respond(json={"name": "ada", "orgs": []})

    assert talk(lambda client: client.whoami()) == Identity(name="ada")
    assert route.calls.last.request.headers["Authorization"] == f"Bearer {TOKEN}"


def test_the_namespace_is_asked_for_once(hub, talk):
    route = hub.get(f"{ENDPOINT}/api/whoami-v2").respond(json={"name": "ada", "orgs": []})
    hub.get(f"{ENDPOINT}/api/jobs/ada").respond(json=[])

    async def act(client):
        await client.list_jobs({})
        await client.list_jobs({})

    talk(act, namespace=None)
    assert route.call_count == 1


def test_a_namespace_is_one_step_of_the_path(hub, talk):
    route = hub.route().respond(json=[])

    talk(lambda client: client.list_jobs({}), namespace="../whoami-v2")
    assert route.calls.last.request.url.raw_path == b"/api/jobs/..%2Fwhoami-v2"


def test_a_list_is_filtered_by_all_labels(hub, talk, raw_job):
    route = hub.get(JOBS).respond(json=[raw_job()])
    jobs = talk(lambda client: client.list_jobs({"a": "1", "b": "2"}))

    query = route.calls.last.request.url.params.multi_items()
    assert query == [("label", "a=1"), ("label", "b=2")]
    assert jobs[0].url == f"{ENDPOINT}/jobs/org/687fb701029421ae5549d998"


def test_a_list_is_read_to_its_last_page(hub, talk, raw_job):
    hub.get(JOBS, params={"cursor": "2"}).respond(
        json=[raw_job("b")], headers={"Link": '<?cursor=3>; rel="next"'}
    )
    hub.get(JOBS, params={"cursor": "3"}).respond(json=[raw_job("c")])
    hub.get(JOBS).respond(json=[raw_job("a")], headers={"Link": f'<{JOBS}?cursor=2>; rel="next"'})

    assert [job.id for job in talk(lambda client: client.list_jobs({}))] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.test/", "http://hub.test/api/jobs/org?cursor=2", "//evil.test/x", "https://[x"],
)
def test_the_token_does_not_follow_a_link_to_another_origin(hub, talk, raw_job, elsewhere, caplog):
    hub.get(JOBS).respond(json=[raw_job()], headers={"Link": f'<{elsewhere}>; rel="next"'})

    assert len(talk(lambda client: client.list_jobs({}))) == 1
    assert len(hub.calls) == 1
    assert "not followed" in caplog.text


def test_a_list_that_leads_to_itself_ends(hub, talk, raw_job):
    hub.get(JOBS).respond(json=[raw_job()], headers={"Link": f'<{JOBS}>; rel="next"'})

    assert len(talk(lambda client: client.list_jobs({}))) == 1


def test_one_unreadable_job_does_not_hide_the_others(hub, talk, raw_job, caplog):
    hub.get(JOBS).respond(json=[raw_job("a"), {"id": 7}, None, raw_job("b")])

    assert [job.id for job in talk(lambda client: client.list_jobs({}))] == ["a", "b"]
    assert "unknown way" in caplog.text


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"{}", b"", b"\xff", b"[" * 100_000])
def test_an_answer_that_is_none_is_not_the_jobs_fault(hub, talk, body):
    hub.get(JOBS).respond(content=body)

    with pytest.raises(HubUnavailableError, match="not what the Hub's published API says"):
        talk(lambda client: client.list_jobs({}))


def after_a_list(hub, act):
    """Return an act of a client that has met its Hub before."""

    async def both(client):
        hub.get(JOBS).respond(json=[])
        await client.list_jobs({})
        return await act(client)

    return both


@pytest.mark.parametrize("status", [301, 404, 405])
def test_what_is_no_hub_at_all_is_asked_about(hub, talk, status):
    hub.get(f"{ENDPOINT}/api/jobs/hardware").respond(status)
    question = r'Is https://hub.test the address of a Hub\? .*endpoint="local"'

    with pytest.raises(HubRequestError, match=question):
        talk(lambda client: client.hardware())
    with pytest.raises(HubRequestError) as caught:
        talk(after_a_list(hub, lambda client: client.hardware()))
    assert "address" not in str(caught.value)


@pytest.mark.parametrize("met", [False, True])
def test_a_namespace_that_the_hub_does_not_know_is_what_is_to_be_checked(hub, talk, met):
    async def act(client):
        if met:
            await client.hardware()
        return await client.list_jobs({})

    hub.get(f"{ENDPOINT}/api/jobs/hardware").respond(json=[])
    hub.get(JOBS).respond(404, json={"error": "Sorry, we can't find the page."})

    check = r"the jobs of org: .* Check the namespace: "
    with pytest.raises(HubRequestError, match=check) as caught:
        talk(act)
    assert type(caught.value) is HubRequestError
    assert "address" not in str(caught.value)


def test_who_says_nothing_of_a_namespace_may_be_no_hub(hub, talk):
    hub.get(JOBS).respond(404, html="<h1>Not Found</h1>")

    with pytest.raises(HubRequestError, match=r"Is https://hub.test the address of a Hub\?"):
        talk(lambda client: client.list_jobs({}))


def test_a_hub_that_was_never_reached_may_be_the_wrong_one(hub, talk):
    hub.get(f"{ENDPOINT}/api/jobs/hardware").mock(side_effect=httpx.ConnectError("no such name"))

    with pytest.raises(HubUnavailableError, match=r'the endpoint https://hub.test, .*="local"'):
        talk(lambda client: client.hardware())
    with pytest.raises(HubUnavailableError, match=r"Check the network, or see https://status"):
        talk(after_a_list(hub, lambda client: client.hardware()))


def test_a_redirect_is_not_followed(hub, talk):
    hub.get(f"{JOBS}/x").respond(302, headers={"Location": "https://evil.test"})

    with pytest.raises(HubRequestError, match="302"):
        talk(lambda client: client.inspect("x"))
    assert len(hub.calls) == 1


def test_an_unknown_job_has_an_error_of_its_own(hub, talk):
    hub.get(f"{JOBS}/x").respond(404, json={"error": "Job not found"})

    with pytest.raises(NotFoundError, match=r"Could not inspect job x.*Job not found"):
        talk(lambda client: client.inspect("x"))


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.Response(500),
        httpx.Response(503, headers={"Retry-After": "3"}),
        httpx.Response(408),
        httpx.Response(429, headers={"RateLimit": '"api";r=0;t=20'}),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
        httpx.Response(200, html="<html>a gateway's page</html>"),
    ],
)
def test_a_read_survives_what_may_pass(hub, talk, raw_job, trouble, clock):
    fine = httpx.Response(200, json=raw_job("x"))
    hub.get(f"{JOBS}/x").mock(side_effect=[trouble, trouble, fine])

    assert talk(lambda client: client.inspect("x")).id == "x"
    assert clock.sleeps


def test_a_dead_token_is_told_at_once(hub, talk, clock):
    hub.get(f"{JOBS}/x").respond(401, json={"error": f"Invalid token {TOKEN}"})

    with pytest.raises(AuthenticationError) as caught:
        talk(lambda client: client.inspect("x"))
    assert TOKEN not in str(caught.value)
    assert clock.sleeps == []


def test_a_hub_that_is_down_is_given_up_in_time(hub, talk, clock):
    hub.get(f"{JOBS}/x").mock(side_effect=httpx.ConnectError("Connection refused"))
    begun = clock.now()

    with pytest.raises(HubUnavailableError, match="seen last: ConnectError: Connection refused"):
        talk(lambda client: client.inspect("x"), give_up_after=60.0)
    assert 30 < clock.now() - begun <= 60


def test_a_429_for_one_request_holds_back_all_others(hub, talk, raw_job, clock):
    hub.get(f"{JOBS}/x/logs").respond(429, headers={"RateLimit": '"api";r=0;t=40'})
    hub.get(f"{JOBS}/y").respond(json=raw_job("y"))
    begun = clock.now()

    async def act(client):
        with pytest.raises(RateLimitedError):
            await anext(client.logs("x"))
        assert clock.now() == begun
        await client.inspect("y")

    talk(act)
    assert clock.now() >= begun + 40


def test_a_429_for_longer_than_we_may_wait_is_an_error(hub, talk, clock):
    hub.get(f"{JOBS}/x").respond(429, headers={"Retry-After": "1500"})

    with pytest.raises(RateLimitedError):
        talk(lambda client: client.inspect("x"))
    assert clock.sleeps == []


@pytest.mark.parametrize("status", [200, 404])
def test_cancel_is_content_when_there_is_nothing_left_to_cancel(hub, talk, raw_job, status):
    hub.post(f"{JOBS}/x/cancel").respond(status, json=raw_job("x"))

    assert talk(lambda client: client.cancel("x")) is None


def test_cancel_of_a_finished_job_is_fine(hub, talk, raw_job):
    hub.post(f"{JOBS}/x/cancel").respond(400, json={"error": "Job is not running"})
    finished = {"stage": "COMPLETED", "message": None}
    hub.get(f"{JOBS}/x").respond(json=raw_job("x", status=finished))

    talk(lambda client: client.cancel("x"))


def test_a_cancel_that_is_refused_while_the_job_runs_is_an_error(hub, talk, raw_job):
    hub.post(f"{JOBS}/x/cancel").respond(409, json={"error": "not now"})
    hub.get(f"{JOBS}/x").respond(json=raw_job("x"))

    with pytest.raises(HubRequestError, match="not now"):
        talk(lambda client: client.cancel("x"))


def test_a_cancel_is_repeated_until_the_hub_has_heard_it(hub, talk, raw_job):
    answers = [httpx.ReadTimeout(""), httpx.Response(502), httpx.Response(200, json=raw_job("x"))]
    route = hub.post(f"{JOBS}/x/cancel").mock(side_effect=answers)

    talk(lambda client: client.cancel("x"))
    assert route.call_count == 3


def test_hardware_is_read(hub, talk):
    flavor = {
        "name": "cpu-basic",
        "accelerator": None,
        "unitCostMicroUSD": 167,
        "unitLabel": "minute",
    }
    hub.get(f"{ENDPOINT}/api/jobs/hardware").respond(json=[flavor])

    assert talk(lambda client: client.hardware())[0].unit_cost_micro_usd == 167


def test_the_client_tells_where_it_is(talk):
    async def act(client):
        return repr(client)

    assert talk(act) == "<HubClient https://hub.test org>"
    assert TOKEN not in talk(act)


def test_knocking_through_a_replaced_network_goes_to_doors_alone(hub, talk):
    async def act(client):
        return await client.knock(Door("https://x--1.hf.jobs", "x", 1), b"hello", timeout=5)

    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=request.content))
    assert talk(act, transport=transport) == b"hello"


def test_lines_of_a_log_arrive_in_order(hub, talk):
    events = [json.dumps({"data": str(n), "timestamp": "t"}).encode() for n in range(3)]
    body = b": keep-alive\n\n" + b"".join(b"data: " + event + b"\n\n" for event in events)
    route = hub.get(f"{JOBS}/x/logs").respond(content=body)

    async def act(client):
        return [line.text async for lines in client.logs("x") for line in lines]

    assert talk(act) == ["0", "1", "2"]
    assert route.calls.last.request.headers["Accept"] == "text/event-stream"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(404, json={"error": "no"}), NotFoundError),
        (httpx.Response(401), AuthenticationError),
        (httpx.Response(500), HubUnavailableError),
        (httpx.Response(429, headers={"Retry-After": "9"}), RateLimitedError),
        (httpx.ConnectError("refused"), HubUnavailableError),
        (httpx.ReadTimeout("silent"), HubUnavailableError),
        (httpx.RemoteProtocolError("cut"), HubUnavailableError),
    ],
)
def test_a_log_that_does_not_open_says_why_and_is_tried_once(hub, talk, answer, kind, clock):
    route = hub.get(f"{JOBS}/x/logs").mock(side_effect=[answer])

    async def act(client):
        return [lines async for lines in client.logs("x")]

    with pytest.raises(kind, match="Could not follow the log of job x"):
        talk(act)
    assert route.call_count == 1
    assert clock.sleeps == []
