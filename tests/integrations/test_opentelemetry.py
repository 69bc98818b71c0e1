"""The spans of a run, as OpenTelemetry's own SDK has them."""

from __future__ import annotations

import time

import pytest

from hfexecutor import CallTimeoutError, HubExecutor

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from hfexecutor.integrations.opentelemetry import instrument


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider
    provider.shutdown()


def named(exporter, name):
    return [span for span in exporter.get_finished_spans() if span.name == name]


def fail(key):
    raise KeyError(key)


def kill_the_job():
    import os
    import signal

    os.kill(os.getppid(), signal.SIGKILL)


def fail_once(name, marker):
    import pathlib

    if not (path := pathlib.Path(marker)).exists():
        path.touch()
        raise ConnectionError(name)


def test_a_run_its_jobs_and_its_calls_are_spans(options, exporter, provider):
    with HubExecutor(1, name="nightly", **options) as executor:
        instrument(executor, provider)
        good = executor.submit(pow, 2, 5)
        good.result()
        bad = executor.submit(fail, "x")
        bad.exception()

    (run,) = named(exporter, "run")
    (job,) = named(exporter, "job cpu-basic")
    (done,) = named(exporter, "call pow")
    (failed,) = named(exporter, "call fail")
    assert len(exporter.get_finished_spans()) == 4
    assert run.parent is None
    for span in (job, done, failed):
        assert span.parent == run.context
        assert run.start_time <= span.start_time < span.end_time <= run.end_time
        assert span.attributes["hfexecutor.run.name"] == "nightly"
    figures = {"calls": 2, "failed": 1, "jobs": 1}
    assert {name: run.attributes[f"hfexecutor.run.{name}"] for name in figures} == figures
    assert run.attributes["hfexecutor.run.dollars"] > 0

    assert job.attributes["url.full"] == good.job_url
    assert job.attributes["hfexecutor.job.id"] == good.job_id
    assert job.attributes["hfexecutor.job.dollars"] > 0
    assert [event.name for event in job.events] == ["began", "up"]

    for number, call in enumerate((done, failed), 1):
        assert [link.context for link in call.links] == [job.context]
        assert call.attributes["hfexecutor.call.number"] == number
        assert call.attributes["hfexecutor.job.id"] == good.job_id
        assert [event.name for event in call.events] == ["began"]
    assert done.attributes["code.function.name"] == "pow"
    assert done.status.is_unset
    assert failed.status.status_code is trace.StatusCode.ERROR
    assert failed.attributes["error.type"] == "KeyError"


def test_a_call_is_in_the_span_that_its_submitter_was_in(options, exporter, provider):
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("script") as script, HubExecutor(1, **options) as executor:
        instrument(executor, provider)
        executor.submit(abs, -1)
        with tracer.start_as_current_span("request") as request:
            list(executor.with_options(max_retries=0).map(len, ["a", "b"]))

    (run,) = named(exporter, "run")
    (first,) = named(exporter, "call abs")
    assert run.parent == script.context
    assert first.parent == run.context
    assert [span.parent for span in named(exporter, "call len")] == [request.context] * 2


@pytest.mark.slow  # a second until the next attempt
def test_another_attempt_is_an_event_of_the_same_span(options, exporter, provider, tmp_path):
    with HubExecutor(1, retry_on=(ConnectionError,), **options) as executor:
        instrument(executor, provider)
        executor.submit(fail_once, "door", str(tmp_path / "marker")).result()

    (call,) = named(exporter, "call fail_once")
    retry, began = call.events
    assert (retry.name, began.name) == ("retry", "began")
    assert "ConnectionError" in retry.attributes["reason"]
    assert call.status.is_unset


@pytest.mark.slow  # a job is lost only when its log was read again, for some seconds
def test_a_call_whose_job_was_lost_has_a_link_to_it(options, exporter, provider):
    with HubExecutor(1, max_retries=0, **options) as executor:
        instrument(executor, provider)
        error = executor.submit(kill_the_job).exception()

    (call,) = named(exporter, "call kill_the_job")
    (job,) = named(exporter, "job cpu-basic")
    assert call.attributes["error.type"] == type(error).__name__ == "JobLostError"
    assert [link.context for link in call.links] == [job.context]


def test_every_span_ends_whatever_becomes_of_its_call(options, exporter, provider):
    with HubExecutor(1, slots_per_job=1, call_timeout=0.3, **options) as executor:
        instrument(executor, provider)
        slow = executor.submit(time.sleep, 60)
        waiting = executor.submit(abs, -1)
        waiting.cancel()
        with pytest.raises(CallTimeoutError):
            slow.result()

    (slept,) = named(exporter, "call sleep")
    (cancelled,) = named(exporter, "call abs")
    assert slept.attributes["error.type"] == "CallTimeoutError"
    assert [event.name for event in cancelled.events] == ["cancelled"]
    assert cancelled.status.is_unset


def test_an_exception_that_leaves_the_block_is_why_its_span_failed(options, exporter, provider):
    executor = HubExecutor(1, **options)
    instrument(executor, provider)
    with pytest.raises(ZeroDivisionError), executor:
        future = executor.submit(time.sleep, 60)
        _ = 1 / 0

    (run,) = named(exporter, "run")
    (call,) = named(exporter, "call sleep")
    assert future.done()
    assert run.status.description == "ZeroDivisionError left the with block"
    assert call.end_time <= run.end_time


def test_who_stops_listening_leaves_no_span_open(options, exporter, provider):
    with HubExecutor(1, **options) as executor:
        stop = instrument(executor, provider)
        executor.submit(abs, -1).result()
        executor.submit(time.sleep, 0.5)
        stop()
        stop()
        names = {span.name for span in exporter.get_finished_spans()}
        executor.submit(abs, -2).result()

    assert names == {"run", "job cpu-basic", "call abs", "call sleep"}
    assert len(exporter.get_finished_spans()) == 4


def test_an_executor_that_is_never_used_has_a_run_without_calls(options, exporter, provider):
    with HubExecutor(1, **options) as executor:
        instrument(executor, provider)

    (run,) = exporter.get_finished_spans()
    assert run.attributes["hfexecutor.run.calls"] == 0


def test_what_a_sampler_drops_is_dropped_whole(options, exporter):
    provider = TracerProvider(sampler=ParentBased(ALWAYS_OFF))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with HubExecutor(1, **options) as executor:
        instrument(executor, provider)
        assert executor.submit(abs, -1).result() == 1

    assert exporter.get_finished_spans() == ()
    provider.shutdown()
