"""joblib's ``Parallel``, and with it scikit-learn's ``n_jobs``, on jobs.

>>> from joblib import Parallel, delayed, parallel_config
>>> from hfexecutor.integrations.joblib import register
>>> register()
>>> with parallel_config(backend="hfexecutor", max_workers=8):      # doctest: +SKIP
...     Parallel()(delayed(pow)(2, n) for n in range(5))
[1, 2, 4, 8, 16]
"""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING, Any, Final

try:
    import joblib  # type: ignore[import-untyped]
    from joblib.parallel import (  # type: ignore[import-untyped]
        AutoBatchingMixin,
        FallbackToBackend,
        ParallelBackendBase,
        SequentialBackend,
    )
except ImportError as error:
    raise ImportError(
        'hfexecutor.integrations.joblib needs joblib: pip install "hfexecutor[joblib]"'
    ) from error

from hfexecutor.executor import HubExecutor
from hfexecutor.options import MAX_WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from hfexecutor.futures import HubFuture

__all__ = ["HubBackend", "register"]

NAME: Final = "hfexecutor"
# What Parallel hands to every backend, and means pools of processes of this machine.
_OF_LOCAL_POOLS: Final = frozenset({"context", "max_nbytes", "mmap_mode", "temp_folder", "verbose"})


def register() -> None:
    """Make the backend known to joblib by its name, ``"hfexecutor"``.

    joblib looks nowhere for backends of other packages, so this has to be called once.
    """
    joblib.register_parallel_backend(NAME, HubBackend)


def _batch_runner() -> Callable[[Callable[[], Any]], Any]:
    """Return what runs a batch in a job, where this package is not: so it is a nested function."""
    name = NAME

    def run_batch(batch: Callable[[], Any]) -> Any:
        from joblib.parallel import (  # noqa: PLC0415 - in the job
            BACKENDS,
            ThreadingBackend,
        )

        # A job starts no jobs: what it is asked to run on them, it runs in threads, as joblib does
        # with whatever is nested.
        BACKENDS.setdefault(name, ThreadingBackend)
        return batch()

    return run_batch


_RUN_BATCH: Final = _batch_runner()


class HubBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Run the batches of ``joblib.Parallel`` as calls of a :class:`HubExecutor`.

    Not made by hand: it is what joblib makes of ``backend="hfexecutor"``. Its jobs stay for all
    calls of ``Parallel`` within one ``parallel_config``, and leave when that is left; of a
    ``Parallel(backend="hfexecutor")`` without one they leave when its call is done.

    `n_jobs` is how many calls may run at once: a number, or -1, and also where nobody says
    anything, for `max_workers`. With ``n_jobs=1`` joblib runs everything in this process.

    Args:
        executor: Use this one, and let its owner shut it down. None, the default, makes one.
        nesting_level: joblib's own.
        inner_max_num_threads: joblib's own, which asks for it where it is supported.
        **options: Of :class:`HubExecutor`, for the one that is made. Without `max_workers` that
            is a positive `n_jobs`, else 8.
    """

    supports_retrieve_callback = True
    default_n_jobs = -1

    def __init__(
        self,
        *,
        executor: HubExecutor | None = None,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        if executor is not None and options:
            raise TypeError(f"an executor has its options already: {', '.join(options)}")
        self._given = executor
        self._options = options
        self._workers = executor
        self._made_with: dict[str, Any] = {}
        self._open: set[HubFuture[Any]] = set()
        self._warm_since: float | None = None
        self._parallel: Callable[[], Any] = lambda: None

    @property
    def parallel(self) -> Any:
        """The ``Parallel`` that is served; not kept, or each would wait for garbage collection."""
        return self._parallel()

    @parallel.setter
    def parallel(self, parallel: Any) -> None:
        self._parallel = weakref.ref(parallel)

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many calls may run at once; 1 if joblib is to run them here."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs == 1:
            return 1
        workers = self._size(n_jobs)
        if n_jobs is not None and n_jobs < 0:
            n_jobs = workers + 1 + n_jobs
        # With 1 joblib would run them here: one worker is asked for in another way.
        return max(2, min(n_jobs or workers, workers))

    def _size(self, n_jobs: int | None) -> int:
        """Return the size of the executor that there is, or that there would be."""
        if self._workers is not None and not self._too_small(n_jobs):
            return self._workers._max_workers  # noqa: SLF001 - where the stdlib's have it as well
        given = self._options.get("max_workers")
        if given is not None:
            return int(given)
        return n_jobs if n_jobs is not None and n_jobs > 0 else MAX_WORKERS

    def _too_small(self, n_jobs: int | None) -> bool:
        """Say whether an executor that we made is smaller than what is wanted now."""
        if self._given is not None or self._options.get("max_workers") is not None:
            return False
        assert self._workers is not None
        return (n_jobs or 0) > self._workers._max_workers  # noqa: SLF001

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        **options: Any,
    ) -> int:
        """Have an executor for the calls of one ``Parallel``; return how many run at once."""
        del prefer, require  # joblib itself sees to them
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        options = {name: value for name, value in options.items() if name not in _OF_LOCAL_POOLS}
        if options and self._given is not None:
            raise TypeError(f"an executor has its options already: {', '.join(options)}")
        self._use(n_jobs, {**self._options, **options})
        return self.effective_n_jobs(n_jobs)

    def _use(self, n_jobs: int, options: dict[str, Any]) -> None:
        """Make an executor, unless there is one that will do."""
        if self._workers is not None:
            same = self._given is not None or options == self._made_with
            if same and not self._too_small(n_jobs):
                return
        self._close()
        self._workers = HubExecutor(**{"max_workers": max(n_jobs, 0) or None, **options})
        self._made_with = options

    def _close(self) -> None:
        """Let the jobs of an executor of ours leave when they have no work."""
        if self._workers is not None and self._given is None:
            self._workers.shutdown(wait=False)
            self._workers = None
            self._warm_since = None

    def submit(
        self, func: Callable[[], Any], callback: Callable[[Future[Any]], object] | None = None
    ) -> Future[Any]:
        """Submit a batch."""
        assert self._workers is not None, "configure() comes before"
        future = self._workers.submit(_RUN_BATCH, func)
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """Return what a batch has returned, or raise what it has raised."""
        return out.result()

    def batch_completed(self, batch_size: int, duration: float) -> None:
        """Learn how long a batch takes; not from those that waited for the first job to start."""
        now = time.monotonic()
        if self._warm_since is None:
            self._warm_since = now
        elif now - duration >= self._warm_since:
            super().batch_completed(batch_size, duration)

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel what waits and kill what runs; the jobs go on, ready for the next call."""
        del ensure_ready
        for future in list(self._open):
            future.kill()

    def terminate(self) -> None:
        """End one call of ``Parallel``; within a ``parallel_config`` the jobs wait for the next."""
        self.reset_batch_stats()
        if joblib.parallel.get_active_backend()[0] is not self:
            self._close()
