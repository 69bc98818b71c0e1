"""The run as a picture, for a person, and as rows, for a program: :class:`Timeline`."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hfexecutor.timeline.findings import duration, findings
from hfexecutor.timeline.lanes import by_our_clock, lanes_of, up_in_time
from hfexecutor.timeline.page import page_of
from hfexecutor.timeline.shares import shares_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from hfexecutor.timeline.lanes import Lane
    from hfexecutor.timeline.spans import CallSpan, JobSpan

__all__ = ["Timeline"]


@dataclass(frozen=True)
class Timeline:
    """What the jobs of a run did, and when.

    Attributes:
        name: Of the run.
        began: When it began, in seconds since 1970.
        until: When it ended, or, while it goes on, when this was asked for.
        over: Whether it has ended.
        calls: A row for each call; for each time that it was tried, where a job was lost.
        jobs: A row for each job.
        dollars: The most that can be billed for all jobs; None if nobody knows.
        shares: Seconds, of all slots together, that went into "running", "hardware" (waiting for
            it), "starting", "installing", "transferring", "lost" (calls that were, with their
            job) and "idle".
        findings: What stands out, in sentences.
        notes: What is not in it, or not known.
    """

    name: str
    began: float
    until: float
    over: bool
    calls: tuple[CallSpan, ...]
    jobs: tuple[JobSpan, ...]
    dollars: float | None
    shares: dict[str, float]
    findings: tuple[str, ...]
    notes: tuple[str, ...]
    _lanes: tuple[Lane, ...] = field(repr=False, compare=False)

    @classmethod
    def of(
        cls,
        name: str,
        calls: Iterable[CallSpan],
        jobs: Iterable[JobSpan],
        *,
        until: float,
        over: bool,
        began: float | None = None,
        dollars: float | None = None,
        notes: Iterable[str] = (),
    ) -> Timeline:
        """Put a timeline together.

        Args:
            name: Of the run.
            calls: As they were seen, by the clocks of their jobs.
            jobs: As they were seen.
            until: When the run ended, or now.
            over: Whether it has ended.
            began: When it began; None, the default, for the first moment that is known.
            dollars: What it cost, None if nobody knows.
            notes: What is not known.
        """
        known = by_our_clock(calls)
        settled = up_in_time(jobs, known)
        if began is None:
            moments = [call.submitted for call in known] + [job.launched for job in settled]
            moments += [call.began for call in known]
            began = min((moment for moment in moments if moment is not None), default=until)
        lanes = lanes_of(settled, known, until)
        shares = shares_of(lanes, until)
        return cls(
            name=name,
            began=began,
            until=max(until, began),
            over=over,
            calls=tuple(known),
            jobs=tuple(settled),
            dollars=dollars,
            shares=shares,
            findings=tuple(findings(shares, lanes, known, until)),
            notes=tuple(notes),
            _lanes=tuple(lanes),
        )

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The rows of the picture: what each slot of each job did."""
        return self._lanes

    def to_html(self) -> str:
        """Return the picture: one page that needs nothing from elsewhere, and reaches nothing."""
        return page_of(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture into a file, and return its path.

        Raises:
            OSError: It cannot be written.
        """
        place = Path(path)
        place.write_text(self.to_html(), encoding="utf-8")
        return place

    def __str__(self) -> str:
        """Return what stands out, as text."""
        return "\n".join([f"run {self.name}: {self.headline}", *self.findings, *self.notes])

    @property
    def headline(self) -> str:
        """The run in one line: calls, jobs, seconds, dollars."""
        ended = sum(call.state in {"done", "failed"} for call in self.calls)
        failed = sum(call.state == "failed" for call in self.calls)
        parts = [
            f"{ended:,} {'call' if ended == 1 else 'calls'}",
            *([f"{failed:,} failed"] if failed else []),
            f"{len(self.jobs):,} {'job' if len(self.jobs) == 1 else 'jobs'}",
            duration(self.until - self.began),
        ]
        if self.dollars is not None:
            parts.append(f"${self.dollars:.4f} at most")
        return f"{', '.join(parts)}{'' if self.over else ', so far'}"

    def __repr__(self) -> str:
        return f"<Timeline {self.name}: {self.headline}>"

    def _repr_html_(self) -> str:
        """Show it in a notebook: in a frame that can reach neither the notebook nor anything."""
        page = html.escape(self.to_html())
        return (
            f'<iframe title="Run {html.escape(self.name)}" sandbox="allow-scripts" '
            f'style="width: 100%; height: 640px; border: 0" srcdoc="{page}"></iframe>'
        )
