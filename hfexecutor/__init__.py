"""Run Python functions on Hugging Face Jobs through ``concurrent.futures``.

>>> from hfexecutor import HubExecutor
>>> with HubExecutor(max_workers=2, endpoint="local") as executor:
...     executor.submit(pow, 2, 5).result()
32
"""

from importlib import import_module
from typing import TYPE_CHECKING

from hfexecutor import loading

if TYPE_CHECKING:
    from hfexecutor.attached import AttachedRun
    from hfexecutor.cost import Cost, JobCost
    from hfexecutor.errors import (
        AuthenticationError,
        BrokenHubExecutor,
        CallDiedError,
        CallError,
        CallStoppedError,
        CallTimeoutError,
        CostLimitError,
        DependencyError,
        DetachedError,
        HubError,
        HubExecutorError,
        HubRequestError,
        HubUnavailableError,
        JobError,
        JobFailedError,
        JobLostError,
        MissingModuleError,
        PayloadError,
        PayloadTooLargeError,
        PythonMismatchError,
        RateLimitedError,
        RemoteCallError,
        UnpicklableCallError,
        UnpicklableResultError,
    )
    from hfexecutor.executor import HubExecutor
    from hfexecutor.futures import HubFuture
    from hfexecutor.payload.remote_value import RemoteValue
    from hfexecutor.stats import Stats
    from hfexecutor.submitting import ExecutorView, RemoteView
    from hfexecutor.waiting import as_completed, wait

__all__ = [
    "AttachedRun",
    "AuthenticationError",
    "BrokenHubExecutor",
    "CallDiedError",
    "CallError",
    "CallStoppedError",
    "CallTimeoutError",
    "Cost",
    "CostLimitError",
    "DependencyError",
    "DetachedError",
    "ExecutorView",
    "HubError",
    "HubExecutor",
    "HubExecutorError",
    "HubFuture",
    "HubRequestError",
    "HubUnavailableError",
    "JobCost",
    "JobError",
    "JobFailedError",
    "JobLostError",
    "MissingModuleError",
    "PayloadError",
    "PayloadTooLargeError",
    "PythonMismatchError",
    "RateLimitedError",
    "RemoteCallError",
    "RemoteValue",
    "RemoteView",
    "Stats",
    "UnpicklableCallError",
    "UnpicklableResultError",
    "as_completed",
    "wait",
]

__version__ = "0.1.0"

_HOMES = {  # the modules of all names but those of the errors
    "AttachedRun": "attached",
    "Cost": "cost",
    "ExecutorView": "submitting",
    "HubExecutor": "executor",
    "HubFuture": "futures",
    "JobCost": "cost",
    "RemoteValue": "payload.remote_value",
    "RemoteView": "submitting",
    "Stats": "stats",
    "as_completed": "waiting",
    "wait": "waiting",
}

if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        """Load a name when it is asked for: the executor takes a while, errors do not."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        with loading.uncollected():
            value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
