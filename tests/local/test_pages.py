"""The pages for people: what they show, to whom, and what they let nobody do."""

from __future__ import annotations

import base64
import doctest
import itertools
import re
import struct
import subprocess
import sys
from html.parser import HTMLParser

import httpx
import pytest

from hfexecutor import HubExecutor, labels
from hfexecutor.local.faults import OddStage
from hfexecutor.local.pages import frames, words
from hfexecutor.local.pages.live import timeless
from hfexecutor.remote import entries, outcomes
from hfexecutor.remote.frames import LineWriter, Seal

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """Reads a page: its elements, and their texts. What is not closed in order fails."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text, self._open = [], "", []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag, **attrs):
        return [
            found
            for name, found in self.elements
            if name == tag and all(found.get(key) == value for key, value in attrs.items())
        ]


class Browser:
    """Looks at a hub's pages as a browser does that has shown the key."""

    def __init__(self, hub, raw):
        self.hub, self.raw = hub, raw
        self.http = httpx.Client(base_url=hub.endpoint, trust_env=False, verify=False, timeout=60)
        self.jobs = f"/jobs/{hub.namespace}"
        assert self.http.get(hub.page).status_code == 303

    def get(self, path, status=200, **options):
        reply = self.http.get(path, **options)
        assert reply.status_code == status, reply.text
        assert reply.headers["content-security-policy"] == CSP
        return reply

    def page(self, path, status=200, **params):
        reply = self.get(path, status, params=params or None)
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        page = Page(reply.text)
        assert not [one for one in page.elements if "style" in one[1] or one[0] == "style"]
        assert [one["src"] for one in page.all("script")] == ["/assets/pages.js"]
        assert not [name for _, one in page.elements for name in one if name.startswith("on")]
        return page

    def ids(self, **params):
        """Return the jobs of the list, in its order."""
        rows = [row["id"] for row in self.page(self.jobs, **params).all("tr") if "id" in row]
        return [row.removeprefix("job-") for row in rows]

    def lines(self, job, **params):
        """Return the lines of a job's page, without the Hub's own."""
        return list(self.numbered(job, **params).values())

    def numbered(self, job, **params):
        html = self.get(f"{self.jobs}/{job}", params=params).text
        found = re.findall(r'<li id="L(\d+)">.*?<span class="text">(.*?)</span></li>', html)
        return {int(number): text for number, text in found if not text.startswith("=====")}

    def events(self, path, **options):
        """Yield (name, html, id) of a stream until it ends."""
        with self.http.stream("GET", path, **options) as reply:
            assert reply.status_code == 200
            fields = []
            for line in reply.iter_lines():
                if line:
                    fields.append(line.partition(": ")[::2])
                elif fields:
                    data = "\n".join(value for key, value in fields if key == "data")
                    yield dict(fields).get("event"), data, dict(fields).get("id")
                    fields = []


@pytest.fixture
def browse():
    browsers = []

    def start(hub, raw):
        browsers.append(Browser(hub, raw))
        return browsers[-1]

    yield start
    for browser in browsers:
        browser.http.close()


@pytest.fixture
def browser(hub, raw, browse):
    return browse(hub, raw)


@pytest.fixture
def waiting(raw):
    """Start jobs that print what they are told and then sleep; they are cancelled in the end."""
    started = []

    def start(code="", **spec):
        job = raw.run("sh", "-c", f"{code}\nsleep 600", **spec)
        started.append(job)
        raw.wait(job, "RUNNING")
        return job

    yield start
    for job in started:
        raw.cancel(job)


# ------------------------------------------------------------------------------------- who may look


def test_the_key_is_asked_for_and_leaves_the_address(hub, raw):
    with httpx.Client(base_url=hub.endpoint, trust_env=False, verify=False) as stranger:
        for path in ("/", f"/jobs/{hub.namespace}", f"/jobs/{hub.namespace}/live", "/jobs/x/y/log"):
            refused = stranger.get(path)
            assert refused.status_code == 401
            assert "LocalHub.page" in refused.text
            assert refused.headers["content-security-policy"] == CSP
        assert stranger.get(f"{hub.page}x").status_code == 401
        assert not stranger.cookies

        job = raw.run("true")
        raw.wait(job)
        key = hub.page.partition("key=")[2]
        entered = stranger.get(f"/jobs/{hub.namespace}/{job}?q=x&key={key}")  # not only at "/"
        assert entered.status_code == 303
        assert entered.headers["location"] == f"/jobs/{hub.namespace}/{job}?q=x"
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert stranger.get(entered.headers["location"]).status_code == 200
        assert stranger.get("/").headers["location"] == f"/jobs/{hub.namespace}"


