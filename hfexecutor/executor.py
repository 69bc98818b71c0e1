"""The ``concurrent.futures`` contract: :class:`HubExecutor`."""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from collections import deque
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar

from hfexecutor import lifecycle
from hfexecutor.calls import Call, Pickler
from hfexecutor.connection import Connection
from hfexecutor.errors import UnpicklableCallError
from hfexecutor.futures import HubFuture
from hfexecutor.hub.settings import LOCAL, check_user, resolve_endpoint, resolve_token
from hfexecutor.options import Options
from hfexecutor.pool import Pool
from hfexecutor.stats import with_doors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from hfexecutor.stats import Stats

__all__ = ["HubExecutor"]

P = ParamSpec("P")
T = TypeVar("T")

_call_ids = itertools.count(1)


class HubExecutor(Executor):
    """Run calls in Hugging Face Jobs.

    Jobs are started when calls need them, up to `max_workers` calls at a time. Running jobs cost
    money by the minute until the executor is shut down, or they have been idle for
    `idle_timeout`: so use it in a ``with`` block.

    Args:
        max_workers: Calls that may run at once, 8 by default; at most that many jobs are paid for.
        flavor: Hardware of each job, ``"cpu-basic"`` by default, the cheapest. The Hub's list is at
            ``hf jobs hardware``; a name that is not on it fails before anything is started.
        endpoint: The Hub. None, the default, takes ``HFEXECUTOR_ENDPOINT``, then what
            ``huggingface_hub`` would use; ``"local"`` starts an embedded Hub that runs jobs as
            processes of this machine, without account, network or cost. That one has a user of
            its own: `namespace` and `token` are ignored.
        namespace: User or organisation that the jobs belong to, and that pays. None, the default:
            the user whom the token belongs to.
        token: None, the default, takes what ``huggingface_hub`` finds (``HF_TOKEN``,
            ``hf auth login``).
        image: Docker image with uv in it. None, the default: the uv image of this interpreter's
            version. In an image of your own uv is asked for that version, too, and downloads it
            if it is not there.
        python: Version that uv is asked for; must be of this interpreter's minor version. None,
            the default, is that version; name one to have a certain patch release.
        dependencies: Requirements that uv installs in each job before its first call, for
            instance ``["numpy>=2"]``. None, the default, installs nothing, and costs no time.
        env: Environment variables of the jobs, none by default. Everybody who may see the jobs can
            read them.
        secrets: Environment variables that nobody can read on the Hub, none by default. Calls can:
            they are for them.
        labels: Labels of the jobs, beside our own; none by default.
        timeout: Seconds (or "90s", "30m", "6h", "2d") after which the Hub kills a job, whatever
            it does: its calls are those of a job that was lost. None, the default, is 12 hours,
            not the Hub's 30 minutes.
        idle_timeout: Seconds without a call after which a job leaves by itself, 60 by default.
            Short ones save money between calls, long ones save cold starts. It is also how long a
            job goes on after this process was killed.
        reuse_workers: True, the default, lets a job run call after call; False starts a job for
            each call: more isolation, and seconds of cold start per call.
        slots_per_job: Calls that run at once in one job, each in a process of its own; 1 by
            default. "auto" is the number of vCPUs of the flavor.
        call_timeout: Seconds after which a call is killed; its future ends with
            ``CallTimeoutError`` and the job goes on. None, the default: never.
        max_retries: How often a call runs again whose *job* was lost, 2 by default. With 0 no call
            is ever run twice. A call that raises, or kills its own process, never runs again.
        initializer: Called with `initargs` once in each process, before its first call; None by
            default. If it raises, every call ends with ``BrokenHubExecutor``.
        initargs: Its arguments, none by default.
        give_up_after: Seconds for which the Hub may answer nothing, 300 by default, until calls end
            with ``HubUnavailableError``. The clock starts with the first request that fails. While
            all is quiet one is sent every 30 s, and it takes up to 10 s to fail; so that much may
            pass before it starts.

    Raises:
        ValueError: An option is out of range; TypeError if of the wrong type.
        UnpicklableCallError: `initializer` or `initargs` cannot be pickled.
        AuthenticationError: No token is found.
        ImportError: ``endpoint="local"`` without the extra: ``pip install "hfexecutor[local]"``.

    Example:
        >>> with HubExecutor(max_workers=2, endpoint="local") as executor:
        ...     list(executor.map(pow, [2, 3, 4], [5, 2, 3]))
        [32, 9, 64]
    """

    def __init__(
        self,
        max_workers: int = 8,
        *,
        flavor: str = "cpu-basic",
        endpoint: str | None = None,
        namespace: str | None = None,
        token: str | None = None,
        image: str | None = None,
        python: str | None = None,
        dependencies: Iterable[str] | None = None,
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        timeout: float | str | None = None,
        idle_timeout: float = 60.0,
        reuse_workers: bool = True,
        slots_per_job: int | Literal["auto"] = 1,
        call_timeout: float | None = None,
        max_retries: int = 2,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        give_up_after: float = 300.0,
    ) -> None:
        self._options = Options.check(
            max_workers=max_workers,
            flavor=flavor,
            image=image,
            python=python,
            dependencies=dependencies,
            env=env,
            secrets=secrets,
            labels=labels,
            timeout=timeout,
            idle_timeout=idle_timeout,
            reuse_workers=reuse_workers,
            slots_per_job=slots_per_job,
            call_timeout=call_timeout,
            max_retries=max_retries,
            initializer=initializer,
            initargs=initargs,
            give_up_after=give_up_after,
        )
        self._max_workers = self._options.max_workers  # where the stdlib's executors have it
        connect, farewell, self._where = _choose_hub(endpoint, token, namespace, self._options)
        self._pool = Pool(self._options, connect, farewell)
        self._pickler = Pickler(keep_first=False)
        self._lock = threading.Lock()  # guards _shutdown, and the pool's start
        self._shutdown = False
        self._started = False
        self._pid = os.getpid()
        # The pool knows nothing of the executor: when nobody else does either, it winds up.
        self._finalizer = weakref.finalize(self, _wind_up, self._pool, farewell)
        self._finalizer.atexit = False
        lifecycle.register(self._pool)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> HubFuture[T]:
        """Pickle the call now, run it in a job, and return its future.

        What cannot be pickled ends as ``UnpicklableCallError`` on the future, before a job is
        started for it. What goes wrong later arrives on the future as well: what the call raised,
        and the errors of jobs and of the Hub (a token that is refused, a flavor that is unknown).

        Raises:
            RuntimeError: The executor was shut down, or the interpreter is about to end, or this
                is a forked child of the process that the executor belongs to.
            BrokenHubExecutor: The initializer has failed.
        """
        call_id = next(_call_ids)
        future: HubFuture[T] = HubFuture()
        try:
            frozen = self._pickler.freeze(fn, args, kwargs)
        except UnpicklableCallError as error:
            self._check_open()
            future.set_running_or_notify_cancel()
            future.set_exception(error)
            return future
        future.bind(call_id, self._pool)
        with self._lock:
            self._check_open()
            if not self._started:
                self._started = True
                self._pool.start()
            self._pool.submit(Call(call_id, future, frozen))
        return future

    def _check_open(self) -> None:
        if (broken := self._pool.scheduler.broken) is not None:
            raise broken
        if self._shutdown:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if lifecycle.ending():
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        if os.getpid() != self._pid:
            raise RuntimeError(
                "this executor belongs to the process that was forked; create one of your own"
            )

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Return an iterator over ``fn``'s results in the order of the arguments.

        As in the stdlib; `buffersize` as in Python 3.14, on every version. The iterator raises what
        the first call in order has raised that failed; the calls that did not begin are cancelled.

        Args:
            fn: Called with one item of each iterable.
            *iterables: Consumed at once, up to the shortest, unless `buffersize` is given.
            timeout: Seconds from now after which waiting for a result raises TimeoutError.
            chunksize: Items that travel, and run one after the other, as one call.
            buffersize: At most that many calls are submitted whose results were not taken yet.

        Raises:
            ValueError: `chunksize` or `buffersize` is less than 1; TypeError if `buffersize` is
                no whole number.
            RuntimeError: As for :meth:`submit`, and BrokenHubExecutor likewise.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        deadline = None if timeout is None else time.monotonic() + timeout
        rows = zip(*iterables, strict=False)
        if chunksize == 1:
            return _results(self, lambda ex, row: ex.submit(fn, *row), rows, deadline, buffersize)
        run = _chunk_runner(fn)
        chunks = _chunked(rows, chunksize)
        lists = _results(self, lambda ex, rows: ex.submit(run, rows), chunks, deadline, buffersize)
        return _unchunked(lists)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; see what is submitted through, then let every job leave.

        With `wait`, return when no job is left. With `cancel_futures`, calls that were not handed
        to a running job are cancelled.

        If the Hub cannot be reached, open calls end after `give_up_after`. When none is open, this
        waits up to 35 s and returns all the same: jobs that are left go after `idle_timeout`.
        """
        with self._lock:
            self._shutdown = True
        self._finish(lambda: self._pool.close(cancel_futures=cancel_futures), wait=wait)

    def _finish(self, tell: Callable[[], None], *, wait: bool) -> None:
        if os.getpid() != self._pid:
            return  # a fork: the jobs belong to the parent
        if self._started:
            tell()
            if wait:
                self._pool.join()
                self._finalizer.detach()
        else:
            self._finalizer()

    def stats(self) -> Stats:
        """Return what has been done so far, and what it has cost by the Hub's price list."""
        scheduler = self._pool.scheduler
        figures = scheduler.stats()
        return figures if scheduler.one_shot else with_doors(figures)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shut down; after an exception stop what runs instead of paying for it any longer."""
        if kind is not None:
            self._stop(kind)
            return
        try:
            self.shutdown(wait=True)
        except KeyboardInterrupt as interrupt:
            self._stop(type(interrupt))
            raise

    def _stop(self, kind: type[BaseException]) -> None:
        with self._lock:
            self._shutdown = True
        try:
            self._finish(
                lambda: self._pool.abort(f"{kind.__name__} left the with block"), wait=True
            )
        except KeyboardInterrupt:
            lifecycle.hurry()
            raise

    def __repr__(self) -> str:
        state = "shut down" if self._shutdown else self._pool.scheduler.describe()
        return f"<HubExecutor {self._where}/{self._options.flavor} [{state}]>"


def _choose_hub(
    endpoint: str | None, token: str | None, namespace: str | None, options: Options
) -> tuple[Callable[[], Connection], Callable[[], None], str]:
    """Return how to connect, what to do when done, and a name for the repr."""
    address = resolve_endpoint(endpoint)
    check_user(token, namespace)  # also where they are not needed: it is a slip all the same

    def connection(endpoint: str, token: str, namespace: str | None) -> Connection:
        return Connection(
            endpoint=endpoint, token=token, namespace=namespace, give_up=options.give_up_after
        )

    if address != LOCAL:
        found = resolve_token(token)
        return (
            lambda: connection(address, found, namespace),
            lambda: None,
            namespace or address.partition("://")[2],
        )
    from hfexecutor.local import LocalHub  # noqa: PLC0415 - an extra, and 0.3 s to import

    hub = LocalHub()
    hub.start()
    return lambda: connection(hub.endpoint, hub.token, hub.namespace), hub.close, LOCAL


def _wind_up(pool: Pool, farewell: Callable[[], None]) -> None:
    """The executor is gone: end the pool, or what was prepared for one that never started."""
    if pool.alive:
        pool.close()
    elif not pool.started:
        farewell()


def _chunk_runner(fn: Callable[..., T]) -> Callable[[list[tuple[Any, ...]]], list[T]]:
    # A nested function is always pickled by value, so the job need not have this package.
    def run_chunk(chunk: list[tuple[Any, ...]]) -> list[T]:
        return [fn(*row) for row in chunk]

    return run_chunk


def _chunked(rows: Iterable[tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    rows = iter(rows)
    while chunk := list(itertools.islice(rows, size)):
        yield chunk


def _unchunked(lists: Iterator[list[T]]) -> Iterator[T]:
    """Yield the items of all lists, holding no reference to what was yielded."""
    for items in lists:
        items.reverse()
        while items:
            yield items.pop()


def _results(
    executor: HubExecutor,
    submit: Callable[[HubExecutor, Any], HubFuture[Any]],
    items: Iterable[Any],
    deadline: float | None,
    buffersize: int | None,
) -> Iterator[Any]:
    """Submit now; return an iterator over the results that submits the rest as it goes."""
    items = iter(items)
    futures = deque(submit(executor, item) for item in itertools.islice(items, buffersize))
    # Whoever holds the iterator must not keep the executor alive with it.
    alive = weakref.ref(executor)

    def results() -> Iterator[Any]:
        try:
            while futures:
                if buffersize is not None and (owner := alive()) is not None:
                    futures.extend(submit(owner, item) for item in itertools.islice(items, 1))
                    del owner
                yield _take_result(futures.popleft(), deadline)
        finally:
            for future in futures:
                future.cancel()

    return results()


def _take_result(future: HubFuture[Any], deadline: float | None) -> Any:
    """Return the result and leave no reference to it, or to the future, behind."""
    try:
        try:
            remaining = None if deadline is None else deadline - time.monotonic()
            return future.result(remaining)
        finally:
            future.cancel()
    finally:
        del future
