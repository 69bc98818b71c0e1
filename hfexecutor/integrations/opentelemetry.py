"""OpenTelemetry spans of a run, its jobs and its calls.

>>> from hfexecutor import HubExecutor
>>> from hfexecutor.integrations.opentelemetry import instrument
>>> with HubExecutor(2, endpoint="local") as executor:
...     _ = instrument(executor)
...     executor.submit(pow, 2, 5).result()
32
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

try:
    from opentelemetry import trace
except ImportError as error:
    raise ImportError(
        "hfexecutor.integrations.opentelemetry needs opentelemetry-api: "
        'pip install "hfexecutor[otel]"'
    ) from error

import hfexecutor
from hfexecutor import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfexecutor.executor import HubExecutor

__all__ = ["instrument"]

_RUN: Final = "hfexecutor.run."
_JOB: Final = "hfexecutor.job."
_CALL: Final = "hfexecutor.call."


def instrument(
    executor: HubExecutor, tracer_provider: trace.TracerProvider | None = None
) -> Callable[[], None]:
    """Make spans of what happens in a run from now on; return what ends that.

    One for the run, in it one for each job (from its request to its end) and one for each call
    (from `submit` until its outcome is here). The run's is in the span that is current now. A
    call's is in the run's; but where another span was current at its `submit`, it is in that one.

    Each span is started in the thread that submits, or in the executor's own; and ended there, at
    the latest when the run is over. As some 30 µs a call are spent on it, give calls that take less
    than milliseconds a `chunksize`, or have a sampler drop the run's span and so all in it.

    Args:
        executor: Whose run; before its first call, to have all of it.
        tracer_provider: Who makes the spans. None, the default, is the process's, as
            OpenTelemetry's SDK was told; without an SDK nothing happens.

    Example:
        >>> with HubExecutor(2, endpoint="local") as executor:
        ...     stop = instrument(executor)
        ...     list(executor.map(abs, [-1, -2]))
        [1, 2]
    """
    tracer = trace.get_tracer("hfexecutor", hfexecutor.__version__, tracer_provider)
    return _Spans(tracer, executor).stop


class _Spans:
    """The spans of one run, made of its events."""

    def __init__(self, tracer: trace.Tracer, executor: HubExecutor) -> None:
        self._tracer = tracer
        self._name = executor.name
        self._outer = trace.get_current_span().get_span_context()
        self._run = tracer.start_span("run", attributes={_RUN + "name": executor.name})
        self._in_run = trace.set_span_in_context(self._run)
        self._jobs: dict[str, trace.Span] = {}  # those that are open, by id
        self._calls: dict[int, trace.Span] = {}  # those that are open, by number
        handlers: dict[type[ev.Event], Callable[..., None]] = {
            ev.CallSubmitted: self._call_submitted,
            ev.CallRetried: self._call_retried,
            ev.CallsEnded: self._calls_ended,
            ev.CallCancelled: self._call_cancelled,
            ev.JobCreated: self._job_created,
            ev.JobStarted: self._job_started,
            ev.Installing: self._installing,
            ev.JobEnded: self._job_ended,
            ev.Trouble: self._trouble,
            ev.RunInterrupted: self._run_interrupted,
            ev.RunEnded: self._run_ended,
        }
        self._stop = executor.events.listen(
            lambda event: handlers[type(event)](event), kinds=handlers
        )

    def stop(self) -> None:
        """Listen no more, and end what is open."""
        self._stop()
        self._end_all(None)

    def _end_all(self, at: int | None) -> None:
        known: list[dict[Any, trace.Span]] = [self._calls, self._jobs]
        for spans in known:
            for key in list(spans):  # other threads end some, and start some, meanwhile
                if (span := spans.pop(key, None)) is not None:
                    span.end(at)
        if self._run.is_recording():
            self._run.end(at)

    # --- calls -------------------------------------------------------------------------------

    def _call_submitted(self, event: ev.CallSubmitted) -> None:
        """Start a call's span: this is the thread that submits it, and its context."""
        elsewhere = trace.get_current_span().get_span_context() != self._outer
        self._calls[event.call] = self._tracer.start_span(
            f"call {event.name}",
            context=None if elsewhere else self._in_run,
            kind=trace.SpanKind.CLIENT,
            attributes={
                "code.function.name": event.name,
                _RUN + "name": self._name,
                _CALL + "number": event.call,
            },
            start_time=_nanoseconds(event.at),
        )

    def _call_retried(self, event: ev.CallRetried) -> None:
        if (span := self._calls.get(event.call)) is not None:
            self._link(span, event.job_id)
            span.add_event("retry", {"reason": event.error}, _nanoseconds(event.at))

    def _calls_ended(self, event: ev.CallsEnded) -> None:
        at = _nanoseconds(event.at)
        for end in event.ended:
            span = self._calls.pop(end.call, None)
            if span is None:  # it was submitted before we listened
                continue
            if end.job_id is not None:
                span.set_attribute(_JOB + "id", end.job_id)
                self._link(span, end.job_id)
            if end.began is not None:
                span.set_attribute(_CALL + "seconds", end.seconds)
                span.add_event("began", timestamp=_nanoseconds(end.began))
            if end.error is not None:
                span.set_attribute("error.type", end.error)
                span.set_status(trace.StatusCode.ERROR)
            span.end(at)

    def _call_cancelled(self, event: ev.CallCancelled) -> None:
        if (span := self._calls.pop(event.call, None)) is not None:
            at = _nanoseconds(event.at)
            span.add_event("cancelled", timestamp=at)
            span.end(at)

    def _link(self, span: trace.Span, job_id: str | None) -> None:
        if job_id is not None and (job := self._jobs.get(job_id)) is not None:
            span.add_link(job.get_span_context())

    # --- jobs --------------------------------------------------------------------------------

    def _job_created(self, event: ev.JobCreated) -> None:
        self._jobs[event.job_id] = self._tracer.start_span(
            f"job {event.flavor}",
            context=self._in_run,
            attributes={
                "url.full": event.job_url,
                _RUN + "name": self._name,
                _JOB + "id": event.job_id,
                _JOB + "flavor": event.flavor,
                _JOB + "slots": event.slots,
            },
            start_time=_nanoseconds(event.at - event.seconds),
        )

    def _job_started(self, event: ev.JobStarted) -> None:
        if (span := self._jobs.get(event.job_id)) is not None:
            if event.began is not None:
                span.add_event("began", timestamp=_nanoseconds(event.began))
            span.add_event("up", timestamp=_nanoseconds(event.at))

    def _installing(self, event: ev.Installing) -> None:
        if (span := self._jobs.get(event.job_id)) is not None:
            span.add_event(str(event), timestamp=_nanoseconds(event.at))

    def _job_ended(self, event: ev.JobEnded) -> None:
        if (span := self._jobs.pop(event.job_id, None)) is not None:
            if event.dollars is not None:
                span.set_attribute(_JOB + "dollars", event.dollars)
            span.end(_nanoseconds(event.at))

    # --- the run -----------------------------------------------------------------------------

    def _trouble(self, event: ev.Trouble) -> None:
        self._run.add_event("trouble", {"message": event.text}, _nanoseconds(event.at))

    def _run_interrupted(self, event: ev.RunInterrupted) -> None:
        self._run.set_status(trace.StatusCode.ERROR, event.why)

    def _run_ended(self, event: ev.RunEnded) -> None:
        figures = {"calls": event.calls, "failed": event.failed, "jobs": event.jobs}
        self._run.set_attributes({_RUN + name: figure for name, figure in figures.items()})
        if event.dollars is not None:
            self._run.set_attribute(_RUN + "dollars", event.dollars)
        self._stop()
        self._end_all(_nanoseconds(event.at))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
