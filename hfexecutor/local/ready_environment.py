"""What runs in the place of `uv pip install --target` in a job: uv, once for a set of requirements.

A second job that installs the same gets a link to what the first one has installed, with the
bytecode that Python has compiled meanwhile. uv alone would resolve anew, link each file, and leave
Python to compile all of it again: seconds, for large packages.

It is known by what is in it. Which environment a set of requirements leads to is noted for a day;
then indexes are asked again, and where they have nothing newer it is the same one. A job that goes
on to install into the directory gets files of its own first, so what another job has never changes.

It is started as a script (see :mod:`.uv`), by an interpreter without site-packages, and imports
little: on its quick road it takes as long as a Python takes to start.

    python -I -S ready_environment.py STORE UV pip install [options] --target DIR -- REQUIREMENT…
"""

# ruff: noqa: PTH100, PTH103, PTH104, PTH105, PTH106, PTH107, PTH109, PTH110, PTH112, PTH114, PTH115
# ruff: noqa: PTH116, PTH120, PTH123, PTH208, PTH211, PLC0415, T201, S606
# pathlib and the rest are slow to import; it becomes uv, or ends.

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import sys
import time
from typing import TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SHARED", "Request", "main", "parse"]

_RESOLVED_FOR = 24 * 3600.0  # seconds after which newer releases of packages are looked for
# Seconds without use after which what is there is deleted: an environment; what a job began that
# was killed; what was to be deleted.
_KEPT_FOR = {"environment": 30 * 24 * 3600.0, "draft": 24 * 3600.0, "old": 0.0}
SHARED = ".shared"  # in the prefix of a job's Python: a link to that of the one that all jobs share
_FLAGS = frozenset({"--no-progress", "--quiet", "-q", "-qq"})
# What an index or a repository provides, and no path of this machine.
_NAMED = re.compile(
    r"[a-z0-9][\w.-]*\s*(?:\[[^\]]*\])?\s*(?:$|[<>=!~;]|@\s*(?:git\+)?https?://)", re.IGNORECASE
)


class Request(NamedTuple):
    """An installation that other jobs may have made.

    Attributes:
        python: an interpreter like the job's, for all jobs.
        target: the directory.
        requirements: what is to be in it.
    """

    python: str
    target: str
    requirements: tuple[str, ...]


def parse(arguments: list[str]) -> Request | None:
    """Return what is asked of uv; None if any of it may mean another thing in another job."""
    values = {"--python": "", "--target": ""}
    words = iter(arguments[2:])
    for word in words:
        if word == "--":
            break
        name, given, value = word.partition("=")
        if name in values:
            values[name] = value if given else next(words, "")
        elif word not in _FLAGS:
            return None
    requirements = tuple(words)
    named = all(_NAMED.match(one) and not os.path.exists(one) for one in requirements)
    python = _shared_python(values["--python"])
    if not (python and values["--target"] and requirements and named):
        return None
    return Request(python, values["--target"], requirements)


def _shared_python(python: str) -> str:
    """Return the interpreter that all jobs share whose Python is this one; empty: it is no job's.

    The scripts of packages are started by the interpreter that they were installed with.
    """
    prefix, bin_, _ = python.rpartition("/bin/")
    try:
        return f"{os.readlink(f'{prefix}/{SHARED}')}/bin/python" if bin_ else ""
    except OSError:
        return ""


def main(store: str, uv: str, *arguments: str) -> NoReturn:
    """Do what uv would, in less time where it can be done; end with its exit code.

    Args:
        store: the directory for what all jobs share; made if it is not there.
        uv: the executable.
        *arguments: of uv.
    """
    request = parse(list(arguments))
    if request is None or _has_settings(os.getcwd()):
        os.execv(uv, [uv, *arguments])
    with contextlib.suppress(OSError):  # a full disk, a home that nobody may write to
        if _is_empty(request.target):
            sys.exit(_install(store, uv, request))
        if _is_shared(store, request.target):
            _make_own(request.target)
    os.execv(uv, [uv, *arguments])


def _has_settings(directory: str) -> bool:
    """Say whether uv finds settings of a project there or above: they are not those of others."""
    while True:
        if any(os.path.exists(f"{directory}/{name}") for name in ("uv.toml", "pyproject.toml")):
            return True
        if directory == (parent := os.path.dirname(directory)):
            return False
        directory = parent


