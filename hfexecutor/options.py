"""The executor's options, checked once and then frozen."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import cloudpickle  # type: ignore[import-untyped]

from hfexecutor.calls import PROTOCOL
from hfexecutor.environment import check_dependencies, check_image, default_image, python_option
from hfexecutor.errors import UnpicklableCallError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Options"]

_LABEL = re.compile(r"[a-zA-Z0-9._-]{0,100}")
# What the Hub takes as a name, and how that is said.
_NAMES = {
    "env": (
        re.compile(r"[a-zA-Z][_a-zA-Z0-9]+"),
        "letters, digits and underscores, two or more, beginning with a letter",
    ),
    "secrets": (
        re.compile(r"[a-zA-Z][_a-zA-Z0-9]*"),
        "letters, digits and underscores, beginning with a letter",
    ),
}
LONGEST_VARIABLE = 131_072  # bytes that Linux takes for one variable: NAME=value and a NUL
# All variables of a job may be about 1 MB, of which our own code there needs some 220 kB.
MOST_VARIABLES = 750_000
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
RESERVED = "hfexecutor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything a pool needs to know. Build it with :meth:`check`, which validates."""

    max_workers: int
    flavor: str
    image: str
    python: str | None
    dependencies: tuple[str, ...]
    env: dict[str, str]
    secrets: dict[str, str] = field(repr=False)
    labels: dict[str, str]
    timeout: float | None
    idle_timeout: float
    reuse_workers: bool
    slots_per_job: int | Literal["auto"]
    call_timeout: float | None
    max_retries: int
    initializer: bytes | None = field(repr=False)  # (initializer, initargs), pickled
    give_up_after: float

    @classmethod
    def check(
        cls,
        *,
        max_workers: int,
        flavor: str,
        image: str | None,
        python: str | None,
        dependencies: Iterable[str] | None,
        env: Mapping[str, str] | None,
        secrets: Mapping[str, str] | None,
        labels: Mapping[str, str] | None,
        timeout: float | str | None,
        idle_timeout: float,
        reuse_workers: bool,
        slots_per_job: int | Literal["auto"],
        call_timeout: float | None,
        max_retries: int,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        give_up_after: float,
    ) -> Options:
        """Return the checked options; raise ValueError or TypeError that names the option."""
        max_workers = _whole("max_workers", max_workers)
        max_retries = _whole("max_retries", max_retries)
        if max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if max_retries < 0:
            raise ValueError("max_retries must be 0 or more: it counts second chances")
        image = check_image(image)
        variables = {"env": _variables("env", env), "secrets": _variables("secrets", secrets)}
        _check_size(variables)
        return cls(
            max_workers=max_workers,
            flavor=_flavor(flavor),
            python=python_option(python, image),
            image=image or default_image(),
            dependencies=check_dependencies(dependencies),
            env=variables["env"],
            secrets=variables["secrets"],
            labels=_labels(labels),
            timeout=_seconds(timeout),
            idle_timeout=_positive("idle_timeout", idle_timeout),
            reuse_workers=_yes_or_no("reuse_workers", reuse_workers),
            slots_per_job=_slots(slots_per_job),
            call_timeout=None if call_timeout is None else _positive("call_timeout", call_timeout),
            max_retries=max_retries,
            initializer=_initializer(initializer, initargs),
            give_up_after=_positive("give_up_after", give_up_after),
        )


def _initializer(
    initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
) -> bytes | None:
    if isinstance(initargs, (str, bytes)) or not isinstance(initargs, Iterable):
        raise TypeError(
            "initargs must be a tuple of the initializer's arguments, like (1,) for one; not "
            f"{type(initargs).__name__}"
        )
    if initializer is None:
        return None
    if not callable(initializer):
        raise TypeError(f"initializer must be a callable, not {type(initializer).__name__}")
    try:
        data: bytes = cloudpickle.dumps((initializer, tuple(initargs)), PROTOCOL)
    except Exception as error:  # a pickler runs users' __reduce__: anything may come out
        raise UnpicklableCallError(
            f"initializer or initargs cannot be pickled ({type(error).__name__}: {error})"
        ) from error
    return data


def _whole(name: str, value: int) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, not {value!r}") from None


def _yes_or_no(name: str, value: bool) -> bool:
    if not isinstance(value, bool):  # bool("no") is True
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return value


