"""`doctor --paid`: what only a job can show, on a Hub that is known."""

from __future__ import annotations

import json

import pytest

from hfexecutor import cli
from hfexecutor.cli import measuring
from hfexecutor.local import LocalHub
from hfexecutor.local import faults as f

LAUNCHES = "POST /api/jobs/{namespace}"


def on(monkeypatch, hub):
    monkeypatch.delenv("HFEXECUTOR_ENDPOINT", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_TOKEN", hub.token)


def measured(capsys) -> dict[str, object]:
    found = json.loads(capsys.readouterr().out)
    return {one["name"]: one["value"] for one in found if "value" in one}


@pytest.mark.slow  # a real cold start, and a real log that is a second late
def test_it_finds_what_the_embedded_hub_is_known_to_do(monkeypatch, capsys):
    with LocalHub("hub", expose_urls="launch") as hub:
        on(monkeypatch, hub)
        assert cli.main(["doctor", "--paid", "--yes", "--json"]) == 0
        assert (hub.requests[LAUNCHES], hub.running) == (2, 0)
    found = measured(capsys)
    assert found["exposeUrls in the reply"] is found["exposeUrls before RUNNING"] is True
    assert found["RUNNING after"] > 5
    assert 0.1 < found["round trip to the port"] < 0.5
    assert found["Authorization reaches the job"] is False
    assert found["a log read again has"] == 1000
    assert found["a line of 40,000 characters comes"] is False
    assert found["a label's value of 100 characters is"] is True
    assert found["a label's value of 101 characters is"] is False
    assert found["a label's key of 101 characters is"] is False
    assert found["secrets of 880,000 bytes are"] is True
    assert found["the stage is behind the last line"] > 1
    assert found["a cancelled job gets"] == 0.0
    assert found["left running"] == 0


@pytest.mark.slow
def test_the_text_at_its_end_is_made_to_be_reported(monkeypatch, capsys):
    with LocalHub(expose_urls="running") as hub:
        on(monkeypatch, hub)
        assert cli.main(["doctor", "--paid", "--yes"]) == 0
        said = capsys.readouterr()
        report = said.out[said.out.index("doctor --paid") :].splitlines()
        assert not any(hub.token in line or "local-user" in line for line in report)
    (reply,) = [line for line in report if line.startswith("  exposeUrls in the reply")]
    assert reply.split()[-1] == "no"
    assert report[-1].split() == ["left", "running", "0", "jobs"]
    assert said.err.count("measured") == len(report) - 1  # as it goes


def test_where_a_port_does_not_answer_it_says_so_and_leaves_no_job(monkeypatch, capsys):
    monkeypatch.setattr(measuring, "_WAIT", 2.0)
    with LocalHub(faults=[f.DoorFault(how="refuse")]) as hub:
        on(monkeypatch, hub)
        assert cli.main(["doctor", "--paid", "--yes", "--json"]) == 1
        assert hub.running == 0
    found = json.loads(capsys.readouterr().out)
    (stopped,) = [one for one in found if one["name"] == "stopped early"]
    assert "the port does not answer" in stopped["found"]
    assert found[-1]["name"] == "left running"
    assert found[-1]["value"] == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "nobody can be asked here: --paid needs --yes"),
        (["--max-cost", "0.001"], "it may cost"),
    ],
)
def test_nothing_is_launched_that_nobody_has_agreed_to(words, told, here, hub, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    before = hub.requests[LAUNCHES]
    assert cli.main(["doctor", "--paid", *words]) == 2
    assert told in capsys.readouterr().err
    assert hub.requests[LAUNCHES] == before


def test_a_no_at_the_terminal_is_a_no(terminal, hub):
    before = hub.requests[LAUNCHES]
    code, lines = terminal("doctor", "--paid", width=200, typed="n\n")
    assert code == 1
    assert "for $0.0033 at the most? [y/N]" in " ".join(lines)
    assert "nothing was launched" in " ".join(lines)
    assert hub.requests[LAUNCHES] == before
