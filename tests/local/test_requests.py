"""What is asked of requests, and what every reply looks like."""

from __future__ import annotations

import json
import socket

import pytest

from hfexecutor.local import Timings, schema
from hfexecutor.local.errors import ApiError
from hfexecutor.local.faults import Refuse

NS = "/api/jobs/{namespace}"
JOB = "/api/jobs/{namespace}/{jobId}"
SPEC = {"flavor": "cpu-basic", "dockerImage": "python:3", "command": ["true"]}


def test_every_reply_has_the_published_form(raw):
    full = {
        "arguments": ["x"],
        "environment": {"AB": "1"},
        "secrets": {"S": "hidden-value"},
        "labels": {"k": "v", "empty": ""},
        "expose": {"ports": [8000, 8001], "portsPublic": [8001]},
        "attempts": 2,
        "timeoutSeconds": 50,
        "arch": "amd64",
        "resourceGroupId": "0" * 24,
        "network": {"group": "not in the schema, and sent by newer clients"},
    }
    job = raw.run("sleep", "60", **{**full, "arguments": []})
    waiting = raw.inspect(job)
    running = raw.wait(job, "RUNNING")
    assert len(running["status"]["exposeUrls"]) == 2
    assert running["retry"] == 1
    assert running["timeout"] == 50
    assert running["arch"] == "amd64"
    assert running["secrets"] == ["S"]
    assert "hidden-value" not in str([waiting, running])
    for method, template, options in (
        ("GET", "/api/whoami-v2", {}),
        ("GET", "/api/jobs/hardware", {}),
        ("GET", "/api/settings/billing/usage/jobs", {}),
        ("GET", NS, {}),
        ("GET", f"{NS}/count", {}),
        ("POST", f"{NS}/auth-check/{{perms}}", {}),
        ("POST", f"{JOB}/auth-check/{{perms}}", {}),
        ("PUT", f"{JOB}/labels", {"json": {"labels": {"a": "b"}}}),
        ("PUT", f"{JOB}/expose", {"json": {"ports": [80], "portsPublic": []}}),
        ("POST", f"{JOB}/cancel", {}),
        ("POST", f"{JOB}/duplicate", {}),
    ):
        path = template.format(namespace=raw.hub.namespace, jobId=job, perms="write")
        assert raw(method, path, template, **options).status_code == 200, path
    again = raw.hub.jobs()[-1].id
    assert raw.cancel(again).status_code == 200
    spaced = raw("POST", raw.jobs, NS, json={"flavor": "t4-small", "spaceId": "a/b"}).json()["id"]
    assert raw.wait(spaced)["status"]["stage"] == "ERROR"
    assert raw("GET", raw.jobs, NS).status_code == 200
    usage = raw(
        "GET", "/api/settings/billing/usage/jobs", "/api/settings/billing/usage/jobs"
    ).json()
    bill = next(one for one in usage["usage"]["jobDetails"] if one["jobId"] == job)
    assert bill["totalCostMicroUsd"] == 167 * 2  # one minute begun, of the machine and of a port
    assert usage["usage"]["usedMicroUsd"] >= 167 * 2