def _flavor(flavor: str) -> str:
    value = getattr(flavor, "value", flavor)  # huggingface_hub's enum is welcome, too
    if not isinstance(value, str):
        raise TypeError(f"flavor must be a string such as 'cpu-basic', not {flavor!r}")
    if not value.strip():
        raise ValueError("flavor must not be empty; the cheapest is 'cpu-basic'")
    return value


def _positive(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if not value > 0:
        raise ValueError(f"{name} must be greater than 0 seconds, not {value!r}")
    return float(value)


def _seconds(timeout: float | str | None) -> float | None:
    if not isinstance(timeout, str):
        if timeout == math.inf:
            raise ValueError("timeout must be finite: without an end, a job that hangs is paid for")
        return None if timeout is None else _positive("timeout", timeout)
    match = _DURATION.fullmatch(timeout.strip())
    if match is None:
        raise ValueError(f"timeout must be seconds or like '90s', '30m', '6h', '2d': {timeout!r}")
    return _seconds(float(match[1]) * _SECONDS[match[2]])


def _slots(slots: int | Literal["auto"]) -> int | Literal["auto"]:
    if slots == "auto":
        return "auto"
    if isinstance(slots, bool) or not isinstance(slots, int) or slots < 1:
        raise ValueError(f"slots_per_job must be 1 or more, or 'auto', not {slots!r}")
    return slots


def _strings(option: str, given: Mapping[str, str] | None) -> dict[str, str]:
    """Return a copy of what is a mapping of strings to strings. Values may be secret: not shown."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(
            f"{option} must be a dict of strings, like {{'NAME': 'value'}}, not "
            f"{type(given).__name__}"
        )
    checked = dict(given)
    for name, value in checked.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"{option} must map strings to strings; look at {name!r}")
    return checked


def _variables(option: str, given: Mapping[str, str] | None) -> dict[str, str]:
    checked = _strings(option, given)
    pattern, words = _NAMES[option]
    for name, value in checked.items():
        if not pattern.fullmatch(name):
            raise ValueError(f"the Hub does not accept {name!r} as a name in {option}: {words}")
        if name.upper().startswith("HFEXECUTOR_"):
            raise ValueError(f"names that begin with HFEXECUTOR_ are taken: {name!r} in {option}")
        _check_value(option, name, value)
    return checked


def _check_value(option: str, name: str, value: str) -> None:
    if "\0" in value:
        raise ValueError(
            f"the value of {name!r} in {option} has a NUL, which no variable can have; send it "
            "encoded, for example as base64"
        )
    try:
        size = _size(name, value)
    except UnicodeEncodeError:  # what os.environ has in the place of bytes that are no text
        raise ValueError(
            f"the value of {name!r} in {option} is no text that UTF-8 can encode; leave it out, or "
            "send it as base64"
        ) from None
    if size > LONGEST_VARIABLE:
        raise ValueError(
            f"the value of {name!r} in {option} is too long: name and value may be "
            f"{LONGEST_VARIABLE - 2:,} bytes, and are {size - 2:,}. Pass large data as an argument "
            "of the call"
        )


def _check_size(variables: Mapping[str, Mapping[str, str]]) -> None:
    pairs = [pair for mapping in variables.values() for pair in mapping.items()]
    size = sum(_size(name, value) for name, value in pairs)
    if size > MOST_VARIABLES:
        raise ValueError(
            f"env and secrets are {size:,} bytes in all, and may be {MOST_VARIABLES:,}. Pass large "
            "data as an argument of the call"
        )


def _size(name: str, value: str) -> int:
    """Return the bytes that a variable takes in a process: ``NAME=value`` and a NUL."""
    return len(f"{name}={value}".encode()) + 1


def _labels(given: Mapping[str, str] | None) -> dict[str, str]:
    checked = _strings("labels", given)
    for key, value in checked.items():
        if not (key and _LABEL.fullmatch(key) and _LABEL.fullmatch(value)):
            raise ValueError(
                f"the Hub does not accept the label {key!r}={value!r}: at most 100 letters, "
                "digits, dots, dashes and underscores"
            )
        if key.startswith(RESERVED):
            raise ValueError(f"labels that begin with {RESERVED!r} are taken: {key!r}")
    return checked
