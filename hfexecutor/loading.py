"""How large libraries are imported: without garbage collection meanwhile."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["uncollected"]


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Have the collector rest while modules are imported, and count what they made as old.

    An import makes tens of thousands of objects, all of which stay. The collector looks at them
    again and again as their number grows, for a tenth of the time to a first result. (Python 3.12
    starts with some that are frozen: there everything is left as it is.)
    """
    if not gc.isenabled() or gc.get_freeze_count():
        yield  # as its user, or another import, wants it; what somebody has frozen stays frozen
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()  # into the oldest generation, which the next full collection looks at
        gc.enable()
