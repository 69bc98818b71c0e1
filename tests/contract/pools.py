"""Pools beside which a warm worker is looked at: threads, and processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Pool:
    """One pool of workers.

    Attributes:
        ahead: calls that may say they run although they have not begun, for each worker.
    """

    name: str
    make: Callable[..., Executor] = field(repr=False)
    ahead: int = 1

    @property
    def hub(self) -> bool:
        return self.name.startswith("hub")

    @property
    def processes(self) -> bool:
        return self.name == "processes"


def stdlib_pool(name: str) -> Pool:
    """Return a pool of the stdlib: "threads", or "processes".

    These are forked by a server: the tests before may have left threads here, and a fork with
    threads may hang.
    """
    if name == "threads":
        return Pool(name, ThreadPoolExecutor, ahead=0)

    def make(max_workers: int, **options: Any) -> Executor:
        context = multiprocessing.get_context("forkserver")
        return ProcessPoolExecutor(max_workers, mp_context=context, **options)

    return Pool(name, make, ahead=2)  # its queue holds one more than it has workers


def hub_pool(name: str, hub: Any, **options: Any) -> Pool:
    """Return our pool, on this Hub."""

    def make(max_workers: int, **more: Any) -> Executor:
        from hfexecutor import HubExecutor

        options_ = {"endpoint": hub.endpoint, "token": hub.token, **options, **more}
        return HubExecutor(max_workers, **options_)

    return Pool(name, make)
