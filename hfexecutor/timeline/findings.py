"""What a run's timeline means, in a few sentences: the answer to *why was it slow?* Pure."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

from hfexecutor.timeline.shares import KINDS, phases

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfexecutor.timeline.lanes import Bar, Lane
    from hfexecutor.timeline.spans import CallSpan, JobSpan

__all__ = ["duration", "findings"]

_MUCH: Final = 0.2  # a share that is worth a sentence
_BUSY: Final = 0.7  # a share of the slots' time that calls should have
_SHORT: Final = 0.005  # seconds of a call that is short beside what it takes to hand it out
_MANY: Final = 100  # calls of which half are short
_TAIL: Final = 1.0  # seconds that are worth a sentence


def findings(
    shares: dict[str, float], lanes: Sequence[Lane], calls: Sequence[CallSpan], now: float
) -> list[str]:
    """Return what stands out, the most general first."""
    bars = [bar for lane in lanes for bar in lane.bars]
    found = [
        _where_time_went(shares),
        _first_call(lanes, calls, now),
        _tail(lanes, bars),
        _idle_at_the_end(lanes, shares, now),
        _short_calls(shares, bars),
        _queue(shares, calls),
        _lost(bars),
        _retried(calls),
        _failed(calls),
    ]
    return [sentence for sentence in found if sentence]


def duration(seconds: float) -> str:
    """Return seconds as a person reads them.

    >>> [duration(s) for s in (0.0000042, 0.0123, 3.2, 75, 4000)]
    ['4 µs', '12 ms', '3.20 s', '1 min 15 s', '1 h 6 min']
    """
    if seconds < 0.001:  # noqa: PLR2004 - units
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.1:  # noqa: PLR2004
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.{1 if seconds >= 10 else 2}f} s"  # noqa: PLR2004
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _where_time_went(shares: dict[str, float]) -> str:
    total = sum(shares.values())
    if not total:
        return "No job was there."
    running = shares["running"] / total
    text = f"Calls ran in {running:.0%} of the time of the slots, there or awaited"
    kind = max((one for one in shares if one != "running"), key=lambda one: shares[one])
    share = shares[kind] / total
    return f"{text}; {share:.0%} went into {_WORDS[kind]}." if share else f"{text}."


_WORDS: Final = {**KINDS, "idle": "being idle"}


def _first_call(lanes: Sequence[Lane], calls: Sequence[CallSpan], now: float) -> str:
    """Say what the first call to begin had waited for."""
    submitted = [call.submitted for call in calls if call.submitted is not None]
    bars = [(bar.began, lane.job) for lane in lanes for bar in lane.bars if not bar.lost]
    if not submitted or not bars:
        return ""
    began, job = min(bars, key=lambda one: one[0])
    since = min(submitted)
    if began - since < _TAIL:
        return ""
    why = _why(job, since, now)
    return f"The first call began {duration(began - since)} after it was submitted{why}."


def _why(job: JobSpan, since: float, now: float) -> str:
    launched, runs, up, _ = phases(job, now)
    parts = [
        (launched - since, "until its job was asked for"),
        (runs - launched, "for hardware"),
        (up - runs, "for a cold start"),
    ]
    installed = sum((p.ended or now) - p.began for p in job.installs)
    parts.append((installed, "for packages"))
    said = [f"{duration(seconds)} {what}" for seconds, what in parts if seconds >= 0.05]  # noqa: PLR2004
    return f": {', '.join(said)}" if said else ""


def _tail(lanes: Sequence[Lane], bars: Sequence[Bar]) -> str:
    """Say that at the end few slots had work, and the longest of what they had."""
    if len(lanes) < 2 or not bars:  # noqa: PLR2004
        return ""
    changes = sorted([(bar.began, 1) for bar in bars] + [(bar.ended, -1) for bar in bars])
    busy = peak = 0
    since, last = changes[0][0], changes[-1][0]
    for moment, change in changes:
        busy += change
        peak = max(peak, busy)
        if 2 * busy >= peak:
            since = last
        elif since == last and busy:
            since = moment
    seconds = last - since
    if seconds < max(_TAIL, _MUCH * (last - changes[0][0])):
        return ""
    late = max((bar for bar in bars if bar.ended > since), key=lambda bar: bar.ended - bar.began)
    call = late.call
    what = f"call {call.call}{f' ({call.name})' if call.name else ''}"
    return (
        f"For the last {duration(seconds)} less than half of the slots that had been busy had work:"
        f" {what} took {duration(late.ended - late.began)}. Long calls are better submitted first."
    )


def _idle_at_the_end(lanes: Sequence[Lane], shares: dict[str, float], now: float) -> str:
    if not any(lane.bars for lane in lanes):
        return ""
    last = max(lane.bars[-1].ended for lane in lanes if lane.bars)
    seconds = sum(max(0.0, phases(lane.job, now)[3] - last) for lane in lanes)
    total = sum(shares.values())
    if not total or seconds / total < _MUCH or seconds / len(lanes) < _TAIL:
        return ""
    return (
        f"After the last call jobs were there for another {duration(seconds / len(lanes))}: they "
        "leave at the end of the with block, or after idle_timeout."
    )


def _short_calls(shares: dict[str, float], bars: Sequence[Bar]) -> str:
    took = [bar.ended - bar.began for bar in bars if not bar.lost]
    total = sum(shares.values())
    if len(took) < _MANY or not total or shares["running"] / total > 0.5:  # noqa: PLR2004
        return ""
    median = statistics.median(took)
    if median > _SHORT:
        return ""
    return (
        f"Half of the calls ran for less than {duration(median)}, which is less than it takes to "
        "hand one out: several in one call are faster, map has chunksize for that."
    )


def _queue(shares: dict[str, float], calls: Sequence[CallSpan]) -> str:
    total = sum(shares.values())
    waits = [
        call.began - call.submitted
        for call in calls
        if call.began is not None and call.submitted is not None
    ]
    took = [call.seconds for call in calls if call.seconds is not None]
    if not waits or not total or shares["running"] / total < _BUSY:
        return ""
    wait, seconds = statistics.fmean(waits), statistics.fmean(took)
    if wait < max(_TAIL, 2 * seconds):
        return ""
    return (
        f"Slots were busy nearly all the time, and calls waited for one for {duration(wait)} on "
        "average: more of them (max_workers), or faster hardware, would shorten the run."
    )


def _lost(bars: Sequence[Bar]) -> str:
    lost = [bar for bar in bars if bar.lost and bar.call.state != "stopped"]
    if not lost:
        return ""
    seconds = sum(bar.ended - bar.began for bar in lost)
    calls = "1 call was" if len(lost) == 1 else f"{len(lost):,} calls were"
    return f"{calls} lost with a job after {duration(seconds)} of work in all."


def _retried(calls: Sequence[CallSpan]) -> str:
    retried = [call for call in calls if call.state == "retried"]
    if not retried:
        return ""
    seconds = sum(call.seconds or 0.0 for call in retried)
    times = "once" if len(retried) == 1 else f"{len(retried):,} times"
    return f"Calls raised and ran again {times}, after {duration(seconds)} of work in all."


def _failed(calls: Sequence[CallSpan]) -> str:
    failed = [call for call in calls if call.state == "failed"]
    if not failed:
        return ""
    first = min(failed, key=lambda call: call.call)
    how = "1 call failed" if len(failed) == 1 else f"{len(failed):,} calls failed"
    return f"{how}; first call {first.call}: {first.error or 'an exception'}."
