"""Whether a job of this machine can have volumes at the places it asked for."""

from __future__ import annotations

import subprocess
import tempfile
from functools import cache
from pathlib import Path

from hfexecutor.local import reaper

_SECONDS = 20.0


@cache
def hindrance() -> str | None:
    """Return what hinders it; None: nothing does. Takes a moment, but only once in a process."""
    with tempfile.TemporaryDirectory(prefix="localhub-") as folder:
        root, volume = Path(folder, "root"), Path(folder, "volume")
        root.mkdir()
        volume.mkdir()
        try:
            done = subprocess.run(
                reaper.probing(str(root), str(volume)),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return f"trying it took longer than {_SECONDS:g} s"
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
