"""A directory of a user's, for tests: scripts, what is beside them, and what is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

from ..wheels import make_wheel  # noqa: TID252 - tests are no package


def uv() -> str:
    found = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    assert found, "uv is part of the extra that the tests install"
    return found


class Workplace:
    """A directory of a user's: scripts, modules, packages, and an environment of installed ones."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wheels = path / "wheels"
        self.site = path / "site-packages"
        self.home = path / "home"
        for folder in (self.wheels, self.site, self.home):
            folder.mkdir()
        self.variables = {
            "UV_OFFLINE": "1",
            "UV_FIND_LINKS": str(self.wheels),
            "UV_CACHE_DIR": str(path / "cache"),
            "HOME": str(self.home),
        }

    def write(self, name: str, source: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    def wheel(self, name: str, version: str, source: str = "", requires: str = "") -> None:
        make_wheel(self.wheels, name, version, textwrap.dedent(source), [requires] * bool(requires))

    def install(self, *requirements: str) -> None:
        environment = {**os.environ, **self.variables}
        command = self.install_command(*requirements)
        subprocess.run(command, env=environment, check=True, capture_output=True)

    def install_command(self, *requirements: str) -> list[str]:
        options = ["--target", str(self.site), "--python", sys.executable]
        return [uv(), "pip", "install", *options, *requirements]

    def run(self, source: str, *arguments: str, **variables: str) -> list[str]:
        """Run a script as a user does; return the lines that it prints."""
        script = self.write("script.py", source)
        done = subprocess.run(
            [sys.executable, script, *arguments],
            env={**os.environ, **self.variables, "PYTHONPATH": str(self.site), **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
            cwd=self.home,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()
