"""The reaper: a small process of its own that starts a hub's jobs and lets none outlive the hub.

It is started by itself (see `command`), imports a handful of modules and is therefore cheap to
fork. For each job it forks a *keeper*, which plays the part of process 1 in a container:

    hub ──one byte, three descriptors──▶ reaper ──fork──▶ keeper ──fork, exec──▶ the command
     ▲                                                      │
     └───── a socket per job: "pid …", "exit …" ────────────┘   (the hub closes it: kill)

- A keeper adopts what its job daemonises: it is a "child subreaper". When the command ends, when
  the hub says so, or when the hub is no more, it kills all that is left below it, and then leaves.
- The end of the hub shows as the end of the job's socket or, should a fork of the user's process
  have inherited the other end of that, through a pidfd of the hub's process.
- A command that has volumes gets them at their places by a mount namespace (`mounting`), which is
  no more when the last of its processes is.
- A command that kills its own keeper is killed by the kernel with it (PDEATHSIG); what else it had
  started comes back to the reaper, which kills it.

Without /proc and subreapers (macOS), the process group and the tree that `ps` shows are killed; a
grandchild that was both orphaned and moved to a session of its own escapes there.
"""

from __future__ import annotations

import os.path
import sys

_START = "import sys; sys.path.append(sys.argv[1]); from reaper.serving import main; main()"
_PROBE = "import sys; sys.path.append(sys.argv[1]); from reaper.mounting import probe; probe()"


def command(channel: int, hub_pid: int, root: str) -> list[str]:
    """Return how to start a reaper.

    Args:
        channel: the descriptor, which it inherits, of a socket to the hub.
        hub_pid: whose end is its end.
        root: the directory to delete in the end.
    """
    return [*_python(_START), str(channel), str(hub_pid), root]


def probing(root: str, volume: str) -> list[str]:
    """Return how to find out whether volumes can be mounted here; both are empty directories.

    It ends with 0 if so, and with the reason in its standard error if not.
    """
    return [*_python(_PROBE), root, volume]


def _python(code: str) -> list[str]:
    # As a package of its own: to import it as a part of this one would import all of that.
    home = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120 - pathlib is slow to import
    return [sys.executable, "-I", "-S", "-c", code, home]