def test_the_address_of_a_job_is_the_one_that_clients_tell(hub, api, raw, browser):
    job = api.run_job(image="python:3", command=["true"])
    raw.wait(job.id)
    assert job.url.startswith(hub.endpoint)
    assert job.id in browser.page(job.url).text


def test_what_does_not_exist_is_told_in_a_page(browser):
    for path in (f"{browser.jobs}/{'0' * 24}", "/jobs/somebody-else"):
        page = browser.page(path, 404)
        assert page.all("a", href=browser.jobs)


def test_assets_have_nothing_secret_and_nothing_else_is_there(hub, raw):
    http = httpx.Client(base_url=hub.endpoint, trust_env=False, verify=False)
    with http:
        for name, kind in (
            ("pages.css", "text/css"),
            ("pages.js", "text/javascript"),
            ("icon.svg", "image/svg+xml"),
        ):
            reply = http.get(f"/assets/{name}")
            assert reply.headers["content-type"].startswith(kind)
            assert reply.headers["content-security-policy"] == CSP
        for name in ("site.py", "..%2Fsite.py", "%2e%2e/site.py", "pages.css/"):
            assert http.get(f"/assets/{name}").status_code == 404


def test_links_of_other_sites_open_pages_and_their_other_requests_are_refused(browser):
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    window = {**link, "Sec-Fetch-Dest": "document"}
    browser.get(browser.jobs, headers=window)
    for headers in (
        {**link, "Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},
    ):
        assert browser.http.get(browser.jobs, headers=headers).status_code == 403
    assert browser.http.get("/api/whoami-v2", headers=window).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:80", ""])
def test_other_names_for_this_machine_are_refused(browser, host):
    assert browser.http.get(browser.jobs, headers={"Host": host}).status_code == 403


# ------------------------------------------------------------------------------------------ cancel


def test_a_page_of_this_hub_cancels_and_nothing_else_does(hub, raw, browser, waiting):
    job = waiting()
    path = f"{browser.jobs}/{job}/cancel"
    for headers in (
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": hub.endpoint.replace("http:", "https:")},
        {"Origin": hub.endpoint, "Sec-Fetch-Site": "same-site"},
        {"Origin": hub.endpoint, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Origin": "http://evil.example", "Host": "evil.example"},
    ):
        assert browser.http.post(path, headers=headers).status_code == 403
    assert browser.http.get(path).status_code == 405
    mine = {"Origin": hub.endpoint, "Sec-Fetch-Site": "same-origin"}
    assert raw.http.post(path, headers=mine).status_code == 401  # the token is no key
    assert raw.inspect(job)["status"]["stage"] == "RUNNING"

    page = browser.page(f"{browser.jobs}/{job}")
    assert page.all("form", method="post", action=path)
    done = browser.http.post(path, headers=mine)
    assert (done.status_code, done.headers["location"]) == (303, f"{browser.jobs}/{job}")
    assert raw.inspect(job)["status"]["stage"] == "CANCELED"
    assert not browser.page(f"{browser.jobs}/{job}").all("form", method="post")


def test_a_job_that_is_over_is_not_cancelled(hub, raw, browser):
    job = raw.run("true")
    raw.wait(job)
    late = browser.http.post(f"{browser.jobs}/{job}/cancel", headers={"Origin": hub.endpoint})
    assert late.status_code == 409
    assert "already finished (COMPLETED)" in Page(late.text).text


# --------------------------------------------------------------------------------------- the list


def test_the_list_begins_with_the_newest_and_has_pages(make, browse):
    hub, raw = make(page_size=3)
    browser = browse(hub, raw)
    assert "No job has been started yet" in browser.page(browser.jobs).text
    jobs = [raw.run("true") for _ in range(7)][::-1]
    for job in jobs:
        raw.wait(job)
    seen, path = [], browser.jobs
    while path:
        page = browser.page(path)
        seen.append([row["id"][4:] for row in page.all("tr") if "id" in row])
        older = re.search(r'href="([^"]*)">Older jobs', browser.get(path).text)
        path = older and older[1]
    assert seen == [jobs[:3], jobs[3:6], jobs[6:]]
    assert "7 jobs: 7 completed" in browser.get(browser.jobs).text  # of all pages


def test_the_list_is_filtered_by_run_label_and_stage(make, browse, until):
    hub, raw = make()
    browser = browse(hub, raw)
    ours = {"hfexecutor": "job", "hfexecutor-name": "nightly"}
    one = raw.run("true", labels={**ours, "team": "data"})
    two = raw.run("false", labels={"team": "data"})
    three = raw.run("sleep", "600", labels={"team": "web", "kind": "x"})
    raw.wait(one)
    raw.wait(two)
    raw.wait(three, "RUNNING")
    assert browser.ids() == [three, two, one]
    assert browser.ids(run="nightly") == [one]
    assert browser.ids(label="team=data") == [two, one]
    assert browser.ids(label="team") == [three, two, one]
    assert browser.ids(label="team=web kind=x") == [three]
    assert browser.ids(label="team=data kind=x") == []
    assert browser.ids(stage="ERROR") == [two]
    assert browser.ids(run="nightly", stage="RUNNING") == []
    assert browser.ids(before="2") == [two, one]
    assert browser.ids(before="-1", stage="", label="", run="") == [three, two, one]

    page = browser.page(browser.jobs, run="nightly", label="team=data")
    assert [one for one in page.all("option") if "selected" in one] == [{"selected": None}]
    assert page.all("input", name="label", value="team=data")
    assert page.all("a", href=f"{browser.jobs}?label=team%3Ddata")
    assert "hfexecutor=job" not in page.text  # what is the same everywhere tells nothing
    assert page.all("a", href=browser.jobs)
    assert {"option", "datalist", "select"} <= {tag for tag, _ in page.elements}


def test_dollars_are_those_of_the_bill(hub, raw, browser, waiting):
    job = waiting(flavor="a100-large", expose={"ports": [8000]}, labels={"bill": "1"})
    raw.wait(raw.run("true", flavor="cpu-basic", labels={"bill": "1"}))
    usage = raw("GET", "/api/settings/billing/usage/jobs").json()["usage"]["jobDetails"]
    micro = {bill["jobId"]: bill["totalCostMicroUsd"] for bill in usage}
    assert micro[job] == 41667 + 167
    assert "$0.0418" in browser.page(f"{browser.jobs}/{job}").text
    text = "".join(browser.page(browser.jobs, label="bill=1").text.split())
    assert "2jobsRUNNING1COMPLETED1Cost$0.0420Now,anhour$2.51" in text


def test_ids_are_whole_and_clocks_run(raw, browser, waiting):
    job = waiting()
    page = browser.page(browser.jobs)
    assert page.all("a", href=f"{browser.jobs}/{job}", **{"class": "id"})
    assert re.search(r"\.id \{[^}]*white-space: nowrap", browser.http.get("/assets/pages.css").text)
    created = raw.inspect(job)["createdAt"]
    assert len([one for one in page.all("time") if "data-since" in one]) >= 2
    over = browser.page(f"{browser.jobs}/{job}")
    steps = [one for one in over.all("li") if one.get("aria-current") == "step"]
    assert [one["class"] for one in steps] == ["is-running"]
    assert created[:4] in over.text


def test_a_stage_that_nobody_knows_is_shown(make, browse, until):
    word = "<b>UPDATING"
    hub, raw = make(faults=[OddStage(word=word)])
    browser = browse(hub, raw)
    job = raw.run("sleep", "600")
    until(lambda: word in browser.page(f"{browser.jobs}/{job}").text)
    page = browser.page(f"{browser.jobs}/{job}")
    assert page.all("span", **{"class": "stage is-odd"})
    assert browser.ids(stage=word) == [job]


# ----------------------------------------------------------------------------------------- a job


def test_secrets_are_named_and_never_shown(hub, raw, browser):
    job = raw.run(
        "true",
        secrets={"PASSWORD": "hunter2-value"},
        environment={"COLOUR": "blue <i>", "HALF": "a"},
        timeoutSeconds=3600,
        attempts=3,
    )
    raw.wait(job)
    for path in (browser.jobs, f"{browser.jobs}/{job}"):
        html = browser.get(path).text
        assert "hunter2-value" not in html
        assert hub.token not in html
        assert hub.page.partition("key=")[2] not in html
    page = browser.page(f"{browser.jobs}/{job}")
    for text in ("PASSWORD", "COLOUR", "blue <i>", "1 h 00 min", "at most 3", "cpu-basic"):
        assert text in page.text
    assert "hunter2" not in repr(hub)


def test_what_jobs_and_people_write_stays_text(raw, browser):
    evil = "</span><script>alert(1)</script>\x1b[31mred\x1b[0m \u202eevil\u2028\x00\x07&amp;"
    job = raw.python(
        f"print({evil!r}); print('10%\\r50%\\r100%')", environment={"EVIL": "</td><img src=x>"}
    )
    raw.wait(job)
    address = f"{browser.jobs}/{job}"
    for path in (
        address,
        browser.jobs,
        f"{address}?q=<script>",
        f"{browser.jobs}?run=<b>&label=<i>",
    ):
        page = browser.page(path)
        assert not page.all("img", src="x")
        assert not page.all("b")
        assert not page.all("i")
        assert not set(page.text) & {"\x1b", "\x00", "\x07", "\u202e", "\u2028"}
    page = browser.page(address)
    assert "</span><script>alert(1)</script>red \ufffdevil\ufffd\u2400\u2407&amp;" in page.text
    assert "</td><img src=x>" in page.text
    assert browser.lines(job)[-1] == "100%"
    assert "<mark>&lt;script&gt;</mark>" in browser.get(f"{address}?q=<SCRIPT>").text


def test_why_a_job_failed_is_told(raw, browser):
    job = raw.run("sh", "-c", "exit 3")
    raw.wait(job)
    for path in (browser.jobs, f"{browser.jobs}/{job}"):
        assert "Job failed with exit code: 3" in browser.page(path).text


# ----------------------------------------------------------------------------------------- the log


@pytest.fixture(scope="module")
def long_log(hub):
    """A job of 15,000 lines, of which most are in files by now."""
    with httpx.Client(base_url=hub.endpoint, trust_env=False, verify=False) as http:
        code = "for i in range(15000): print(f'line {i} ' + 'x' * 60)"
        spec = {"flavor": "cpu-basic", "dockerImage": "python:3"}
        spec["command"] = ["python", "-I", "-S", "-c", code]
        headers = {"Authorization": f"Bearer {hub.token}"}
        job = http.post(f"/api/jobs/{hub.namespace}", json=spec, headers=headers).json()["id"]
        with http.stream("GET", f"/api/jobs/{hub.namespace}/{job}/logs", headers=headers) as reply:
            for _ in reply.iter_bytes():
                pass
    return job


def test_a_long_log_is_shown_from_its_end_and_all_of_it_can_be_reached(browser, long_log):
    shown = browser.numbered(long_log)
    assert list(shown) == list(range(14_001, 15_001))
    assert shown[15_000].startswith("line 14999 ")
    older = browser.numbered(long_log, before="14001")
    assert list(older) == list(range(13_001, 14_001))
    assert f"{browser.jobs}/{long_log}?before=13001" in browser.get(
        f"{browser.jobs}/{long_log}?before=14001"
    ).text.replace("&amp;", "&")
    assert list(browser.numbered(long_log, before="3")) == [1, 2]
    text = browser.get(f"{browser.jobs}/{long_log}/log")
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    lines = text.text.splitlines()
    assert len(lines) == 15_001
    assert lines[12_346].startswith("line 12345 ")


def test_search_finds_lines_wherever_they_are(browser, long_log):
    assert len(browser.lines(long_log, q="LINE 1234")) == 11
    assert browser.lines(long_log, q="line 7 ")[0].startswith("<mark>line 7 </mark>")
    page = browser.page(f"{browser.jobs}/{long_log}", q="line 2")
    assert "1,111 lines with “line 2”, of which these are the last 1,000" in page.text
    assert browser.lines(long_log, q=".*") == []
    around = browser.page(f"{browser.jobs}/{long_log}", q="line 7 ")
    assert around.all("a", href=f"{browser.jobs}/{long_log}?before=58#L8")
    assert 8 in browser.numbered(long_log, before="58")


def test_lines_that_are_not_kept_are_counted(make, browse):
    hub, raw = make(log_window=10)
    browser = browse(hub, raw)
    job = raw.python("for i in range(50): print(i)")
    raw.wait(job)
    assert browser.lines(job) == [str(i) for i in range(40, 50)]
    assert (
        "51 lines, of which the first 41 are not kept" in browser.page(f"{browser.jobs}/{job}").text
    )


# ---------------------------------------------------------------------------- frames and calls


def test_labels_are_those_that_the_client_gives():
    assert {frames.OURS: "job"} == labels.OURS
    assert frames.RUN == labels.NAME_LABEL


def test_frames_are_read_as_the_client_reads_them():
    value = outcomes.encode(outcomes.VALUE, 0.1, 0, b"value" * 3000)  # in parts
    failed = outcomes.encode(outcomes.RAISED, 0.1, 0, b"raised")
    stored = outcomes.encode(outcomes.IN_BUCKET, 0.1, 0, b"where it is")
    told = [
        entries.Entry(entries.HELLO, 0, 0, 1, b"hello"),
        entries.Entry(entries.OUTCOME, 7, 0, 1, value),
        entries.Entry(entries.OUTCOME, 8, 0, 1, failed),
        entries.Entry(entries.LARGE, 9, 0, 1, struct.pack("<Q", 1 << 30)),
        entries.Entry(entries.OUTCOME, 10, 0, 1, stored),
        entries.Entry(entries.BYE, 0, 0, 1, b""),
    ]
    lines = [line.decode() for line in LineWriter(Seal(b"key"), "0123abcd").lines(told)]
    assert len(lines) > 1
    found = [frames.split(line) for line in lines]
    assert {plain for plain, _ in found} == {None}
    ended = [one for _, bodies in found for body in bodies for one in frames.outcomes(body)]
    assert ended == [(7, False), (8, True), (9, False), (10, False)]
    plain, bodies = frames.split(f"before {lines[0]}after")
    assert (plain, len(bodies)) == ("before after", 1)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "A",
        "AAAA",
        base64.b64encode(b"\x02" * 40).decode(),
        base64.b64encode(b"x" * 21).decode(),
    ],
)
def test_what_only_looks_like_a_frame_does_no_harm(body):
    line = f"#hfx1:0123abcd:0:{body}:{'m' * 22};"
    frames.split(line)
    list(frames.outcomes(body))


