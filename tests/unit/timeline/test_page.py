"""The page: nothing in it is run or loaded but what is ours, whatever things are called."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from timeline_rows import call, job

from hfexecutor.timeline import Period, Timeline

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>{{data}}&\"'\u202e\u2028"


class Page(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.text, self.scripts, self.links = [], "", [], []
        self.attributes, self.csp = [], ""
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag in {"script", "style"}:
            self.scripts.append((dict(attrs), ""))
            self._script = True
        if tag == "meta" and ("http-equiv", "Content-Security-Policy") in attrs:
            self.csp = dict(attrs)["content"]
        if tag == "a":
            self.links.append(dict(attrs)["href"])

    def handle_endtag(self, tag):
        self._script = self._script and tag not in {"script", "style"}

    def handle_data(self, data):
        if self._script:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data
        else:
            self.text += data

    @property
    def data(self):
        return json.loads(next(text for attrs, text in self.scripts if "id" in attrs))


def timeline(jobs, calls, name="nightly", **more):
    return Timeline.of(name, calls, jobs, **{"until": 10.0, "over": True, **more})


@pytest.fixture
def evil():
    jobs = [job(EVIL, url="javascript:alert(1)", flavor=EVIL), job("j2", url='https://x/"><i>')]
    calls = [call(1, name=EVIL, job_id=EVIL, state="failed", error=EVIL), call(2, job_id="j2")]
    return timeline(jobs, calls, EVIL, notes=[EVIL])


def test_names_are_text_wherever_they_stand(evil):
    harmless = timeline([job(), job("j2", url="https://x/")], [call(state="failed")], notes=["n"])
    page = Page(evil.to_html())

    allowed = Page(harmless.to_html())
    assert set(page.tags) == set(allowed.tags)
    assert page.tags.count("script") == 2
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.links == ['https://x/"><i>']
    assert "\u202e" not in evil.to_html()
    assert "\u2028" not in evil.to_html()
    shown = EVIL.replace("\u202e", "\\u202e").replace("\u2028", "\\u2028")
    assert page.data["names"] == [shown, "work"]
    assert page.data["errors"] == [shown]


def test_the_policy_allows_the_one_script_and_the_one_style_sheet(evil):
    page = Page(evil.to_html())
    rules = dict(rule.strip().split(" ", 1) for rule in page.csp.split(";"))

    def hashed(text):
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    style, _, script = page.scripts
    assert rules == {
        "default-src": "'none'",
        "script-src": hashed(script[1]),
        "style-src": hashed(style[1]),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert not [name for name, _ in page.attributes if name in {"style", "src"}]


def test_nothing_is_fetched_from_elsewhere():
    text = timeline([job()], [call()]).to_html()

    assert not re.search(r"(src|href)=|url\(|@import|fetch\(|XMLHttp|import\(", text)


def test_the_data_is_what_is_drawn():
    one = job(installs=(Period(5.0, 5.5),), transfers=(Period(6.0, None, 100),))
    calls = [call(1, 5.5, 0.5), call(7, 7.0, 1.0, state="failed", error="KeyError")]
    data = Page(timeline([one], calls).to_html()).data

    assert data["until"] == 10_000_000
    (lane,) = data["lanes"]
    assert (lane["gaps"], lane["lengths"]) == ([5_500_000, 1_000_000], [500_000, 1_000_000])
    assert (lane["calls"], lane["states"], lane["errors"]) == ([1, 7], {"1": 1}, {"1": 0})
    assert lane["waits"] == [5_500_000, 7_000_000]
    (shown,) = data["jobs"]
    assert (shown["installs"], shown["transfers"]) == (
        [[5_000_000, 5_500_000, 0]],
        [[6_000_000, 10_000_000, 100]],
    )


def test_costs_grow_by_the_minute_that_begins():
    jobs = [job(ended=150.0, dollars=0.03), job("j2", ended=None, began=4.5, dollars=0.02)]
    data = Page(timeline(jobs, [], until=100.0, dollars=0.05).to_html()).data

    assert data["cost"] == [
        [4_000_000, 0.01],
        [4_500_000, 0.02],
        [64_000_000, 0.03],
        [64_500_000, 0.04],
        [124_000_000, 0.05],
    ]


def test_a_thousand_jobs_for_hours_make_no_endless_curve():
    jobs = [job(f"j{n}", ended=40_000.0, dollars=1.0) for n in range(100)]
    data = Page(timeline(jobs, [], until=40_000.0).to_html()).data

    assert len(data["cost"]) <= 1000
    assert data["cost"][-1][1] == pytest.approx(100.0, abs=1e-3)


def test_it_is_said_in_words_as_well():
    slow = [call(n, 5.0 + n, n / 10) for n in range(1, 4)]
    bad = call(9, 9.0, 0.5, state="failed", error="KeyError")
    page = Page(timeline([job()], [*slow, bad], notes=["Not all of it."], dollars=0.5).to_html())

    for words in ("Run nightly", "4 calls, 1 failed", "$0.5000 at most", "waiting for hardware",
                  "Slowest calls", "KeyError", "Not all of it."):  # fmt: skip
        assert words in page.text
    assert page.tags.count("table") == 3


def test_a_notebook_shows_it_in_a_frame_that_can_reach_nothing(evil):
    shown = evil._repr_html_()
    page = Page(shown)

    assert page.tags == ["iframe"]
    (attributes,) = [dict(page.attributes)]
    assert attributes["sandbox"] == "allow-scripts"
    assert attributes["srcdoc"] == evil.to_html()


def test_it_is_saved_where_one_says(tmp_path):
    one = timeline([job()], [call()])

    assert one.save(tmp_path / "run.html") == tmp_path / "run.html"
    assert (tmp_path / "run.html").read_text(encoding="utf-8") == one.to_html()
    with pytest.raises(OSError, match="nowhere"):
        one.save(tmp_path / "nowhere" / "run.html")
