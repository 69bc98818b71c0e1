"""What the parts of the machine share: the calls, the workers, the time, and what is said."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hfexecutor.core.agenda import Agenda
from hfexecutor.core.budget import Budget
from hfexecutor.core.commands import Report
from hfexecutor.core.counters import Counters
from hfexecutor.core.kinds import Kinds
from hfexecutor.core.pending import Pending
from hfexecutor.core.polling import Polling
from hfexecutor.core.ports import Ports

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from hfexecutor.core.call import Call
    from hfexecutor.core.commands import Command, Completion
    from hfexecutor.core.rules import Limits, Rules
    from hfexecutor.core.worker import Worker

__all__ = ["State"]


class State:
    """The state of a run, as far as it does not belong to one part alone.

    Attributes:
        limits, rules, claim, rng: As for the machine.
        now: The time of the events that are handled.
        kinds: What is known of each kind of worker.
        pending: The calls that are open.
        workers: Those that are not over, by id.
        counters: What was done so far.
        budget: What it costs, and may cost.
        polling: When the Hub's list is asked for.
        ports: Whether jobs are launched with a port.
        agenda: What is due when: workers by their id, all else by a tuple with its name.
        commands: What is to be done about the events.
        completions: Calls that have an outcome since the last time.
        touched: Workers to be looked at before this is over, because something of them has changed.
        closing: The user gives no more calls.
        hand_over_by: This process is about to leave: when what waits is given to whoever takes it,
            at the latest. Infinity while it is not.
        adopted: It is the run of another process: nothing is launched.
    """

    def __init__(
        self, limits: Limits, rules: Rules, *, claim: Callable[[Call], bool], rng: Random
    ) -> None:
        self.limits = limits
        self.rules = rules
        self.claim = claim
        self.rng = rng
        self.now = 0.0
        self.kinds = Kinds()
        self.pending = Pending()
        self.workers: dict[str, Worker] = {}
        self.counters = Counters()
        self.budget = Budget(limits.max_cost, rules)
        self.polling = Polling(rules)
        self.ports = Ports(limits, rules)
        self.agenda = Agenda()
        self.commands: list[Command] = []
        self.completions: list[Completion] = []
        self.touched: dict[str, Worker] = {}
        self.closing = False
        self.hand_over_by = math.inf
        self.adopted = False

    def do(self, command: Command) -> None:
        """Have something done."""
        self.commands.append(command)

    def report(self, level: int, text: str) -> None:
        """Have a line written into the log."""
        self.commands.append(Report(level, text))

    def touch(self, worker: Worker) -> None:
        """Note that something of a worker has changed."""
        self.touched[worker.id] = worker

    def news_of(self, worker_id: str) -> Worker | None:
        """Return the worker that there is news of, touched; None if it is over."""
        worker = self.workers.get(worker_id)
        if worker is not None:
            self.touched[worker_id] = worker
        return worker

    @property
    def live(self) -> list[Worker]:
        """Workers that are not on their way out."""
        return [worker for worker in self.workers.values() if not worker.is_closing]
