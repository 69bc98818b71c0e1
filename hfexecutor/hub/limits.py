"""What a launch request may hold, by the Hub's rules and the system's, and how we share it out."""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "ALL_VARIABLES",
    "FOR_CALLS",
    "FOR_US",
    "FOR_USERS",
    "LABEL",
    "ONE_PIECE",
    "ONE_VARIABLE",
    "VARIABLE_NAMES",
]

ONE_VARIABLE: Final = 131_072
"""Bytes that Linux takes for one variable of a process: ``NAME=value`` and a NUL."""

ALL_VARIABLES: Final = 1_000_000
"""Bytes of all variables of a job together, names included: about 1 MB, say its maintainers."""

FOR_US: Final = 327_000
"""What our own code takes of it at the most: it depends on the version of Python."""

FOR_USERS: Final = ALL_VARIABLES - FOR_US - 20_000
"""What of it users may take: a call has to fit, too."""

FOR_CALLS: Final = 500_000
"""Bytes of calls, base64 not counted, that a launch carries at the most: more only starts later."""

ONE_PIECE: Final = ONE_VARIABLE - 11_072
"""Bytes of what is too long for one variable, in each of several; leaves room for any name."""

LABEL: Final = re.compile(r"[a-zA-Z0-9._-]{0,100}")
"""A label's key (not an empty one) or value."""

VARIABLE_NAMES: Final = {
    "env": (
        r"[a-zA-Z][_a-zA-Z0-9]+",
        "letters, digits and underscores, two or more, beginning with a letter",
    ),
    "secrets": (
        r"[a-zA-Z][_a-zA-Z0-9]*",
        "letters, digits and underscores, beginning with a letter",
    ),
}
"""What names variables may have, and how that is said."""
