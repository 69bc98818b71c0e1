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

__all__ = ["channel", "receive", "send"]

_HANDLE = struct.Struct("i")
_MOST_PIECES = 1024  # of one system call


def channel() -> tuple[int, int]:
    """Return both ends of a way for descriptors; -1 and -1 where the system has no such memory.

    Raises:
        OSError: there is no descriptor left.
    """
    if not hasattr(os, "memfd_create"):
        return -1, -1
    import _socket  # noqa: PLC0415 - the same as `socket`, without the modules that it imports

    one, other = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    return one.detach(), other.detach()


def send(end: int, room: int, pieces: Sequence[Buffer]) -> None:
    """Put pieces into new shared memory, after `room` free bytes, and let the other end have it.

    Raises:
        OSError: there is no memory, no descriptor, or no other end.
    """
    import _socket  # noqa: PLC0415

    memory = os.memfd_create("hfexecutor", os.MFD_CLOEXEC)
    try:
        os.lseek(memory, room, os.SEEK_SET)
        _write_all(memory, pieces)
        socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, end)
        try:
            handle = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, _HANDLE.pack(memory))
            socket.sendmsg([b"\0"], [handle])
        finally:
            socket.detach()
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
    import _socket  # noqa: PLC0415
    import mmap  # noqa: PLC0415

    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, end)
    try:
        _, handles, _, _ = socket.recvmsg(1, _socket.CMSG_SPACE(_HANDLE.size))
    finally:
        socket.detach()
    if not handles:
        raise OSError("no descriptor came")
    (memory,) = _HANDLE.unpack_from(handles[0][2])
    try:
        return memoryview(mmap.mmap(memory, 0))
    except ValueError as error:
        raise OSError("there is nothing in it") from error
    finally:
        os.close(memory)
