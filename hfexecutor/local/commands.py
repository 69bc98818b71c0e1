"""From an image and a command to an argument vector and an environment on this machine."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from . import uv
from .errors import CannotStartError
from .hardware import FLAVORS
from .images import THIS_PYTHON

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .images import Image
    from .interpreters import Interpreter
    from .runners import Launch

# No directory of the person's own, nor one that a package manager besides the system's writes to.
_SYSTEM_PATH = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
_SHELL = "/bin/sh"


class Resolution(NamedTuple):
    """A file whose date tells when uv last asked indexes for a set of requirements.

    Attributes:
        path: of the file, which is made then.
        recent: whether that was lately, so that what is in uv's cache will do.
    """

    path: str
    recent: bool


class Tools(NamedTuple):
    """What there is on this machine for the job of one image.

    Attributes:
        image: what is in the image.
        interpreter: its Python, or the one that is asked for; None: there is none.
        uv: a directory with uv in it.
        shared_python: one like `interpreter` that all jobs of this machine share, for uv.
        uv_variables: names that uv has in its environment, and the job is not to have.
        resolution: what stands for the requirements of the command as uv has resolved them.
        places: where only the job can see what is there.
    """

    image: Image
    interpreter: Interpreter | None
    uv: str
    shared_python: Path | None = None
    uv_variables: Sequence[str] = ()
    resolution: Resolution | None = None
    places: Sequence[str] = ()


class Home(NamedTuple):
    """The directories of one attempt, none of which exists yet; `work` is where it begins."""

    root: str

    @property
    def work(self) -> str:
        """The working directory."""
        return f"{self.root}/work"

    @property
    def home(self) -> str:
        """What HOME is."""
        return f"{self.root}/home"

    @property
    def temporary(self) -> str:
        """What TMPDIR is."""
        return f"{self.root}/temporary"

    @property
    def view(self) -> str:
        """What becomes the root of a job that has volumes."""
        return f"{self.root}/view"

    @property
    def python(self) -> str:
        """The prefix of the job's Python."""
        return f"{self.root}/python"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to execute. Secrets are in `env`."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)


def check(launch: Launch) -> list[str]:
    """Return a job's command and its arguments in one list.

    Raises:
        CannotStartError: it asks for something that no LocalHub has.
    """
    if launch.ssh:
        raise CannotStartError("LocalHub lets nobody into a job with SSH")
    command = [*launch.command, *launch.arguments]
    if not command:
        raise CannotStartError("LocalHub knows no image's own entrypoint: give a command")
    return command


def relocated(launch: Launch) -> Launch:
    """Return a launch that does without places: what begins with one begins with a directory.

    For where nothing can be mounted. Arguments and variables that begin with a place are changed;
    what a job has of it in itself is not.
    """

    def moved(text: str) -> str:
        for mount in sorted(launch.mounts, key=lambda one: one.place, reverse=True):
            if f"{text}/".startswith(f"{mount.place}/"):
                return mount.directory + text[len(mount.place) :]
        return text

    return replace(
        launch,
        command=tuple(map(moved, launch.command)),
        arguments=tuple(map(moved, launch.arguments)),
        environment={name: moved(text) for name, text in launch.environment.items()},
        secrets={name: moved(text) for name, text in launch.secrets.items()},
    )


def python_wanted(command: Sequence[str], image: Image) -> str | None:
    """Return the version of the Python that a command runs with; None: with none."""
    run = uv.parse(command) if image.uv else None
    if run and run.python:
        return run.python
    return THIS_PYTHON if image.python is None and run else image.python


