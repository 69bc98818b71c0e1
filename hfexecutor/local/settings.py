"""The options of a LocalHub, resolved."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .faults import Fault
    from .runners import Runner
    from .timings import Timings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """See `LocalHub` for what each of them means."""

    timings: Timings
    log_window: int | None
    log_limit: int
    page_size: int
    bucket_quota: int
    rate_limit: int | None
    runner: Runner | None
    endless_metrics: bool = False
    urls_at_launch: bool = True
    faults: tuple[Fault, ...] = ()
    seed: int = 0
    page_key: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)
