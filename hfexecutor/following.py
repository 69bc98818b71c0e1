"""Following a worker's log to its end, whatever the log does.

The log is read live and, when it ends, breaks off or stalls, read again from its start. What the
end means is not decided here but by the table in :mod:`hfexecutor.stages`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from hfexecutor.errors import HubError, HubRequestError
from hfexecutor.stages import TERMINAL, Action, Words, decide
from hfexecutor.watch import LOG_GRACE

if TYPE_CHECKING:
    from hfexecutor.scheduler import Scheduler
    from hfexecutor.worker import Worker

__all__ = ["PATIENCE", "follow"]

logger = logging.getLogger("hfexecutor")

# Seconds between readings of a log that should have more: a stage may be seen before the lines
# that led to it, and the tail of a log be missing for a while. Four seconds in all.
PATIENCE = (0.1, 0.25, 0.5, 1.0, 2.0)
_REOPEN = (0.1, 5.0)  # first and longest pause before a log is opened again while its job lives


async def follow(scheduler: Scheduler, worker: Worker) -> Action:
    """Read the worker's log until the table says what became of the worker; return that."""
    pause = _REOPEN[0]
    while True:
        if worker.bye is None or worker.held:
            heard = await _read(scheduler, worker)
            pause = _REOPEN[0] if heard else min(2 * pause, _REOPEN[1])
        worker.silent = True
        if worker.intake.starts:
            scheduler.watch.nudge()
        else:  # the log of a job that has not begun may end at once, each time it is opened
            scheduler.watch.expect()
        action = decide(worker.evidence._replace(exhausted=worker.rereads >= len(PATIENCE)))
        if action is Action.READ_AGAIN:
            await asyncio.sleep(PATIENCE[worker.rereads])
            worker.rereads += 1
        elif action is Action.FOLLOW:
            worker.ask_again(scheduler.now())  # what was said meanwhile may be out of the window
            await _stage_change(worker, pause)
        else:
            return action


async def _read(scheduler: Scheduler, worker: Worker) -> bool:
    """Read the log once, to its end or until it breaks off; return whether it said anything."""
    assert worker.job is not None
    heard = False
    worker.intake.rewind()
    worker.changed.clear()
    try:
        async with asyncio.timeout(None) as worker.deadline:
            if worker.phase in TERMINAL:
                worker.deadline.reschedule(asyncio.get_running_loop().time() + LOG_GRACE)
            async with contextlib.aclosing(scheduler.connection.hub.logs(worker.job.id)) as log:
                async for lines in log:
                    heard = True
                    worker.silent = False
                    scheduler.heard(worker, worker.intake.feed(line.text for line in lines))
    except TimeoutError:
        logger.debug("the log of %s goes on after its end", worker.describe())
    except HubRequestError as error:  # not there (yet, or any more): the stage decides
        logger.debug("no log of %s: %s", worker.describe(), error)
    except HubError as error:
        logger.info("the log of %s broke off: %s", worker.describe(), error)
    finally:
        worker.deadline = None
    return heard


async def _stage_change(worker: Worker, pause: float) -> None:
    """Wait for another stage; a worker that said good-bye has nothing else to wait for."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None if worker.evidence.words is Words.BYE else pause):
            await worker.changed.wait()
    worker.changed.clear()
