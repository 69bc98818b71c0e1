"""The whole hierarchy of errors, by whose fault it was.

What this library ends a call with, on its own account, derives from :class:`HubExecutorError`; what
your own function raises arrives with its own type. Below the root the first question is always
*whose fault*: the call's (:class:`CallError`), the data's (:class:`PayloadError`), the job's
(:class:`JobError`) or the Hub's (:class:`HubError`).

Mistakes in its use are Python's own errors, as in the stdlib: ValueError or TypeError for an
option, RuntimeError for `submit` after `shutdown`, ImportError for the embedded Hub without its
extra.
"""

from __future__ import annotations

import pickle
from concurrent.futures import BrokenExecutor

__all__ = [
    "AuthenticationError",
    "BrokenHubExecutor",
    "CallDiedError",
    "CallError",
    "CallStoppedError",
    "CallTimeoutError",
    "CostLimitError",
    "DependencyError",
    "DetachedError",
    "HubError",
    "HubExecutorError",
    "HubRequestError",
    "HubUnavailableError",
    "JobError",
    "JobFailedError",
    "JobLostError",
    "MissingModuleError",
    "PayloadError",
    "PayloadTooLargeError",
    "PythonMismatchError",
    "RateLimitedError",
    "RemoteCallError",
    "UnpicklableCallError",
    "UnpicklableResultError",
]


class HubExecutorError(Exception):
    """Root of all errors of calls, data, jobs and the Hub."""


# --- the call's fault -----------------------------------------------------------------------


class CallError(HubExecutorError):
    """The call itself ended in a way that is no ordinary exception."""


class CallDiedError(CallError):
    """The process that ran the call ended before the call did (a signal, ``os._exit``, a crash)."""


class CallStoppedError(CallError):
    """The call was running, or about to, when the executor was stopped or the call killed."""


class CallTimeoutError(CallError, TimeoutError):
    """The call ran longer than ``call_timeout`` and was killed."""


class DetachedError(CallError):
    """This process watches the call no longer; it may go on in its job. The message has its run."""


class RemoteCallError(CallError):
    """The call raised an exception whose type cannot be rebuilt on this side.

    The message names the original type and text; the remote traceback is the ``__cause__``.

    Attributes:
        type_name: The original type, as the traceback names it.
    """

    type_name: str = ""


# --- the data's fault -----------------------------------------------------------------------


class PayloadError(HubExecutorError):
    """What should travel (function, arguments, result) cannot travel."""


class UnpicklableCallError(PayloadError, pickle.PicklingError):
    """The function or one of its arguments cannot be pickled here, or not unpickled in the job."""


class UnpicklableResultError(PayloadError, pickle.PicklingError):
    """The call returned something that cannot be pickled in the job, or not unpickled here."""


class PayloadTooLargeError(PayloadError, ValueError):
    """The call is larger than the way it would have to take allows."""


class DependencyError(PayloadError):
    """Something that the call imports can neither be installed in a job nor be sent along."""


class MissingModuleError(PayloadError, ModuleNotFoundError):
    """The job lacks a module that the call imports.

    The message has the line to add. As with any ModuleNotFoundError, `name` is the module.
    """


class PythonMismatchError(PayloadError):
    """The job's Python is not the client's minor version, so pickles are not safe to exchange."""


# --- the job's fault ------------------------------------------------------------------------


class JobError(HubExecutorError):
    """A job ended without the outcome of the call; the message has its id, stage, URL and log."""


class JobFailedError(JobError):
    """The job reached a failed stage (error, timeout, cancelled by somebody, out of credits)."""


class JobLostError(JobError):
    """The job is over, or gone, and its log has no outcome for the call."""


class CostLimitError(JobError):
    """``max_cost`` pays for no further minute of a job, or a price was not confirmed."""


class BrokenHubExecutor(JobError, BrokenExecutor):  # noqa: N818 - like BrokenProcessPool
    """The executor cannot run any call, for instance because its initializer fails."""


# --- the Hub's fault ------------------------------------------------------------------------


class HubError(HubExecutorError):
    """The Hub refused a request or cannot be reached."""


class AuthenticationError(HubError):
    """No token, a token the Hub does not accept, or one without the rights or credits."""


class HubRequestError(HubError):
    """The Hub understood the request and refuses it (unknown flavor, wrong namespace, ...)."""


class RateLimitedError(HubError):
    """The Hub asked to slow down, for longer than the executor may wait."""


class HubUnavailableError(HubError):
    """The Hub cannot be reached, or answers with server errors, for longer than may be waited."""
