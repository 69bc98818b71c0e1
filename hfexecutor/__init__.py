"""Run Python functions on Hugging Face Jobs through ``concurrent.futures``.

>>> from hfexecutor import HubExecutor
>>> with HubExecutor(max_workers=2, endpoint="local") as executor:
...     executor.submit(pow, 2, 5).result()
32
"""

from hfexecutor.errors import (
    AuthenticationError,
    BrokenHubExecutor,
    CallDiedError,
    CallError,
    CallStoppedError,
    CallTimeoutError,
    HubError,
    HubExecutorError,
    HubRequestError,
    HubUnavailableError,
    JobError,
    JobFailedError,
    JobLostError,
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
from hfexecutor.stats import Stats

__all__ = [
    "AuthenticationError",
    "BrokenHubExecutor",
    "CallDiedError",
    "CallError",
    "CallStoppedError",
    "CallTimeoutError",
    "HubError",
    "HubExecutor",
    "HubExecutorError",
    "HubFuture",
    "HubRequestError",
    "HubUnavailableError",
    "JobError",
    "JobFailedError",
    "JobLostError",
    "PayloadError",
    "PayloadTooLargeError",
    "PythonMismatchError",
    "RateLimitedError",
    "RemoteCallError",
    "Stats",
    "UnpicklableCallError",
    "UnpicklableResultError",
]

__version__ = "0.1.0"
