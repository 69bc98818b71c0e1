"""Sockets of a hub: how they listen, under which names, and how they are cut."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from asyncio.trsock import TransportSocket

LOOPBACK = "127.0.0.1"
_NAMES = {"localhost", LOOPBACK, "[::1]"}


def listen(port: int) -> socket.socket:
    """Return a listening socket on this machine's loopback address; port 0 is any free one.

    Raises:
        OSError: the port is taken.
    """
    # asyncio turns Nagle's algorithm off only where the protocol is named, and with that algorithm
    # replies on a connection that is kept wait 40 ms for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(1024)
    except BaseException:
        listener.close()
        raise
    return listener


def is_loopback(host: str) -> bool:
    """Say whether a Host header names this machine's loopback address, with or without a port.

    Any other name that leads here is somebody else's (DNS rebinding).
    """
    return host in _NAMES or host.rpartition(":")[0] in _NAMES


def stop_listening(listener: socket.socket | TransportSocket) -> None:
    """Stop listening even where a fork of this process holds the socket too."""
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)


def reset(transport: asyncio.Transport) -> None:
    """Cut a connection so that the other side notices at once, as it would a crash."""
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def cut(transport: asyncio.Transport) -> None:
    """Cut a connection, even where a fork of this process holds it too."""
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        stop_listening(connection)
    transport.abort()
