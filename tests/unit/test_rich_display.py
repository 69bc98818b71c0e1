"""What a notebook shows: small tables in which whatever others wrote is text, and no more."""

from __future__ import annotations

import doctest
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hfexecutor import HubExecutor, Stats, rich_display
from hfexecutor.futures import PoolFuture
from hfexecutor.rich_display import LONGEST, Lines, Link, describe_error, job_links, table

ANY = st.characters(exclude_categories=["Cs"])  # those of `st.text()` take a second to find

TAGS = {"div", "b", "table", "tbody", "tr", "th", "td", "a", "pre"}
ATTRIBUTES = {"style", "scope", "href", "target", "rel"}
NASTY = "</td></table><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
TURNING = "\u202egnp.exe\x00\x1b[31m\ud800"


class Page(HTMLParser):
    """Reads what is shown as a browser does: the text, where links lead, what there is besides."""

    def __init__(self, source):
        super().__init__()
        self.open, self.links, self.texts, self.styles = [], [], [], set()
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS
        assert {name for name, _ in attrs} <= ATTRIBUTES
        self.open.append(tag)
        self.styles.update(value for name, value in attrs if name == "style")
        self.links += [value for name, value in attrs if name == "href"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_comment(self, data):
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return "".join(self.texts)


def test_the_docstrings_tell_the_truth():
    assert doctest.testmod(rich_display).failed == 0


@example(NASTY)
@example(TURNING)
@example("a" * LONGEST)
@given(st.text(ANY))
def test_whatever_others_wrote_is_text(words):
    rows = [(words, words), (words, [Link(words, words), Lines((words, words))])]
    source = table(words, words, rows)

    source.encode()
    page = Page(source)
    assert all(url.startswith(("http:", "https:")) for url in page.links)
    assert [one for one in page.text if not one.isprintable() and one != "\n"] == []
    if words and words.isprintable() and len(words) <= LONGEST:
        head = words + f" {words}".rstrip()
        assert page.text == f"{head}{words * 4}, {words}\n{words}"


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", " JAVASCRIPT:alert(1)", "java\nscript:alert(1)", "data:text/html,x",
     "//evil.example/", "", "http://[", "file:///etc/passwd", f"https://x/{'x' * 5000}"],
)  # fmt: skip
def test_only_addresses_of_the_web_are_links(url):
    page = Page(table("", "", [("job", Link("j1", url))]))

    assert (page.links, page.text) == ([], "jobj1")


def test_a_link_leads_where_it_says():
    url = 'https://hub/jobs/me/1?a=1&b="2"'

    assert Page(table("", "", [("job", Link("j1", url))])).links == [url]


def test_it_looks_as_the_notebook_does():
    styles = "; ".join(Page(table("t", "d", [("a", "b"), ("c", Lines(("d",)))])).styles)

    colours = [
        one for one in styles.split("; ") if one.partition(":")[0] in {"color", "background"}
    ]
    assert set(colours) == {"color: inherit", "background: none"}
    assert "url(" not in styles


def test_it_stays_small():
    long = "x" * 100_000
    jobs = job_links((long, f"https://hub/{n}") for n in range(1000))

    source = table(long, long, [("jobs", jobs), ("error", describe_error(ValueError(long)))])
    assert len(source) < 10_000
    assert "and 995 more" in source


def test_an_exception_that_does_not_speak_is_named():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    assert describe_error(Mute()) == "Mute"


# --- futures ---------------------------------------------------------------------------------


class Pool:
    """Hears of everything that is done to a future."""

    def __init__(self):
        self.heard = []

    def __getattr__(self, name):
        return lambda *_: self.heard.append(name)


@pytest.fixture
def future():
    future = PoolFuture()
    future.bind(1, Pool())
    return future


def shown(thing):
    return Page(thing._repr_html_())


def test_a_future_shows_its_state_and_wakes_nobody(future):
    pool = future._pool
    assert shown(future).text == "HubFuture pending"
    future.set_running_or_notify_cancel()
    assert shown(future).text == "HubFuture running"
    future.set_result([1])
    assert shown(future).text == "HubFuture finishedreturnedlist"
    assert pool.heard == []


def test_a_cancelled_future_says_so(future):
    future.cancel()

    assert shown(future).text == "HubFuture cancelled"


def test_a_future_that_failed_shows_what_was_raised_its_job_and_its_last_lines(future):
    url = "https://hub/jobs/me/j1"
    future.started_in(SimpleNamespace(id=f"j1{NASTY}", url=url))
    for number, line in enumerate(["first", "a", "<b>", NASTY]):
        future.printed().add(number, line)
    future.set_exception(type("<i>", (ValueError,), {})(NASTY))

    page = shown(future)
    assert page.links == [url]
    assert f"j1{NASTY}" in page.text
    assert f"raised<i>: {NASTY}" in page.text
    assert page.text.endswith(f"printed lasta\n<b>\n{NASTY}")


# --- figures, and an executor ----------------------------------------------------------------


def test_figures_are_told():
    stats = Stats(12_000, 2, 0, 1, 0, 5, 3, 2, 40, 700, 61.5, 0.01)

    text = shown(stats).text
    assert "12,000 done, 2 failed, 1 retried, 5 pending" in text
    assert "3 started, 2 running" in text
    assert "$0.0100" in text
    assert "not known" in shown(Stats(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, None)).text


def test_an_executor_is_shown_before_it_has_done_anything():
    executor = HubExecutor(2, endpoint="https://hub.example", token="hf_secret", name="nightly")
    assert (
        shown(executor).text
        == "HubExecutor hub.example/cpu-basicrunnightlyjobsnone nowcallsnone yetruns aswarm workers"
    )
    executor.shutdown()

    assert "cpu-basic, shut down" in shown(executor).text
