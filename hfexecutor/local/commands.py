"""From an image and a command to an argument vector and an environment on this machine."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import uv
from .errors import CannotStartError
from .hardware import FLAVORS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .runners import Launch

_IMAGE_PYTHON = re.compile(r"(?:^|/)(?:uv:python|python:)(\d+(?:\.\d+)?)")
_VERSION = re.compile(r"(\d+)(?:\.(\d+))?(?:\.\d+)?")
_PYTHON_NAMES = ("python", "python3")
_THIS_PYTHON = (*_PYTHON_NAMES, f"python3.{sys.version_info.minor}")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to execute. Secrets are in `env`."""

    argv: tuple[str, ...]
    env: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Plan(argv={self.argv!r})"


class PythonWantedError(Exception):
    """Ask for the path of another Python; `plan` is to be called again with it."""

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.version = version


def plan(launch: Launch, home: str, pythons: Mapping[str, str]) -> Plan:
    """Decide what to execute for a job.

    Args:
        launch: the attempt.
        home: a directory that will be private to it.
        pythons: paths of other interpreters, by version, as far as they are known.

    Raises:
        CannotStartError: there is no such command on this machine.
        PythonWantedError: `pythons` lacks one that is needed.
    """
    if launch.volumes:
        raise CannotStartError("LocalHub does not mount volumes")
    if launch.ssh:
        raise CannotStartError("LocalHub lets nobody into a job with SSH")
    command = [*launch.command, *launch.arguments]
    if not command:
        raise CannotStartError("LocalHub knows no image's own entrypoint: give a command")
    env = environment(launch, home)
    version = image_python(launch.image)
    if command[0] == "uv":
        return _plan_uv(command, version, env, pythons)
    if command[0] in _PYTHON_NAMES:
        return Plan((_python(version, pythons), *command[1:]), env)
    return Plan((_find(command[0], env), *command[1:]), env)


def environment(launch: Launch, home: str) -> dict[str, str]:
    """Return the environment of a job: of the hub's own there is nothing in it but PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {
        "PATH": path,
        "HOME": home,
        "TMPDIR": str(Path(home, "tmp")),
        "LANG": "C.UTF-8",
        "JOB_ID": launch.job_id,
        **FLAVORS[launch.flavor].environment(),
        **launch.environment,
        **launch.secrets,
    }


def image_python(image: str) -> str | None:
    """Return the Python version that an image's name promises, "3.12", or None."""
    match = _IMAGE_PYTHON.search(image)
    return match[1] if match else None


def fits(version: str | None) -> bool:
    """Say whether this interpreter is of that version (the patch release does not matter)."""
    if version is None:
        return True
    match = _VERSION.fullmatch(version)
    if not match:
        return False
    major, minor = match.groups()
    return int(major) == sys.version_info.major and minor in (None, str(sys.version_info.minor))


def _plan_uv(
    command: list[str], version: str | None, env: dict[str, str], pythons: Mapping[str, str]
) -> Plan:
    run = uv.parse(command)
    if run and run.python:
        version = run.python
    if run and not run.dependencies and fits(version) and not run.command[0].endswith(".py"):
        # uv would find the same, but takes longer to do so.
        return Plan((_find(run.command[0], env), *run.command[1:]), env)
    tools = uv.settings(os.environ)
    argv = [uv.executable(), "run", "--no-project", "--python", _python(version, pythons)]
    if run is None:
        return Plan((argv[0], *command[1:]), {**tools, **env})
    for dependency in run.dependencies:
        argv += ["--with", dependency]
    if run.command[0].endswith(".py"):
        return Plan((*argv, *run.command), {**tools, **env})
    hide = [word for name in sorted(set(tools) - set(env)) for word in ("-u", name)]
    return Plan((*argv, "--", "env", *hide, *run.command), {**tools, **env})


def _python(version: str | None, pythons: Mapping[str, str]) -> str:
    if version is None or fits(version):
        return sys.executable
    if version not in pythons:
        raise PythonWantedError(version)
    return pythons[version]


def _find(name: str, env: Mapping[str, str]) -> str:
    if name in _THIS_PYTHON:
        return sys.executable
    found = shutil.which(name, path=env["PATH"])
    if found is None:
        raise CannotStartError(f'exec: "{name}": executable file not found in $PATH')
    return found
