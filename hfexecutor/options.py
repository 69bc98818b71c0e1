"""The executor's options, checked once and then frozen.

Each option is written once: as a field of :class:`Options`, with its default and the function that
checks it. ``HubExecutor`` repeats names and defaults in its signature, where editors and ``help()``
look for them; a test compares the two, and both with README's table.
"""

from __future__ import annotations

import dataclasses
import inspect
import logging
import math
import operator
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from hfexecutor.core.call import CallOptions
from hfexecutor.environment import check_image, default_image, python_option
from hfexecutor.errors import UnpicklableCallError
from hfexecutor.hub.limits import FOR_USERS, LABEL, ONE_VARIABLE, VARIABLE_NAMES
from hfexecutor.hub.volumes import merge_volumes, read_volumes
from hfexecutor.labels import check_name
from hfexecutor.payload.byvalue import dumps
from hfexecutor.payload.indexes import foreign_index, index_secrets
from hfexecutor.payload.local_code import MOST_BYTES
from hfexecutor.payload.requirements import AUTO, Dependencies
from hfexecutor.payload.script_header import ScriptHeader, main_header
from hfexecutor.retrying import RetryRule, check_retry_on, check_retry_wait
from hfexecutor.variables import from_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfexecutor.retrying import Wait

logger = logging.getLogger("hfexecutor")

__all__ = ["COLD_START", "MAX_WORKERS", "Options"]

MAX_WORKERS: Final = 8  # what None stands for
CHEAPEST: Final = "cpu-basic"  # likewise, for the flavor
TIMEOUT: Final = 12 * 3600.0  # likewise, for the timeout
SCHEDULING_TIMEOUT: Final = 300.0  # likewise, for how long one of several flavors is waited for
KEEP_FOR: Final = 600.0  # what None stands for, where jobs outlive their process
COLD_START: Final = 10.0  # seconds until a job takes its first call: 6 in the median on cpu-basic
# Set for the whole job they would take uv and Python away from its supervisor.
_BREAKING: Final = frozenset({"PATH", "PYTHONHOME"})
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
RESERVED: Final = "hfexecutor"
_OF_THE_HUB: Final = ("endpoint", "namespace", "token", "door_token")  # no options of a run

_Check: TypeAlias = "Callable[[str, Any], Any]"


def _option(
    check: _Check,
    default: object,
    *,
    shown: bool = True,
    of_calls: bool = False,
    of_pool: bool = True,
) -> Any:
    """Declare a field: `check` gets its name and what the user gave, and returns what is kept.

    With `of_calls` calls of one pool may differ in it; without `of_pool` it is no option of a pool.
    """
    metadata = {"check": check, "of_calls": of_calls, "of_pool": of_pool}
    return dataclasses.field(default=default, repr=shown, metadata=metadata)


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
    if inspect.iscoroutinefunction(initializer):
        raise TypeError("initializer is an async function, which nobody would await in the job")
    try:
        return dumps((initializer, tuple(initargs)))
    except Exception as error:  # a pickler runs users' __reduce__: anything may come out
        raise UnpicklableCallError(
            f"initializer or initargs cannot be pickled ({type(error).__name__}: {error})"
        ) from error


def _workers(name: str, value: int | None) -> int:
    if value is None:
        return MAX_WORKERS
    workers = _whole(name, value)
    if workers <= 0:
        raise ValueError(f"{name} must be greater than 0")
    return workers


def _retries(name: str, value: int) -> int:
    retries = _whole(name, value)
    if retries < 0:
        raise ValueError(f"{name} must be 0 or more: it counts second chances")
    return retries


def _tasks(name: str, value: int | None) -> int | None:
    """Check as the stdlib does, and with its words."""
    if value is None:
        return None
    if not isinstance(value, int):
        raise TypeError(f"{name} must be an integer")
    if value <= 0:
        raise ValueError(f"{name} must be >= 1")
    return value


def _whole(name: str, value: int) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, not {value!r}") from None


def _yes_or_no(name: str, value: bool) -> bool:
    if not isinstance(value, bool):  # bool("no") is True
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return value


def _yes_no_or_none(name: str, value: bool | None) -> bool | None:
    return None if value is None else _yes_or_no(name, value)


