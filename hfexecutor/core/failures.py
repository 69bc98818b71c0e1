"""What futures are told that end without an outcome of their call."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hfexecutor.errors import (
    CallStoppedError,
    CostLimitError,
    JobFailedError,
    JobLostError,
    PayloadTooLargeError,
)

if TYPE_CHECKING:
    from hfexecutor.core.call import Call
    from hfexecutor.core.worker import Worker

__all__ = [
    "beyond_memory",
    "killed",
    "limit_reached",
    "lost",
    "never_ran",
    "no_memory",
    "no_room_here",
    "too_large",
    "with_note",
]

# In the words of what starts containers.
_UV_IS_MISSING: Final = re.compile(r'exec: "uv": executable file not found')
_NO_UV: Final = (
    "Its image has no uv, with which jobs are started: add it, as in "
    "`COPY --from=ghcr.io/astral-sh/uv /uv /usr/bin/`, or leave image= out."
)
_LOOK: Final = (
    "Its page tells more; check image= and dependencies= where they are not the defaults."
)


def killed() -> CallStoppedError:
    """Return the end of a call that was to be stopped, and had not begun."""
    return CallStoppedError("the call was killed before it ran, as asked")


def limit_reached(most: float, spent: float, where: str) -> CostLimitError:
    """Return the end of a call for which no minute of a job can be paid any more."""
    return CostLimitError(
        f"max_cost=${most:.4g} pays for no further minute of a job (${spent:.4g} may have been "
        f"billed so far). {where}"
    )


def lost(worker: Worker, call: Call) -> JobLostError:
    """Return the end of a call whose workers were lost too often."""
    times = f" (attempt {call.lost})" if call.lost > 1 else ""
    return JobLostError(
        f"{worker.describe()} ended without the call's outcome{times}.{worker.log_tail()}"
    )


def never_ran(worker: Worker) -> JobFailedError:
    """Return what a job that was over before our code said a word amounts to."""
    said = f"{worker.describe()}\n{worker.log_tail()}"
    advice = _NO_UV if _UV_IS_MISSING.search(said) else _LOOK
    return JobFailedError(
        f"{worker.describe()} ended before it could run anything. {advice}{worker.log_tail()}"
    )


def too_large(call: Call, room: float, why: str = "") -> PayloadTooLargeError:
    """Return the end of a call that no launch request can carry; `why` is said of the bucket."""
    size = call.size
    if why:
        rest = f"More could go through a private bucket, but {why}."
    elif call.stored:
        rest = "What its arguments hold in large pieces is not in that: a bucket has it."
    else:
        rest = "Large pieces of memory could go through a bucket, and there are none in it."
    return PayloadTooLargeError(
        f"the call is {size:,} bytes when pickled; a job that is started for one call can be "
        f"given at most {room:,} beside these options. {rest} Use reuse_workers=True, where calls "
        "of any size go to running jobs, or let the function load its data itself."
    )


def no_memory(call: Call, worker: Worker, why: str) -> PayloadTooLargeError:
    """Return the end of a call whose buffers do not fit into a worker's memory."""
    size = sum(buffer.size for buffer in call.buffers)
    return PayloadTooLargeError(
        f"the call refers to {size:,} bytes, for which {worker.describe()} has no memory: {why}. "
        "Choose a flavor= with more memory, or let the function load its data itself."
    )


def beyond_memory(call: Call, memory: float) -> PayloadTooLargeError:
    """Return the end of a call that is larger than all memory of the machines it asks for."""
    return PayloadTooLargeError(
        f"the call refers to {call.size:,} bytes, and a job of flavor {' or '.join(call.kinds)} "
        f"has {memory:g} GB of memory in all. Choose a flavor= with more memory, or let the "
        "function load its data itself."
    )


def no_room_here(where: str, why: str) -> PayloadTooLargeError:
    """Return the end of a call whose result this machine cannot hold."""
    return PayloadTooLargeError(
        f"the call has returned what this machine has no memory for: {why}. It ran in "
        f"{where}. Return less, or let the function write it to a bucket (volumes=)."
    )


def with_note(error: BaseException, note: str = "") -> BaseException:
    """Return `error` for one more future, with `note` after its text.

    Each gets its own: a traceback must not grow with each future that raises it.
    """
    try:
        own = type(error)(f"{error} {note}" if note else str(error))
    except Exception:  # a constructor with arguments of its own
        return error
    own.__cause__ = error.__cause__
    return own
