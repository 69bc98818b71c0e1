"""A run as lines of text, and from those lines the same run again: what a bug report attaches.

Everything that the core decides follows from what it was told, when, and from one seed. So a file
of that is the whole run: no payload, no key and nothing that a call printed is in it, only sizes,
ids, times, stages, addresses, and the words of errors. :func:`replay` tells a machine the same
again and yields what it says, step by step; where a version of ours decides otherwise, that shows.

The first line has the limits and the seed, each further one a step::

    {"now": 12.5, "events": [["Cancelled", [7]]], "refused": [], "said": ["NotifyCancelled"]}
"""

from __future__ import annotations

import dataclasses
import json
from enum import Enum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from hfexecutor import errors
from hfexecutor.core import events as ev
from hfexecutor.core.call import Attachment, Buffer, Call, CallOptions, Function
from hfexecutor.core.machine import Machine
from hfexecutor.core.rules import Limits, Rules
from hfexecutor.core.worker import JOB_STARTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from random import Random

    from hfexecutor.core.commands import Command

__all__ = ["Step", "head", "replay", "step"]

VERSION = 2
_FAILURES: dict[str, type[Enum]] = {
    kind.__name__: kind for kind in (ev.LaunchFailure, ev.DoorFailure)
}


class Step(NamedTuple):
    """One step of a replayed run: when, what was told, what the core says, and said then."""

    now: float
    events: tuple[ev.Event, ...]
    commands: tuple[Command, ...]
    recorded: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the core decides otherwise than it did when the run was recorded."""
        return tuple(type(command).__name__ for command in self.commands) != self.recorded


# --- to text ----------------------------------------------------------------------------------


def head(limits: Limits, seed: int) -> str:
    """Return the first line of a recording."""
    return json.dumps({"version": VERSION, "limits": limits._asdict(), "seed": seed})


def step(
    now: float, events: Sequence[ev.Event], refused: Iterable[int], commands: Iterable[Command]
) -> str:
    """Return the line of one step; `refused` are the calls that could not be claimed in it."""
    return json.dumps(
        {
            "now": now,
            "events": [_written(event) for event in events],
            "refused": list(refused),
            "said": [type(command).__name__ for command in commands],
        }
    )


def _written(value: Any) -> Any:  # noqa: PLR0911 - a line for each kind of value
    if isinstance(value, Call):
        function = value.function
        return {
            "call": value.id,
            "size": len(value.data),
            "function": None if function is None else [function.id, len(function.data)],
            "attachments": [[kind, n, len(data)] for kind, n, data in value.attachments],
            "options": _options(value.options),
            "buffers": [[buffer.name.hex(), buffer.size] for buffer in value.buffers],
        }
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "text": str(value)}
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, Enum):
        return {"enum": type(value).__name__, "value": value.value}
    if isinstance(value, ev.LogEnded):  # what calls printed is nobody's business
        tail = tuple(JOB_STARTED if line.startswith(JOB_STARTED) else "..." for line in value.tail)
        return ["LogEnded", [*map(_written, value[:-1]), _written(tail)]]
    if isinstance(value, ev.Refused):
        return ["Refused", ["..."]]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [type(value).__name__, [_written(item) for item in value]]
    if isinstance(value, tuple):
        return {"tuple": [_written(item) for item in value]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return {"status": value.status.decode(), "duration": value.duration}  # an outcome


def _options(options: CallOptions) -> dict[str, Any]:
    """Return the options of a call; what is opaque to the core is only whether there is any."""
    values = ((field.name, getattr(options, field.name)) for field in dataclasses.fields(options))
    simple = (bool, int, float, str, type(None))
    return {
        name: value if name == "kinds" or isinstance(value, simple) else True
        for name, value in values
    }


# --- and back ---------------------------------------------------------------------------------


def replay(
    lines: Iterable[str], chance: Callable[[int], Random], rules: Rules | None = None
) -> Iterator[Step]:
    """Tell a machine what a recording says, and yield each step.

    Args:
        lines: The recording.
        chance: Makes a generator of a seed: ``random.Random``.
        rules: The core's constants; None for those that ship.

    Raises:
        ValueError: That is no recording, or one of another version.
    """
    lines = iter(lines)
    first = json.loads(next(lines, "null"))
    if not isinstance(first, dict) or first.get("version") != VERSION:
        raise ValueError(f"this is no recording of version {VERSION}")
    refused: set[int] = set()
    machine = Machine(
        Limits(**first["limits"]),
        rules or Rules(),
        claim=lambda call: call.id not in refused,
        rng=chance(first["seed"]),
    )
    for line in lines:
        told = json.loads(line)
        refused.clear()
        refused.update(told["refused"])
        events = tuple(_read(event) for event in told["events"])
        commands = tuple(machine.handle(events, told["now"]))
        yield Step(told["now"], events, commands, tuple(told["said"]))


def _read(value: Any) -> Any:  # noqa: PLR0911 - as above, the other way round
    if isinstance(value, list):
        name, fields = value
        return getattr(ev, name)(*map(_read, fields))
    if not isinstance(value, dict):
        return value
    if "tuple" in value:
        return tuple(map(_read, value["tuple"]))
    if "call" in value:
        about = value["function"]
        function = None if about is None else Function(about[0], bytes(about[1]))
        attachments = tuple(Attachment(k, n, bytes(size)) for k, n, size in value["attachments"])
        options = CallOptions(**value["options"] | {"kinds": tuple(value["options"]["kinds"])})
        buffers = tuple(Buffer(bytes.fromhex(name), size) for name, size in value["buffers"])
        data = bytes(value["size"])
        return Call(value["call"], None, data, function, attachments, buffers, options=options)
    if "error" in value:
        kind = getattr(errors, value["error"], errors.HubExecutorError)
        return kind(value["text"])
    if "hex" in value:
        return bytes.fromhex(value["hex"])
    if "enum" in value:
        return _FAILURES[value["enum"]](value["value"])
    return SimpleNamespace(status=value["status"].encode(), duration=value["duration"])
