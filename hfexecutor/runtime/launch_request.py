"""What a launch request carries: configuration, initializer, functions, calls; as secrets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hfexecutor.environment import client_python
from hfexecutor.errors import PayloadTooLargeError
from hfexecutor.hub.hosts import is_loopback, split
from hfexecutor.hub.limits import FOR_CALLS
from hfexecutor.labels import CALLS_LABEL, LAUNCH_LABEL, label_of_calls
from hfexecutor.payload.package import launch_secrets, message_room
from hfexecutor.remote import entries as wire
from hfexecutor.remote import frames, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfexecutor.core.call import Call
    from hfexecutor.core.commands import Post
    from hfexecutor.hub.launch import JobSpec
    from hfexecutor.options import Options
    from hfexecutor.runtime.connection import Connection
    from hfexecutor.runtime.values import Mounts

__all__ = ["LAUNCH_MESSAGE", "compose", "launch_entries", "room"]

LAUNCH_MESSAGE = 0  # its number; those to the door count from 1
PRINT_CAP = 256 * 1024


def room(options: Options) -> int:
    """Return how many bytes of calls a launch request can carry beside what these options need.

    Raises:
        PayloadTooLargeError: None.
    """
    variables = (*options.env.items(), *options.secrets.items())
    taken = sum(len(name.encode()) + len(value.encode()) + 2 for name, value in variables)
    left = message_room(taken) - len(options.initializer or b"")
    if left <= 0:
        raise PayloadTooLargeError(
            f"initializer and initargs leave no room for a call in a launch request ({-left:,} "
            "bytes too many beside env and secrets); have the initializer load its data itself"
        )
    return min(FOR_CALLS, left)


def compose(connection: Connection, options: Options, post: Post, mounts: Mounts) -> JobSpec:
    """Return the launch request of a worker, with the calls aboard in its secrets."""
    config = _config(connection, options, post)
    config |= {"arguments": mounts.arguments, "results": mounts.results}
    config["no_results"] = mounts.why_not
    entries = launch_entries(config, options.initializer, post.calls)
    seal, key = connection.seal(post.worker), connection.launch_key(post.worker).hex()
    message = frames.seal_message(seal, LAUNCH_MESSAGE, wire.pack(entries))
    secrets = {**options.secrets, **launch_secrets(key, message, client_python())}
    return replace(
        connection.spec,
        flavor=post.kind,
        secrets=secrets,
        timeout=options.timeout,
        labels={
            **options.labels,
            **connection.all_labels,
            LAUNCH_LABEL: post.worker,
            CALLS_LABEL: label_of_calls(call.id for call in post.calls),
        },
        expose=() if post.port is None else (post.port,),
        volumes=(*connection.spec.volumes, *mounts.volumes),
    )


def launch_entries(
    config: dict[str, Any], initializer: bytes | None, calls: Sequence[Call]
) -> list[wire.Entry]:
    """Return what the launch message says: what calls refer to stands there once, before them."""
    entries = [wire.Entry(wire.CONFIG, 0, 0, 1, plain.pack(config))]
    if initializer is not None:
        entries.append(wire.Entry(wire.INIT, 0, 0, 1, initializer))
    kept: dict[tuple[int, int], bytes] = {}
    for call in calls:
        for kind, number, data in call.attachments:
            kept[kind, number] = data
        if call.function is not None:
            kept[wire.FUNCTION, call.function.id] = call.function.data
    entries += [wire.Entry(*key, 0, 1, data) for key, data in kept.items()]
    stored = {buffer.name for call in calls if call.stored for buffer in call.buffers}
    if stored:
        entries.append(wire.Entry(wire.STORED, 0, 0, 1, b"".join(sorted(stored))))
    buffers = {
        buffer.name: buffer
        for call in calls
        for buffer in call.buffers
        if buffer.name not in stored
    }
    entries += [
        wire.Entry(wire.BUFFER, 0, 0, 1, b"".join((name, buffer.data)))
        for name, buffer in buffers.items()
    ]
    return [*entries, *(entry for call in calls for entry in call.itself)]


def _config(connection: Connection, options: Options, post: Post) -> dict[str, Any]:
    local = is_loopback(split(connection.hub.endpoint).host)
    machine = connection.hardware.get(post.kind)
    # A job counts its CPUs itself where the Hub's list does not have its flavor.
    unknown = options.slots_per_job == "auto" and machine is None
    return {
        "slots": "auto" if unknown else post.slots,
        "most_slots": post.slots,
        "accelerators": machine.accelerators if machine is not None else 0,
        "idle_timeout": options.idle_timeout,
        "keep_for": options.kept_for,
        "max_tasks_per_child": options.max_tasks_per_child,
        "port": post.port,
        # The Hub's proxy comes from outside the container; on this machine nobody else should.
        "host": "127.0.0.1" if local else "0.0.0.0",  # noqa: S104
        "initializer_needs": options.initializer_needs,
        "one_shot": post.one_shot,
        "print_cap": PRINT_CAP,
    }
