"""Make a plan that goes wrong smaller, as long as it goes wrong in the same way."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .plan import DEFAULTS, Plan
from .run import run


def command(plan: Plan, check: str, *, small: bool = True) -> str:
    """Return what repeats a run that failed a check, made as small as it can be in some seconds."""
    if small:
        plan = shrink(plan, check)
    changes = (f"--set {shlex.quote(change)}" for change in Plan.of(plan.seed).difference(plan))
    return " ".join([f"python -m tests.simulation --seed {plan.seed}", *changes])


def shrink(plan: Plan, check: str, seconds: float = 20.0) -> Plan:
    """Return the smallest plan found in that time that fails the same check."""
    deadline = time.monotonic() + seconds
    again = True
    while again:
        again = False
        for change in _smaller(plan):
            if time.monotonic() > deadline:
                return plan
            candidate = replace(plan, **change)
            if run(candidate).check == check:
                plan, again = candidate, True
    return plan


def _smaller(plan: Plan) -> Iterator[dict[str, Any]]:
    for calls in (1, plan.calls // 4, plan.calls // 2, plan.calls - 1):
        if 0 < calls < plan.calls:
            yield {"calls": calls}
    for workers in (1, plan.workers // 2, plan.workers - 1):
        if 0 < workers < plan.workers:
            yield {"workers": workers}
    if len(plan.durations) > 1:
        for duration in plan.durations:
            yield {"durations": (duration,)}
    for name, default in DEFAULTS.items():
        if name not in {"calls", "workers", "durations"} and getattr(plan, name) != default:
            yield {name: default}
