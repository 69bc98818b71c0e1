"""Real packages on disk, as the pure tests of payloads have them."""

from __future__ import annotations

from ..unit.payload.conftest import project, site, unimported  # noqa: TID252

__all__ = ["project", "site", "unimported"]
