"""Variables of jobs that are given by name alone: their values are those of this environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["from_environment"]

_TOKEN = "HF_TOKEN"  # noqa: S105 - the name


def from_environment(option: str, names: Iterable[str]) -> dict[str, str]:
    """Return the values of these variables here.

    ``HF_TOKEN`` is also what ``hf auth login`` has left.

    Raises:
        TypeError: one is no text.
        ValueError: one is not set.
    """
    names = list(names)
    if strange := [name for name in names if not isinstance(name, str)]:
        raise TypeError(f"{option} must be a list of names of variables, not {strange[0]!r}")
    values = {name: _value(name) for name in names}
    if missing := [name for name, value in values.items() if value is None]:
        hint = "; give values as a dict" if any("=" in name for name in missing) else ""
        raise ValueError(f"not set in this environment: {', '.join(missing)} (in {option}){hint}")
    return {name: value for name, value in values.items() if value is not None}


def _value(name: str) -> str | None:
    value = os.environ.get(name)
    if value is None and name == _TOKEN:
        from huggingface_hub import get_token  # noqa: PLC0415 - half a second, for who needs it

        return get_token()
    return value