def _is_empty(target: str) -> bool:
    try:
        return not os.listdir(target)
    except FileNotFoundError:
        return True
    except OSError:
        return False


# --- what is shared -----------------------------------------------------------------------------


def _install(store: str, uv: str, request: Request) -> int:
    os.makedirs(f"{store}/resolved", exist_ok=True)
    note = f"{store}/resolved/{_digest(_key(request))}"
    with _locked(store, fcntl.LOCK_SH):
        environment = _noted(note)
        if environment is not None:
            os.utime(environment)  # it is in use
    if environment is None:
        draft = f"{store}/draft-{os.getpid()}-{time.time_ns()}"
        status = _run(uv, draft, request)
        if status:
            _delete(draft)
            return status
        with _locked(store, fcntl.LOCK_EX):
            environment = _keep(store, draft, request)
            _note(note, environment)
            old = _set_aside_old(store)
        for path in (draft, *old):
            _delete(path)
    else:
        print("Installed what an earlier job has installed", file=sys.stderr)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(request.target)
    os.makedirs(os.path.dirname(os.path.abspath(request.target)), exist_ok=True)
    os.symlink(environment, request.target)
    return 0


@contextlib.contextmanager
def _locked(store: str, kind: int) -> Iterator[None]:
    """Hold the lock: shared while one environment is chosen, exclusive while they change."""
    with open(f"{store}/lock", "a", encoding="utf-8") as file:
        fcntl.flock(file, kind)
        yield


def _key(request: Request) -> str:
    """Return what the answer of uv depends on, besides what is in the indexes."""
    settings = sorted(f"{k}={value}" for k, value in os.environ.items() if k.startswith("UV_"))
    home = os.environ.get("XDG_CONFIG_HOME") or f"{os.environ.get('HOME', '/')}/.config"
    settings.append(_read(f"{home}/uv/uv.toml"))
    return repr((request.python, settings, request.requirements))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def _noted(note: str) -> str | None:
    try:
        recent = time.time() - os.lstat(note).st_mtime < _RESOLVED_FOR
        environment = os.readlink(note)
    except OSError:
        return None
    return environment if recent and os.path.isdir(environment) else None


def _note(note: str, environment: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.remove(note)
    os.symlink(environment, note)


def _run(uv: str, draft: str, request: Request) -> int:
    import subprocess

    command = [uv, "pip", "install", "--no-progress", "--python", request.python]
    return subprocess.call([*command, "--target", draft, "--", *request.requirements])


def _keep(store: str, draft: str, request: Request) -> str:
    """Give what is new the name of what is in it, unless there is one that is the same."""
    records = [request.python]
    for name in sorted(os.listdir(draft)):
        if name.endswith(".dist-info"):
            records += [name, _read(f"{draft}/{name}/RECORD")]
    environment = f"{store}/environment-{_digest(repr(records))}"
    if os.path.isdir(environment):
        os.utime(environment)
    else:
        os.rename(draft, environment)
    return environment


def _set_aside_old(store: str) -> list[str]:
    """Return where the environments are now that nobody has used for long, and failed drafts."""
    old = []
    for name in os.listdir(store):
        kind, path = name.partition("-")[0], f"{store}/{name}"
        if kind in _KEPT_FOR and time.time() - os.stat(path).st_mtime > _KEPT_FOR[kind]:
            old.append(f"{store}/old-{name}")
            os.rename(path, old[-1])
    return old


def _delete(path: str) -> None:
    import shutil

    shutil.rmtree(path, ignore_errors=True)


# --- what is a job's own ------------------------------------------------------------------------


def _is_shared(store: str, target: str) -> bool:
    return os.path.islink(target) and os.readlink(target).startswith(f"{store}/environment-")


def _make_own(target: str) -> None:
    """Put a job's own hard links in the place of what it shares; its processes notice nothing."""
    import shutil

    own = f"{os.path.abspath(target)}.own"
    shutil.copytree(os.path.realpath(target), own, symlinks=True, copy_function=os.link)
    os.symlink(own, f"{own}.link")
    os.replace(f"{own}.link", target)


if __name__ == "__main__":
    main(*sys.argv[1:])