def divide(number):
    print("dividing by", number)
    return 12 // number


def test_calls_are_counted_and_frames_folded_away(make, browse, until):
    hub, raw = make()
    browser = browse(hub, raw)

    def text():
        return " ".join(browser.page(browser.jobs, run="division").text.split())

    with HubExecutor(
        max_workers=1, endpoint=hub.endpoint, token=hub.token, name="division", slots_per_job=1
    ) as executor:
        futures = [executor.submit(divide, n) for n in (1, 2, 3, 0)]
        assert [future.exception() is None for future in futures] == [True, True, True, False]
        until(lambda: "4 1 failed" in text())  # the log may come after the door
        large = executor.submit(bytes, 1 << 20)  # not by way of the log, where it is announced
        assert len(large.result()) == 1 << 20
        until(lambda: "5 1 failed" in text())
        (job,) = hub.jobs()
        assert "Run division" in browser.page(f"{browser.jobs}/{job.id}").text
    lines = browser.lines(job.id)
    assert [f"dividing by {n}" for n in (1, 2, 3, 0)] == [
        line for line in lines if line.startswith("dividing")
    ]
    html = browser.get(f"{browser.jobs}/{job.id}").text
    assert "#hfx1" not in html
    assert "from worker to client folded away" in html
    shown = browser.get(f"{browser.jobs}/{job.id}?frames=show").text
    assert "outcome of call 4 failed" in shown
    assert "#hfx1" in browser.get(f"{browser.jobs}/{job.id}/log").text  # raw is raw


