import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.errors import (
    AuthenticationError,
    HubError,
    HubRequestError,
    HubUnavailableError,
    PayloadTooLargeError,
    RateLimitedError,
)
from hfexecutor.hub.failures import (
    LAUNCH_ADVICE,
    Answer,
    NotFoundError,
    error_for,
    may_pass,
    redact,
)

TOKEN = "hf_" + "a1B2" * 8


def answer(status, body=None, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, names, json.dumps(body).encode() if body is not None else b"")


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (400, HubRequestError, "Unknown flavor"),
        (401, AuthenticationError, "hf auth login"),
        (402, AuthenticationError, "https://huggingface.co/settings/billing"),
        (403, AuthenticationError, "job.write"),
        (404, NotFoundError, "no such job (any more), or no such namespace"),
        (413, PayloadTooLargeError, "by reference"),
        (418, HubRequestError, "418"),
        (422, HubRequestError, "Unknown flavor"),
        (429, RateLimitedError, "fewer workers"),
        (500, HubUnavailableError, "status.huggingface.co"),
        (503, HubUnavailableError, "try again later"),
    ],
)
def test_every_refusal_has_a_kind_and_an_advice(status, kind, advice):
    error = error_for(answer(status, {"error": "Unknown flavor 'x'"}), "launch a job in org")

    assert isinstance(error, kind)
    assert isinstance(error, HubError)
    assert str(error).startswith(f"Could not launch a job in org: the Hub answered {status}")
    assert "Unknown flavor 'x'" in str(error)
    assert advice in str(error)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422])
def test_first_time_users_are_told_of_the_embedded_hub(status):
    message = str(error_for(answer(status), "launch a job in org", advice=LAUNCH_ADVICE))

    assert 'endpoint="local"' in message
    assert "HFEXECUTOR_ENDPOINT=local" in message


def test_a_launch_into_an_unknown_namespace_is_not_about_an_unknown_job():
    error = error_for(
        answer(404, {"error": "Not found"}), "launch a job in org", advice=LAUNCH_ADVICE
    )

    assert type(error) is HubRequestError
    assert str(error).startswith(
        "Could not launch a job in org: the Hub answered 404: Not found. Check the namespace: your "
        "user name, or an organisation that you are a member of."
    )
    assert "such job" not in str(error)


def test_a_launch_that_is_no_good_is_told_which_options_to_look_at():
    message = str(error_for(answer(400), "launch a job in org", advice=LAUNCH_ADVICE))

    assert "Check the options that the job was launched with (flavor, image," in message


def test_somebody_who_has_jobs_is_not_told_how_to_begin():
    assert "local" not in str(error_for(answer(404), "inspect job 1"))


def test_the_message_has_what_support_asks_for():
    error = error_for(answer(400, x_error_code="BadFlavor", x_request_id="Root=1-2"), "do it")

    assert "[code BadFlavor, request Root=1-2]" in str(error)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "no"}, "no"),
        ({"message": "no"}, "no"),
        ({"error": {"message": "no"}}, "no"),
        ({"errors": [{"message": "no"}, {"message": "never"}]}, "no; never"),
        ({"error": ["no", 7, "never"]}, "no; never"),
        ("two\n lines", "two lines"),
        ({"other": 1}, ""),
        (None, ""),
    ],
)
def test_the_hubs_words_are_found_in_any_of_its_shapes(body, said):
    assert answer(400, body).words == said


def test_the_header_speaks_before_the_body():
    assert answer(400, {"error": "body"}, x_error_message="header").words == "header"


@given(st.binary(max_size=200))
def test_any_body_has_some_words_or_none(body):
    assert isinstance(Answer(400, {}, body).words, str)


def test_a_page_in_the_place_of_json_is_not_quoted():
    assert Answer(502, {}, b"<html>Bad gateway</html>").words == ""


def test_a_long_answer_is_quoted_in_part():
    assert len(str(error_for(answer(400, {"error": "x" * 10_000}), "do it"))) < 1_500


def test_no_token_is_in_a_message():
    said = {"error": f"bad token {TOKEN} and hf_another0123456789abcd and odd-token"}
    message = str(
        error_for(answer(401, said), "do it", redact=lambda text: redact(text, "odd-token"))
    )

    assert TOKEN not in message
    assert "hf_another0123456789abcd" not in message
    assert "odd-token" not in message
    assert message.count("[token]") == 3


def test_redaction_leaves_the_rest_alone():
    assert redact(f"hf_transfer is a package; {TOKEN} is not") == (
        "hf_transfer is a package; [token] is not"
    )


def test_what_may_pass_is_what_is_nobodys_fault():
    passing = {status for status in range(400, 600) if may_pass(status)}

    assert passing == {408, 429, *range(500, 600)}


def test_an_answer_is_taken_from_any_response_of_the_right_shape():
    taken = Answer.of(httpx.Response(400, headers={"X-Error-Code": "C"}, content=b'{"error":"e"}'))

    assert (taken.status, taken.code, taken.words) == (400, "C", "e")


def test_an_answer_whose_body_was_never_read_still_has_its_headers():
    unread = httpx.Response(500, headers={"X-Request-Id": "r"}, stream=httpx.ByteStream(b"x"))

    assert Answer.of(unread).request_id == "r"
