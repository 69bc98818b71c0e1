"""What the bodies of requests about buckets must look like."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hfexecutor.local.errors import ApiError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 253402300799000  # milliseconds: the last second of the year 9999
_MAX_PATHS = 1000  # of a request for information; the client asks for no more at once
NAME = r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?$"  # as for repositories

Hash = Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")]
Milliseconds = Annotated[float, Field(ge=0, le=_LATEST)]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


class Create(_Body):
    """How a new bucket is to be."""

    private: bool = False
    visibility: Literal["public", "private"] | None = None

    @property
    def is_private(self) -> bool:
        """Whether only its owner may read it."""
        return self.private if self.visibility is None else self.visibility == "private"


class Settings(_Body):
    """What a bucket is to be from now on."""

    private: bool


class Move(_Body):
    """A new name for a repository."""

    source: str = Field(alias="fromRepo")
    target: str = Field(alias="toRepo")
    type: Literal["bucket", "model", "dataset", "space", "kernel"] = "model"


class Paths(_Body):
    """Of which files something is to be told."""

    paths: Annotated[list[str], Field(max_length=_MAX_PATHS)]


class _Put(_Body):
    path: str
    xet_hash: Hash = Field(alias="xetHash")
    mtime: Milliseconds | None = None
    content_type: str | None = Field(None, alias="contentType")

    @property
    def changed(self) -> datetime | None:
        """When the source of the file was changed."""
        return None if self.mtime is None else _EPOCH + timedelta(milliseconds=int(self.mtime))


class AddFile(_Put):
    """Take a file in of which the content has been uploaded."""

    type: Literal["addFile"]


class CopyFile(_Put):
    """Take a file in of which the content is in another bucket, or in this one."""

    type: Literal["copyFile"]
    source_type: Literal["bucket", "model", "dataset", "space"] = Field(alias="sourceRepoType")
    source: str = Field(alias="sourceRepoId")


class DeleteFile(_Body):
    """Take a file out."""

    type: Literal["deleteFile"]
    path: str


Operation = AddFile | CopyFile | DeleteFile
_OPERATION: TypeAdapter[Operation] = TypeAdapter(Annotated[Operation, Field(discriminator="type")])


def operations(body: bytes) -> list[Operation]:
    """Read the lines of a batch.

    Raises:
        ApiError: 400, with the number of the line and not with what is in it.
    """
    found = []
    for number, line in enumerate(body.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(_OPERATION.validate_json(line))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"][1:]))
            what = f"{first['msg']} at {where}" if where else first["msg"]
            raise ApiError(400, f"line {number}: {what}") from None
    return found
