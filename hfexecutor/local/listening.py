"""Sockets of a hub: how they listen, under which names, and how they are cut."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


def stop_listening(server: asyncio.Server) -> None:
    """Stop listening even where a fork of this process holds the sockets too.

    Whoever was let in a moment ago becomes a connection in the loop's next round. To a server that
    is closed by then asyncio does not attach it: nobody would ever close that socket.
    """
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener)
        shut_down(listener)
    loop.call_soon(server.close)


def shut_down(connection: socket.socket | TransportSocket) -> None:
    """End a socket in all processes that hold it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


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
        shut_down(connection)
    transport.abort()
