"""A bundle of source files that travels to a job, named by what is in it."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Archive", "build_archive"]

_DIGEST_LENGTH: Final = 32  # hexadecimal digits, 128 bits
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can say
_MODE: Final = 0o644 << 16


@dataclass(frozen=True, slots=True)
class Archive:
    """Files of one module or package, to be put on a job's search path.

    Two archives are equal if the same files with the same contents are in them.

    Attributes:
        name: the module or package that it provides, dotted.
        digest: of the names and contents of its files.
        size: bytes of its files.
        data: a zip file of them.
    """

    name: str
    digest: str
    size: int = field(compare=False)
    data: bytes = field(compare=False, repr=False)


def build_archive(name: str, files: Mapping[str, bytes]) -> Archive:
    """Return the archive of these files: contents by path, with slashes.

    The same files give the same bytes, whenever and in whatever order they are read.
    """
    import zipfile  # noqa: PLC0415 - not for who has no code of his own

    digest, buffer = hashlib.sha256(), io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in sorted(files.items()):
            digest.update(b"%s\0%s" % (path.encode(), hashlib.sha256(content).digest()))
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = _MODE
            archive.writestr(entry, content)
    size = sum(map(len, files.values()))
    return Archive(name, digest.hexdigest()[:_DIGEST_LENGTH], size, buffer.getvalue())