# -------------------------------------------------------------------------------------------- live


def test_a_job_is_told_as_it_lives(raw, browser, waiting):
    job = waiting("echo one; echo two")
    html = browser.get(f"{browser.jobs}/{job}").text
    main = next(one for tag, one in Page(html).elements if tag == "main")
    told = browser.events(main["data-live"], params={"after": 0})
    seen, last = "", None
    while "two" not in seen:
        name, data, number = next(told)
        if name == "log":
            seen, last = seen + data, number
    assert Page(seen).text.split()[-2].endswith("one")
    again = browser.events(main["data-live"], headers={"Last-Event-ID": str(int(last) - 1)})
    assert "one" not in next(data for name, data, _ in again if name == "log")
    again.close()
    raw.cancel(job)
    rest = list(told)
    assert rest[-1][0] == "end"
    assert "CANCELED" in "".join(data for name, data, _ in rest if name == "part")


def test_only_what_matches_is_told_while_one_searches(raw, browser):
    job = raw.python("for i in range(100): print(f'<{i}>')")
    raw.wait(job)
    told = list(browser.events(f"{browser.jobs}/{job}/live", params={"after": 0, "q": "<42>"}))
    lines = [data for name, data, _ in told if name == "log"]
    assert len(re.findall("<li", "".join(lines))) == 1
    assert "<mark>&lt;42&gt;</mark>" in lines[0]
    told = list(browser.events(f"{browser.jobs}/{job}/live", params={"before": 9}))
    assert {name for name, _, _ in told} == {"part", "end"}


