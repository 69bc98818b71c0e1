"""How a call ended: both ends of an outcome's bytes in one place, so that they cannot drift.

The child (or, where there is none left, the supervisor) encodes, the client decodes. Decoding
unpickles nothing; :meth:`Outcome.value` and :meth:`Outcome.exception` do, and are for bytes whose
MAC was found right.
"""

from __future__ import annotations

import struct

from . import plain
from .exceptions import OutcomeError, Raised, builtin_base, rebuild

TYPE_CHECKING = False  # importing typing would cost a job's start several milliseconds
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .buffers import Buffer, Place

__all__ = [
    "BAD_CALL",
    "DIED",
    "INITIALIZER",
    "IN_BUCKET",
    "MISMATCH",
    "NOT_INSTALLED",
    "RAISED",
    "TIMEOUT",
    "TOO_LARGE",
    "UNPICKLABLE",
    "VALUE",
    "Outcome",
    "OutcomeError",
    "Raised",
    "builtin_base",
    "decode",
    "encode",
    "encode_details",
    "layout_of",
    "rebuild",
]

VALUE = b"V"  # payload: the value, as in :mod:`.buffers`
RAISED = b"E"  # payload: Raised
DIED = b"D"  # details: pid, exitcode, signal, during ("call", "initializer", "start"), asked (KILL)
TIMEOUT = b"T"  # details: seconds
UNPICKLABLE = b"U"  # details: type, repr, error, traceback of the result that cannot be pickled
BAD_CALL = b"X"  # details: type, error, traceback of what happened when the call was unpickled
MISMATCH = b"M"  # details: wanted, found (versions of Python)
INITIALIZER = b"I"  # payload: Raised by the initializer
NOT_INSTALLED = b"N"  # details: requirements, error (the last lines of uv)
IN_BUCKET = b"S"  # details: name, size, layout, digest, type of a value in a file (:mod:`.bucket`)
TOO_LARGE = b"L"  # details: size, limit of a value that has no way back, why

_STATUSES = (
    VALUE
    + RAISED
    + DIED
    + TIMEOUT
    + UNPICKLABLE
    + BAD_CALL
    + MISMATCH
    + INITIALIZER
    + NOT_INSTALLED
    + IN_BUCKET
    + TOO_LARGE
)
_HEAD = struct.Struct("<cfIIH")
HEAD_BYTES = _HEAD.size  # that are free before a payload in shared memory
_TICKS = 10_000  # a second: 32 bits of them are nearly five days
_MOST_TICKS = (1 << 32) - 1
UNTERMINATED = 1 << 31  # in the count of printed lines: the last one has no newline


def encode(
    status: bytes,
    duration: float,
    printed: int,
    payload: Buffer = b"",
    *,
    began: float = 0.0,
    slot: int = 0,
) -> Buffer:
    """Return an outcome's bytes: the head, then the payload. See :class:`Outcome`.

    A payload in shared memory, a memoryview that can be written to, has room for the head before
    it, and is not copied.
    """
    ticks = int(began * _TICKS)
    if not 0 <= ticks <= _MOST_TICKS:
        ticks = min(max(ticks, 0), _MOST_TICKS)
    head = _HEAD.pack(status, duration, printed, ticks, slot & 0xFFFF)
    if isinstance(payload, memoryview) and not payload.readonly:
        payload[:HEAD_BYTES] = head
        return payload
    return head + payload


def layout_of(data: Buffer) -> tuple[int, ...]:
    """Return kind and size of each buffer at the end of an outcome's bytes; nothing without."""
    from . import buffers  # noqa: PLC0415 - it does not travel for who has the wrong Python

    return buffers.layout_of(memoryview(data)[HEAD_BYTES:]) if data[:1] == VALUE else ()


def encode_details(
    status: bytes,
    duration: float,
    printed: int,
    details: dict[str, Any],
    *,
    began: float = 0.0,
    slot: int = 0,
) -> Buffer:
    """Return the bytes of an outcome whose payload is details."""
    return encode(status, duration, printed, plain.pack(details), began=began, slot=slot)


