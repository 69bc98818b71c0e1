"""The thread that watches a run of another process."""

from __future__ import annotations

import random
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from hfexecutor.condition import Latch
from hfexecutor.core.call import Call, number_of
from hfexecutor.core.events import Aborted
from hfexecutor.core.machine import Machine
from hfexecutor.core.rules import Limits, Rules
from hfexecutor.futures import PoolFuture
from hfexecutor.runtime.completer import claim
from hfexecutor.runtime.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfexecutor.futures import Printed
    from hfexecutor.options import Options
    from hfexecutor.runtime.connection import Connection

__all__ = ["RULES", "AdoptedRunner"]

# Jobs come and go without any word of it; and no call is handed over that acknowledgements could
# travel with, while a job stays for as long as it keeps an outcome that nobody has.
RULES: Final = Rules(ending=1.0, calm=10.0, acks=1)


class AdoptedRunner(Runner):
    """Watch the jobs of a run, and launch none.

    However it ends, the jobs are left to themselves, but for :meth:`cancel`.

    Args:
        options: Those by which the Hub is talked to.
        connect: Makes the connection; called in the runner's thread.

    Attributes:
        futures: Those of the calls that are known, by number; more come as jobs tell of them.
        printing: Those that only printed lines are known of.
        complete: Set once every job has told what it knows, as far as it could be asked.
    """

    def __init__(self, options: Options, connect: Callable[[], Connection]) -> None:
        self.futures: dict[int, PoolFuture[Any]] = {}
        self.complete = Latch()
        self.printing: dict[int, PoolFuture[Any]] = {}
        self._latest: dict[int, int] = {}  # attempts that print, by the number of their call
        super().__init__(options, Limits(give_up_after=options.give_up_after), connect)

    def close(self, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - nothing is ours
        """Leave the jobs to themselves."""
        self.leave()

    def wind_up(self) -> None:
        """Leave the jobs to themselves."""
        self.leave()

    def abort(self, why: str, *, broken: bool = False) -> None:  # noqa: ARG002 - as above
        """Leave the jobs to themselves."""
        self.leave()

    def leave(self) -> None:
        """Leave the jobs to themselves, now."""
        self.detach(now=True)

    def cancel(self, why: str) -> None:
        """Stop everything: open calls end, all jobs are cancelled."""
        self._put(Aborted(why))

    def _make_machine(self, limits: Limits) -> Machine:
        # A worker does no message twice, by its number: those of an earlier process were lower.
        first = int(time.time() * 1000)
        make = partial(_known, self)
        return Machine(
            limits, RULES, claim=claim, rng=random.SystemRandom(), adopt=make, first=first
        )

    def _handle(self) -> None:
        super()._handle()
        if self.machine.adopting is not None and self.machine.adopting.is_complete:
            self.complete.release()

    def _printed(self, call_id: int) -> Printed | None:
        if not call_id:
            return None
        number = number_of(call_id)
        future = self.futures.get(number) or self.printing.get(number)
        if future is None:
            future = self.printing[number] = PoolFuture()
        latest = self._latest.setdefault(number, call_id)
        if future.done() or call_id < latest:
            return None
        if call_id > latest:  # what an attempt before it has printed
            self._latest[number] = call_id
            future.printed_in_all(0)
        return future.printed()

    async def _live(self) -> None:
        try:
            await super()._live()
        finally:
            self.complete.release()  # nobody waits for what will not come


def _known(runner: AdoptedRunner, call_id: int) -> Call:
    number = number_of(call_id)
    future = runner.futures.get(number)
    if future is None:
        future = runner.futures[number] = runner.printing.pop(number, PoolFuture())
        future.bind(number, runner)
    return Call(call_id, future, b"", None)
