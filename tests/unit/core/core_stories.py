"""What tests of the core share: a machine, calls without futures, and short histories of jobs."""

from __future__ import annotations

import dataclasses
import random
from collections import deque
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, TypeVar

from hfexecutor.core import commands as do
from hfexecutor.core import events as ev
from hfexecutor.core.call import Call, CallOptions, Function
from hfexecutor.core.machine import Machine
from hfexecutor.core.rules import Limits, Rules
from hfexecutor.remote import entries as wire

T = TypeVar("T")


def make_call(call_id: int, *, size: int = 10, function: Function | None = None, lost: int = 0):
    call = Call(call_id, None, b"x" * size, function)
    call.lost = lost
    return call


def outcome(duration: float = 0.0, status: bytes = b"V", size: int = 0) -> Any:
    return SimpleNamespace(status=status, duration=duration, payload=range(size))


class Story:
    """Tells a machine what happens, and keeps what it says to that.

    Among the limits may be options of calls: then all that it submits have them.
    """

    def __init__(
        self, rules: Rules | None = None, machine: dict[str, Any] | None = None, **limits: Any
    ) -> None:
        self.now = 100.0
        self.hourly = 0.6  # a cent a minute
        of_calls = [field.name for field in dataclasses.fields(CallOptions) if field.name in limits]
        self.options = CallOptions(**{name: limits.pop(name) for name in of_calls})
        self.slots = 2
        self.refused: set[int] = set()  # calls whose owner has just cancelled them
        self.machine = Machine(
            Limits(**limits),
            rules or Rules(),
            claim=lambda call: call.id not in self.refused,
            rng=random.Random(1),
            **(machine or {}),
        )
        self.commands: list[do.Command] = []  # said to what was told last
        self.launches: deque[do.Launch] = deque()  # wanted, and not started yet

    def tell(self, *events: ev.Event, after: float = 0.001) -> list[do.Command]:
        """Let some time pass, with all that is due in it, and then something happen."""
        until = self.now + after
        said: list[do.Command] = []
        while self.machine.due <= until:
            self.now = max(self.now, self.machine.due)
            said += self._handle(())
        self.now = until
        said += self._handle(events)
        self.commands = said
        return said

    def _handle(self, events: Iterable[ev.Event]) -> list[do.Command]:
        said = self.machine.handle(events, self.now)
        self.machine.check()
        self.launches.extend(command for command in said if type(command) is do.Launch)
        return said

    def until(self, kind: type[T]) -> list[T]:
        """Wait until something of a kind is said, in steps of a tenth of a second."""
        for _ in range(1000):
            if said := self.said(kind):
                return said
            self.wait(0.1)
        raise AssertionError(f"no {kind.__name__} is said")

    def wait(self, seconds: float) -> list[do.Command]:
        return self.tell(after=seconds)

    def submit(self, *calls: Call) -> list[do.Command]:
        for call in calls:
            call.options = dataclasses.replace(self.options, kinds=call.kinds)
        said = self.tell(ev.Submitted(calls))
        for connect in [command for command in said if type(command) is do.Connect]:
            offers = (ev.Offer(kind, self.slots, self.hourly) for kind in connect.kinds)
            said += self.tell(ev.Connected(tuple(offers)))
        self.commands = said
        return said

    def said(self, kind: type[T]) -> list[T]:
        return [command for command in self.commands if type(command) is kind]

    def admit(self, launch: do.Launch) -> list[do.Command]:
        return self.tell(ev.Admitted(launch.worker, launch.attempt))

    def start(self, *, door: str = "https://door", stage: str = "SCHEDULING") -> str:
        """See the first launch that is wanted through to a job; return the worker's id."""
        launch = self.launches.popleft()
        self.admit(launch)
        self.tell(ev.Launched(launch.worker, launch.attempt, self.job(launch.worker, stage, door)))
        return launch.worker

    def job(self, worker: str, stage: str = "RUNNING", door: str = "https://door") -> ev.JobSeen:
        return ev.JobSeen(f"job-{worker[:4]}", stage, "https://page", launch=worker, door=door)

    def hello(self, worker: str, slots: int | None = 1, *, door: bool = True) -> list[do.Command]:
        return self.tell(ev.Heard(worker, (ev.Hello(slots, door),)))

    def up(self, **options: Any) -> str:
        worker = self.start(**options)
        self.hello(worker)
        return worker

    def outcome(self, worker: str, *calls: int, duration: float = 0.0) -> list[do.Command]:
        news = tuple(ev.Done(call, outcome(duration)) for call in calls)
        return self.tell(ev.Heard(worker, news))

    def answer(self, send: do.Send, *news: ev.News, seconds: float = 0.01) -> list[do.Command]:
        return self.tell(ev.Answered(send.worker, send.number, news, seconds))

    def list(self, *jobs: ev.JobSeen) -> list[do.Command]:
        return self.tell(ev.Listed(self.now, jobs))


def handed(send: do.Send) -> list[int]:
    """Return the calls that a message hands over."""
    return [entry.call for entry in send.entries if entry.kind == wire.CALL]


def ids(send: do.Send, kind: int) -> list[int]:
    """Return the ids of an order in a message."""
    return [i for entry in send.entries if entry.kind == kind for i in wire.unpack_ids(entry.data)]
