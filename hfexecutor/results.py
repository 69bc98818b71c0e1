"""From an outcome to what the future gets: the value, or an exception that says what happened.

Only called with outcomes that came in authentic frames: this is where what a job sent is unpickled.
"""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Any

from hfexecutor.errors import (
    BrokenHubExecutor,
    CallDiedError,
    CallStoppedError,
    CallTimeoutError,
    DependencyError,
    HubUnavailableError,
    PayloadTooLargeError,
    PythonMismatchError,
    RemoteCallError,
    UnpicklableCallError,
    UnpicklableResultError,
)
from hfexecutor.payload.attachments import shipped
from hfexecutor.payload.missing import missing_module
from hfexecutor.remote import outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hfexecutor.core.call import Attachment
    from hfexecutor.remote.outcomes import Outcome, Raised

__all__ = ["RemoteTraceback", "killed_for_memory", "rebuilt", "unwrap"]

_NO_MODULE = r"No module named '([\w.]+)'"
_LONGEST_TEXT = 500  # characters of an exception's own words within a message of ours


class RemoteTraceback(Exception):  # noqa: N818 - no error of its own: the cause of a user's one
    """Carries the text of a traceback in the job, as the ``__cause__`` of what was raised there."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


def unwrap(
    outcome: Outcome,
    where: str,
    attachments: Iterable[Attachment] = (),
    handle: Callable[[Outcome, str], Any] | None = None,
) -> tuple[Any, BaseException | None]:
    """Return the value and None, or None and the exception of the future.

    Args:
        outcome: How the call ended.
        where: Says which job it was in, for messages.
        attachments: What went along with the call.
        handle: Returns what is wanted instead of a value; None for the value itself.
    """
    try:
        if handle is not None and outcome.status in {outcomes.VALUE, outcomes.IN_BUCKET}:
            return handle(outcome, where), None
        if outcome.status == outcomes.VALUE:
            return _value(outcome, where)
        return None, _error(outcome, where, attachments)
    except Exception as error:  # authentic, but of no version of ours: only this call ends with it
        return None, UnpicklableResultError(f"the outcome from {where} cannot be read: {error!r}")


def _error(outcome: Outcome, where: str, attachments: Iterable[Attachment]) -> BaseException:
    error = _ERRORS[outcome.status](outcome, where)
    if isinstance(error, ModuleNotFoundError):
        return _missing(error, where, attachments)
    return error


def _missing(
    error: ModuleNotFoundError, where: str, attachments: Iterable[Attachment]
) -> BaseException:
    """Return an error that says what to do, for one that says that a module is not there."""
    if type(error) is not ModuleNotFoundError or not error.name:
        return error
    told = missing_module(error.name, *shipped(attachments), where)
    told.__cause__ = error.__cause__
    return told


def _value(outcome: Outcome, where: str) -> tuple[Any, BaseException | None]:
    try:
        return outcome.value(), None
    except Exception as error:  # classes run their own code when they are unpickled
        problem = UnpicklableResultError(
            f"the result cannot be unpickled here ({type(error).__name__}: {error}). It came from "
            f"{where}; is a package missing on this side, or of another version?"
        )
        problem.__cause__ = error
        return None, problem


def _raised(outcome: Outcome, where: str) -> BaseException:
    return rebuilt(outcome.raised(), where)


def rebuilt(raised: Raised, where: str) -> BaseException:
    """Return an exception of a job as it was there, with the traceback as its cause."""
    error = raised.exception()
    if error is None:
        error = RemoteCallError(
            f"{raised.type}: {raised.text} (the exception itself cannot be rebuilt here; {where})"
        )
        error.type_name = raised.type
    # Not by assignment: the exception may be a frozen dataclass.
    BaseException.__setattr__(error, "__cause__", RemoteTraceback(raised.traceback))
    return error


def add_notes(error: BaseException, notes: Iterable[str]) -> None:
    """Add notes to an exception of a user's, which may be one that lets nothing be set."""
    found = [*getattr(error, "__notes__", ()), *notes]
    BaseException.__setattr__(error, "__notes__", found)


def _initializer(outcome: Outcome, where: str) -> BaseException:
    error = BrokenHubExecutor(
        f"the initializer raised {_summary(outcome.raised())}, so no call can run; {where}"
    )
    error.__cause__ = _raised(outcome, where)
    return error


def _summary(raised: Raised) -> str:
    """Return type and text of an exception in one line that is not too long for a message."""
    text = " ".join(raised.text.split())
    text = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
    return f"{raised.type}: {text}" if text else raised.type


