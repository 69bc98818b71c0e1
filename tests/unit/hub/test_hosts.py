import pytest

from hfexecutor.hub.hosts import door_problem, is_loopback, split

HUB, HERE = "https://huggingface.co", "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://687fb701--8000.hf.jobs", HUB),
        ("https://687fb701--8000.hf.jobs/path?x=1", "https://hub.company.test"),
        ("https://687fb701--8000.jobs.company.test:8443/", "https://company.test"),
        ("http://127.0.0.1:23456/", HERE),
        ("http://localhost:23456", HERE),
        ("http://[::1]:23456/", HERE),
        ("https://687fb701--8000.hf.jobs", HERE),
    ],
)
def test_the_token_goes_to_the_doors_of_this_hubs_jobs(url, endpoint):
    assert door_problem(url, endpoint) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://687fb701--8000.hf.jobs",
        "https://hf.jobs.evil.test",
        "https://evilhf.jobs",
        "https://evil.test",
        "https://huggingface.co.evil.test",
        "https://evil.test\\.hf.jobs",
        "https://evil.test\\@x.hf.jobs",
        "https://x.hf.jobs@evil.test",
        "https://user:word@x.hf.jobs",
        "https://evil.test\t.hf.jobs",
        "http://127.0.0.1:8000",
        "http://localhost",
        "https://[::1]/",
        "ftp://x.hf.jobs",
        "//x.hf.jobs",
        "https://",
        "https://[::1",
        "https://x.hf.jobs:99999999",
        "",
    ],
)
def test_the_token_goes_nowhere_else(url):
    assert door_problem(url, HUB)


def test_a_local_hub_has_no_doors_in_the_local_network():
    assert door_problem("http://192.168.1.7:8000", HERE)


def test_loopback_is_known_without_asking_anybody():
    here = ["localhost", "127.0.0.1", "127.9.9.9", "::1"]

    assert all(map(is_loopback, here))
    assert not any(map(is_loopback, ["huggingface.co", "127.0.0.1.evil.test", "0.0.0.0", ""]))


def test_an_origin_has_its_default_port():
    assert split("https://A.test/x") == ("https", "a.test", 443)
    assert split("http://a.test:81") == ("http", "a.test", 81)
