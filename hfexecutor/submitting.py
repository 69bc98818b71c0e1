"""Ways to submit calls: :class:`SubmittingExecutor`, and views of one with other options."""

from __future__ import annotations

import concurrent.futures
import threading
import weakref
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    NamedTuple,
    Never,
    ParamSpec,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from hfexecutor.labels import check_name
from hfexecutor.mapping import MappingExecutor
from hfexecutor.payload.fingerprint import fingerprint_of_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
    from types import TracebackType

    from hfexecutor.call_factory import CallFactory
    from hfexecutor.futures import HubFuture
    from hfexecutor.mapping import Submit
    from hfexecutor.payload.remote_value import RemoteValue
    from hfexecutor.progress.tally import Jobs
    from hfexecutor.retrying import RetryOn, Wait
    from hfexecutor.runtime.results_store import ResultsStore

__all__ = ["ExecutorView", "Keep", "RemoteView", "SubmittingExecutor"]

P = ParamSpec("P")
T = TypeVar("T")


class Keep(NamedTuple):
    """Under what a result is kept.

    Attributes:
        name: What it shares with others.
        call: The fingerprint that stands for its call; None for that of what it is made of.
        key: Its submitter's key, None without one.
    """

    name: str
    call: bytes | None = None
    key: str | None = None


class _Unchanged:
    def __repr__(self) -> str:
        return "<unchanged>"


_UNCHANGED: Final[Any] = _Unchanged()


class _CallOptions(TypedDict, total=False):
    """Options of calls, but for what their futures are of; meanings are those of the executor."""

    flavor: str | Sequence[str] | None
    scheduling_timeout: float | str | None
    on_memory_error: Literal["next flavor"] | None
    call_timeout: float | str | None
    max_retries: int
    retry_on: RetryOn | None
    retry_wait: Wait | None
    speculate: bool
    dependencies: str | Iterable[str] | None


class _RemoteMapOptions(TypedDict, total=False):
    """Options of maps whose results stay remote; defaults and meanings are those of `map`."""

    timeout: float | None
    buffersize: int | None
    ordered: bool
    progress: bool
    keep: Literal["remote"] | None


