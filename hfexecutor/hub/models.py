"""What the Hub answers, as far as this library relies on it.

Strict about the few fields that decisions hang on, silent about everything else: a Hub that grows
new fields, or leaves optional ones out of a list, must not stop a run.
"""

from __future__ import annotations

from copy import copy
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias
from urllib.parse import quote

from pydantic import (
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TERMINAL", "Hardware", "Identity", "Job", "Stage", "is_terminal"]

Stage: TypeAlias = str
"""A word for where a job is in its life; the Hub may know words that we do not."""

TERMINAL: Final[frozenset[Stage]] = frozenset({"COMPLETED", "CANCELED", "ERROR", "DELETED"})


def is_terminal(stage: Stage) -> bool:
    """Tell whether a job in `stage` will never run again; an unknown word says it may."""
    return stage in TERMINAL


def _or(default: object) -> WrapValidator:
    """Make a field that nothing hangs on fall back to `default` where it is odd (or null)."""

    def validate(value: object, inner: ValidatorFunctionWrapHandler) -> object:
        try:
            return inner(value)
        except ValidationError:
            return copy(default)

    return WrapValidator(validate)


def _accelerator(value: object) -> object:
    if not isinstance(value, dict):
        return value
    words = (value.get(key) for key in ("manufacturer", "model", "vram"))
    return " ".join([f"{value.get('quantity', 1)}x", *(str(word) for word in words if word)])


def _names(value: object) -> object:
    if not isinstance(value, list | tuple):
        return ()
    names = (org.get("name") if isinstance(org, dict) else org for org in value)
    return tuple(name for name in names if isinstance(name, str))


class _Answer(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,  # it may hold the environment of somebody's job
    )


_Text: TypeAlias = Annotated[str | None, _or(None)]
_Time: TypeAlias = Annotated[datetime | None, _or(None)]


class Job(_Answer):
    """One job as the Hub describes it.

    Attributes:
        id: The Hub's id of the job.
        stage: Where it is in its life, in the Hub's upper-case word.
        message: The Hub's explanation of the stage ("Job timeout"), or None.
        cancel_reason: Why the Hub cancelled it (``NO_CREDITS``...), or None.
        failure_count: How many attempts of the job have failed so far.
        expose_urls: One URL per exposed port, in their order; empty until the job runs.
        labels: The labels it was launched with.
        flavor: The hardware it asked for.
        created_at: When it was accepted; UTC, like the other two times.
        started_at: When it began to run, or None.
        finished_at: When it ended, or None.
        owner: The namespace that pays for it.
        endpoint: The Hub that told us, without a slash at the end.
    """

    id: StrictStr = Field(min_length=1)
    stage: StrictStr = Field(min_length=1, validation_alias=AliasPath("status", "stage"))
    message: _Text = Field(default=None, validation_alias=AliasPath("status", "message"))
    cancel_reason: _Text = Field(default=None, validation_alias=AliasPath("status", "cancelReason"))
    failure_count: Annotated[int, _or(0)] = Field(
        default=0, validation_alias=AliasPath("status", "failureCount")
    )
    expose_urls: Annotated[tuple[str, ...], _or(())] = Field(
        default=(), validation_alias=AliasPath("status", "exposeUrls")
    )
    labels: Annotated[dict[str, str], _or({})] = Field(default_factory=dict)
    flavor: Annotated[str, _or("")] = ""
    created_at: _Time = None
    started_at: _Time = None
    finished_at: _Time = None
    owner: Annotated[str, _or("")] = Field(default="", validation_alias=AliasPath("owner", "name"))
    endpoint: str = ""

    @classmethod
    def parse(cls, raw: Mapping[str, Any], endpoint: str) -> Job:
        """Read a job from the Hub's JSON.

        Raises:
            pydantic.ValidationError: There is no id or no stage in it. All else has a default.
        """
        return cls.model_validate({**raw, "endpoint": endpoint.rstrip("/")})

    @property
    def url(self) -> str:
        """The job's page, for a person to open."""
        return f"{self.endpoint}/jobs/{quote(self.owner)}/{quote(self.id)}"

    @property
    def finished(self) -> bool:
        """Whether the job will never run again."""
        return is_terminal(self.stage)


class Hardware(_Answer):
    """A flavor that jobs can ask for, and what a unit of its time costs.

    `accelerator` is a short text ("1x Nvidia T4 16 GB") or None; `unit_label` is the unit that
    `unit_cost_micro_usd` pays for, normally "minute".
    """

    name: StrictStr = Field(min_length=1)
    pretty_name: Annotated[str, _or("")] = ""
    cpu: Annotated[str, _or("")] = ""
    ram: Annotated[str, _or("")] = ""
    accelerator: Annotated[str | None, BeforeValidator(_accelerator)] = None
    unit_cost_micro_usd: float = Field(default=0, validation_alias="unitCostMicroUSD")
    unit_label: Annotated[str, _or("minute")] = "minute"


class Identity(_Answer):
    """Whose token it is: the user's name, the organisations, and whether they can pay."""

    name: StrictStr = Field(min_length=1)
    orgs: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    can_pay: Annotated[bool | None, _or(None)] = None
