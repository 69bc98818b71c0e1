"""What a job says when its Python is not the client's: pickles must not be exchanged then."""

from __future__ import annotations

import os
import sys

from . import entries, frames, outcomes, plain, seals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def refuse(launch: dict[str, bytearray], wanted: str) -> None:
    """Answer every call of the launch message with the mismatch, and take leave.

    So does call 0, which is the worker itself: there may have been no call in the message.
    """
    seal = seals.Seal(launch["key"])
    _, body = seals.open_message(seal, launch["message"])
    calls = [entry.call for entry in entries.unpack(body) if entry.kind == entries.CALL]
    writer = frames.LineWriter(seal, os.urandom(4).hex())
    found = list(sys.version_info[:3])
    for line in writer.lines(_words(calls, [int(part) for part in wanted.split(".")], found)):
        _write(line + b"\n")


def _words(calls: list[int], wanted: list[int], found: list[int]) -> Iterator[entries.Entry]:
    details = {"wanted": wanted, "found": found}
    outcome = bytes(outcomes.encode_details(outcomes.MISMATCH, 0.0, 0, details))
    for call in (0, *calls):
        yield entries.Entry(entries.OUTCOME, call, 0, 1, outcome)
    yield entries.Entry(entries.BYE, 0, 0, 1, plain.pack({"why": "python", "calls": 0}))


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]
