"""What a handle of a remote value is in the pickle of a call: it makes the value, in the job.

Pickles refer to these functions by the names that they have in jobs. The first argument of each is
for the client, which reads it from the pickles of calls: what has to be installed for the value.
"""

from __future__ import annotations

import sys

from . import buffers
from .bucket import mounted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["carried", "stored"]


def carried(_imports: Any, payload: bytes) -> Any:
    """Return a value that the client has, as :mod:`.buffers` has it."""
    return buffers.load(payload)


def stored(_imports: Any, name: str, size: int, layout: Sequence[int], digest: str) -> Any:
    """Return a value that is a file of the bucket.

    Raises:
        StoredArgumentError: it is not there, or not what it was.
    """
    return mounted().load(name, size, layout, digest)


_MODULE = "hfexecutor_remote.handles"
carried.__module__ = stored.__module__ = _MODULE
sys.modules.setdefault(_MODULE, sys.modules[__name__])
