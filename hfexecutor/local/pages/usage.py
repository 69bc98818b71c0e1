"""What a job uses of this machine, over time: samples, and charts made of them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hfexecutor.local.hardware import FLAVORS
from hfexecutor.local.metrics import Meter

from . import words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hfexecutor.local.jobs import Job

_MOST = 240  # samples: when there are more, every second one goes, and half as many are taken
WIDTH, HEIGHT = 300, 60  # of a chart, in its own units


class Sample(NamedTuple):
    """Seconds since the job began to run, CPUs in use, and bytes of memory."""

    at: float
    cpus: float
    memory: float


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure over time.

    Attributes:
        name: of what.
        now: the last sample.
        of: how much there is of it.
        peak: the largest sample.
        line: points of the line, as SVG writes them; `area`: of what is below.
        start, end: the seconds at its left and right end.
    """

    name: str
    now: str
    of: str
    peak: str
    line: str
    area: str
    start: str
    end: str


class Watch:
    """Samples a job from when somebody first looks at it until it is over."""

    def __init__(self, job: Job, interval: float) -> None:
        self._job = job
        self._interval = interval
        self.samples: list[Sample] = []
        self._task = asyncio.ensure_future(self._take()) if not job.stage.over else None

    def charts(self) -> list[Chart]:
        """Return a chart of each figure; none where there are no samples."""
        if not self.samples:
            return []
        flavor = FLAVORS[self._job.spec.flavor]
        return [
            _chart("CPU", self.samples, lambda one: one.cpus, _cpus, f"{flavor.cpus} vCPU"),
            _chart(
                "Memory",
                self.samples,
                lambda one: one.memory,
                words.size,
                words.size(flavor.ram_gb << 30),
            ),
        ]

    async def _take(self) -> None:
        meter, interval = Meter(), self._interval
        meter.sample(self._job)  # how busy it is shows against the sample before
        while not self._job.stage.over:
            await asyncio.sleep(interval)
            sample = meter.sample(self._job)
            if not self._job.pids or self._job.started is None:
                continue
            cores = sample["cpu_usage_pct"] * sample["cpu_millicores"] / 100_000
            at = time.time() - self._job.started.timestamp()
            self.samples.append(Sample(at, cores, sample["memory_used_bytes"]))
            if len(self.samples) > _MOST:
                del self.samples[1::2]
                interval *= 2


class Watches:
    """The watches of all jobs that somebody has looked at."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._watches: dict[str, Watch] = {}

    def of(self, job: Job) -> Watch:
        """Return a job's, which begins now if there was none."""
        watch = self._watches.get(job.id)
        if watch is None:
            watch = self._watches[job.id] = Watch(job, self._interval)
        return watch


def _cpus(count: float) -> str:
    return f"{count:.2f}"


def _chart(
    name: str,
    samples: Sequence[Sample],
    figure: Callable[[Sample], float],
    text: Callable[[float], str],
    of: str,
) -> Chart:
    values = [figure(one) for one in samples]
    start, end, peak = samples[0].at, samples[-1].at, max(values)
    across, up = WIDTH / ((end - start) or 1.0), (HEIGHT - 4) / (peak or 1.0)
    points = [
        f"{(one.at - start) * across:.1f},{HEIGHT - value * up:.1f}"
        for one, value in zip(samples, values, strict=True)
    ]
    if len(points) == 1:  # a line needs two
        points.append(f"{WIDTH},{points[0].partition(',')[2]}")
    line = " ".join(points)
    right = points[-1].partition(",")[0]
    return Chart(
        name=name,
        now=text(values[-1]),
        of=of,
        peak=text(peak),
        line=line,
        area=f"0,{HEIGHT} {line} {right},{HEIGHT}",
        start=words.span(start, running=True),
        end=words.span(end, running=True),
    )
