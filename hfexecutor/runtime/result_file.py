"""A result that stays in the bucket, as a handle has it: it blocks whoever reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from hfexecutor.core import failures
from hfexecutor.errors import HubExecutorError
from hfexecutor.remote import handles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hfexecutor.remote.buffers import Place
    from hfexecutor.runtime.values_bucket import ValuesBucket

__all__ = ["ResultFile"]


class ResultFile:
    """What a job has put into the bucket, of which its outcome tells.

    Args:
        bucket: Of its run.
        said: What the job has said of it: name, size, layout, digest, type.
        where: Its call ran, for messages.
        token: Returns the token of the moment.

    Attributes:
        name: Of the file.
        size: Its bytes.

    Raises:
        LookupError, TypeError, ValueError: The job has said what cannot be.
    """

    def __init__(
        self, bucket: ValuesBucket, said: dict[str, Any], where: str, token: Callable[[], str]
    ) -> None:
        bucket.path_of(said)
        self.name: str = said["name"]
        self.size = int(said["size"])
        self._layout = tuple(map(int, said["layout"]))
        self._digest = str(said["digest"])
        self._bucket = bucket
        self._said = said
        self._where = where
        self._token = token

    def __str__(self) -> str:
        return f"{self._said.get('type')}, {self.size:,} bytes, in the bucket"

    def read(self) -> tuple[bytearray, Sequence[Place]]:
        """Download it, and compare it with what the job has said. Raises as RemoteValue.get."""
        bucket = self._bucket
        if bucket.cleared:
            self._fail()
        bucket.token = self._token()
        try:
            return bucket.get(self._said)
        except MemoryError as error:
            raise failures.no_room_here(self._where, str(error)) from error
        except HubExecutorError:
            if bucket.cleared:
                self._fail()
            raise
        except OSError as error:
            raise HubExecutorError(f"{self}, cannot be read here: {error}") from error

    def _fail(self) -> NoReturn:
        raise RuntimeError(
            f"{self} of a run that is over, whose files are removed: call get() before the end of "
            "the with block"
        )

    def reduce(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return what makes the value in a job."""
        return handles.stored, (self.name, self.size, self._layout, self._digest)