def test_what_only_the_hub_asserts(raw):
    """A label is a claim: a client that adopts a job by one checks these."""
    spec = {
        **SPEC,
        "command": ["sh", "-c", "true", "--"],
        "arguments": ["a b"],
        "labels": {"owner": "somebody", "initiator": "me"},
        "initiator": {"type": "user", "id": "0" * 24, "name": "forged", "avatarUrl": ""},
        "owner": {"name": "forged"},
    }
    who = raw("GET", "/api/whoami-v2").json()
    launched = raw("POST", raw.jobs, NS, json=spec).json()
    raw.wait(launched["id"])
    (listed,) = [job for job in raw("GET", raw.jobs, NS).json() if job["id"] == launched["id"]]
    for job in (launched, listed, raw.inspect(launched["id"])):
        for asserted in (job["initiator"], job["owner"]):
            assert asserted["type"] == "user"
            assert (asserted["id"], asserted["name"]) == (who["id"], who["name"])
        assert job["createdBy"] == {"id": who["id"], "name": who["name"]}
        for key in ("dockerImage", "flavor", "command", "arguments", "labels"):
            assert job[key] == spec[key]
    spaced = raw("POST", raw.jobs, NS, json={"flavor": "t4-small", "spaceId": "a/b"}).json()
    assert (spaced["spaceId"], spaced["flavor"]) == ("a/b", "t4-small")
    raw.wait(spaced["id"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"flavor": "nope"}, "flavor"),
        ({"flavor": None}, "flavor"),
        ({"command": []}, "command"),
        ({"command": [""]}, "command"),
        ({"command": "true"}, "command"),
        ({"command": [1]}, "command"),
        ({"environment": {"1A": "x"}}, "1A"),
        ({"environment": {"A": "one letter is too few"}}, "environment"),
        ({"environment": {"AB": 1}}, "AB"),
        ({"secrets": {"A-B": "x"}}, "A-B"),
        ({"secrets": {"AB": None}}, "AB"),
        ({"labels": {"k": "a b"}}, "k"),
        ({"labels": {"": "v"}}, "labels"),
        ({"labels": {"k": "v" * 101}}, "k"),
        ({"labels": {"k" * 101: "v"}}, "labels"),
        ({"labels": {"k": "v\n"}}, "k"),
        ({"timeoutSeconds": 0}, "timeoutSeconds"),
        ({"timeoutSeconds": 1.5}, "timeoutSeconds"),
        ({"timeoutSeconds": "1"}, "timeoutSeconds"),
        ({"attempts": 0}, "attempts"),
        ({"attempts": True}, "attempts"),
        ({"expose": {"ports": [0]}}, "ports"),
        ({"expose": {"ports": [65536]}}, "ports"),
        ({"expose": {"ports": list(range(1, 22))}}, "ports"),
        ({"expose": {}}, "ports"),
        ({"expose": {"ports": [1], "portsPublic": [2]}}, "portsPublic"),
        ({"volumes": []}, "volumes"),
        ({"volumes": [{"type": "disk", "source": "s", "mountPath": "/d"}]}, "type"),
        ({"volumes": [{"type": "bucket", "source": "s", "mountPath": "d"}]}, "mountPath"),
        ({"spaceId": "both"}, "spaceId"),
        ({"dockerImage": 3}, "dockerImage"),
        ({"dockerImage": None}, "dockerImage"),
        ({"arch": "z80"}, "arch"),
        ({"ssh": {"enabled": 1}}, "ssh.enabled"),
        ({"volumes": [{"type": "bucket", "source": "s"}]}, "volumes[0].mountPath"),
        ({"resourceGroupId": "short"}, "resourceGroupId"),
    ],
)
def test_a_bad_spec_is_refused_with_words(raw, change, words):
    before = len(raw.hub.jobs())
    reply = raw("POST", raw.jobs, json={**SPEC, **change})
    assert reply.status_code == 400
    assert words in reply.json()["error"]
    assert len(raw.hub.jobs()) == before


@pytest.mark.parametrize("odd", ["\0", "a\ud800b", "\udfff"], ids=["NUL", "high", "low"])
@pytest.mark.parametrize(
    "change",
    [
        lambda odd: {"command": ["echo", odd]},
        lambda odd: {"arguments": [odd]},
        lambda odd: {"environment": {"AB": odd}},
        lambda odd: {"environment": {odd: "x"}},
        lambda odd: {"secrets": {"AB": odd}},
        lambda odd: {"secrets": {odd: 1}},
        lambda odd: {"dockerImage": odd},
        lambda odd: {"labels": {f"k\r\n{odd}": "v"}},
    ],
    ids=["word", "argument", "value", "name", "secret", "secret's name", "image", "label"],
)
def test_strings_that_no_process_can_have_are_refused(raw, change, odd):
    before = len(raw.hub.jobs())
    reply = raw("POST", raw.jobs, content=json.dumps({**SPEC, **change(odd)}))
    assert reply.status_code == 400
    assert len(raw.hub.jobs()) == before
    assert raw("GET", raw.jobs, NS).status_code == 200


def test_variables_have_a_limit(raw):
    parts = {f"PART_{n}": "x" * 120_000 for n in range(8)}
    reply = raw("POST", raw.jobs, json={**SPEC, "secrets": parts, "environment": parts})
    assert reply.status_code == 400
    assert "environment and secrets" in reply.json()["error"]
    for accents, fine in ((274_286, True), (274_287, False)):  # two bytes each
        spec = {**SPEC, "environment": {"AB": "x" * 500_000}, "secrets": {"S": "é" * accents}}
        if fine:
            schema.read(schema.Spec, json.dumps(spec).encode())
            continue
        with pytest.raises(ApiError, match="1048577 bytes together"):
            schema.read(schema.Spec, json.dumps(spec).encode())


