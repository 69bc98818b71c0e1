"""How far it has come in words, as many as there is room for. No I/O, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfexecutor.progress.tally import Jobs, Standing

__all__ = ["around_bar", "in_dollars", "sentence"]

_LONGEST = 80  # characters of what the Hub says
_BAR = 4  # columns that a bar should have


def around_bar(title: str, standing: Standing, width: int) -> tuple[str, str]:
    """Return what stands left and right of a bar in a line of `width` columns.

    >>> from hfexecutor.progress.tally import Jobs, Standing
    >>> around_bar("work", Standing(37, 2, 100, 12.0, 21.0, Jobs(2, 1, 3, 0.0012)), 80)
    ('work  37%|', '| 37/100 [0:12<0:21, 2 failed, 2 of 3 jobs running, $0.0012]')
    >>> around_bar("work", Standing(37, 2, 100, 12.0, 21.0, Jobs(2, 1, 3, 0.0012)), 50)
    (' 37%|', '| 37/100 [0:12<0:21, 2 failed, $0.0012]')
    >>> around_bar("work", Standing(0, 0, 100, 5.0, None, Jobs(0, 3, 3, 0.0)), 50)
    ('  0%|', '| 0/100 [0:05<?, 3 jobs scheduling]')
    >>> around_bar("", Standing(0, 0, 9, 5.0, None, Jobs(0, 3, 3, 0.0, "none is free")), 80)[1]
    '| 0/9 [0:05<?, 3 jobs scheduling: none is free, $0.0000]'
    """
    done, total = standing.done, standing.total
    percent = f"{100 * done // total if total else 0:3d}%|"
    times = _clock(standing.seconds)
    if not standing.over:
        times += f"<{'?' if standing.left is None else _clock(standing.left)}"
    failed = _troubles(standing)
    jobs, dollars, why = _jobs(standing), _dollars(standing), _why(standing)
    heads = [f"{title} {percent}" if title else percent, percent]
    waits = standing.jobs is not None and not standing.jobs.running and not standing.over
    short = [times, failed, jobs if waits else dollars]
    tails = [[times, failed, jobs, dollars], short, [times, failed], [times]]
    if moving := _moving(standing):
        tails.insert(0, [times, failed, jobs, moving, dollars])
        tails.insert(1, [times, failed, moving])
    if why:
        tails.insert(0, [times, failed, jobs + why, dollars])
    choices = [(heads[0], tails[0]), *((heads[1], tail) for tail in tails)]
    for head, parts in choices:
        tail = f"| {done:,}/{total:,} [{', '.join(part for part in parts if part)}]"
        if len(head) + len(tail) + _BAR <= width:
            break
    return head, tail


def sentence(title: str, standing: Standing) -> str:
    """Return it as a line of a log.

    >>> from hfexecutor.progress.tally import Jobs, Standing
    >>> sentence("work", Standing(37, 2, 100, 12.0, 21.0, Jobs(2, 1, 3, 0.0012)))
    'work: 37 of 100 done, 2 failed, 2 of 3 jobs running, $0.0012, after 0:12, about 0:21 left'
    """
    left = "" if standing.left is None or standing.over else f"about {_clock(standing.left)} left"
    parts = [
        f"{standing.done:,} of {standing.total:,} done",
        _troubles(standing),
        _jobs(standing) + _why(standing),
        _moving(standing),
        _dollars(standing),
        f"after {_clock(standing.seconds)}",
        left,
    ]
    return f"{title}: {', '.join(part for part in parts if part)}"


def _troubles(standing: Standing) -> str:
    """Return what has failed, and what was tried again.

    >>> from hfexecutor.progress.tally import Standing
    >>> _troubles(Standing(37, 2, 100, 12.0, None, None, retried=3))
    '2 failed, 3 retried'
    """
    parts = [(standing.failed, "failed"), (standing.retried, "retried")]
    return ", ".join(f"{count:,} {what}" for count, what in parts if count)


def _moving(standing: Standing) -> str:
    """Return how far large values are that are on their way.

    >>> from hfexecutor.events import Transferring
    >>> from hfexecutor.progress.tally import Standing
    >>> _moving(Standing(0, 0, 1, 5.0, None, None, moving=Transferring(0.0, 120_000_000, 1 << 30)))
    '120 of 1,074 MB up'
    """
    moving = standing.moving
    if moving is None:
        return ""
    ways = ((moving.sent, moving.to_send, "up"), (moving.fetched, moving.to_fetch, "down"))
    return ", ".join(
        f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB {way}" for done, total, way in ways if total
    )


def _jobs(standing: Standing) -> str:
    """Return the jobs by stage, which is what calls wait for while none runs."""
    jobs = standing.jobs
    if jobs is None:
        return ""
    if standing.over:
        return _many(jobs.started)
    return _jobs_now(jobs)


def _why(standing: Standing) -> str:
    """Return what jobs wait for, in the words of the Hub, while none runs."""
    jobs = standing.jobs
    if jobs is None or standing.over or jobs.running or not jobs.why:
        return ""
    words = "".join(sign if sign.isprintable() else " " for sign in jobs.why)
    return f": {' '.join(words.split())[:_LONGEST]}"


def _jobs_now(jobs: Jobs) -> str:
    in_all = jobs.running + jobs.scheduling
    if not in_all:
        return "no job"
    if not jobs.running:
        return f"{_many(in_all)} scheduling"
    if not jobs.scheduling:
        return f"{_many(in_all)} running"
    return f"{jobs.running:,} of {_many(in_all)} running"


def _many(jobs: int) -> str:
    return f"{jobs:,} job{'' if jobs == 1 else 's'}"


def _dollars(standing: Standing) -> str:
    if standing.jobs is None or standing.jobs.dollars is None:
        return ""
    return in_dollars(standing.jobs.dollars)


def in_dollars(amount: float) -> str:
    """Return an amount of money with as many digits as it needs.

    >>> in_dollars(12.5), in_dollars(0.0012)
    ('$12.50', '$0.0012')
    """
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.4f}"


def _clock(seconds: float) -> str:
    """Return a duration as clocks show it.

    >>> _clock(3723.4), _clock(59.7)
    ('1:02:03', '0:59')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
