"""The pages in a real browser: with JavaScript and without, by mouse and keyboard, on a phone."""

from __future__ import annotations

import contextlib
import http.server
import re
import threading

import pytest

from hfexecutor import HubExecutor
from hfexecutor.local import Timings

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
expect = sync_api.expect
expect.set_options(timeout=30_000)  # milliseconds; what comes at all comes at once

pytestmark = pytest.mark.slow

TALKING = """
import sys, time
for n in range(100000):
    print("step", n, flush=True)
    time.sleep(0.02)
"""
PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1200, "height": 850}


def address(hub, job=""):
    return f"{hub.endpoint}/jobs/{hub.namespace}{job and '/'}{job}"


def row(tab, job):
    return tab.locator(f"#job-{job}")


def test_a_list_that_lives(make, tab):
    hub, raw = make()
    page = tab()
    page.goto(hub.page)
    assert page.url == address(hub)  # the key has left the address
    expect(page.locator("#older")).to_contain_text("No job has been started yet")

    first = raw.run("sleep", "600", labels={"team": "data"})
    expect(row(page, first)).to_contain_text("RUNNING")
    ran = row(page, first).locator('td[data-name="Ran"]')
    expect(ran).not_to_have_text(ran.inner_text())  # its seconds run
    second = raw.run("false")
    expect(row(page, second)).to_contain_text("exit code: 1")
    ids = page.eval_on_selector_all("#jobs tr", "rows => rows.map(row => row.id)")
    assert ids == [f"job-{second}", f"job-{first}"]
    link = row(page, second).locator("a.id")
    assert link.evaluate("link => link.getClientRects().length") == 1  # it does not wrap

    link.focus()
    raw.cancel(first)
    expect(row(page, first)).to_contain_text("CANCELED")
    expect(link).to_be_focused()  # what changes elsewhere takes nobody's place away
    expect(page.locator("#news")).to_have_text("2 jobs: 1 canceled, 1 error")

    page.get_by_role("combobox", name="Label").fill("team=data")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"label=team%3Ddata"))
    expect(page.locator("#jobs tr")).to_have_count(1)
    page.get_by_role("link", name="Show all jobs").click()
    expect(page.locator("#jobs tr")).to_have_count(2)


def test_a_job_that_lives_and_is_cancelled_by_keyboard(make, tab, until):
    hub, raw = make(timings=Timings(metrics=0.1))
    job = raw.python(TALKING)
    raw.wait(job, "RUNNING")
    page = tab()
    page.goto(hub.page)
    row(page, job).locator("a.id").click()
    lines, log = page.locator("#lines li"), page.locator("#log")
    expect(page).to_have_title(re.compile("^RUNNING"))
    expect(page.locator("#charts svg")).to_have_count(2)
    until(lambda: lines.count() > 40)
    at_end = "log => log.scrollHeight - log.scrollTop - log.clientHeight < 40"
    assert log.evaluate(at_end)  # it is followed
    log.evaluate("log => { log.scrollTop = 0 }")
    expect(page.locator("#newest")).to_be_visible()
    count = lines.count()
    until(lambda: lines.count() > count + 5)
    assert log.evaluate("log => log.scrollTop") == 0  # whoever reads is left alone
    page.locator("#newest").click()
    assert log.evaluate(at_end)

    page.get_by_role("searchbox").fill("STEP 7")
    expect(page).to_have_url(re.compile(r"q=STEP\+7"))
    expect(page.locator("#matches")).to_contain_text("with “STEP 7”")
    expect(page.locator("#lines mark").first).to_have_text("step 7")
    expect(page.locator("#news")).to_contain_text("with “STEP 7”")
    expect(page.locator("#lines")).to_contain_text("step 79")  # of those that come now, too
    assert page.locator("#lines li").filter(has_not_text="step 7").count() == 0
    page.get_by_role("searchbox").fill("")
    expect(page).to_have_url(address(hub, job))
    expect(page.get_by_role("searchbox")).to_be_focused()

    page.reload()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Yes, cancel it")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_title(re.compile("^CANCELED"))
    expect(page.locator("#cancel details")).to_have_count(0)
    assert raw.inspect(job)["status"]["stage"] == "CANCELED"
    page.get_by_role("link", name="All jobs").click()
    expect(page).to_have_url(address(hub))


def test_the_end_of_a_job_shows_by_itself_and_is_said(make, tab):
    hub, raw = make()
    job = raw.run("sh", "-c", "echo begun; sleep 600")
    raw.wait(job, "RUNNING")
    page = tab()
    page.goto(f"{address(hub, job)}?{hub.page.partition('?')[2]}")
    expect(page.locator("#lines")).to_contain_text("begun")
    raw.cancel(job)
    expect(page).to_have_title(re.compile("^CANCELED"))
    expect(page.locator("#state .steps li")).to_have_count(3)
    expect(page.locator("#news")).to_have_text("The job is CANCELED: Job canceled by user")