def _died(outcome: Outcome, where: str) -> BaseException:
    details = outcome.details()
    if details.get("asked"):
        return CallStoppedError(f"the call was killed, as asked; {where}")
    how = _how_it_died(details)
    if details.get("during") == "initializer":
        return BrokenHubExecutor(f"the initializer's process {how}, so no call can run; {where}")
    during = " while it started" if details.get("during") == "start" else ""
    return CallDiedError(f"the process that ran the call {how}{during}; {where}")


def killed_for_memory(outcome: Outcome) -> bool:
    """Say whether the process of a call was killed, by nobody who has told of it.

    The kernel does that where memory runs out, and says no more about it.
    """
    if outcome.status != outcomes.DIED:
        return False
    try:
        details = outcome.details()
    except outcomes.OutcomeError:
        return False
    by_kernel = details.get("signal") == signal.SIGKILL and not details.get("asked")
    return by_kernel and details.get("during") == "call"


def _how_it_died(details: dict[str, Any]) -> str:
    number = details.get("signal")
    if number:
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        hints = {"SIGKILL": ", likely out of memory", "SIGSEGV": ", a crash in native code"}
        return f"was killed by {name}{hints.get(name, '')}"
    return f"ended with exit code {details.get('exitcode')} before its time"


def _timeout(outcome: Outcome, where: str) -> BaseException:
    seconds = outcome.details().get("seconds", outcome.duration)
    return CallTimeoutError(f"the call ran longer than call_timeout={seconds:g} s; {where}")


def _unpicklable(outcome: Outcome, where: str) -> BaseException:
    details = outcome.details()
    kind = details.get("type")
    hint = "; return list(...) of it instead" if kind in {"generator", "map", "filter"} else ""
    error = UnpicklableResultError(
        f"the call returned {details.get('repr')} ({kind}), which cannot be pickled: "
        f"{details.get('error')}{hint}. It ran in {where}"
    )
    error.__cause__ = _remote(details)
    return error


def _bad_call(outcome: Outcome, where: str) -> BaseException:
    details = outcome.details()
    kind, hint = details.get("type"), ""
    if kind == "ModuleNotFoundError" and (
        found := re.search(_NO_MODULE, details.get("error") or "")
    ):
        missing: BaseException = ModuleNotFoundError(name=found[1])
        missing.__cause__ = _remote(details)
        return missing
    if kind == "hfexecutor_remote.bucket.StoredArgumentError":
        return HubUnavailableError(
            f"an argument of the call is not in the bucket that its job has mounted: "
            f"{details.get('error')}; {where}"
        )
    if kind in {"ImportError", "AttributeError"}:
        hint = ". Has the job another version of that module than is installed here?"
    error = UnpicklableCallError(
        f"the call cannot be unpickled in the job ({kind}: {details.get('error')}){hint}. {where}"
    )
    error.__cause__ = _remote(details)
    return error


def _not_installed(outcome: Outcome, where: str) -> BaseException:
    details = outcome.details()
    wanted = " ".join(details.get("requirements") or ())
    return DependencyError(
        f"the job cannot install what the call needs ({wanted}); {where}. The last lines of uv:\n"
        f"{details.get('error')}"
    )


def _too_large(outcome: Outcome, where: str) -> BaseException:
    details = outcome.details()
    size, limit = int(details.get("size", 0)), int(details.get("limit", 0))
    return PayloadTooLargeError(
        f"the result is {size:,} bytes when pickled; a job without a door can say at most "
        f"{limit:,} in its log. More could go through a private bucket, but {details.get('why')}. "
        "Use reuse_workers=True, where results of any size come back, or have the function save "
        f"its result. It ran in {where}"
    )


def _mismatch(outcome: Outcome, where: str) -> BaseException:
    details = outcome.details()
    wanted, found = (
        ".".join(str(part) for part in details.get(side) or ()) for side in ("wanted", "found")
    )
    return PythonMismatchError(
        f"the image has Python {found}, but this script runs Python {wanted}, and pickles are not "
        f"safe to exchange between them. Use an image with Python {wanted}; {where}"
    )


def _remote(details: dict[str, Any]) -> RemoteTraceback | None:
    text = details.get("traceback")
    return RemoteTraceback(text) if text else None


_ERRORS: dict[bytes, Callable[[Outcome, str], BaseException]] = {
    outcomes.RAISED: _raised,
    outcomes.DIED: _died,
    outcomes.TIMEOUT: _timeout,
    outcomes.UNPICKLABLE: _unpicklable,
    outcomes.BAD_CALL: _bad_call,
    outcomes.MISMATCH: _mismatch,
    outcomes.INITIALIZER: _initializer,
    outcomes.NOT_INSTALLED: _not_installed,
    outcomes.TOO_LARGE: _too_large,
}
