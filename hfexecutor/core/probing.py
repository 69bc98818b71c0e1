"""Workers that are silent although they owe something: asked, and listened to anew."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from hfexecutor.core.stages import Phase

if TYPE_CHECKING:
    from hfexecutor.core.state import State
    from hfexecutor.core.worker import Worker

__all__ = ["PULSE", "Probing"]

PULSE = ("pulse",)  # on the agenda: time to look after silent workers


class Probing:
    """Look after silent workers, for as long as calls are open."""

    def __init__(self, state: State) -> None:
        self._state = state

    def pulse(self) -> None:
        """Look at all of them."""
        for worker in self._state.live:
            if worker.hello is None:
                self._listen_again(worker)
            elif worker.takes_calls:  # through a door in trouble the question would not come either
                self._probe(worker)

    def _listen_again(self, worker: Worker) -> None:
        """Open the log of a job anew that runs and was not heard: its HELLO may have been missed.

        Without it nobody knows of its door, so nothing else can be asked. Each time the patience is
        twice as long, because a job may have a lot to install before it says something.
        """
        state = self._state
        silence = state.now - worker.progress_at
        if worker.phase is Phase.RUNNING and silence >= worker.probe_after and worker.log.is_open:
            worker.probe_after = 2 * silence
            text = f"nothing heard of {worker.describe()}, opening its log again"
            state.report(logging.INFO, text)
            state.commands += worker.log.stop()

    def _probe(self, worker: Worker) -> None:
        """Ask a silent worker whether it has said something meanwhile.

        A log may lag, be a window that moved on, or stall without breaking off. What the worker
        keeps unacknowledged it says again; should even that not arrive, its log is opened anew.
        """
        state, since = self._state, worker.progress_at
        if not worker.held or state.now - max(since, worker.asked_at) < worker.probe_after:
            return
        state.touch(worker)
        worker.probe_after = min(2 * worker.probe_after, state.rules.longest_probe)
        worker.ask_again(state.now)
        worker.asked_progress = since
        worker.judge_at = state.now + state.rules.probe_grace

    def judge(self, worker: Worker) -> None:
        """Open a log anew that does not bring what the worker said when it was asked."""
        state = self._state
        worker.judge_at = math.inf
        if worker.unheard and worker.progress_at == worker.asked_progress and worker.log.is_open:
            text = f"the log of {worker.describe()} has stalled, opening it again"
            state.report(logging.INFO, text)
            state.commands += worker.log.stop()