def test_many_jobs_with_one_program_have_it_once():
    body = json.dumps({**SPEC, "secrets": {"PROGRAM": "x" * 100_000, "NUMBER": "1"}}).encode()
    first, second = (schema.read(schema.Spec, body) for _ in range(2))
    assert first.secrets["PROGRAM"] is second.secrets["PROGRAM"]
    assert "xxx" not in repr(first)


def test_errors_do_not_repeat_secrets(raw):
    reply = raw("POST", raw.jobs, json={**SPEC, "secrets": {"AB": ["hunter2"]}})
    assert reply.status_code == 400
    assert "hunter2" not in reply.text + str(reply.headers)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(raw, body):
    assert raw("POST", raw.jobs, content=body).status_code == 400


def test_a_body_that_is_too_large_is_refused(raw):
    reply = raw("POST", raw.jobs, content=b" " * (5 << 20))
    assert reply.status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/jobs/somebody-else", 404),
        ("GET", "/api/jobs/local-user/" + "0" * 24, 404),
        ("GET", "/api/jobs/local-user/" + "0" * 24 + "/logs", 404),
        ("POST", "/api/jobs/local-user/" + "0" * 24 + "/cancel", 404),
        ("DELETE", "/api/jobs/local-user", 405),
        ("PATCH", "/api/whoami-v2", 405),
        ("GET", "/api/models", 404),
        ("GET", "/api/scheduled-jobs/local-user", 501),
        ("POST", "/api/jobs/local-user/auth-check/own", 400),
        ("GET", "/api/jobs/local-user?stage=DONE", 400),
        ("GET", "/api/jobs/local-user?stage=running", 400),
        ("GET", "/api/jobs/local-user?label=nokey", 400),
        ("GET", "/api/jobs/local-user?cursor=xyz", 400),
        ("GET", "/api/jobs/local-user/count?stage=DONE", 400),
    ],
)
def test_wrong_addresses(raw, method, path, status):
    assert raw(method, path).status_code == status


@pytest.mark.parametrize("tail", ["-1", "x", "1.5", "²", "1" * 30])
def test_tail_must_be_a_number(raw, tail):
    job = raw.run("true")
    raw.wait(job)
    assert raw("GET", f"{raw.jobs}/{job}/logs", params={"tail": tail}).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/api/jobs/local-user/../../whoami-v2",
        "/api//jobs/local-user",
        "/api/jobs/local%2Duser",
        "/api/jobs/local-user/%2e%2e/hardware",
        "//api/whoami-v2",
        "/api/jobs/local-user/",
    ],
)
def test_path_tricks_find_nothing(hub, path):
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {hub.token}\r\n"
    assert _exchange(hub, head + "Connection: close\r\n\r\n").startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("host", ["evil.example:80", "evil.example", "127.0.0.1.nip.io", ""])
def test_other_hosts_are_refused(hub, host):
    head = f"GET /api/whoami-v2 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {hub.token}\r\n"
    assert _exchange(hub, head + "Connection: close\r\n\r\n").startswith(b"HTTP/1.1 403 ")


def _exchange(hub, request):
    with socket.create_connection(
        ("127.0.0.1", int(hub.endpoint.rpartition(":")[2]))
    ) as connection:
        connection.sendall(request.encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    "header",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_sites_are_refused(raw, header):
    assert raw("GET", "/api/whoami-v2", headers=header).status_code == 403


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer hf_wrong", "Basic eDp5", "Bearer \u00e9", None]
)
def test_other_tokens_are_refused(hub, raw, authorization):
    headers = {"Authorization": (authorization or "").encode()}
    if authorization is None:
        del raw.http.headers["Authorization"]
        headers = {}
    for method, path in (("GET", "/api/whoami-v2"), ("POST", raw.jobs), ("GET", raw.jobs)):
        reply = raw(method, path, headers=headers)
        assert reply.status_code == 401
        assert hub.token not in reply.text


def test_hardware_needs_no_token(raw):
    del raw.http.headers["Authorization"]
    assert raw("GET", "/api/jobs/hardware").status_code == 200


def test_pages_of_a_list(make):
    hub, raw = make(page_size=2)
    jobs = [raw.run("true", labels={"n": str(n)}) for n in range(5)]
    for job in jobs:
        raw.wait(job)
    url, seen, pages = f"{raw.jobs}?stage=COMPLETED", [], 0
    while url:
        reply = raw("GET", url, NS)
        seen += [job["id"] for job in reply.json()]
        url = reply.links.get("next", {}).get("url")
        pages += 1
    assert seen == jobs[::-1]
    assert pages == 3
    assert hub.requests["GET /api/jobs/{namespace}"] == 3