def test_a_log_that_floods_leaves_the_page_at_work(make, tab, until):
    hub, raw = make()
    code = "import time\nwhile True:\n for _ in range(2000): print('x' * 60)\n time.sleep(0.05)"
    job = raw.python(code)
    page = tab()
    page.goto(f"{address(hub, job)}?{hub.page.partition('?')[2]}")
    last = page.locator("#lines li").last
    until(lambda: int(last.get_attribute("id")[1:]) > 120_000)
    expect(page.locator("#lines")).to_contain_text("too fast to be shown")
    sizes = "lines => [lines.children.length, lines.childNodes.length]"
    elements, nodes = page.locator("#lines").evaluate(sizes)
    assert elements <= 2000
    assert nodes <= 2000 + 1001  # with the white space of the page as it came
    raw.cancel(job)
    expect(page).to_have_title(re.compile("^CANCELED"))


def test_a_hub_that_goes_away_and_comes_back(make, chromium, until):
    hub, raw = make()
    job = raw.python(TALKING)
    raw.wait(job, "RUNNING")
    page = chromium.new_page()
    page.goto(f"{address(hub, job)}?{hub.page.partition('?')[2]}")
    lines = page.locator("#lines li")
    until(lambda: lines.count() > 5)
    hub.restart(down=0.5)
    count = lines.count()
    until(lambda: lines.count() > count + 20)
    expect(page.locator("#offline")).to_be_hidden()
    numbers = page.eval_on_selector_all(
        "#lines li", "all => all.map(one => Number(one.id.slice(1)))"
    )
    assert numbers == list(range(len(numbers)))  # none is missing, none comes twice
    page.close()


def test_without_javascript_all_of_it_is_there(make, tab):
    hub, raw = make()
    job = raw.run("sh", "-c", "echo one; echo two; sleep 600", labels={"team": "data"})
    other = raw.run("true")
    raw.wait(job, "RUNNING")
    raw.wait(other)
    page = tab(java_script_enabled=False)
    page.goto(hub.page)
    page.get_by_label("Stage").select_option("RUNNING")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#jobs tr")).to_have_count(1)
    row(page, job).locator("a.id").click()
    page.get_by_role("searchbox").fill("two")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#lines li")).to_have_count(1)
    page.get_by_text("Cancel job").click()
    page.get_by_role("button", name="Yes, cancel it").click()
    expect(page.locator("#state")).to_contain_text("CANCELED")
    expect(page).to_have_url(address(hub, job))


@contextlib.contextmanager
def site(html):
    """Serve a page of somebody else, on another port of this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"://{{}}:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_pages_of_others_lead_here_and_change_nothing(make, chromium, name):
    hub, raw = make()
    job = raw.run("sleep", "600")
    raw.wait(job, "RUNNING")
    target = address(hub, job)
    html = f"""<form method="post" action="{target}/cancel"><button>cancel</button></form>
    <a href="{target}">look</a><iframe src="{target}"></iframe><img src="{target}">"""
    with site(html) as where, contextlib.closing(chromium.new_context()) as context:
        page = context.new_page()
        page.goto(hub.page)
        page.goto(f"http{where.format(name)}")
        assert page.frames[1].url != target or "Job" not in page.frames[1].content()
        page.get_by_role("link", name="look").click()
        expect(page.locator("h1")).to_contain_text(job)  # as from a notebook
        page.go_back()
        with page.expect_response(f"{target}/cancel") as refused:
            page.get_by_role("button").click()
        assert refused.value.status == 403
    assert raw.inspect(job)["status"]["stage"] == "RUNNING"


def test_they_are_for_everybody(make, tab):
    """No rule of axe is broken, nothing is wider than the window or moves where it should not."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    hub, raw = make(timings=Timings(metrics=0.1))
    with HubExecutor(max_workers=1, endpoint=hub.endpoint, token=hub.token, name="run") as executor:
        assert list(executor.map(abs, range(-2, 1))) == [2, 1, 0]
    evil = "print('</li><script>alert(1)</script>' + 'wide' * 1000)"
    failed = raw.python(f"{evil}; raise SystemExit(3)", labels={"team": "data"})
    raw.wait(failed)
    running = raw.python(TALKING, environment={"COLOUR": "blue"}, secrets={"TOKEN": "x" * 9})
    raw.wait(running, "RUNNING")
    ours = hub.jobs()[0].id
    pages = (
        address(hub),
        address(hub, running),
        f"{address(hub, failed)}?q=wide",
        f"{address(hub, ours)}?frames=show",
    )
    for scheme, viewport in (("light", WIDE), ("dark", PHONE)):
        page = tab(color_scheme=scheme, viewport=viewport, reduced_motion="reduce", bypass_csp=True)
        page.goto(hub.page)
        moving = page.locator("#jobs .is-running").first
        assert moving.evaluate("one => getComputedStyle(one, '::before').animationName") == "none"
        for path in pages:
            page.goto(path)
            if path.endswith(running):
                expect(page.locator("#charts svg")).to_have_count(2)
                page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
            found = axe.run(page)
            assert found.violations_count == 0, found.generate_report()
            assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    raw.cancel(running)
