import huggingface_hub
import pytest

from hfexecutor.errors import AuthenticationError
from hfexecutor.hub.settings import check_user, resolve_endpoint, resolve_token


@pytest.mark.parametrize(
    ("argument", "ours", "theirs", "expected"),
    [
        ("https://a.test/", "https://b.test", "https://c.test", "https://a.test"),
        (None, "https://b.test/", "https://c.test", "https://b.test"),
        (None, None, "https://c.test/hub/", "https://c.test/hub"),
        (None, None, None, "https://huggingface.co"),
        (None, "local", "https://c.test", "local"),
        ("http://127.0.0.1:8000", "local", None, "http://127.0.0.1:8000"),
    ],
)
def test_the_endpoint_is_the_first_one_that_somebody_named(
    argument, ours, theirs, expected, monkeypatch
):
    for name, value in (("HFEXECUTOR_ENDPOINT", ours), ("HF_ENDPOINT", theirs)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)

    assert resolve_endpoint(argument) == expected


NO_ADDRESSES = [
    *("huggingface.co", "ftp://hub.test", "https://", "lokal", "http://[::1"),
    *("http://a.test:eighty", "http://a.test:99999", "https://a test", "https://a.test?b"),
]


@pytest.mark.parametrize("endpoint", NO_ADDRESSES)
def test_what_is_no_address_is_refused(endpoint):
    with pytest.raises(ValueError, match="endpoint must be a URL such as"):
        resolve_endpoint(endpoint)


@pytest.mark.parametrize("endpoint", [3, b"https://a.test", True])
def test_an_endpoint_that_is_no_string_is_named(endpoint):
    with pytest.raises(TypeError, match=r"^endpoint must be a URL such as .* 'local' for the"):
        resolve_endpoint(endpoint)


@pytest.mark.parametrize("token", [3, b"hf_secret", False])
def test_a_token_that_is_no_string_is_named_and_not_shown(token):
    with pytest.raises(TypeError, match=r"^token must be a string, or None for the one") as caught:
        check_user(token, None, None)
    assert "hf_secret" not in str(caught.value)
    with pytest.raises(TypeError, match=r"^door_token must be a string, or None for") as caught:
        check_user(None, token, None)
    assert "hf_secret" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "hf_two words", "hf_“quoted”"])
def test_a_token_for_doors_that_is_none_is_refused_and_not_shown(token):
    with pytest.raises(ValueError, match="door_token is no token") as caught:
        check_user(None, token, None)
    assert "hf_" not in str(caught.value)


@pytest.mark.parametrize("namespace", [None, "me", "my-org", "a.b_c"])
def test_a_namespace_is_a_name(namespace):
    check_user(None, None, namespace)


@pytest.mark.parametrize(
    ("namespace", "error"),
    [("", ValueError), ("me/repo", ValueError), ("https://a.test/me", ValueError), (3, TypeError)],
)
def test_what_is_no_namespace_is_refused_and_the_way_out_told(namespace, error):
    with pytest.raises(error, match=r"^namespace must be .*; leave it out to run jobs as"):
        check_user("hf_x", None, namespace)


def test_the_token_is_the_one_that_huggingface_hub_finds(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_from_environment")

    assert resolve_token() == "hf_from_environment"
    assert resolve_token(" hf_mine\n") == "hf_mine"


def test_no_token_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)

    with pytest.raises(AuthenticationError) as caught:
        resolve_token()
    for advice in ("hf auth login", "HF_TOKEN", 'endpoint="local"', "HFEXECUTOR_ENDPOINT=local"):
        assert advice in str(caught.value)


@pytest.mark.parametrize("token", ["hf_two words", "hf_line\nbreak", "hf_“quoted”", "hf_\x00"])
def test_a_token_that_no_header_can_carry_is_refused_without_being_shown(token):
    with pytest.raises(AuthenticationError) as caught:
        resolve_token(token)
    assert token not in str(caught.value)


def test_trouble_in_finding_a_token_ends_in_the_same_advice(monkeypatch):
    def explode():
        raise OSError("token file unreadable")

    monkeypatch.setattr(huggingface_hub, "get_token", explode)

    with pytest.raises(AuthenticationError, match=r"token file unreadable.*hf auth login"):
        resolve_token()