def plan(launch: Launch, home: Home, tools: Tools) -> Plan:
    """Decide what to execute for a job.

    Raises:
        CannotStartError: there is no such command in the image, or on this machine.
    """
    command = check(launch)
    _check_places(launch, home)
    env = environment(launch, home, tools)
    if command[0] != "uv":
        return Plan((_find(command[0], env, home, tools), *command[1:]), env)
    if not tools.image.uv:
        raise _not_found("uv")
    path = uv.path_requirement(command)
    if path is not None:
        return _refused_by_uv(path, env)
    run = uv.parse(command)
    executable = f"{tools.uv}/uv"
    asked = (executable, *command[1:])
    if run is None or tools.interpreter is None:
        return Plan(asked, env)
    python = str(tools.shared_python or _find("python", env, home, tools))
    options = ["--no-project", "--python", python]
    for dependency in run.dependencies:
        options += ["--with", dependency]
    if run.python is not None:
        asked = (executable, "run", *options, *run.command)
    argv = ("python", *run.command) if run.is_script else run.command
    if run.dependencies:
        hide = [word for name in tools.uv_variables if name not in env for word in ("-u", name)]
        argv = ("env", *hide, *argv) if hide else argv
        quick = _with_packages(executable, options, argv, home, tools.resolution)
    else:
        # uv would find the same, but takes longer to do so.
        quick = (_find(argv[0], env, home, tools), *argv[1:])
    return Plan(_unless_header(run.command[0], asked, quick) if run.is_script else quick, env)


def _unless_header(path: str, asked: Sequence[str], quick: Sequence[str]) -> tuple[str, ...]:
    """Return how to run a script: the quick way, unless its header says that it needs more."""
    header = f"grep -qs '^# /// script' {shlex.quote(path)}"
    return (_SHELL, "-c", f"{header} && exec {shlex.join(asked)}; exec {shlex.join(quick)}")


def _check_places(launch: Launch, home: Home) -> None:
    for mount in launch.mounts:
        if f"{home.root}/".startswith(f"{mount.place.rstrip('/')}/"):
            raise CannotStartError(
                f"LocalHub has files of its own below {mount.place}: mount the volume elsewhere"
            )


def _with_packages(
    uv: str, options: list[str], command: tuple[str, ...], home: Home, resolution: Resolution | None
) -> tuple[str, ...]:
    """Return how uv runs a command with packages: what was resolved lately is not resolved anew.

    That takes uv ten times as long as all the rest, for it asks each index again.
    """
    asking = [uv, "run", *options, "--"]
    if resolution is None:
        return (*asking, *command)
    asking += [_SHELL, "-c", 'touch "$0"; exec "$@"', resolution.path]
    if not resolution.recent:
        return (*asking, *command)
    # uv may have forgotten meanwhile. It says nothing then, and leaves the flag where it is.
    cached = [uv, "run", "-qq", "--offline", *options, "--"]
    cached += [_SHELL, "-c", 'rm "$0"; exec "$@"', flag := f"{home.root}/resolving"]
    script = (
        f'touch {shlex.quote(flag)}; {shlex.join(cached)} "$@"; status=$?; '
        f'[ -e {shlex.quote(flag)} ] || exit $status; exec {shlex.join(asking)} "$@"'
    )
    return (_SHELL, "-c", script, "uv", *command)


def environment(launch: Launch, home: Home, tools: Tools) -> dict[str, str]:
    """Return the environment of a job; of the hub's own there is nothing in it."""
    path = list(_SYSTEM_PATH)
    if tools.image.uv:
        path.insert(0, tools.uv)
    if tools.interpreter:
        path.insert(0, f"{home.python}/bin")
    return {
        "PATH": os.pathsep.join(path),
        "HOME": home.home,
        "TMPDIR": home.temporary,
        "LANG": "C.UTF-8",
        "JOB_ID": launch.job_id,
        **FLAVORS[launch.flavor].environment(),
        **launch.environment,
        **launch.secrets,
    }


def _find(name: str, env: Mapping[str, str], home: Home, tools: Tools) -> str:
    places = env["PATH"].split(os.pathsep)
    own = f"{home.python}/bin"
    if tools.interpreter and own in places and name in tools.interpreter.names:
        return f"{own}/{name}"
    if any(name.startswith(f"{place}/") for place in tools.places):
        return name
    if name.startswith("python") and "/" not in name:
        raise _not_found(name)  # this machine's is not the image's
    found = shutil.which(name, path=env["PATH"])
    if found is None:
        raise _not_found(name)
    return found


def _not_found(name: str) -> CannotStartError:
    return CannotStartError(f'exec: "{name}": executable file not found in $PATH')


def _refused_by_uv(path: str, env: Mapping[str, str]) -> Plan:
    """Say what uv says in a container, where a path of this machine does not exist."""
    text = (
        f"error: Failed to resolve `--with` requirement\n  cause: Distribution not found at: {path}"
    )
    return Plan((_SHELL, "-c", 'printf "%s\\n" "$0" >&2; exit 1', text), env)