class Outcome:
    """How a call ended.

    Attributes:
        status: one of the constants of this module.
        duration: seconds that the call ran, to seven digits.
        began: seconds from the worker's start to the call's, in tenths of a millisecond; at most
            what is nearly five days.
        slot: the place in the worker where it ran.
        printed: how many plain lines of the log are its own.
        unterminated: the last of them had no newline at its end.
        payload: what belongs to the status.
        places: where the buffers of a value are that are not in its payload; None if they are.
    """

    __slots__ = (
        "began", "duration", "payload", "places", "printed", "slot", "status", "unterminated",
    )  # fmt: skip

    def __init__(
        self,
        status: bytes,
        duration: float,
        printed: int,
        payload: Buffer,
        *,
        unterminated: bool = False,
        places: Sequence[Place] | None = None,
        began: float = 0.0,
        slot: int = 0,
    ) -> None:
        self.status = status
        self.duration = duration
        self.began = began
        self.slot = slot
        self.printed = printed
        self.unterminated = unterminated
        self.payload = payload
        self.places = places

    def __repr__(self) -> str:
        status, size = self.status.decode(), len(self.payload)
        return f"<Outcome {status} in {self.duration:.3f} s, {self.printed} lines, {size} bytes>"

    def value(self) -> Any:
        """Unpickle and return the call's value (status V). Raises whatever unpickling raises.

        To be called once: buffers that have places become a part of the value.
        """
        places, self.places = self.places, None
        if self.payload and self.payload[0]:  # a pickle, and no buffers: by far the most
            import pickle  # noqa: PLC0415 - the client alone does this, and has it

            return pickle.loads(self.payload)
        from . import buffers  # noqa: PLC0415 - as above

        return buffers.load(self.payload, places)

    def with_value(self, payload: Buffer, places: Sequence[Place]) -> Outcome:
        """Return the outcome with the value that was not in it."""
        return Outcome(
            VALUE,
            self.duration,
            self.printed,
            payload,
            unterminated=self.unterminated,
            places=places,
            began=self.began,
            slot=self.slot,
        )

    def whole(self) -> bytes:
        """Return the payload with the buffers of a value in it."""
        return b"".join((self.payload, *(place.view for place in self.places or ())))

    def details(self) -> dict[str, Any]:
        """Return the payload of the statuses D, T, U, X, M, N, S and L.

        Raises:
            OutcomeError: there is none.
        """
        try:
            return plain.unpack(self.payload)
        except ValueError as error:
            raise OutcomeError(f"no details in outcome {self.status!r}") from error

    def raised(self) -> Raised:
        """Return what is told of the exception (statuses E and I).

        Raises:
            OutcomeError: this is no such outcome, or it is damaged.
        """
        return Raised.decode(bytes(self.payload))

    def exception(self) -> BaseException | None:
        """Unpickle and return the exception (statuses E and I), None if it cannot be rebuilt."""
        return self.raised().exception()


def decode(data: Buffer, places: Sequence[Place] | None = None) -> Outcome:
    """Return the outcome that `data` holds, without unpickling anything.

    Args:
        data: what :func:`encode` returned.
        places: of the buffers of a value, if they are not in the data.

    Raises:
        OutcomeError: it holds none.
    """
    if len(data) < HEAD_BYTES or data[0] not in _STATUSES:
        raise OutcomeError("these bytes are no outcome")
    status, duration, printed, ticks, slot = _HEAD.unpack_from(data)
    payload = data[HEAD_BYTES:] if isinstance(data, bytes) else memoryview(data)[HEAD_BYTES:]
    return Outcome(
        status,
        duration,
        printed & ~UNTERMINATED,
        payload,
        unterminated=bool(printed & UNTERMINATED),
        places=places,
        began=ticks / _TICKS,
        slot=slot,
    )
