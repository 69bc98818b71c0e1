"""Short histories over the same world, chosen and made small by Hypothesis.

The simulation's own seeds choose faults at rates; here each thing that goes wrong is a step of its
own, between two moments of the run, so a history that fails reads as a story.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from hfexecutor.core import events as ev

from . import user
from .logs import Reading
from .plan import Plan
from .run import Run

SHORT = st.sampled_from((0.001, 0.05, 0.3, 1.0, 5.0, 31.0))


class History(RuleBasedStateMachine):
    """One executor, and what happens to it."""

    run: Run

    @initialize(
        workers=st.integers(1, 4),
        slots=st.integers(1, 2),
        retries=st.integers(0, 2),
        warm=st.booleans(),
        duration=st.sampled_from((0.0, 0.01, 0.3, 3.0)),
        window=st.sampled_from((0, 5)),
        lag=st.sampled_from((0.0, 3.0)),
        where=st.sampled_from(("launch", "running")),
    )
    def begin(self, duration: float, window: int, lag: float, where: str, **options: Any) -> None:
        # The rates of faults are 0 and the world never heals: only rules make trouble.
        plan = Plan(
            seed=0,
            calls=1,
            durations=(duration,),
            log_window=window,
            list_lag=lag,
            door_at=where,
            heals=1e9,
            killing=1e-9,  # calls may be lost: their jobs are killed by a rule
            post_unclear=1e-9,
            job_killed=1e-9,
            **options,
        )
        self.run = Run(plan)
        self.step(0.0)

    def step(self, seconds: float) -> None:
        """Let time pass, and everything be checked."""
        run = self.run
        until = run.clock.now + seconds
        run.clock.later(seconds, lambda: None)
        while run.clock.now < until and not run.is_finished and run.clock.step():
            pass

    @property
    def alive(self) -> list[Any]:
        return [job for job in self.run.hub.jobs.values() if job.alive]

    # --- time and the user --------------------------------------------------------------------

    @rule(seconds=SHORT)
    def wait(self, seconds: float) -> None:
        self.step(seconds)

    @precondition(lambda self: not self.run.is_closed)
    @rule(count=st.integers(1, 30))
    def submit(self, count: int) -> None:
        self.run.submit(count)

    @precondition(lambda self: self.run.futures)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        self.run.cancel(data.draw(st.sampled_from(self.run.futures)))

    @precondition(lambda self: self.run.futures)
    @rule(data=st.data())
    def kill(self, data: Any) -> None:
        self.run.kill(data.draw(st.sampled_from(self.run.futures)))

    @precondition(lambda self: not self.run.is_closed)
    @rule(end=st.sampled_from(("close", "cancel", "abort")))
    def close(self, end: str) -> None:
        self.run.close(end)

    # --- what goes wrong ----------------------------------------------------------------------

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), stage=st.sampled_from(("ERROR", "CANCELED", "DELETED")))
    def job_dies(self, data: Any, stage: str) -> None:
        data.draw(st.sampled_from(self.alive)).end(stage, "world")

    @precondition(lambda self: self.run.client._readings)
    @rule(data=st.data())
    def log_breaks(self, data: Any) -> None:
        worker = data.draw(st.sampled_from(sorted(self.run.client._readings)))
        _, reading = self.run.client._readings[worker]
        if isinstance(reading, Reading):
            reading.stop()

    @rule(worker=st.integers(0, 3), seconds=st.sampled_from((0.5, 30.0)))
    def doors_go_away(self, worker: int, seconds: float) -> None:
        del worker
        self.run.client.doors.go_away_for(seconds)

    @rule(rate=st.sampled_from((0.0, 0.5)), name=st.sampled_from(("dropped", "unanswered", "lost")))
    def doors_get_worse_or_better(self, rate: float, name: str) -> None:
        self.run.change(**{f"door_{name}": rate})

    @rule(rate=st.sampled_from((0.0, 0.5)), name=st.sampled_from(("misses", "fails")))
    def lists_get_worse_or_better(self, rate: float, name: str) -> None:
        self.run.change(**{f"list_{name}": rate})

    @rule(
        rate=st.sampled_from((0.0, 0.5)),
        name=st.sampled_from(("undelivered", "unclear", "unclear_not", "late", "limited")),
    )
    def launches_get_worse_or_better(self, rate: float, name: str) -> None:
        self.run.change(**{f"post_{name}": max(rate, 1e-9)})

    @rule(rate=st.sampled_from((0.0, 0.5)), name=st.sampled_from(("cut", "repeat", "none")))
    def logs_get_worse_or_better(self, rate: float, name: str) -> None:
        self.run.change(**{f"log_{name}": rate})

    # --- the end ------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Whatever has happened: once nothing goes wrong any more all of it ends."""
        run = getattr(self, "run", None)
        if run is None:
            return
        run.change(heals=run.clock.now)
        run.close()
        run.go()
        assert all(future.done for future in run.futures)
        assert {future.state for future in run.futures} <= {user.NOTIFIED, user.FINISHED}
        assert run.client.machine.handle([ev.Closed()], run.clock.now) == []


History.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
test_history = History.TestCase