def _flavors(name: str, given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the flavors of a list in its order, or the one that is given."""
    if given is None:
        return (CHEAPEST,)
    if isinstance(given, (set, frozenset, Mapping)):
        raise TypeError(
            f"{name} must be a list, for its order says which is preferred; not {given!r}"
        )
    if isinstance(given, str) or not isinstance(given, Iterable):
        return (_flavor(name, given),)
    flavors = tuple(_flavor(name, one) for one in given)
    if not flavors:
        raise ValueError(f"{name} must not be an empty list; the cheapest is {CHEAPEST!r}")
    if twice := [flavor for flavor in dict.fromkeys(flavors) if flavors.count(flavor) > 1]:
        raise ValueError(f"{name} names {twice[0]!r} twice: each is tried in its place, once")
    return flavors


def _flavor(name: str, flavor: str) -> str:
    value = getattr(flavor, "value", flavor)  # huggingface_hub's enum is welcome, too
    if not isinstance(value, str):
        raise TypeError(
            f"{name} must be a string such as 'cpu-basic', or a list of such, not {flavor!r}"
        )
    if not value.strip():
        raise ValueError(f"{name} must not be empty; the cheapest is {CHEAPEST!r}")
    return value


def _seconds(name: str, value: float | str) -> float:
    """Return a duration in seconds; it may be infinite."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            raise ValueError(f"{name} must be seconds or like '90s', '30m', '6h', '2d': {value!r}")
        return _seconds(name, float(match[1]) * _SECONDS[match[2]])
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(
            f"{name} must be a number of seconds, or a text like '90s' or '30m', not {value!r}"
        )
    if not value > 0:
        raise ValueError(f"{name} must be greater than 0 seconds, not {value!r}")
    return float(value)


def _timeout(name: str, value: float | str | None) -> float | None:
    if value is None:
        return None  # it is derived
    seconds = _seconds(name, value)
    if seconds == math.inf:
        raise ValueError(f"{name} must be finite: without an end, a job that hangs is paid for")
    if seconds < COLD_START:
        raise ValueError(
            f"{name} is how long a job may live, and a job needs some {COLD_START:g} s until it "
            f"takes its first call: {value!r} is too short. To limit a call use call_timeout"
        )
    return seconds


def _idle_timeout(name: str, value: float | str) -> float:
    seconds = _seconds(name, value)
    if seconds == math.inf:
        raise ValueError(
            f"{name} must be finite: it is what ends the jobs of a process that was killed"
        )
    return seconds


def _keep_for(name: str, value: float | str | None) -> float | None:
    seconds = None if value is None else _seconds(name, value)
    if seconds == math.inf:
        raise ValueError(f"{name} must be finite: a job that waits is paid for")
    return seconds


def _call_timeout(name: str, value: float | str | None) -> float | None:
    seconds = math.inf if value is None else _seconds(name, value)
    return None if seconds == math.inf else seconds


def _job_timeout(timeout: float | None, call_timeout: float | None) -> float:
    """Return the seconds that a job may live: what the user says, or enough for each call."""
    least = COLD_START + (call_timeout or 0.0)
    if timeout is None:
        return max(TIMEOUT, least + (call_timeout or 0.0))
    if timeout < least:
        raise ValueError(
            f"timeout={timeout:g} s would end jobs before a call has had its "
            f"call_timeout={call_timeout:g} s: make it {least:g} s or more, or leave it out"
        )
    return timeout


def _check_retries(
    max_retries: int, retry_on: tuple[type[BaseException], ...], *, speculate: bool
) -> None:
    if max_retries:
        return
    for name, given in {"retry_on": retry_on, "speculate": speculate}.items():
        if given:
            raise ValueError(
                f"{name} runs calls again, and with max_retries=0 none ever begins twice: make "
                "max_retries 1 or more, or leave one of the two out"
            )


def _on_memory_error(name: str, value: Literal["next flavor"] | None) -> bool:
    if value not in {None, "next flavor"}:
        raise ValueError(
            f'{name} must be "next flavor", or None to have the error at once, not {value!r}'
        )
    return value is not None


def _keep(name: str, value: Literal["remote"] | None) -> bool:
    if value not in (None, "remote"):
        raise ValueError(
            f'{name} must be "remote" for results that stay in the bucket, or None, not {value!r}'
        )
    return value is not None


def _check_keep(*, keep: bool, bucket: bool | None) -> None:
    """See that all jobs have a place where results can stay."""
    if keep and bucket is not True:
        raise ValueError(
            'keep="remote" leaves results in a bucket that all jobs mount: make the executor with '
            "bucket=True"
        )


def _scheduling_timeout(name: str, value: float | str | None) -> float | None:
    return None if value is None else _seconds(name, value)


def _check_memory_error(flavors: tuple[str, ...], *, given: bool) -> None:
    """See that there is another flavor to go to."""
    if given and len(flavors) == 1:
        raise ValueError(
            'on_memory_error="next flavor" has a call run once more on a larger flavor of a list, '
            f"and there is only {flavors[0]!r}: make flavor a list, or leave it out"
        )


def _waits_for_hardware(seconds: float | None, flavors: tuple[str, ...]) -> float:
    """Return the seconds that one of several flavors is waited for."""
    if seconds is None:
        return SCHEDULING_TIMEOUT
    if len(flavors) == 1:
        raise ValueError(
            "scheduling_timeout is how long a flavor is waited for until the next one of a list "
            f"is tried, and there is only {flavors[0]!r}: make flavor a list, or leave it out"
        )
    return seconds


def _dollars(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be dollars, like 5.0, not {value!r}")
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be more than 0 dollars, and finite; None is no limit")
    return float(value)


def _slots(name: str, slots: int | Literal["auto"]) -> int | Literal["auto"]:
    if slots == "auto":
        return "auto"
    if isinstance(slots, bool) or not isinstance(slots, int) or slots < 1:
        raise ValueError(f"{name} must be 1 or more, or 'auto', not {slots!r}")
    return slots


def _image(_: str, image: str | None) -> str | None:
    return check_image(image)


def _dependencies(_: str, given: str | Iterable[str] | None) -> Dependencies:
    return Dependencies.read(given)


def _volumes(_: str, given: Iterable[Any] | None) -> tuple[Any, ...]:
    return read_volumes(given)


def _patterns(name: str, given: Iterable[str] | None) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise TypeError(
            f"{name} must be a list of patterns, like ['package/*.json'], not {given!r}"
        )
    patterns = tuple(given)
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise TypeError(f"{name} must be texts, like 'package/*.json', not {pattern!r}")
    return patterns


def _bytes(name: str, value: int) -> int:
    size = _whole(name, value)
    if size < 0:
        raise ValueError(f"{name} must be 0 or more bytes, not {value!r}")
    return size


def _unchecked(_: str, value: object) -> object:
    """Take what is checked together with other options, see :meth:`Options.check`."""
    return value


def _strings(option: str, given: Mapping[str, str] | None) -> dict[str, str]:
    """Return a copy of what is a mapping of strings to strings. Values may be secret: not shown."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        names = ", or a list of names of this environment" if option in VARIABLE_NAMES else ""
        raise TypeError(
            f"{option} must be a dict of strings, like {{'NAME': 'value'}}{names}, not "
            f"{type(given).__name__}"
        )
    checked = dict(given)
    for name, value in checked.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"{option} must map strings to strings; look at {name!r}")
    return checked


def _variables(option: str, given: Mapping[str, str] | Iterable[str] | None) -> dict[str, str]:
    if isinstance(given, Iterable) and not isinstance(given, (Mapping, str, bytes)):
        given = from_environment(option, given)
    checked = _strings(option, given)  # type: ignore[arg-type] # it says so of what is wrong
    pattern, words = VARIABLE_NAMES[option]
    for name, value in checked.items():
        if not re.fullmatch(pattern, name):
            raise ValueError(f"the Hub does not accept {name!r} as a name in {option}: {words}")
        if name.upper().startswith("HFEXECUTOR_"):
            raise ValueError(f"names that begin with HFEXECUTOR_ are taken: {name!r} in {option}")
        if name in _BREAKING:
            raise ValueError(
                f"{name!r} in {option} would keep the job from finding uv, or its Python. To "
                f"change it for your calls alone, set os.environ[{name!r}] in an initializer"
            )
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
    if size > ONE_VARIABLE:
        raise ValueError(
            f"the value of {name!r} in {option} is too long: name and value may be "
            f"{ONE_VARIABLE - 2:,} bytes, and are {size - 2:,}. Pass large data as an argument "
            "of the call"
        )


def _check_size(variables: Mapping[str, Mapping[str, str]]) -> None:
    pairs = [pair for mapping in variables.values() for pair in mapping.items()]
    size = sum(_size(name, value) for name, value in pairs)
    if size > FOR_USERS:
        raise ValueError(
            f"env and secrets are {size:,} bytes in all, and may be {FOR_USERS:,}. Pass large "
            "data as an argument of the call"
        )


def _size(name: str, value: str) -> int:
    """Return the bytes that a variable takes in a process: ``NAME=value`` and a NUL."""
    return len(f"{name}={value}".encode()) + 1


def _labels(name: str, given: Mapping[str, str] | None) -> dict[str, str]:
    checked = _strings(name, given)
    for key, value in checked.items():
        if not (key and LABEL.fullmatch(key) and LABEL.fullmatch(value)):
            raise ValueError(
                f"the Hub does not accept the label {key!r}={value!r}: at most 100 letters, "
                "digits, dots, dashes and underscores"
            )
        if key.startswith(RESERVED):
            raise ValueError(f"labels that begin with {RESERVED!r} are taken: {key!r}")
    return checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything a pool needs to know. Build it with :meth:`check`, which validates.

    ``HubExecutor`` says what each option means. Here `initializer` is what travels: the pickle of
    the pair of `initializer` and `initargs`.
    """

    max_workers: int = _option(_workers, None)
    flavor: tuple[str, ...] = _option(_flavors, None, of_calls=True)
    scheduling_timeout: float = _option(_scheduling_timeout, None, of_calls=True)
    on_memory_error: bool = _option(_on_memory_error, None, of_calls=True)
    image: str = _option(_image, None)
    python: str | None = _option(_unchecked, None)
    dependencies: Dependencies = _option(_dependencies, AUTO, of_calls=True)  # noqa: RUF009  (it is a field)
    package_data: tuple[str, ...] = _option(_patterns, None)
    local_code_limit: int = _option(_bytes, MOST_BYTES)
    volumes: tuple[Any, ...] = _option(_volumes, None)
    env: dict[str, str] = _option(_variables, None)  # noqa: RUF009  (it is a field)
    secrets: dict[str, str] = _option(_variables, None, shown=False)  # noqa: RUF009
    labels: dict[str, str] = _option(_labels, None)  # noqa: RUF009
    timeout: float = _option(_timeout, None)
    idle_timeout: float = _option(_idle_timeout, 60.0)
    reuse_workers: bool = _option(_yes_or_no, True)
    bucket: bool | None = _option(_yes_no_or_none, None)
    slots_per_job: int | Literal["auto"] = _option(_slots, "auto")
    call_timeout: float | None = _option(_call_timeout, None, of_calls=True)
    max_retries: int = _option(_retries, 2, of_calls=True)
    retry_on: tuple[type[BaseException], ...] = _option(check_retry_on, None, of_calls=True)
    speculate: bool = _option(_yes_or_no, False, of_calls=True)
    retry_wait: Wait = _option(check_retry_wait, None, of_calls=True)  # noqa: RUF009  (it is a field)
    keep: bool = _option(_keep, None, of_calls=True, of_pool=False)
    max_tasks_per_child: int | None = _option(_tasks, None)
    initializer: bytes | None = _option(_unchecked, None, shown=False)
    initializer_needs: bool = False  # more than Python has, as every call then does
    namespace: str | None = None  # what the script's header says
    give_up_after: float = _option(_seconds, 300.0)
    max_cost: float | None = _option(_dollars, None)
    confirm_price: bool = _option(_yes_or_no, False)
    name: str = _option(check_name, None)
    detach: bool = _option(_yes_or_no, False)
    keep_for: float | None = _option(_keep_for, None)
    progress: bool = _option(_yes_or_no, False)
    stream_logs: bool = _option(_yes_or_no, False)

    @property
    def kept_for(self) -> float:
        """Seconds that a job stays for outcomes that nobody has fetched, if that is longer."""
        if self.keep_for is not None:
            return self.keep_for
        return KEEP_FOR if self.detach else 0.0

    @property
    def of_calls(self) -> CallOptions:
        """What each call carries of them."""
        retry = RetryRule(self.retry_on, self.retry_wait) if self.retry_on else None
        return CallOptions(
            call_timeout=self.call_timeout,
            max_retries=self.max_retries,
            retry=retry,
            kinds=self.flavor,
            on_memory_error=self.on_memory_error,
            speculate=self.speculate,
            scheduling_timeout=self.scheduling_timeout,
            keep_remote=self.keep,
        )

    def with_options(self, **given: Any) -> Options:
        """Return them with other options for calls.

        Raises:
            ValueError, TypeError: An option is wrong, or none of calls; the message names it.
        """
        fields = {field.name: field for field in self._given()}
        ours = [name for name, field in fields.items() if field.metadata["of_calls"]]
        for name in given:
            if name not in ours:
                known = name in fields or name == "initargs" or name in _OF_THE_HUB
                why = "is one that all calls of an executor share" if known else "is no option"
                raise TypeError(f"{name} {why}; with_options() takes {', '.join(ours)}")
        checked = {
            name: fields[name].metadata["check"](name, value) for name, value in given.items()
        }
        if given.get("flavor", "") is None:  # what a script's header says, say
            del checked["flavor"]
        if "scheduling_timeout" in checked:
            checked["scheduling_timeout"] = _waits_for_hardware(
                checked["scheduling_timeout"], checked.get("flavor", self.flavor)
            )
        _check_memory_error(
            checked.get("flavor", self.flavor), given=checked.get("on_memory_error", False)
        )
        changed = dataclasses.replace(self, **checked)
        _check_keep(keep=changed.keep, bucket=changed.bucket)
        _job_timeout(changed.timeout, changed.call_timeout)
        _check_retries(changed.max_retries, changed.retry_on, speculate=changed.speculate)
        return changed

    def changed_from(self, other: Options) -> list[str]:
        """Return the options of calls that are others than there."""
        fields = (field for field in self._given() if field.metadata["of_calls"])
        return [f.name for f in fields if getattr(self, f.name) != getattr(other, f.name)]

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return what each option is that nobody has given, as the user would give it."""
        given = {f.name: f.default for f in cls._given() if f.metadata["of_pool"]}
        return given | {"initargs": ()}

    @classmethod
    def _given(cls) -> list[dataclasses.Field[Any]]:
        """Return the fields that the user gives."""
        return [field for field in dataclasses.fields(cls) if "check" in field.metadata]

    @classmethod
    def check(cls, **given: Any) -> Options:
        """Return the checked options; those that are not given have their defaults.

        Raises:
            ValueError, TypeError: An option is wrong; the message names it.
            UnpicklableCallError: `initializer` or `initargs` cannot be pickled.
        """
        if unknown := given.keys() - cls.defaults():
            raise TypeError(f"no such option: {', '.join(sorted(unknown))}")
        values = cls.defaults() | given
        header = main_header()
        if header is not None:
            values = _with_header(values, header)
        initargs = values.pop("initargs")
        for field in cls._given():
            value = values.get(field.name, field.default)
            values[field.name] = field.metadata["check"](field.name, value)
        values["timeout"] = _job_timeout(values["timeout"], values["call_timeout"])
        _check_retries(values["max_retries"], values["retry_on"], speculate=values["speculate"])
        values["scheduling_timeout"] = _waits_for_hardware(
            values["scheduling_timeout"], values["flavor"]
        )
        _check_memory_error(values["flavor"], given=values["on_memory_error"])
        values["secrets"] = _with_indexes(values["secrets"], values["dependencies"])
        _check_size({name: values[name] for name in VARIABLE_NAMES})
        values["python"] = python_option(values["python"], values["image"])
        values["image"] = values["image"] or default_image()
        values["initializer"] = _initializer(values["initializer"], initargs)
        return cls(**values, namespace=header.namespace if header else None)


def _with_header(values: dict[str, Any], header: ScriptHeader) -> dict[str, Any]:
    """Return the options with what the script's header says where the user says nothing else."""
    defaults, merged = Options.defaults(), dict(values)
    for name in ("flavor", "image", "python", "timeout", "dependencies"):
        said = getattr(header, name)
        if said is not None and values[name] == defaults[name]:
            merged[name] = said
    secrets = _variables("secrets", values["secrets"])
    wanted = [name for name in header.secrets if name not in secrets]
    merged["secrets"] = {**from_environment("secrets", wanted), **secrets}
    merged["env"] = {**header.env, **_variables("env", values["env"])}
    merged["labels"] = {**header.labels, **_strings("labels", values["labels"])}
    merged["volumes"] = merge_volumes(values["volumes"], header.volumes)
    return merged


def _with_indexes(secrets: dict[str, str], dependencies: Dependencies) -> dict[str, str]:
    """Add where packages are, for the uv of jobs, if this environment tells uv so."""
    if not dependencies.auto and not dependencies.given:
        return secrets
    if note := foreign_index(os.environ):
        logger.warning("%s", note)
    return {**_variables("secrets", index_secrets(os.environ)), **secrets}