class SubmittingExecutor(MappingExecutor):
    """What an executor and its views have in common: calls are made, and submitted."""

    _calls: CallFactory
    _results: ResultsStore

    @property
    def name(self) -> str:
        """The name of this run, which its jobs carry: ``hfexecutor attach NAME`` finds them."""
        return self._calls.options.name

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> HubFuture[T]:
        """Pickle the call now, run it in a job, and return its future.

        What cannot be pickled ends as ``UnpicklableCallError`` on the future, before a job is
        started for it, and what it imports and no job can have as ``DependencyError``. What goes
        wrong later arrives on the future as well: what the call raised, and the errors of jobs and
        of the Hub (a token that is refused, a flavor that is unknown).

        Raises:
            RuntimeError: The executor was shut down, or the interpreter is about to end, or this
                is a forked child of the process that the executor belongs to.
            BrokenHubExecutor: The initializer has failed.
            TypeError: `fn` is an async function, which nobody would await in the job.
        """
        return self._submit(fn, args, kwargs)

    def submit_keyed(
        self, key: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> HubFuture[T]:
        """Do as :meth:`submit` does, unless a run of this name has completed `key` before.

        Then its future is done at once, with the result of then, whatever `fn` and its arguments
        are now. Results are kept as for ``map(resume=…)``, under `name`: give the executor one.
        The key travels with the call: who attaches to the run finds it by that
        (:meth:`AttachedRun.future_of`).

        Args:
            key: What the result is kept under: any text. As it goes into the logs of jobs, at most
                its first 200 characters, it is no place for secrets.
            fn: The function.
            *args: Its arguments.
            **kwargs: Those by name.

        Raises:
            TypeError: `key` is no string; else what :meth:`submit` raises.
            ValueError: The results of these calls are to stay remote.
            HubError: The results of earlier runs cannot be read.

        Example:
            >>> from hfexecutor import HubExecutor
            >>> with HubExecutor(2, name="nightly", endpoint="local") as executor:
            ...     executor.submit_keyed("shard-1", pow, 2, 5).result()
            32
        """
        if not isinstance(key, str):
            raise TypeError(f"key must be a string, not {key!r}")
        if self._calls.options.keep:
            raise ValueError(
                'keep="remote" leaves results until the run ends, and those of a key are for later '
                "runs: use submit for the one, and an executor without keep for the other"
            )
        self._results.load(self.name)
        return self._submit(fn, args, kwargs, Keep(self.name, fingerprint_of_key(key), key))

    def share(self, value: Any) -> Any:
        """Pickle a value now, and return a handle that arrives as the value in calls.

        A large value travels once to each job whether or not it is shared. But one that may be
        changed is compared at each `submit` with what was sent; of a shared one only the handle
        is pickled. It may be an argument, stand within one, in what a function closes over, and in
        another value that is shared. Each call gets a value of its own, as of any argument.

        This process and the jobs keep the value as long as there is the handle, or a call that
        needs it; jobs, if there is room, until a later one wants that.

        Raises:
            UnpicklableCallError: The value cannot be pickled.
            RuntimeError: The executor was shut down.

        Example:
            >>> from hfexecutor import HubExecutor
            >>> with HubExecutor(2, endpoint="local") as executor:
            ...     table = executor.share({n: n * n for n in range(100_000)})
            ...     list(executor.map(dict.get, [table] * 3, [2, 3, 4]))
            [4, 9, 16]
        """
        home = self._home()
        home._check_open()  # noqa: SLF001 - this module's own
        shared = self._calls.pickler.share(value)
        home._let_go_with(shared)  # noqa: SLF001
        return shared

    @overload
    def with_options(
        self, *, keep: Literal["remote"], **options: Unpack[_CallOptions]
    ) -> RemoteView: ...
    @overload
    def with_options(
        self, *, keep: None = None, **options: Unpack[_CallOptions]
    ) -> ExecutorView: ...

    def with_options(
        self,
        *,
        flavor: str | Sequence[str] | None = _UNCHANGED,
        scheduling_timeout: float | str | None = _UNCHANGED,
        on_memory_error: Literal["next flavor"] | None = _UNCHANGED,
        call_timeout: float | str | None = _UNCHANGED,
        max_retries: int = _UNCHANGED,
        retry_on: RetryOn | None = _UNCHANGED,
        retry_wait: Wait | None = _UNCHANGED,
        speculate: bool = _UNCHANGED,
        dependencies: str | Iterable[str] | None = _UNCHANGED,
        keep: Literal["remote"] | None = _UNCHANGED,
        **of_the_pool: Never,
    ) -> ExecutorView:
        """Return a view of this executor: the same jobs, run, budget and events, other options.

        What is not given is as it is here. Each option means what it means for
        :class:`HubExecutor`. Requirements in `dependencies` are installed for these calls, beside
        what the executor installs in every job at its start.

        With another `flavor` calls run in jobs of that hardware, which are launched when the first
        such call is submitted, after name and price were looked at. `max_workers` and `max_cost`
        are those of the executor, for calls and jobs of all flavors together. Where `max_workers`
        leaves no place for them, idle jobs of other flavors make way at once, and one that works
        after half a minute. Calls with the same list of flavors share its jobs: of those that are
        open, the one with the shortest `scheduling_timeout` counts.

        With ``keep="remote"`` the future of a call has a :class:`RemoteValue`: what it has returned
        stays in the run's bucket if it is more than 4 MiB, until :meth:`RemoteValue.get` downloads
        it or another call of this executor gets it as an argument. That takes an executor with
        ``bucket=True``.

        Raises:
            ValueError: An option is out of range, or does not go with those of the executor.
            TypeError: It is of the wrong type, or one that all calls of an executor share.

        Example:
            >>> from hfexecutor import HubExecutor
            >>> with HubExecutor(2, endpoint="local") as executor:
            ...     quick = executor.with_options(call_timeout=60, retry_on=ConnectionError)
            ...     quick.submit(pow, 2, 5).result()
            32
        """
        given = {
            "flavor": flavor,
            "scheduling_timeout": scheduling_timeout,
            "on_memory_error": on_memory_error,
            "call_timeout": call_timeout,
            "max_retries": max_retries,
            "retry_on": retry_on,
            "retry_wait": retry_wait,
            "speculate": speculate,
            "dependencies": dependencies,
            "keep": keep,
            **of_the_pool,
        }
        changed = {name: value for name, value in given.items() if value is not _UNCHANGED}
        calls = self._calls.with_options(**changed)
        view = RemoteView if calls.options.keep else ExecutorView
        return view(self._home(), calls)

    def _keeps(self, keep: Literal["remote"] | None) -> Literal["remote"] | None:
        return "remote" if keep is None and self._calls.options.keep else keep

    def _submit_keeping(self, keep: Literal["remote"]) -> Submit:
        calls = self._calls.with_options(keep=keep)

        def submit(executor: Any, fn: Callable[..., T], *args: Any) -> HubFuture[T]:
            future: HubFuture[T] = executor._submit_made(calls, fn, args, {}, None)  # noqa: SLF001
            return future

        return submit

    def _submit_in(self, resume: str, fn: Callable[..., T], *args: Any) -> HubFuture[T]:
        return self._submit(fn, args, {}, Keep(resume))

    def _prepare_resume(self, name: str) -> None:
        self._results.load(check_name("resume", name))

    def _home(self) -> Any:
        """Return the executor that the jobs belong to."""
        return self

    def _submit(
        self,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        keep: Keep | None = None,
    ) -> HubFuture[T]:
        """Submit a call, whose result is perhaps kept."""
        raise NotImplementedError


class ExecutorView(SubmittingExecutor):
    """An executor with other options for its calls, as :meth:`HubExecutor.with_options` has it.

    It has jobs, run, budget and events in common with its executor, and goes no further than that:
    :meth:`shutdown`, and the end of a ``with`` block, are about the calls that were submitted here.
    The executor goes on, and its own shutdown ends this one, too.
    """

    def __init__(self, executor: Any, calls: CallFactory) -> None:
        self._executor = executor
        self._calls = calls
        self._results = executor._results  # noqa: SLF001 - this module's own
        self._own = _OwnCalls()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls here; see those that were submitted here through.

        The executor and its jobs go on: they end with a shutdown of the executor itself.

        Args:
            wait: Return when these calls are done. True by default.
            cancel_futures: Cancel those that have not begun. False by default.
        """
        self._own.close()
        futures = self._own.futures()
        if cancel_futures:
            for future in futures:
                future.cancel()
        if wait:
            concurrent.futures.wait(futures)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shut down; after an exception stop these calls instead of paying for them any longer."""
        if kind is not None:
            for future in self._own.futures():
                future.kill()
        self.shutdown()

    def _submit(
        self,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        keep: Keep | None = None,
    ) -> HubFuture[T]:
        return self._own.submit(self._executor, self._calls, fn, args, kwargs, keep=keep)

    def _submit_for(self, resume: str | None, keep: Literal["remote"] | None = None) -> Submit:
        """Return how a map submits; that refers to the executor weakly, and to no view."""
        own = self._own
        calls = self._calls if keep is None else self._calls.with_options(keep=keep)
        if resume is not None:
            self._prepare_resume(resume)

        def submit(executor: Any, fn: Callable[..., T], *args: Any) -> HubFuture[T]:
            keep = None if resume is None else Keep(resume)
            return own.submit(executor, calls, fn, args, {}, keep=keep)

        return submit

    def _home(self) -> Any:
        return self._executor

    def _jobs(self) -> Callable[[], Jobs | None]:
        jobs: Callable[[], Jobs | None] = self._executor._jobs()  # noqa: SLF001 - see above
        return jobs

    def _summary(self) -> Callable[[int], None]:
        summary: Callable[[int], None] = self._executor._summary()  # noqa: SLF001 - see above
        return summary

    def __repr__(self) -> str:
        pool = self._executor._calls.options  # noqa: SLF001 - see above
        changed = self._calls.options.changed_from(pool)
        return f"<{type(self).__name__} ({', '.join(changed)}) of {self._executor!r}>"


class RemoteView(ExecutorView):
    """An executor whose calls leave their results in the bucket: ``with_options(keep="remote")``.

    It differs from other views in what its futures, and its maps, are of: a :class:`RemoteValue`.
    """

    # What a value is, is another thing here: type checkers are told so, and it runs as it is.
    if TYPE_CHECKING:

        def submit(  # type: ignore[override] # noqa: D102
            self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
        ) -> HubFuture[RemoteValue[T]]: ...

        @overload  # type: ignore[override]
        def map(
            self,
            fn: Callable[..., T],
            *iterables: Iterable[Any],
            return_exceptions: Literal[False] = False,
            **options: Unpack[_RemoteMapOptions],
        ) -> Iterator[RemoteValue[T]]: ...
        @overload
        def map(
            self,
            fn: Callable[..., T],
            *iterables: Iterable[Any],
            return_exceptions: bool,
            **options: Unpack[_RemoteMapOptions],
        ) -> Iterator[RemoteValue[T] | BaseException]: ...
        def map(self, *args: Any, **options: Any) -> Any: ...  # noqa: D102

        @overload  # type: ignore[override]
        def starmap(
            self,
            fn: Callable[..., T],
            iterable: Iterable[Iterable[Any]],
            *,
            return_exceptions: Literal[False] = False,
            **options: Unpack[_RemoteMapOptions],
        ) -> Iterator[RemoteValue[T]]: ...
        @overload
        def starmap(
            self,
            fn: Callable[..., T],
            iterable: Iterable[Iterable[Any]],
            *,
            return_exceptions: bool,
            **options: Unpack[_RemoteMapOptions],
        ) -> Iterator[RemoteValue[T] | BaseException]: ...
        def starmap(self, *args: Any, **options: Any) -> Any: ...  # noqa: D102

        @overload  # type: ignore[override]
        def amap(
            self,
            fn: Callable[..., T],
            *iterables: Iterable[Any],
            return_exceptions: Literal[False] = False,
            **options: Unpack[_RemoteMapOptions],
        ) -> AsyncIterator[RemoteValue[T]]: ...
        @overload
        def amap(
            self,
            fn: Callable[..., T],
            *iterables: Iterable[Any],
            return_exceptions: bool,
            **options: Unpack[_RemoteMapOptions],
        ) -> AsyncIterator[RemoteValue[T] | BaseException]: ...
        def amap(self, *args: Any, **options: Any) -> Any: ...  # noqa: D102

        @overload  # type: ignore[override]
        def with_options(self, *, keep: None, **options: Unpack[_CallOptions]) -> ExecutorView: ...
        @overload
        def with_options(
            self, *, keep: Literal["remote"] = "remote", **options: Unpack[_CallOptions]
        ) -> RemoteView: ...
        def with_options(self, **options: Any) -> Any: ...  # noqa: D102


class _OwnCalls:
    """The calls that were submitted to a view: those that are open keep their futures alive."""

    def __init__(self) -> None:
        self._futures: weakref.WeakSet[HubFuture[Any]] = weakref.WeakSet()
        self._lock = threading.Lock()  # guards the set
        self._closed = False

    def close(self) -> None:
        """Take no more."""
        self._closed = True

    def futures(self) -> list[HubFuture[Any]]:
        """Return the futures that somebody holds: the pool does until they are done."""
        with self._lock:
            return list(self._futures)

    def submit(
        self,
        executor: Any,
        calls: CallFactory,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        keep: Keep | None,
    ) -> HubFuture[T]:
        """Submit a call to the executor, and note it."""
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown of this view")
        future: HubFuture[T] = executor._submit_made(calls, fn, args, kwargs, keep)  # noqa: SLF001
        with self._lock:
            self._futures.add(future)
        return future
