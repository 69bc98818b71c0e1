"""The executor's options, checked once and then frozen."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import cloudpickle  # type: ignore[import-untyped]

from hfexecutor.calls import PROTOCOL
from hfexecutor.environment import check_dependencies, default_image, python_option
from hfexecutor.errors import UnpicklableCallError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Options"]

_LABEL = re.compile(r"[a-zA-Z0-9._-]{0,100}")
_ENV_NAME = re.compile(r"[a-zA-Z][_a-zA-Z0-9]+")
_SECRET_NAME = re.compile(r"[a-zA-Z][_a-zA-Z0-9]*")
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
        return cls(
            max_workers=max_workers,
            flavor=_flavor(flavor),
            python=python_option(python, image),
            image=image or default_image(),
            dependencies=check_dependencies(dependencies),
            env=_variables("env", env, _ENV_NAME),
            secrets=_variables("secrets", secrets, _SECRET_NAME),
            labels=_labels(labels),
            timeout=_seconds(timeout),
            idle_timeout=_positive("idle_timeout", idle_timeout),
            reuse_workers=bool(reuse_workers),
            slots_per_job=_slots(slots_per_job),
            call_timeout=None if call_timeout is None else _positive("call_timeout", call_timeout),
            max_retries=max_retries,
            initializer=_initializer(initializer, initargs),
            give_up_after=_positive("give_up_after", give_up_after),
        )


def _initializer(
    initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
) -> bytes | None:
    if initializer is None:
        return None
    if not callable(initializer):
        raise TypeError("initializer must be a callable")
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


def _flavor(flavor: str) -> str:
    value = str(getattr(flavor, "value", flavor))  # huggingface_hub's enum is welcome, too
    if not value:
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
    return _positive("timeout", float(match[1]) * _SECONDS[match[2]])


def _slots(slots: int | Literal["auto"]) -> int | Literal["auto"]:
    if slots == "auto":
        return "auto"
    if isinstance(slots, bool) or not isinstance(slots, int) or slots < 1:
        raise ValueError(f"slots_per_job must be 1 or more, or 'auto', not {slots!r}")
    return slots


def _variables(
    option: str, given: Mapping[str, str] | None, pattern: re.Pattern[str]
) -> dict[str, str]:
    checked = dict(given or {})
    for name, value in checked.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"{option} must map strings to strings; look at {name!r}")
        if not pattern.fullmatch(name):
            raise ValueError(
                f"the Hub does not accept {name!r} as a name in {option}: letters, digits and "
                "underscores, two or more, beginning with a letter"
            )
        if name.upper().startswith("HFEXECUTOR_"):
            raise ValueError(f"names that begin with HFEXECUTOR_ are taken: {name!r} in {option}")
    return checked


def _labels(given: Mapping[str, str] | None) -> dict[str, str]:
    checked = dict(given or {})
    for key, value in checked.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"labels must map strings to strings; look at {key!r}")
        if not (key and _LABEL.fullmatch(key) and _LABEL.fullmatch(value)):
            raise ValueError(
                f"the Hub does not accept the label {key!r}={value!r}: at most 100 letters, "
                "digits, dots, dashes and underscores"
            )
        if key.startswith(RESERVED):
            raise ValueError(f"labels that begin with {RESERVED!r} are taken: {key!r}")
    return checked