def test_a_list_may_hold_exactly_one_page(make):
    _, raw = make(page_size=1)
    raw.wait(raw.run("true"))
    assert "link" not in raw("GET", raw.jobs, NS).headers


def test_the_budget_of_requests(make):
    hub, raw = make(rate_limit=2)
    first = raw("GET", "/api/whoami-v2")
    assert first.headers["ratelimit"].startswith('"api";r=1;t=')
    assert first.headers["ratelimit-policy"] == '"fixed window";"api";q=2;w=300'
    assert raw("GET", "/api/whoami-v2").status_code == 200
    third = raw("GET", "/api/whoami-v2")
    assert third.status_code == 429
    assert third.headers["ratelimit"].startswith('"api";r=0;t=')
    assert hub.requests["GET /api/whoami-v2"] == 3


def test_a_refusal_tells_of_one_budget(make):
    _, raw = make(rate_limit=100, faults=[Refuse(429, retry_in=7)])
    headers = raw("GET", "/api/whoami-v2").headers
    assert headers.get_list("ratelimit") == ['"api";r=0;t=7']
    assert len(headers.get_list("ratelimit-policy")) == 1


def test_pages_are_not_charged(make):
    hub, raw = make(rate_limit=1)
    for _ in range(3):
        assert raw.http.get(hub.page, follow_redirects=True).status_code == 200
    assert raw("GET", "/api/whoami-v2").status_code == 200
    assert raw("GET", "/api/whoami-v2").status_code == 429


def test_a_port_is_billed_though_it_was_taken_back(raw):
    job = raw.run("sleep", "60", expose={"ports": [8000]})
    raw.wait(job, "RUNNING")
    raw("PUT", f"{raw.jobs}/{job}/expose", json={"ports": []})
    raw.cancel(job)
    usage = raw("GET", "/api/settings/billing/usage/jobs").json()["usage"]["jobDetails"]
    assert [bill["totalCostMicroUsd"] for bill in usage if bill["jobId"] == job] == [167 * 2]


def test_some_prices_and_sizes(raw):
    hardware = {one["name"]: one for one in raw("GET", "/api/jobs/hardware").json()}
    for name, hourly, ram, disk in (
        ("rtx-pro-6000", 2.75, "256 GB", "475 GB"),
        ("rtx-pro-6000x2", 5.5, "512 GB", "950 GB"),
        ("rtx-pro-6000x4", 11, "1024 GB", "1900 GB"),
        ("rtx-pro-6000x8", 22, "2048 GB", "3800 GB"),
        ("cpu-performance", 1.9, "256 GB", "1024 GB"),
    ):
        one = hardware[name]
        assert round(one["unitCostMicroUSD"] * 60 / 1e6, 3) == hourly
        assert (one["ram"], one["ephemeralStorage"]) == (ram, disk)


@pytest.mark.parametrize("profile", ["instant", "hub"])
def test_metrics_of_a_job_that_ends(make, profile):
    _, raw = make(profile=profile, timings=Timings(metrics=0.01, keep_alive=0.1))
    job = raw.run("sleep", "60")
    raw.wait(job, "RUNNING")
    with raw.stream(f"{raw.jobs}/{job}/metrics") as reply:
        chunks = reply.iter_bytes()
        assert next(chunks).startswith(b"event: metric")
        raw.cancel(job)
        after = b""
        for chunk in chunks:  # on the real Hub it has no end
            after += chunk
            if after.count(b": keep-alive") == 2:
                break
    assert (after.count(b": keep-alive") == 2) == (profile == "hub")


def test_requests_are_counted_by_route(make):
    hub, raw = make()
    job = raw.run("true")
    raw.wait(job)
    raw("GET", raw.jobs)
    counted = hub.requests
    assert counted["POST /api/jobs/{namespace}"] == 1
    assert counted["GET /api/jobs/{namespace}"] == 1
    assert counted["GET /api/jobs/{namespace}/{jobId}"] >= 1
    counted.clear()
    assert hub.requests


def test_a_job_that_is_over_cannot_be_cancelled(raw):
    job = raw.run("true")
    raw.wait(job)
    assert raw.cancel(job).status_code == 409
    assert raw("PUT", f"{raw.jobs}/{job}/expose", json={"ports": [1]}).status_code == 409
    assert raw("GET", f"{raw.jobs}/{job}/metrics").status_code == 406
