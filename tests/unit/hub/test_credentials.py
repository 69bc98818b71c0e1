"""Which token a request shows, and that it is the one of the moment."""

import asyncio
import logging
import threading

import httpx
import pytest
import respx

from hfexecutor.errors import AuthenticationError
from hfexecutor.hub.client import HubClient
from hfexecutor.hub.credentials import Credentials

FIRST, SECOND = "hf_first", "hf_second"


class Login:
    """What huggingface_hub would find, asked in whatever thread."""

    def __init__(self):
        self.token = FIRST
        self.asked = 0
        self.error = None
        self.thread = None

    def __call__(self):
        self.asked += 1
        self.thread = threading.current_thread()
        if self.error is not None:
            raise self.error
        return self.token


@pytest.fixture
def login():
    return Login()


def with_credentials(act, login, clock, **options):
    async def main():
        return await act(Credentials(FIRST, renew=login, clock=clock.now, **options))

    return asyncio.run(main())


def test_a_token_that_is_given_stays():
    async def act():
        shown = Credentials(FIRST)
        return [await shown.for_hub(), await shown.for_doors()]

    assert asyncio.run(act()) == [FIRST, FIRST]


def test_a_token_that_rotates_is_read_again(login, clock):
    async def act(shown):
        login.token = SECOND
        assert await shown.for_hub() == FIRST  # read a moment ago
        clock.time += 6
        assert await shown.for_hub() == await shown.for_doors() == SECOND
        assert shown.first == FIRST  # keys are derived from it
        assert shown.redact(f"not {FIRST}, nor {SECOND}") == "not [token], nor [token]"

    with_credentials(act, login, clock)
    assert login.asked == 1
    assert login.thread is not threading.main_thread()  # it may take a request of its own


def test_who_may_block_reads_it_in_its_own_thread(login, clock):
    async def act(shown):
        login.token = SECOND
        assert shown.read() == FIRST
        clock.time += 6
        assert shown.read() == await shown.for_hub() == SECOND
        login.error = AuthenticationError("No token found")
        clock.time += 6
        assert shown.read() == SECOND
        assert shown.redact(SECOND) == "[token]"

    with_credentials(act, login, clock)
    assert login.thread is threading.main_thread()
    assert Credentials(FIRST).read() == FIRST


def test_requests_at_the_same_moment_read_it_once(login, clock):
    async def act(shown):
        clock.time += 6
        return await asyncio.gather(*(shown.for_hub() for _ in range(50)))

    assert set(with_credentials(act, login, clock)) == {FIRST}
    assert login.asked == 1


def test_a_token_that_cannot_be_read_again_is_used_on(login, clock, caplog):
    login.error = AuthenticationError("No token found")

    async def act(shown):
        for _ in range(3):
            clock.time += 6
            assert await shown.for_hub() == FIRST

    with_credentials(act, login, clock)
    assert login.asked == 3
    assert "going on with the last one: No token found" in caplog.text


def test_doors_have_a_token_of_their_own(login, clock):
    async def act(shown):
        clock.time += 6
        return await shown.for_doors()

    assert with_credentials(act, login, clock, door_token="hf_few") == "hf_few"
    assert login.asked == 0


def test_it_shows_no_token():
    assert FIRST not in repr(Credentials(FIRST, door_token=SECOND))
    assert SECOND not in repr(Credentials(FIRST, door_token=SECOND))


def test_each_request_shows_the_token_of_the_moment(clock, monkeypatch):
    login = Login()
    shown = []

    def answer(request):
        shown.append(request.headers["Authorization"])
        return httpx.Response(200, json=[])

    async def act():
        credentials = Credentials(FIRST, renew=login, clock=clock.now)
        async with HubClient(
            endpoint="https://hub.test", token=credentials, namespace="org"
        ) as client:
            await client.list_jobs({"a": "b"})
            login.token = SECOND
            clock.time += 6
            await client.list_jobs({"a": "b"})
            with respx.mock:
                respx.get("https://hub.test/api/jobs/org/x/logs").mock(side_effect=answer)
                assert [line async for line in client.logs("x")] == []

    with respx.mock:
        respx.get("https://hub.test/api/jobs/org").mock(side_effect=answer)
        asyncio.run(act())
    assert shown == [f"Bearer {FIRST}", f"Bearer {SECOND}", f"Bearer {SECOND}"]


@pytest.mark.parametrize("name", ["httpx", "httpx2"])
def test_what_others_log_is_still_logged(name, caplog):
    with caplog.at_level(logging.INFO):
        logging.getLogger(name).info("HTTP Request: somebody else's")

    assert "somebody else" in caplog.text


def test_our_own_requests_are_not_announced(talk, caplog):
    async def act(client):
        with respx.mock:
            respx.get("https://hub.test/api/jobs/org").respond(json=[])
            await client.list_jobs({"a": "b"})
            with caplog.at_level(logging.INFO):
                await client.list_jobs({"a": "b"})
                async with httpx.AsyncClient() as other:
                    await other.get("https://hub.test/api/jobs/org")

    talk(act)
    announced = [record for record in caplog.records if record.name == "httpx"]
    assert len(announced) == 1  # the other client's
