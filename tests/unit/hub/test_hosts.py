import pytest

from hfexecutor.hub.hosts import PORTS_DOMAIN, Door, door_problem, is_loopback, split

HUB, HERE, COMPANY = "https://huggingface.co", "http://127.0.0.1:8000", "https://hub.company.test"
JOB, PORT = "687fb701", 8000


def problem(url, endpoint=HUB, job_id=JOB):
    return door_problem(Door(url, job_id, PORT), endpoint)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://687fb701--8000.hf.jobs", HUB),
        ("https://687fb701--8000.hf.jobs/", HUB),
        ("https://687fb701--8000.hf.jobs:443", HUB),
        ("HTTPS://687FB701--8000.HF.JOBS", HUB),
        ("https://687fb701--8000.hf.jobs", COMPANY),
        ("https://687fb701--8000.hub.company.test", COMPANY),
        ("https://687fb701--8000.jobs.hub.company.test", COMPANY),
        ("http://127.0.0.1:23456/", HERE),
        ("http://localhost:23456", HERE),
        ("http://[::1]:23456/", HERE),
        ("https://687fb701--8000.hf.jobs", HERE),
    ],
)
def test_a_token_goes_to_the_port_of_the_job_that_was_launched(url, endpoint):
    assert problem(url, endpoint) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://687fb702--8000.hf.jobs",  # another job
        "https://687fb701--8001.hf.jobs",  # another port
        "https://687fb701--80000.hf.jobs",
        "https://hf.jobs",
        "https://x.687fb701--8000.hf.jobs",
        "https://687fb701--8000.evil.hf.jobs",
        "https://687fb701--8000.hf.jobs.evil.test",
        "https://687fb701--8000.evilhf.jobs",
        "https://687fb701--8000.huggingface.co",
        "https://687fb701--8000.evil.test",
        "https://687fb701--8000.hf.jobs:8443",
        "https://687fb701--8000.hf.jobs:443:443",
        "https://687fb701--8000.hf.jobs/path",
        "https://687fb701--8000.hf.jobs//",
        "https://687fb701--8000.hf.jobs?x=1",
        "https://687fb701--8000.hf.jobs#x",
        "https://687fb701--8000.hf.jobs@evil.test",
        "https://687fb701--8000.@evil.test",
        "https://687fb701--8000.hf.jobs\\@evil.test",
        "https://evil.test\\687fb701--8000.hf.jobs",
        "https://user:word@687fb701--8000.hf.jobs",
        "https://687fb701--8000.hf\t.jobs",
        "https://687fb701--8000.hf.jobs\n",
        " https://687fb701--8000.hf.jobs",
        "https://687fb701--8000.hf.\uff4aobs",  # fullwidth letters that IDNA would fold
        "https://687fb701--8000.hf\u3002jobs",
        "https://687fb701--8000..hf.jobs",
        "https://687fb701--8000.",
        "http://687fb701--8000.hf.jobs",
        "ftp://687fb701--8000.hf.jobs",
        "//687fb701--8000.hf.jobs",
        "http://127.0.0.1:8000",
        "https://[::1]/",
        "https://",
        "",
    ],
)
def test_a_token_goes_nowhere_else(url):
    assert problem(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://192.168.1.7:8000",
        "http://0.0.0.0:8000",
        "http://127.0.0.1.evil.test:8000",
        "http://127.0.0.1:8000@evil.test",
        "http://user@127.0.0.1:8000",
        "http://127.0.0.1:8000/path",
        "http://127.0.0.1:99999",
        "http://localhost.evil.test",
        "http://localhost:8000\n",
    ],
)
def test_a_hub_on_this_machine_has_its_doors_here_and_nowhere_near(url):
    assert problem(url, HERE)


def test_a_hub_elsewhere_has_no_door_on_this_machine():
    assert problem("http://127.0.0.1:8000", COMPANY)
    assert problem("https://127.0.0.1:8000", COMPANY)


@pytest.mark.parametrize("job_id", ["", "evil.test/x", "evil.test#", "a@b", "-", "a b", "a\n"])
def test_an_id_that_would_move_the_host_is_no_id(job_id):
    assert "no id of a job" in problem(f"https://{job_id}--8000.hf.jobs", HUB, job_id)


def test_the_neighbours_of_another_hub_are_not_its_ports():
    assert problem("https://687fb701--8000.jobs.company.test", COMPANY)
    assert PORTS_DOMAIN in problem("https://687fb701--8000.jobs.company.test", COMPANY)


def test_who_runs_a_hub_of_their_own_can_name_the_domain_of_its_ports(monkeypatch):
    monkeypatch.setenv(PORTS_DOMAIN, " Jobs.Company.test. ")

    assert problem("https://687fb701--8000.jobs.company.test", COMPANY) is None
    assert problem("https://687fb701--8000.hub.company.test", COMPANY)
    assert problem("https://687fb701--8000.hf.jobs", HUB)


def test_loopback_is_known_without_asking_anybody():
    here = ["localhost", "127.0.0.1", "127.9.9.9", "::1"]

    assert all(map(is_loopback, here))
    assert not any(map(is_loopback, ["huggingface.co", "127.0.0.1.evil.test", "0.0.0.0", ""]))


def test_an_origin_has_its_default_port():
    assert split("https://A.test/x") == ("https", "a.test", 443)
    assert split("http://a.test:81") == ("http", "a.test", 81)
