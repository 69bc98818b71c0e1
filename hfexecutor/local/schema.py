"""What requests must look like: the Hub's published schema as data, and a validator for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .hardware import FLAVORS

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_SAFE = 2**53 - 1
_MAX_VARIABLES = 1 << 20  # "about 1 MB": environment and secrets together
# No process can have these in its arguments or its environment, and no reply in its UTF-8.
_UNUSABLE = re.compile("[\0\ud800-\udfff]")
_PORTS = {
    "type": "array",
    "maxItems": 20,
    "items": {"type": "integer", "minimum": 1, "maximum": 65535},
}
_STRINGS = {"type": "array", "items": {"type": "string"}}

EXPOSE: dict[str, Any] = {
    "type": "object",
    "required": ["ports"],
    "properties": {"ports": _PORTS, "portsPublic": _PORTS},
}
LABELS: dict[str, Any] = {
    "type": "object",
    "propertyNames": {"type": "string", "pattern": "^[a-zA-Z0-9._-]+$", "maxLength": 100},
    "additionalProperties": {"type": "string", "pattern": "^[a-zA-Z0-9._-]*$", "maxLength": 100},
}
SET_LABELS: dict[str, Any] = {
    "type": "object",
    "required": ["labels"],
    "properties": {"labels": LABELS},
}
VOLUME: dict[str, Any] = {
    "type": "object",
    "required": ["type", "source", "mountPath"],
    "properties": {
        "type": {"enum": ["bucket", "model", "dataset", "space"]},
        "source": {"type": "string"},
        "mountPath": {"type": "string", "pattern": "^/.*"},
        "path": {"type": "string"},
        "revision": {"type": "string"},
        "readOnly": {"type": "boolean"},
    },
}
RUN: dict[str, Any] = {
    "type": "object",
    "required": ["flavor"],
    "properties": {
        "arch": {"enum": ["amd64", "arm64"]},
        "arguments": _STRINGS,
        "attempts": {"type": "integer", "minimum": 1, "maximum": _MAX_SAFE},
        "command": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
        "dockerImage": {"type": "string"},
        "environment": {
            "type": "object",
            "propertyNames": {"type": "string", "pattern": "^[a-zA-Z][_a-zA-Z0-9]+$"},
            "additionalProperties": {"type": "string"},
        },
        "expose": EXPOSE,
        "flavor": {"enum": list(FLAVORS)},
        "labels": LABELS,
        "resourceGroupId": {"type": "string", "pattern": "^[0-9a-fA-F]{24}$"},
        "secrets": {
            "type": "object",
            "propertyNames": {"type": "string", "pattern": "^[a-zA-Z][_a-zA-Z0-9]*$"},
            "additionalProperties": {"type": "string"},
        },
        "spaceId": {"type": "string"},
        "ssh": {"type": "object", "properties": {"enabled": {"type": "boolean"}}},
        "timeoutSeconds": {
            "type": ["integer", "null"],
            "exclusiveMinimum": 0,
            "maximum": _MAX_SAFE,
        },
        "volumes": {"type": "array", "minItems": 1, "items": VOLUME},
    },
}

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def problem(value: Any, schema: dict[str, Any], path: str = "") -> str | None:
    """Say what is wrong with a value, or return None.

    Knows the few keywords that the schemas above use. Values are never part of the answer: some of
    them are secrets.
    """
    where = f" at {path}" if path else ""
    if "enum" in schema:
        words = "|".join(map(repr, schema["enum"]))
        return (
            None if value in schema["enum"] else f"Invalid option: expected one of {words}{where}"
        )
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_is(value, kind) for kind in kinds):
        return f"Invalid input: expected {' or '.join(kinds)}{where}"
    for kind, check in _CHECKS.items():
        if _is(value, kind):
            return check(value, schema, path, where)
    return None


def variables_problem(body: dict[str, Any]) -> str | None:
    """Say that a job of the form `RUN` has too large an environment, or return None."""
    size = sum(
        len(name) + len(value.encode())
        for kind in ("environment", "secrets")
        for name, value in body.get(kind, {}).items()
    )
    if size <= _MAX_VARIABLES:
        return None
    return (
        f"Too big: environment and secrets have {size} bytes together, and at most "
        f"{_MAX_VARIABLES} are allowed"
    )


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])


def _string_problem(value: str, schema: dict[str, Any], _path: str, where: str) -> str | None:
    if len(value) < schema.get("minLength", 0):
        return f"Too small: expected at least {schema['minLength']} characters{where}"
    if len(value) > schema.get("maxLength", len(value)):
        return f"Too big: expected at most {schema['maxLength']} characters{where}"
    if _UNUSABLE.search(value):
        return f"Invalid string: holds a NUL or half of a surrogate pair{where}"
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        return f"Invalid string: must match pattern /{schema['pattern']}/{where}"
    return None


def _number_problem(value: int, schema: dict[str, Any], _path: str, where: str) -> str | None:
    if value < schema.get("minimum", value):
        return f"Too small: expected number to be >={schema['minimum']}{where}"
    if value <= schema.get("exclusiveMinimum", value - 1):
        return f"Too small: expected number to be >{schema['exclusiveMinimum']}{where}"
    if value > schema.get("maximum", value):
        return f"Too big: expected number to be <={schema['maximum']}{where}"
    return None


def _array_problem(value: list[Any], schema: dict[str, Any], path: str, where: str) -> str | None:
    if len(value) < schema.get("minItems", 0):
        return f"Too small: expected at least {schema['minItems']} items{where}"
    if len(value) > schema.get("maxItems", len(value)):
        return f"Too big: expected at most {schema['maxItems']} items{where}"
    found = (problem(item, schema["items"], f"{path}[{at}]") for at, item in enumerate(value))
    return next(filter(None, found), None)


def _object_problem(
    value: dict[str, Any], schema: dict[str, Any], path: str, where: str
) -> str | None:
    for name in schema.get("required", ()):
        if name not in value:
            return f"Invalid input: {name} is required{where}"
    for name, item in value.items():
        below = f"{path}.{name}" if path else name
        found = None
        if "propertyNames" in schema:
            found = problem(name, schema["propertyNames"], f"the name {below}")
        inner = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
        if found is None and inner is not None:
            found = problem(item, inner, below)
        if found:
            return found
    return None


_CHECKS: dict[str, Callable[[Any, dict[str, Any], str, str], str | None]] = {
    "string": _string_problem,
    "integer": _number_problem,
    "array": _array_problem,
    "object": _object_problem,
}
