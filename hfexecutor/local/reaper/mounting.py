"""Lets a process, and what it starts, see directories at places of which no other process knows.

That is done with a mount namespace of its own. The places need not exist on this machine, and are
not made there: the process gets a root of its own, a file system in memory with everything in it
that is in the machine's root (bind mounts), and with the places. Where one lies deeper (/mnt/data),
the directories above it are put together in the same way. Whoever may not mount gets a user
namespace too, in which he has the same numbers as before, and may.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import sys

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_MOUNTS, _NEW_USERS = 0x00020000, 0x10000000
_BIND, _REC, _PRIVATE, _REMOUNT, _READ_ONLY = 0x1000, 0x4000, 1 << 18, 0x20, 0x1
_DETACH = 2
# What a mount is, as statvfs tells it and mount takes it; it cannot be taken off in a namespace.
_KEPT = {0x2: 0x2, 0x4: 0x4, 0x8: 0x8, 0x400: 0x400, 0x800: 0x800, 0x1000: 1 << 21}

Mounts = list[tuple[str, str, bool]]  # directory, place, whether it is read-only


def enter(root: str, mounts: Mounts) -> None:
    """Have this process, and what it starts, see directories at their places.

    Args:
        root: an empty directory.
        mounts: the places are absolute and normal; one may lie in another one.

    Raises:
        OSError: this machine, or its administrator, does not allow it.
    """
    _unshare()
    _mount("", "/", "", _REC | _PRIVATE)
    _mount("tmpfs", root, "tmpfs", 0)
    mounts = sorted(mounts, key=lambda one: one[1])
    places = [place for _, place, _ in mounts]
    outer = [one for one in places if not any(_within(one, other) for other in places)]
    above = {parent for place in outer for parent in _parents(place)}
    for directory in sorted(above):
        _compose(root, directory, above, outer)
    for directory, place, _ in mounts:
        os.makedirs(root + place, exist_ok=True)  # noqa: PTH103 - pathlib is slow to import
        _mount(directory, root + place, "", _BIND | _REC)
    for _, place, read_only in mounts:
        if read_only:
            flags = sum(to for of, to in _KEPT.items() if os.statvfs(root + place).f_flag & of)
            _mount("", root + place, "", _BIND | _REMOUNT | _READ_ONLY | flags)
    _pivot(root)


def probe() -> None:
    """Try it, and say what hinders; for a process of its own."""
    root, volume = sys.argv[2:4]
    try:
        enter(root, [(volume, "/hfexecutor/probe", True)])
    except (OSError, AttributeError) as error:  # AttributeError: this system's libc has no such
        sys.exit(getattr(error, "strerror", None) or str(error))
    try:
        os.mkdir("/hfexecutor/probe/x")  # noqa: PTH102
    except OSError as error:
        if error.errno == errno.EROFS:
            return
        raise
    sys.exit("what is mounted read-only can be written")


def _within(place: str, other: str) -> bool:
    return place.startswith(f"{other}/")


def _parents(place: str) -> list[str]:
    parts = place.split("/")[1:-1]
    return ["/".join(["", *parts[:depth]]) or "/" for depth in range(len(parts) + 1)]


def _compose(root: str, directory: str, above: set[str], places: list[str]) -> None:
    """Make one of the directories above a place, with all in it that the machine has there."""
    target = root + directory
    os.makedirs(target, exist_ok=True)  # noqa: PTH103
    if not os.path.isdir(directory):  # noqa: PTH112
        return
    os.chmod(target, stat.S_IMODE(os.stat(directory).st_mode))  # noqa: PTH101, PTH116
    for name in os.listdir(directory):  # noqa: PTH208
        source = os.path.join(directory, name)  # noqa: PTH118
        if source not in above and source not in places:
            with contextlib.suppress(FileNotFoundError):  # it is no longer there
                _show(source, root + source)


def _show(source: str, target: str) -> None:
    mode = os.lstat(source).st_mode
    if stat.S_ISLNK(mode):
        os.symlink(os.readlink(source), target)  # noqa: PTH115, PTH211
        return
    if stat.S_ISDIR(mode):
        os.mkdir(target)  # noqa: PTH102
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600))
    _mount(source, target, "", _BIND | _REC)


def _unshare() -> None:
    if _LIBC.unshare(_NEW_MOUNTS) == 0:
        return
    user, group = os.getuid(), os.getgid()
    _check(_LIBC.unshare(_NEW_USERS | _NEW_MOUNTS))
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{user} {user} 1")
    _write("/proc/self/gid_map", f"{group} {group} 1")


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _mount(source: str, target: str, kind: str, flags: int) -> None:
    words = (os.fsencode(source), os.fsencode(target), kind.encode())
    _check(_LIBC.mount(*words, ctypes.c_ulong(flags), None))


def _pivot(root: str) -> None:
    """Make a directory the root, with nothing of the old one left."""
    os.chdir(root)
    _check(_LIBC.pivot_root(b".", b"."))
    _check(_LIBC.umount2(b".", _DETACH))
    os.chdir("/")


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
