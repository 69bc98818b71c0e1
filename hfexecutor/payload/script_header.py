"""What a script says about itself: its PEP 723 header, and the ``[tool.hf-jobs]`` table in it.

``hf jobs uv run`` reads that table; a script that has one runs the same way here. What is given as
an option wins; variables, labels and volumes are merged one by one.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

__all__ = ["ScriptHeader", "main_header", "read_header"]

_BLOCK: Final = re.compile(
    r"^# /// (?P<type>[a-zA-Z0-9-]+)$\n(?P<content>(?:^#(?: .*)?$\n)+?)^# ///$", re.MULTILINE
)
_TABLE: Final = "[tool.hf-jobs]"
_TEXTS: Final = ("image", "flavor", "python", "name", "namespace", "network_group")
_TABLES: Final = ("env", "labels")
_LISTS: Final = ("secrets", "volumes", "network_aliases")
# Our package travels with every job, and need not be on an index.
_CARRIED: Final = r"(?i)\s*(hfexecutor|cloudpickle)(?![\w.-])"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptHeader:
    """The header of a script. None, or empty, where it says nothing.

    Attributes:
        dependencies: the script's requirements, without this library.
        secrets: names only: values come from the environment of whoever runs the script.
        timeout: seconds, or like ``"30m"``.
        volumes: as for ``hf jobs run -v``.
        labels: `name` among them.
    """

    dependencies: tuple[str, ...] | None = None
    image: str | None = None
    flavor: str | None = None
    python: str | None = None
    namespace: str | None = None
    timeout: str | float | None = None
    env: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()


def main_header() -> ScriptHeader | None:
    """Return the header of the script that runs, None if it has none or there is no script.

    Raises:
        ValueError: The header cannot be read; the message names what is wrong.
    """
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if not isinstance(path, str) or not path.endswith(".py"):
        return None
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return read_header(text)


def read_header(text: str) -> ScriptHeader | None:
    """Return the header in a script's text, None if it has none. Raises as :func:`main_header`."""
    content = _script_block(text.replace("\r\n", "\n").replace("\r", "\n"))
    if content is None:
        return None
    import tomllib  # noqa: PLC0415 - few scripts have a header

    try:
        metadata = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"the PEP 723 header of the script is no TOML: {error}") from error
    table = metadata.get("tool", {}).get("hf-jobs", {})
    if not isinstance(table, dict):
        raise TypeError(f"{_TABLE} in the script's header must be a table, not {table!r}")
    known = {*_TEXTS, *_TABLES, *_LISTS, "timeout"}
    if unknown := sorted(set(table) - known):
        raise ValueError(
            f"{_TABLE} in the script's header has {', '.join(unknown)}, and may have "
            f"{', '.join(sorted(known))}"
        )
    return _header(_dependencies(metadata), table)


def _header(dependencies: tuple[str, ...] | None, table: dict[str, Any]) -> ScriptHeader:
    labels = _strings(table, "labels")
    if (name := _text(table, "name")) is not None:  # a short form of the label
        labels["name"] = name
    return ScriptHeader(
        dependencies=dependencies,
        image=_text(table, "image"),
        flavor=_text(table, "flavor"),
        python=_text(table, "python"),
        namespace=_text(table, "namespace"),
        timeout=_timeout(table),
        env=_strings(table, "env"),
        labels=labels,
        secrets=_list(table, "secrets"),
        volumes=_list(table, "volumes"),
    )


def _script_block(text: str) -> str | None:
    blocks = [match for match in _BLOCK.finditer(text) if match["type"] == "script"]
    if not blocks:
        return None
    if len(blocks) > 1:
        raise ValueError("the script has more than one PEP 723 header of type script")
    return "".join(
        line[2:] if line.startswith("# ") else line[1:]
        for line in blocks[0]["content"].splitlines(keepends=True)
    )


def _dependencies(metadata: dict[str, Any]) -> tuple[str, ...] | None:
    given = metadata.get("dependencies")
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise TypeError("dependencies in the script's header must be a list of strings")
    return tuple(item for item in given if not re.match(_CARRIED, item))


def _wrong(key: str, value: object, wanted: str) -> TypeError:
    return TypeError(f"{key} in {_TABLE} of the script's header must be {wanted}, not {value!r}")


def _text(table: dict[str, Any], key: str) -> str | None:
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise _wrong(key, value, "a string")
    return value


def _timeout(table: dict[str, Any]) -> str | float | None:
    value = table.get("timeout")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise _wrong("timeout", value, "a number of seconds, or like '30m'")
    return value


def _strings(table: dict[str, Any], key: str) -> dict[str, str]:
    value = table.get(key, {})
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise _wrong(key, value, "a table of strings")
    return dict(value)


def _list(table: dict[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if key == "secrets" and isinstance(value, dict):
        raise _wrong(key, "a table", "a list of names: a script is no place for secret values")
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(key, value, "a list of strings")
    return tuple(value)
