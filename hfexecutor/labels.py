"""What the jobs of a run are found by: its name, and the labels that carry it. Pure but for chance.

A label is what somebody wrote on a job: a claim, and no proof (:mod:`hfexecutor.hub.claims`).
"""

from __future__ import annotations

import re
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hfexecutor.hub.limits import LABEL

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "CALLS_LABEL",
    "LAUNCH_LABEL",
    "NAME_LABEL",
    "OURS",
    "RUN_LABEL",
    "SCRIPT_LABEL",
    "calls_in_label",
    "check_name",
    "label_of_calls",
    "label_of_script",
    "made_name",
]

OURS: Final = {"hfexecutor": "job"}
"""The label of all jobs of all runs."""
RUN_LABEL: Final = "hfexecutor-run"
"""The run's public nonce, which its keys are derived from: no two runs share one."""
NAME_LABEL: Final = "hfexecutor-name"
"""The run's name; a run that was started again may have the same."""
SCRIPT_LABEL: Final = "hfexecutor-script"
"""The file name of the script that has started the run, without its folders."""
LAUNCH_LABEL: Final = "hfexecutor-launch"
"""The launch that the job answers: only one request carries it."""
CALLS_LABEL: Final = "hfexecutor-calls"
"""The calls that travelled in the launch request: ``1-4.7``, with ``._`` where more were aboard."""

_LONGEST: Final = 100  # characters of a label
_STEM: Final = 40  # of them a script's name may have, in a name that we make
_ALPHABET: Final = "23456789abcdefghjkmnpqrstuvwxyz"  # none that looks like another one
_MORE: Final = "._"
_MOST: Final = 100_000  # calls that a label may name: one that says more is none of ours


def made_name(script: str | None = None) -> str:
    """Return a name for a run: that of the script, and five characters of chance.

    Args:
        script: The path of the script; None is that of this process.
    """
    path = Path(script if script is not None else _script())
    stem = path.parent.name if path.stem == "__main__" else path.stem
    stem = _as_label(stem)[:_STEM].strip("-._")
    return f"{stem or 'run'}-{''.join(secrets.choice(_ALPHABET) for _ in range(5))}"


def label_of_script(script: str | None = None) -> str:
    """Return the file name of a script as a label's value; empty where there is none.

    Args:
        script: The path of the script; None is that of this process.
    """
    path = Path(script if script is not None else _script())
    name = path.parent.name if path.stem == "__main__" else path.name
    return _as_label(name)[:_LONGEST].strip("-")


def _as_label(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9._]+", "-", text)


def _script() -> str:
    return getattr(sys.modules.get("__main__"), "__file__", None) or ""


def check_name(option: str, name: str | None) -> str:
    """Return the name of a run: the user's, or a made one.

    Raises:
        TypeError, ValueError: It can be no label.
    """
    if name is None:
        return made_name()
    if not isinstance(name, str):
        raise TypeError(f"{option} must be a string, like 'nightly', not {name!r}")
    if not name or not LABEL.fullmatch(name) or name.startswith("-"):
        raise ValueError(
            f"{option} is a label of the run's jobs: at most 100 letters, digits, dots, dashes and "
            f"underscores, and no dash at its start; not {name!r}"
        )
    return name


def label_of_calls(numbers: Iterable[int]) -> str:
    """Return the numbers of calls as a label's value; those that do not fit are left out."""
    parts: list[str] = []
    length = 0
    for first, last in _ranges(sorted(set(numbers))):
        part = str(first) if first == last else f"{first}-{last}"
        length += len(part) + 1
        if length > _LONGEST - len(_MORE):
            return ".".join(parts) + _MORE
        parts.append(part)
    return ".".join(parts)


def _ranges(numbers: list[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def calls_in_label(text: str) -> tuple[range, ...]:
    """Return the numbers of calls that a label's value names; what is none of ours names none."""
    found = []
    for part in text.removesuffix(_MORE).split("."):
        match = re.fullmatch(r"(\d{1,15})(?:-(\d{1,15}))?", part)
        if match is not None:
            first = int(match[1])
            found.append(range(first, int(match[2] or first) + 1)[:_MOST])
    return tuple(found)
