"""Shared memory without a name: one process fills it, another one maps it, and nothing is left.

Its descriptor goes through a socket. When nobody maps it any more it is gone, whoever was killed.
"""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .buffers import Buffer

__all__ = ["AVAILABLE", "channel", "receive", "receive_files", "send", "send_files"]

AVAILABLE = hasattr(os, "memfd_create")
_MOST_PIECES = 1024  # of one system call


def channel() -> tuple[int, int]:
    """Return both ends of a way for descriptors.

    Raises:
        OSError: there is no descriptor left.
    """
    import _socket  # noqa: PLC0415 - the same as `socket`, without the modules that it imports

    one, other = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    return one.detach(), other.detach()


def send_files(end: int, files: Sequence[int]) -> None:
    """Send descriptors, in one message.

    Raises:
        BlockingIOError: there is no room now.
        OSError: the other end is gone, or the system carries no more descriptors just now.
    """
    import _socket  # noqa: PLC0415

    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, end)
    try:
        content = struct.pack(f"{len(files)}i", *files)
        socket.sendmsg([b"\0"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, content)])
    finally:
        socket.detach()


def receive_files(end: int, count: int) -> list[int]:
    """Return the descriptors of the next message, so many.

    Raises:
        OSError: there is no message, or they cannot be had.
    """
    import _socket  # noqa: PLC0415

    size = struct.calcsize(f"{count}i")
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, end)
    try:
        _, messages, _, _ = socket.recvmsg(1, _socket.CMSG_SPACE(size))
    finally:
        socket.detach()
    if not messages or len(messages[0][2]) < size:
        raise OSError("no descriptor came")
    return list(struct.unpack_from(f"{count}i", messages[0][2]))


def send(end: int, room: int, pieces: Sequence[Buffer]) -> None:
    """Put pieces into new shared memory, after `room` free bytes, and let the other end have it.

    Raises:
        OSError: there is no memory, no descriptor, or no other end.
    """
    memory = os.memfd_create("hfexecutor", os.MFD_CLOEXEC)
    try:
        os.lseek(memory, room, os.SEEK_SET)
        _write_all(memory, pieces)
        send_files(end, [memory])
    finally:
        os.close(memory)


def _write_all(fd: int, pieces: Sequence[Buffer]) -> None:
    left = [memoryview(piece) for piece in pieces if len(piece)]
    while left:
        written = os.writev(fd, left[:_MOST_PIECES])
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = left[0][written:]


def receive(end: int) -> memoryview:
    """Return the next memory that came, mapped, with its free room: it can be written to.

    Raises:
        OSError: there is none, or it cannot be had.
    """
    import mmap  # noqa: PLC0415

    (memory,) = receive_files(end, 1)
    try:
        return memoryview(mmap.mmap(memory, 0))
    except ValueError as error:
        raise OSError("there is nothing in it") from error
    finally:
        os.close(memory)
