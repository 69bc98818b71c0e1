"""`LocalHub`: the handle of an embedded Hub."""

from __future__ import annotations

import shutil
import weakref
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

from . import folders
from .identity import Identity, new_token
from .listening import listen
from .processes import ProcessRunner
from .settings import Settings
from .timings import PROFILES, Timings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from .faults import Fault
    from .runners import Runner
    from .server import Core

_HUB_WINDOW = 1000  # lines: "roughly the last thousand lines of a job's log", told by a user
_HUB_RATE_LIMIT = 1000  # requests per 5 minutes of a free account, documented
_UNSET: int = -1
_EXPOSE_URLS = ("launch", "running")


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it was when the hub was asked."""

    id: str
    stage: str
    labels: Mapping[str, str]
    pids: tuple[int, ...]
    message: str | None = None
    failures: int = 0
    lines: int = 0
    flavor: str = ""


class LocalHub:
    """A Hugging Face Hub for Jobs, on this machine, in this process.

    Any client of the Hub's Jobs API can be pointed at `endpoint` with `token`. Jobs run as local
    processes; closing the hub (or leaving its `with` block, or losing the last reference, or the
    end of the process, however abrupt) ends them.

    Args:
        profile: "instant" has no delays; "hub" has those of the real Hub, its rate limit, its log
            window, and its streams of metrics, which do not end with their jobs.
        port: 0 takes a free one. The hub listens on 127.0.0.1 only.
        namespace: the one user of this hub.
        token: what clients must send; None: a random one.
        timings: replaces those of the profile.
        log_window: how many lines of a job's log are kept; None: all.
        log_limit: how many bytes of a job's log are kept. They are in files of a folder that the
            hub makes where `tempfile` does so, and deletes in the end.
        page_size: how many jobs, or buckets, a page of a list has.
        bucket_quota: how many bytes the files of all buckets may have together. They are in that
            folder too; what was overwritten or taken out of a bucket stays there until the bucket
            is deleted.
        rate_limit: requests per five minutes; None: no limit.
        expose_urls: when a job's addresses of exposed ports are told: "launch", as most sources say
            of the real Hub: in the reply to the launch already; "running": not before the job runs.
        runner: carries out the jobs; None: as processes.
        faults: what the hub is to get wrong; see `hfexecutor.local.faults`.
        seed: makes the faults' probabilities repeatable.

    Example:
        >>> from hfexecutor.local import LocalHub
        >>> with LocalHub() as hub:
        ...     hub.endpoint.startswith("http://127.0.0.1:")
        True
    """

    def __init__(
        self,
        profile: Literal["instant", "hub"] = "instant",
        *,
        port: int = 0,
        namespace: str = "local-user",
        token: str | None = None,
        timings: Timings | None = None,
        log_window: int | None = _UNSET,
        log_limit: int = 256 << 20,
        page_size: int = 100,
        bucket_quota: int = 10 << 30,
        rate_limit: int | None = _UNSET,
        expose_urls: Literal["launch", "running"] = "launch",
        runner: Runner | None = None,
        faults: Iterable[Fault] = (),
        seed: int = 0,
    ) -> None:
        if profile not in PROFILES:
            raise ValueError(f"unknown profile {profile!r}: choose from {', '.join(PROFILES)}")
        if expose_urls not in _EXPOSE_URLS:
            raise ValueError(
                f"unknown expose_urls {expose_urls!r}: choose from {', '.join(_EXPOSE_URLS)}"
            )
        if log_limit < 1:
            raise ValueError(f"log_limit must be a number of bytes, not {log_limit!r}")
        if bucket_quota < 0:
            raise ValueError(f"bucket_quota must be a number of bytes, not {bucket_quota!r}")
        real = profile == "hub"
        self._settings = Settings(
            timings=timings or PROFILES[profile],
            log_window=(_HUB_WINDOW if real else None) if log_window == _UNSET else log_window,
            log_limit=log_limit,
            rate_limit=(_HUB_RATE_LIMIT if real else None) if rate_limit == _UNSET else rate_limit,
            page_size=page_size,
            bucket_quota=bucket_quota,
            runner=runner,
            endless_metrics=real,
            urls_at_launch=expose_urls == "launch",
            faults=tuple(faults),
            seed=seed,
        )
        self._port = port
        self._identity = Identity(namespace, token or new_token())
        self._core: Core | None = None
        self._closer: weakref.finalize[..., LocalHub] | None = None

    def start(self) -> Self:
        """Start serving, unless the hub does so already.

        Raises:
            ImportError: the extra `local` is not installed.
            OSError: the port is taken.
            RuntimeError: the hub has been closed.
        """
        if self._closer is not None:
            if not self._closer.alive:
                raise RuntimeError("a LocalHub that has been closed cannot be started again")
            return self
        folders.sweep()
        folder, held = folders.make()
        runner = self._settings.runner or _processes(folder)
        try:
            core_class = _import_core()
            listener = listen(self._port)
            self._port = listener.getsockname()[1]
            self._identity = replace(self._identity, base_url=self.endpoint)
            core = core_class(self._settings, self._identity, listener, runner, folder, held=held)
            core.start()
        except BaseException:
            if isinstance(runner, ProcessRunner):
                runner.abandon()
            shutil.rmtree(folder, ignore_errors=True)
            held.close()
            raise
        self._core = core
        self._closer = weakref.finalize(self, core.close)
        return self

    def close(self) -> None:
        """Kill all jobs and stop serving."""
        if self._closer is not None:
            self._closer()

    def inject(self, *faults: Fault) -> None:
        """Have the hub get more wrong from now on."""
        self._running_core.inject(faults)

    def behave(self) -> None:
        """Have the hub get nothing wrong from now on; faults that are under way go on."""
        self._running_core.behave()

    def restart(self, down: float = 0.0) -> None:
        """Take the API down and up again after so many seconds.

        All connections are cut; jobs and their records stay. Comes back when the hub is up.
        """
        self._running_core.restart(down)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._closer is None:
            return "<LocalHub [not started]>"
        jobs = self.jobs()
        state = f"{self.running} running, {len(jobs)} jobs" if self._closer.alive else "closed"
        return f"<LocalHub {self.endpoint} [{state}]>"

    @property
    def endpoint(self) -> str:
        """The URL to use as HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def token(self) -> str:
        """The token to use as HF_TOKEN."""
        return self._identity.token

    @property
    def namespace(self) -> str:
        """The name of the hub's one user."""
        return self._identity.name

    @property
    def page(self) -> str:
        """The address of its pages for people, with the key that opens them all: begin there."""
        return f"{self.endpoint}/?key={self._settings.page_key}"

    @property
    def struck(self) -> dict[str, int]:
        """How often each kind of fault has struck."""
        return dict(self._core.injector.struck) if self._core else {}

    @property
    def _running_core(self) -> Core:
        if self._core is None or self._closer is None or not self._closer.alive:
            raise RuntimeError("this LocalHub is not running")
        return self._core

    @property
    def timings(self) -> Timings:
        """The delays in force."""
        return self._settings.timings

    @property
    def requests(self) -> Counter[str]:
        """A copy of the count of requests so far, by "METHOD /route/{template}"."""
        return Counter(self._core.requests) if self._core else Counter()

    @property
    def running(self) -> int:
        """How many jobs are not over."""
        return sum(not job.stage.over for job in self._core.store) if self._core else 0

    def jobs(self) -> list[JobView]:
        """Return all jobs as they are now, oldest first."""
        if self._core is None:
            return []
        return [
            JobView(
                id=job.id,
                stage=str(job.stage),
                labels=dict(job.labels),
                pids=job.pids,
                message=job.message,
                failures=job.failures,
                lines=job.log.total,
                flavor=job.spec.flavor,
            )
            for job in self._core.store
        ]


def _processes(folder: str) -> ProcessRunner:
    """Return a runner whose reaper starts while this process is busy importing."""
    runner = ProcessRunner(folder)
    runner.prepare()
    return runner


def _import_core() -> type[Core]:
    try:
        from .server import Core  # noqa: PLC0415 - takes 0.1 s, and needs the extra
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        raise ImportError(
            f'the embedded Hub needs {error.name}: pip install "hfexecutor[local]"'
        ) from error
    return Core
