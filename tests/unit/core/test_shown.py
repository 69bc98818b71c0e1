"""What a person is shown of a run that is under way, made of the core as it is at that moment."""

from __future__ import annotations

from types import SimpleNamespace

from core_stories import Story, make_call

from hfexecutor.core import commands as do
from hfexecutor.runtime.completer import Completer
from hfexecutor.stats import describe, describe_html


def test_jobs_and_calls_are_told_and_jobs_have_links():
    told = Story(max_workers=8)
    told.submit(*(make_call(n) for n in range(1, 4)))
    worker, _ = told.start(), told.start()
    told.hello(worker)
    for send in told.said(do.Send):
        told.answer(send)
    completer = Completer(lambda _: None)
    completer.done, completer.failed = 1200, 1
    runner = SimpleNamespace(machine=told.machine, completer=completer)

    assert describe(runner, reuse_workers=True) == (
        "1 job running, 2 jobs scheduling, 1 call running, 2 calls waiting, 1200 calls done, "
        "1 call failed, warm workers"
    )
    shown = describe_html(runner, title="T", detail="d", name="nightly", reuse_workers=False)
    assert "1 running, 2 scheduling" in shown
    assert "1 running, 2 waiting, 1,200 done, 1 failed" in shown
    assert shown.count('<a href="https://page"') == 2
    assert f">job-{worker[:4]}</a>" in shown
    assert "one job per call" in shown
