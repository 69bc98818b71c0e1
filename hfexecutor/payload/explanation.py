"""What a call would be, in words: for ``executor.explain``, before anything is paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hfexecutor.payload.needs import Findings

__all__ = ["explain"]

_WIDTH = 14


def explain(
    call: str,
    sizes: Sequence[tuple[str, int]],
    findings: Findings,
    job: Iterable[tuple[str, str]],
    *,
    at_launch: Sequence[str] = (),
) -> str:
    """Return a page about a call: what is sent, what is installed, and the job that runs it.

    Args:
        call: the function's name.
        sizes: what is pickled, and its bytes.
        findings: what the call needs.
        job: names and values for the job itself; empty values are left out.
        at_launch: requirements that each job installs, whatever it runs.
    """
    needs = findings.needs
    rows: list[tuple[str, str]] = [("call", call)]
    rows += [("sent", f"{size:,} bytes  {what}") for what, size in sizes]
    rows += [
        ("local code", f"{len(item.data):,} bytes  {item.name} ({item.size:,} bytes unpacked)")
        for item in needs.archives
    ]
    rows += [("installed", f"{text}  (at the start of each job)") for text in at_launch]
    rows += [("installed", _package(text, findings)) for text in needs.requirements]
    if not needs.requirements and not at_launch:
        rows.append(("installed", "nothing"))
    rows += [("not found", f"{name}  (imported, and not here)") for name in findings.missing]
    rows += [("note", note) for note in findings.notes]
    rows += [(name, value) for name, value in job if value]
    return "\n".join(_lines(rows))


def _package(requirement: str, findings: Findings) -> str:
    name = requirement.partition("==")[0].partition(" @ ")[0]
    pinned = requirement != name
    return (
        f"{requirement}  (required)"
        if pinned and name not in findings.distributions
        else requirement
    )


def _lines(rows: list[tuple[str, str]]) -> Iterable[str]:
    """Yield the rows; a name that repeats is written once."""
    last = ""
    for name, value in rows:
        yield f"{'' if name == last else name:<{_WIDTH}}{value}".rstrip()
        last = name