def test_of_a_log_that_runs_ahead_the_end_is_told(browser, long_log):
    told = browser.events(f"{browser.jobs}/{long_log}/live", params={"after": 0})
    lines = [data for name, data, _ in told if name == "log"]
    numbers = [int(number) for number in re.findall(r'id="L(\d+)"', "".join(lines))]
    assert "Lines that came too fast to be shown" in lines[0]
    assert numbers[-1] == 15_000
    assert len(numbers) <= 5000


def test_the_list_is_told_what_changes_and_nothing_else(raw, browser, waiting):
    job = waiting(labels={"live": "1"})
    told = browser.events(f"{browser.jobs}/live", params={"label": "live=1"})
    first = "".join(data for name, data, _ in itertools.islice(told, 3) if name == "part")
    assert f"job-{job}" in first
    raw.cancel(job)
    news = itertools.islice(told, 2)  # had clocks counted as changes, these would be of RUNNING
    second = "".join(data for name, data, _ in news if name == "part")
    told.close()
    assert second.count("CANCELED") == 2
    versions = [re.search(r'data-version="(\w+)"', one)[1] for one in (first, second)]
    assert versions[0] != versions[1]


def test_a_clock_that_runs_is_no_change():
    clock = '<time data-since="5">{} s</time> <time>7 s</time>'
    assert timeless(clock.format(1)) == timeless(clock.format(2)) != clock.format(1)


