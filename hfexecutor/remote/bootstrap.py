"""The first code in a job: it travels in a secret, and any Python 3.7 or later has to run it.

It checks that this is the right Python and wipes the secrets out of the environment, so that
neither user code nor ``/proc/<pid>/environ`` of any process of ours knows the key. Where the
system does not let a process do that to itself, this one becomes a new interpreter that never had
them.
"""

# ruff: noqa: PTH123, S102, S108, S302, S606, T201, UP031 - this runs before, and on more than, the rest

import binascii
import marshal
import os
import sys
import zlib

PREFIX = "HFEXECUTOR_"
# What a new interpreter begins with: it reads a file with key, package and message.
FIRST = (
    "import marshal,sys;fd,size=map(int,sys.argv[1:]);file=open(fd,'rb',0);"
    "launch={'key':bytearray(32)};file.readinto(launch['key']);"
    "codes=marshal.loads(file.read(size));launch['message']=bytearray(file.readall());"
    "file.close();exec(marshal.loads(codes['loading']));start(codes,launch)"
)


def value(name: str) -> str:
    """Return a secret, put together again where it had to be cut."""
    parts: list[str] = []
    while "%s%s_%d" % (PREFIX, name, len(parts)) in os.environ:
        parts.append(os.environ["%s%s_%d" % (PREFIX, name, len(parts))])
    return "".join(parts) or os.environ[PREFIX + name]


def is_right(magic: bytes) -> bool:
    """Say whether this is the Python that the package was made for."""
    from _frozen_importlib_external import MAGIC_NUMBER  # noqa: PLC0415

    return value("PYTHON") == "%d.%d" % sys.version_info[:2] and magic == MAGIC_NUMBER


# --- the wrong Python ---------------------------------------------------------------------------


def refuse(package: "dict[str, bytes]", launch: "dict[str, bytearray]") -> None:
    """Say that this Python is the wrong one, in frames that the client understands."""
    wanted = value("PYTHON")
    print("hfexecutor: this job runs Python %s, not %s" % (sys.version.split()[0], wanted))
    sys.stdout.flush()
    sources = marshal.loads(zlib.decompress(package["sources"]))
    code = {name: marshal.dumps(compile(sources[name], name, "exec")) for name in sources}
    loading(code)["install"](code)  # type: ignore[operator]
    __import__("hfexecutor_remote.refusal").refusal.refuse(launch, wanted)


# --- the right one ------------------------------------------------------------------------------


def wipe_environment() -> bool:
    """Take the secrets out of this process's environment; say whether that could be done.

    A variable that is deleted stays where the kernel has put it, for ``/proc/<pid>/environ`` to
    show: so it is overwritten there. It also stays in what Python read when it started.
    """
    initial = sys.modules["posix"].environ
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
        initial.pop(name.encode(), None)
    try:
        overwrite_initial_environment()
        with open("/proc/self/environ", "rb") as file:
            return PREFIX.encode() not in file.read()
    except (OSError, ValueError, IndexError):  # no Linux, or one that is careful
        return False


def overwrite_initial_environment() -> None:
    """Overwrite our variables in the memory where the kernel has put them."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[47]), int(fields[48])  # env_start, env_end: see proc_pid_stat(5)
    fd = os.open("/proc/self/mem", os.O_RDWR)
    try:
        texts = os.pread(fd, end - start, start).split(b"\0")
        ours = PREFIX.encode()
        clean = [bytes(len(text)) if text.startswith(ours) else text for text in texts]
        os.pwrite(fd, b"\0".join(clean), start)
    finally:
        os.close(fd)


def go_on(package: "dict[str, bytes]", launch: "dict[str, bytearray]") -> None:
    """Become the supervisor."""
    codes = marshal.loads(zlib.decompress(package["codes"]))
    loading(codes)["start"](codes, launch)  # type: ignore[operator]


def loading(codes: "dict[str, bytes]") -> "dict[str, object]":
    """Return what the module defines that all others are loaded with."""
    space: dict[str, object] = {"__name__": "loading"}
    exec(marshal.loads(codes["loading"]), space)
    return space


def hand_over(package: "dict[str, bytes]", launch: "dict[str, bytearray]") -> None:
    """Become a new interpreter that knows nothing but what is in a file without a name."""
    fd = nameless_file()
    codes = zlib.decompress(package["codes"])
    for data in (launch["key"], codes, launch["message"]):
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    os.set_inheritable(fd, True)
    environment = {name: os.environ[name] for name in os.environ if not name.startswith(PREFIX)}
    python = sys.executable or "/proc/self/exe"
    os.execve(python, [python, "-c", FIRST, str(fd), str(len(codes))], environment)


def nameless_file() -> int:
    """Open a file that no other process can find, in memory where the system can do that."""
    try:
        return os.memfd_create("hfexecutor")
    except (AttributeError, OSError):
        name = "hfexecutor-" + binascii.hexlify(os.urandom(8)).decode()
    path = os.path.join(os.environ.get("TMPDIR") or "/tmp", name)  # noqa: PTH118
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.unlink(path)  # noqa: PTH108
    return fd


def boot() -> None:
    """Go on with the right Python, or say that this is not the one."""
    package = marshal.loads(binascii.a2b_base64(value("PACKAGE")))
    launch = {
        "key": bytearray(binascii.unhexlify(value("KEY"))),
        "message": bytearray(binascii.a2b_base64(value("MESSAGE"))),
    }
    if not is_right(package["magic"]):
        refuse(package, launch)
    elif wipe_environment():
        go_on(package, launch)
    else:
        hand_over(package, launch)


if __name__ == "__main__":
    boot()
