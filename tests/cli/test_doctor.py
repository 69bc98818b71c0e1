"""`doctor`: what is right, and the first thing that is not."""

from __future__ import annotations

import json
from email.utils import formatdate

import httpx
import pytest

from hfexecutor import cli
from hfexecutor.cli.checks import _account, _budget, _clock, _role

ALL = "versions endpoint reachable clock token rights credits prices jobs requests embedded"


def test_all_is_well(terminal, hub):
    code, lines = terminal("doctor", width=60)

    assert code == 0
    assert max(map(len, lines)) <= 60
    named = [line.split()[1] for line in lines if not line.startswith(" ")]
    assert named == ALL.split()
    assert all(line.startswith(("ok ", " ")) for line in lines)
    assert not any(hub.token in line for line in lines)


@pytest.mark.parametrize(
    ("words", "env", "failed", "told"),
    [
        ([], {"HF_TOKEN": ""}, "token", "hf auth login"),
        ([], {"HF_TOKEN": "hf_unknown"}, "token", "invalid or expired"),
        (["--namespace", "others"], {}, "rights", "Check the namespace"),
        (["--endpoint", "http://127.0.0.1:9"], {}, "reachable", "Check the network"),
        (["--endpoint", "nowhere"], {}, "endpoint", "must be a URL"),
    ],
)
def test_the_first_thing_that_is_wrong_is_told(words, env, failed, told, here, monkeypatch, capsys):
    for name, value in env.items():
        monkeypatch.setenv(name, value)

    assert cli.main(["doctor", "--json", *words]) == 1
    found = json.loads(capsys.readouterr().out)
    (wrong,) = [check for check in found if check["verdict"] == "failed"]
    assert wrong["name"] == failed
    assert told in wrong["found"] + wrong["advice"]
    at = ALL.split().index(failed)
    assert {check["name"] for check in found} <= {*ALL.split()[: at + 1], "embedded"}


def test_the_embedded_hub_wants_no_token(here, monkeypatch, capsys):
    monkeypatch.setenv("HFEXECUTOR_ENDPOINT", "local")
    monkeypatch.setenv("HF_TOKEN", "")

    assert cli.main(["doctor"]) == 0
    assert "local, from HFEXECUTOR_ENDPOINT" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("skew", "verdict", "told"),
    [
        (0, "ok", "agrees with the Hub's"),
        (10, "ok", "but for 10 s"),
        (-3600, "warning", "-3600 s from the Hub's"),
    ],
)
def test_a_clock_that_is_wrong_is_told(skew, verdict, told):
    now = 1_790_000_000.0
    check = _clock(httpx.Headers({"date": formatdate(now - skew)}), now + 0.5)

    assert (check.verdict, told in check.found) == (verdict, True)


def test_a_hub_without_a_date_is_no_trouble():
    assert _clock(httpx.Headers(), 0.0).verdict == "ok"
    assert _clock(httpx.Headers({"date": "today"}), 0.0).verdict == "ok"


def test_who_pays_is_looked_for_among_organisations():
    org = {"name": "org", "canPay": False}
    who = {"name": "ada", "canPay": True, "orgs": [org]}

    assert _account(who, "ada") is who
    assert _account(who, "org") is org
    assert _account(who, "else") == {}
    assert _account({"name": "ada", "orgs": None}, "org") == {}


@pytest.mark.parametrize(
    ("auth", "told"),
    [
        ({"type": "access_token", "accessToken": {"role": "fineGrained"}}, "fineGrained"),
        ({"type": "oauth", "expiresAt": "2027-01-01"}, "oauth until 2027-01-01"),
        (None, "of an unknown kind"),
    ],
)
def test_the_kind_of_a_token_is_told(auth, told):
    assert _role({"auth": auth}) == told


def test_a_budget_that_is_spent_is_a_warning():
    spent = httpx.Response(200, headers={"RateLimit": '"api";r=0;t=120'})
    left = httpx.Response(200, headers={"RateLimit": '"api";r=7;t=120'})

    assert _budget(spent).verdict == "warning"
    assert _budget(left).found == "7 left for the next 120 s"
