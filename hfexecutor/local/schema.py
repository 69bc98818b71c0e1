"""What the bodies of requests must look like: the Hub's published schema as models."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from .errors import ApiError
from .hardware import FLAVORS

_MAX_SAFE = 2**53 - 1
_MAX_VARIABLES = 1 << 20  # "about 1 MB": environment and secrets together
_LONG = 1000  # characters
_LABEL_KEY, _LABEL_VALUE = "[a-zA-Z0-9._-]+", "[a-zA-Z0-9._-]*"
_LABEL = re.compile(f"({_LABEL_KEY})=({_LABEL_VALUE})")
M = TypeVar("M", bound=BaseModel)


def _problem(text: str) -> PydanticCustomError:
    """Return an error with these words and no others; they must not hold values: see `read`."""
    return PydanticCustomError("hub", "{text}", {"text": text})


def _usable(text: str) -> str:
    if "\0" in text:  # no process can have it in its arguments or its environment
        raise _problem("Invalid string: holds a NUL")
    return text if len(text) < _LONG else _same(text)


@lru_cache(maxsize=64)
def _same(text: str) -> str:
    """Return the one copy of a long text that many jobs have, as their program.

    A hub keeps what each of its jobs was asked to be, for it may be asked for another one like it.
    """
    return text


def _whole(number: object) -> object:
    """Take 2.0 for 2, as JSON does, which knows no integers."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _given(value: object) -> object:
    if value is None:  # what may be left out may not be null
        raise _problem("Invalid input: expected a value, not null")
    return value


def _flavor(name: str) -> str:
    if name not in FLAVORS:
        raise _problem(f"Invalid option: expected one of {'|'.join(map(repr, FLAVORS))}")
    return name


Text = Annotated[str, AfterValidator(_usable)]
Given = BeforeValidator(_given)
OptionalText = Annotated[Text | None, Given]
Whole = Annotated[int, BeforeValidator(_whole)]
Port = Annotated[Whole, Field(ge=1, le=65535)]
Ports = Annotated[tuple[Port, ...], Field(max_length=20)]
Labels = dict[
    Annotated[str, Field(pattern=f"^{_LABEL_KEY}$", max_length=100)],
    Annotated[str, Field(pattern=f"^{_LABEL_VALUE}$", max_length=100)],
]


class _Body(BaseModel):
    model_config = ConfigDict(
        defer_build=True, strict=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )


class Expose(_Body):
    """Which ports of a job can be reached from outside."""

    ports: Ports
    public: Ports = Field((), alias="portsPublic")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not set(self.public) <= set(self.ports):
            raise _problem("portsPublic must be a subset of ports")
        return self


class SetLabels(_Body):
    """The labels that a job is to have instead of its own."""

    labels: Labels


class Volume(_Body):
    """Something that is mounted in a job."""

    type: Literal["bucket", "model", "dataset", "space"]
    source: Text
    mount_path: Text = Field(alias="mountPath", pattern="^/")
    path: OptionalText = None
    revision: OptionalText = None
    read_only: Annotated[bool | None, Given] = Field(None, alias="readOnly")


class _Ssh(_Body):
    enabled: bool = False


class Spec(_Body):
    """What a request asked a job to be. Secrets are kept out of the repr and of every reply."""

    flavor: Annotated[Text, AfterValidator(_flavor)]
    image: OptionalText = Field(None, alias="dockerImage")
    space: OptionalText = Field(None, alias="spaceId")
    command: tuple[Annotated[Text, Field(min_length=1)], ...] = Field((), min_length=1)
    arguments: tuple[Text, ...] = ()
    environment: dict[Annotated[str, Field(pattern="^[a-zA-Z][_a-zA-Z0-9]+$")], Text] = {}
    secrets: dict[Annotated[str, Field(pattern="^[a-zA-Z][_a-zA-Z0-9]*$")], Text] = Field(
        {}, repr=False
    )
    labels: Labels = {}
    expose: Expose = Field(default_factory=lambda: Expose(ports=(), portsPublic=()))
    attempts: Whole = Field(1, ge=1, le=_MAX_SAFE)
    timeout: Whole | None = Field(None, alias="timeoutSeconds", gt=0, le=_MAX_SAFE)
    volumes: tuple[Volume, ...] = Field((), min_length=1)
    arch: Annotated[Literal["amd64", "arm64"] | None, Given] = None
    resource_group: Annotated[str | None, Given] = Field(
        None, alias="resourceGroupId", pattern="^[0-9a-fA-F]{24}$"
    )
    ssh: _Ssh = Field(default_factory=_Ssh)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.image is None) == (self.space is None):
            raise _problem("Exactly one of dockerImage and spaceId is needed")
        variables = [*self.environment.items(), *self.secrets.items()]
        size = sum(len(name) + len(value.encode()) for name, value in variables)
        if size > _MAX_VARIABLES:
            raise _problem(
                f"Too big: environment and secrets have {size} bytes together, and at most "
                f"{_MAX_VARIABLES} are allowed"
            )
        return self

    @property
    def mounts(self) -> tuple[dict[str, Any], ...]:
        """The volumes as they were asked for."""
        return tuple(one.model_dump(by_alias=True, exclude_unset=True) for one in self.volumes)


def read(model: type[M], body: bytes) -> M:
    """Read a JSON body of the wanted form.

    The words of an error tell where it is and what was expected. Values are never part of them:
    some are secrets.

    Raises:
        ApiError: 400.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        raise ApiError(400, "Invalid JSON in request body")
    where = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in first["loc"])
    raise ApiError(400, f"{first['msg']} at {where[1:]}" if where else first["msg"])


def label(text: str) -> tuple[str, str]:
    """Take the filter "key=value" of a list apart.

    Raises:
        ApiError: 400.
    """
    match = _LABEL.fullmatch(text)
    if match is None:
        raise ApiError(400, f"Invalid string: must match pattern /^{_LABEL.pattern}$/ at label")
    return match[1], match[2]