def test_what_a_job_uses_becomes_a_chart(make, browse, until):
    from hfexecutor.local import Timings

    hub, raw = make(timings=Timings(metrics=0.02))
    browser = browse(hub, raw)
    job = raw.python("data = bytes(range(256)) * 200_000\nwhile True: pass")
    raw.wait(job, "RUNNING")
    path = f"{browser.jobs}/{job}"
    until(lambda: browser.get(path).text.count("<polyline") == 2)
    until(lambda: re.search(r"Memory</strong> (\d{2,}) MB", browser.get(path).text))
    until(lambda: re.search(r"CPU</strong> (0\.[1-9]|1\.)", browser.get(path).text))
    page = browser.page(path)
    assert [one["role"] for one in page.all("svg")] == ["img", "img"]
    raw.cancel(job)
    assert browser.get(path).text.count("<polyline") == 2  # they are kept
    done = raw.run("true")
    raw.wait(done)
    assert "was not measured" in browser.page(f"{browser.jobs}/{done}").text


# ----------------------------------------------------------------------------------------- the rest


def test_figures_and_texts_of_people():
    assert doctest.testmod(words).failed == 0
    assert doctest.testmod(frames).failed == 0
    assert words.shown("\ud800") == "\ufffd"


def test_a_hub_that_nobody_looks_at_loads_no_pages():
    code = """
import sys, urllib.request
from hfexecutor.local import LocalHub
with LocalHub() as hub:
    request = urllib.request.Request(hub.endpoint + "/api/whoami-v2")
    request.add_header("Authorization", "Bearer " + hub.token)
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).read()
    assert not [name for name in sys.modules if "jinja2" in name or ".pages" in name]
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor()
    )
    assert b"LocalHub" in opener.open(hub.page).read()
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_an_executor_on_an_embedded_hub_says_where_its_pages_are(caplog):
    caplog.set_level("INFO", logger="hfexecutor")
    with HubExecutor(max_workers=1, endpoint="local") as executor:
        said = [one.getMessage() for one in caplog.records if "shows its jobs" in one.getMessage()]
        address = said[0].rpartition(" ")[2]
        assert executor.submit(abs, -1).result() == 1
        with httpx.Client(trust_env=False, verify=False, follow_redirects=True) as http:
            assert "1 job" in http.get(address).text
