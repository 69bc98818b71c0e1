"""Results that stay where their jobs have put them, named by a handle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, TypeVar

from hfexecutor.errors import UnpicklableCallError, UnpicklableResultError
from hfexecutor.remote import handles
from hfexecutor.remote.buffers import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hfexecutor.payload.buffers import Buffers
    from hfexecutor.payload.imports import Import
    from hfexecutor.remote.buffers import Buffer, Place

__all__ = ["Carried", "Content", "RemoteValue", "content_of", "reduced"]

T_co = TypeVar("T_co", covariant=True)


class Content(Protocol):
    """What a handle stands for, pickled as jobs pickle results."""

    @property
    def size(self) -> int:
        """Bytes of it."""

    def read(self) -> tuple[Buffer, Sequence[Place] | None]:
        """Return what :func:`hfexecutor.remote.buffers.load` makes the value of."""

    def reduce(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return what makes the value in a job, and with which arguments after the imports."""


class Carried:
    """What came back with the outcome: it is small, or the job had no place for it."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload

    def __str__(self) -> str:
        return f"{self.size:,} bytes, in this process"

    @property
    def size(self) -> int:
        """Bytes of it."""
        return len(self._payload)

    def read(self) -> tuple[Buffer, None]:
        """Return it."""
        return self._payload, None

    def reduce(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return what makes the value in a job."""
        return handles.carried, (self._payload,)


class RemoteValue(Generic[T_co]):
    """A result that stays in the run's bucket, which the calls with ``keep="remote"`` return.

    Passed to another call of the same executor, as an argument, within one, or in what a function
    closes over, it arrives as the value: the job reads it from the bucket, and it does not pass
    through this process. Each call gets a value of its own, as of any argument.

    A result of 4 MiB or less is no file: the handle has it, and is used in the same way.

    The file is removed when this process has no handle of it any more and no open call that refers
    to it, and at the latest at the end of the run.

    Example:
        >>> from hfexecutor import HubExecutor
        >>> with HubExecutor(2, bucket=True, endpoint="local") as executor:
        ...     parts = list(executor.map(bytes, [5_000_000, 6_000_000], keep="remote"))
        ...     sizes = list(executor.map(len, parts))
        ...     sizes, parts[0].get() == bytes(5_000_000)
        ([5000000, 6000000], True)
    """

    __slots__ = ("__weakref__", "_buffers", "_content", "_imports")

    def __init__(self, content: Content, imports: Iterable[Import], buffers: Buffers) -> None:
        self._content = content
        self._imports = imports  # that have to be possible where it is unpickled
        self._buffers = buffers  # of the executor

    def __repr__(self) -> str:
        return f"<RemoteValue {self._content}>"

    @property
    def size(self) -> int:
        """Bytes of the value as it is pickled."""
        return self._content.size

    def get(self) -> T_co:
        """Download the value, compare it with what its job has said of it, and return it.

        It blocks as long as that takes: files of other jobs may show late, so it waits up to two
        minutes, and a second for each 4 MiB. In a coroutine say
        ``await asyncio.to_thread(value.get)``. Each time it makes a new value; no job is needed.

        Raises:
            RuntimeError: The run is over, and its files with it.
            JobLostError: It is not in the bucket, or not what the job has put there.
            HubError: The Hub refuses it, or cannot be reached.
            HubExecutorError: This machine's disk has no room for it.
            PayloadTooLargeError: Its memory has none.
            UnpicklableResultError: It cannot be unpickled here.
        """
        payload, places = self._content.read()
        try:
            value: T_co = load(payload, places)
        except Exception as error:  # classes run their own code when they are unpickled
            raise UnpicklableResultError(
                f"{self!r} cannot be unpickled here ({type(error).__name__}: {error}); is a "
                "package missing on this side, or of another version?"
            ) from error
        return value

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} can be passed to calls of its executor, and nowhere else")


def content_of(value: RemoteValue[Any]) -> Content:
    """Return what has to be there as long as a call refers to a value."""
    return value._content  # noqa: SLF001 - this module's own


def reduced(
    value: RemoteValue[Any], buffers: Buffers | None
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return what stands for a value in the pickle of a call.

    Args:
        value: Its handle.
        buffers: Those that the call's pickle refers to.

    Raises:
        UnpicklableCallError: They are those of another executor, or of none.
    """
    if buffers is not value._buffers:  # noqa: SLF001 - as above
        raise UnpicklableCallError(
            f"{value!r} belongs to the calls of another executor: pass its get() to this one"
            if buffers is not None
            else f"{value!r} can be passed to calls, and not to an initializer: pass its get()"
        )
    make, args = content_of(value).reduce()
    return make, (tuple(map(tuple, value._imports)), *args)  # noqa: SLF001 - as above
