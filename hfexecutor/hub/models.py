"""What the Hub answers, as far as this library relies on it.

Strict about the few fields that decisions hang on, silent about everything else: a Hub that grows
new fields, or leaves optional ones out of a list, must not stop a run.
"""

from __future__ import annotations

import re
from copy import copy
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias
from urllib.parse import quote

from pydantic import (
    AliasChoices,
    AliasPath,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StrictStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TERMINAL", "Bill", "Hardware", "Identity", "Job", "Stage", "Usage", "is_terminal"]

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


class _Answer(BaseModel):
    model_config = ConfigDict(
        defer_build=True,
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        hide_input_in_errors=True,  # it may hold the environment of somebody's job
    )


_Text: TypeAlias = Annotated[str | None, _or(None)]
_Time: TypeAlias = Annotated[AwareDatetime | None, _or(None)]


class Job(_Answer):
    """One job as the Hub describes it.

    Attributes:
        id: The Hub's id of the job.
        stage: Where it is in its life, in the Hub's upper-case word.
        message: The Hub's explanation of the stage ("Job timeout"), or None.
        cancel_reason: Why the Hub cancelled it (``NO_CREDITS``...), or None.
        expose_urls: One URL per exposed port, in their order; empty until the Hub tells them.
        labels: The labels it was launched with: whoever launched it has chosen them.
        flavor: The hardware it runs on.
        image: The Docker image, or the Space, that it runs in; None where the Hub does not say.
        command: What it runs; None where the Hub does not say.
        arguments: What is appended to the command.
        owner: The name of the namespace that pays for it.
        initiator: The Hub's id of who started it (a user, an organisation, or the job or schedule
            that it was made from), or None.
        created_by: The Hub's id of the user whom it notes as its author, or None.
        initiator_type: What that is: "user", "org", "duplicated-job", "scheduled-job"...; or None.
        created_at, started_at, finished_at: When it was launched, began to run, and was over; None
            where that has not happened, or the Hub does not say.
        endpoint: The Hub that told us, without a slash at the end.
    """

    id: StrictStr = Field(min_length=1)
    stage: StrictStr = Field(min_length=1, validation_alias=AliasPath("status", "stage"))
    message: _Text = Field(default=None, validation_alias=AliasPath("status", "message"))
    cancel_reason: _Text = Field(default=None, validation_alias=AliasPath("status", "cancelReason"))
    expose_urls: Annotated[tuple[str, ...], _or(())] = Field(
        default=(), validation_alias=AliasPath("status", "exposeUrls")
    )
    labels: Annotated[dict[str, str], _or({})] = Field(default_factory=dict)
    flavor: Annotated[str, _or("")] = ""
    image: _Text = Field(default=None, validation_alias=AliasChoices("dockerImage", "spaceId"))
    command: Annotated[tuple[str, ...] | None, _or(None)] = None
    arguments: Annotated[tuple[str, ...], _or(())] = ()
    owner: Annotated[str, _or("")] = Field(default="", validation_alias=AliasPath("owner", "name"))
    initiator: _Text = Field(default=None, validation_alias=AliasPath("initiator", "id"))
    created_by: _Text = Field(default=None, validation_alias=AliasPath("createdBy", "id"))
    initiator_type: _Text = Field(default=None, validation_alias=AliasPath("initiator", "type"))
    created_at: _Time = Field(default=None, validation_alias="createdAt")
    started_at: _Time = Field(default=None, validation_alias="startedAt")
    finished_at: _Time = Field(default=None, validation_alias="finishedAt")
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


_GIGABYTES: Final = {"M": 1e-3, "G": 1.0, "T": 1e3}
_SECONDS: Final = {"second": 1.0, "minute": 60.0, "hour": 3600.0}


class Hardware(_Answer):
    """A flavor that jobs can ask for, and what a unit of its time costs.

    Attributes:
        name: What to ask for.
        cpu: How many CPUs, in the Hub's words ("2 vCPU").
        ram: How much memory, in the Hub's words ("16 GB").
        accelerators: How many GPUs, or the like, it has.
        unit_cost_micro_usd: What `unit_label` of it costs, in millionths of a dollar.
        unit_label: Normally "minute".
    """

    name: StrictStr = Field(min_length=1)
    cpu: Annotated[str, _or("")] = ""
    ram: Annotated[str, _or("")] = ""
    accelerators: Annotated[int, _or(0)] = Field(
        default=0, validation_alias=AliasPath("accelerator", "quantity")
    )
    unit_cost_micro_usd: float = Field(default=0, validation_alias="unitCostMicroUSD")
    unit_label: Annotated[str, _or("minute")] = Field(
        default="minute", validation_alias="unitLabel"
    )

    @property
    def cpus(self) -> int:
        """The vCPUs of a job, of which the Hub says "8 vCPU"; 1 where it does not say."""
        match = re.match(r"\d+", self.cpu)
        return max(1, int(match[0])) if match else 1

    @property
    def slots(self) -> int:
        """How many calls at once it is for: one on each accelerator, or else on each vCPU."""
        return self.accelerators if self.accelerators > 0 else self.cpus

    @property
    def memory(self) -> float:
        """GB of memory, of which the Hub says "16 GB"; 0 where it does not say."""
        match = re.match(r"(\d+(?:\.\d+)?)\s*([MGT])i?B", self.ram)
        return float(match[1]) * _GIGABYTES[match[2]] if match else 0.0

    @property
    def hourly(self) -> float | None:
        """Dollars an hour, None where the unit is an unknown one."""
        seconds = _SECONDS.get(self.unit_label)
        return None if seconds is None else self.unit_cost_micro_usd / 1e6 / seconds * 3600


class Identity(_Answer):
    """Whose token it is: the name and the id of a user, or of an organisation."""

    name: StrictStr = Field(min_length=1)
    id: _Text = None


class Bill(_Answer):
    """What the Hub has billed for one job, in millionths of a dollar."""

    job: StrictStr = Field(min_length=1, validation_alias="jobId")
    micro_usd: float = Field(validation_alias="totalCostMicroUsd")


class Usage(_Answer):
    """What jobs have cost in this billing period."""

    bills: tuple[Bill, ...] = Field(validation_alias=AliasPath("usage", "jobDetails"))
