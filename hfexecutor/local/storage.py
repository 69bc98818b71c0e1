"""Buckets and volumes of a hub: most runs need none, so they are loaded when first asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Scope

    from .buckets.store import Buckets
    from .buckets.xet import Xet
    from .identity import Identity
    from .injection.injector import Injector
    from .router import Routes
    from .settings import Settings
    from .volumes.attaching import Volumes


class Storage:
    """What a hub keeps besides jobs.

    Args:
        folder: of the hub.
        identity: whose it is.
        settings: quota and delays.
        injector: the faults.
        abort: closes the connection of a request.
        reset: resets it.
    """

    def __init__(
        self,
        folder: str,
        identity: Identity,
        settings: Settings,
        injector: Injector,
        *,
        abort: Callable[[Scope], None],
        reset: Callable[[Scope], None],
    ) -> None:
        self._folder = Path(folder)
        self._me = identity
        self._settings = settings
        self._injector = injector
        self._abort = abort
        self._reset = reset
        self._buckets: Buckets | None = None
        self._volumes: Volumes | None = None
        self._xet: Xet | None = None
        self._routes: Routes | None = None

    def routes(self) -> Routes:
        """Return what the API of buckets, and that of their bytes, answers."""
        if self._routes is None:
            self._routes = self._load()
        return self._routes

    def volumes(self) -> Volumes:
        """Return what jobs can mount."""
        if self._volumes is None:
            from .volumes.attaching import Volumes  # noqa: PLC0415 - see above

            self.routes()
            assert self._buckets is not None
            assert self._xet is not None
            self._volumes = Volumes(
                self._folder / "volumes",
                self._buckets,
                self._xet,
                timings=self._settings.timings,
                injector=self._injector,
            )
        return self._volumes

    def close(self) -> None:
        """Break off what is under way."""
        if self._xet is not None:
            self._xet.close()

    def _load(self) -> Routes:
        from .buckets import api  # noqa: PLC0415 - see above
        from .buckets.access import Access  # noqa: PLC0415
        from .buckets.cas_api import CasApi  # noqa: PLC0415
        from .buckets.store import Buckets  # noqa: PLC0415
        from .buckets.xet import Xet  # noqa: PLC0415
        from .router import Routes  # noqa: PLC0415

        access = Access(self._me.base_url)
        xet = self._xet = Xet(access)
        buckets = self._buckets = Buckets(
            self._folder / "buckets", self._settings.bucket_quota, self._injector
        )
        of_buckets = api.BucketApi(
            buckets,
            access,
            xet,
            identity=self._me,
            settings=self._settings,
            injector=self._injector,
            abort=self._abort,
        )
        of_bytes = CasApi(buckets, access, self._injector, self._reset)
        return Routes([*of_buckets.routes(), *of_bytes.routes()], public=api.PUBLIC)
