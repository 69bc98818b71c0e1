"""The maps of an executor: :class:`MappingExecutor`, on top of ``submit``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sized
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, TypeVar, Unpack, overload

from hfexecutor.labels import check_name
from hfexecutor.mapped_calls import MapOptions, MappedCalls
from hfexecutor.mapped_results import Raise, Return, run_keeping, run_rows
from hfexecutor.payload.async_functions import refuse_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from concurrent.futures import Future

    from hfexecutor.mapped_calls import Row
    from hfexecutor.mapped_results import Results
    from hfexecutor.payload.remote_value import RemoteValue
    from hfexecutor.progress.tally import Jobs

__all__ = ["MappingExecutor"]

T = TypeVar("T")
Submit: TypeAlias = "Callable[..., Future[Any]]"


class _Options(TypedDict, total=False):
    """What the overloads of all maps have in common; defaults and meanings are those of `map`."""

    timeout: float | None
    chunksize: int
    buffersize: int | None
    ordered: bool
    progress: bool
    resume: str | None


def _submit(executor: Executor, fn: Callable[..., T], *args: Any) -> Future[T]:
    return executor.submit(fn, *args)


class MappingExecutor(Executor):
    """An executor whose maps can do more than the stdlib's.

    All it asks for is a ``submit``; without options the maps are the stdlib's.
    """

    def _home(self) -> MappingExecutor:
        """Return the executor that calls are submitted to, as long as somebody holds it."""
        return self

    def _submit_for(self, resume: str | None, keep: Literal["remote"] | None = None) -> Submit:
        """Return how a map submits its calls."""
        if keep is not None:
            return self._submit_keeping(keep)
        if resume is None:
            return _submit
        self._prepare_resume(resume)

        def submit(executor: MappingExecutor, fn: Callable[..., T], *args: Any) -> Future[T]:
            return executor._submit_in(resume, fn, *args)

        return submit

    def _keeps(self, keep: Literal["remote"] | None) -> Literal["remote"] | None:
        """Return where results of a map stay for which this was given; None: nowhere."""
        return keep

    def _submit_keeping(self, keep: Literal["remote"]) -> Submit:
        """Return how a map submits calls whose results stay where they are."""
        raise NotImplementedError("this executor keeps no results")

    def _prepare_resume(self, name: str) -> None:
        """Have the results at hand that are kept under a name."""
        raise NotImplementedError("this executor keeps no results")

    def _submit_in(self, resume: str, fn: Callable[..., T], *args: Any) -> Future[T]:
        """Submit a call, unless its result is kept under a name."""
        raise NotImplementedError("this executor keeps no results")

    @overload
    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        return_exceptions: Literal[False] = False,
        keep: None = None,
        **options: Unpack[_Options],
    ) -> Iterator[T]: ...
    @overload
    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        return_exceptions: Literal[False] = False,
        keep: Literal["remote"],
        **options: Unpack[_Options],
    ) -> Iterator[RemoteValue[T]]: ...
    @overload
    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        return_exceptions: bool,
        keep: None = None,
        **options: Unpack[_Options],
    ) -> Iterator[T | BaseException]: ...
    @overload
    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        return_exceptions: bool,
        keep: Literal["remote"],
        **options: Unpack[_Options],
    ) -> Iterator[RemoteValue[T] | BaseException]: ...

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
        progress: bool = False,
        resume: str | None = None,
        keep: Literal["remote"] | None = None,
    ) -> Iterator[T | RemoteValue[T] | BaseException]:
        """Return an iterator over ``fn``'s results, in the order of the arguments.

        As in the stdlib; `buffersize` as in Python 3.14, on every version. The iterator raises what
        the first call in order has raised that failed; the calls that did not begin are cancelled,
        then and when the iterator is left.

        Args:
            fn: Called with one item of each iterable.
            *iterables: Consumed at once, up to the shortest, unless `buffersize` is given.
            timeout: Seconds from now after which waiting for a result raises TimeoutError. None,
                the default: as long as it takes.
            chunksize: Items that travel, and run one after the other, as one call; 1 by default.
            buffersize: At most that many calls are submitted whose results were not taken yet.
                None, the default, submits all at once.
            ordered: True, the default, yields results in the order of the arguments. False yields
                each as soon as it is there, so that a slow call holds up no other.
            return_exceptions: True yields what a call has raised in the place of its result, and
                goes on; at the end a warning in the log sums up what has failed. False, the
                default, raises it.
            progress: True shows on stderr how many of the items are done, the jobs, dollars and the
                time that is left; as the executor's option of that name does for all its calls.
            resume: A name under which results are kept in a private bucket of the namespace. What
                an earlier map with that name has completed is taken from there: calls are the same
                if function, arguments and dependencies are (docs/runs.md). None, the default, keeps
                nothing.
            keep: "remote" leaves results of more than 4 MiB in the run's bucket, and yields a
                :class:`RemoteValue` for each: ``get()`` has the value, and a call that it is passed
                to reads it from the bucket. It takes an executor with ``bucket=True``, and goes
                neither with `chunksize` nor with `resume`. None, the default, yields values, unless
                :meth:`with_options` says otherwise.

        Raises:
            ValueError: `chunksize` or `buffersize` is less than 1, or `keep` is asked for where
                that cannot be; TypeError if `buffersize` is no whole number.
            RuntimeError: As for :meth:`submit`, and BrokenHubExecutor likewise.

        Example:
            >>> from hfexecutor import HubExecutor
            >>> with HubExecutor(2, endpoint="local") as executor:
            ...     list(executor.map(int, ["1", "x", "3"], return_exceptions=True))
            [1, ValueError("invalid literal for int() with base 10: 'x'"), 3]
        """
        rows = zip(*iterables, strict=False)
        options = MapOptions.check(
            timeout=timeout,
            chunksize=chunksize,
            buffersize=buffersize,
            ordered=ordered,
            return_exceptions=return_exceptions,
            progress=progress,
            keep=self._keeps(keep),
            resume=resume,
        )
        submit = self._submit_for(resume, keep)
        return _calls(self, fn, rows, options, _length(iterables), submit=submit).results()

    @overload
    def starmap(
        self,
        fn: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        *,
        return_exceptions: Literal[False] = False,
        keep: None = None,
        **options: Unpack[_Options],
    ) -> Iterator[T]: ...
    @overload
    def starmap(
        self,
        fn: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        *,
        return_exceptions: Literal[False] = False,
        keep: Literal["remote"],
        **options: Unpack[_Options],
    ) -> Iterator[RemoteValue[T]]: ...
    @overload
    def starmap(
        self,
        fn: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        *,
        return_exceptions: bool,
        keep: None = None,
        **options: Unpack[_Options],
    ) -> Iterator[T | BaseException]: ...
    @overload
    def starmap(
        self,
        fn: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        *,
        return_exceptions: bool,
        keep: Literal["remote"],
        **options: Unpack[_Options],
    ) -> Iterator[RemoteValue[T] | BaseException]: ...

    def starmap(
        self,
        fn: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        *,
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
        progress: bool = False,
        resume: str | None = None,
        keep: Literal["remote"] | None = None,
    ) -> Iterator[T | RemoteValue[T] | BaseException]:
        """Return an iterator over ``fn(*args)`` for each `args` of `iterable`.

        It is to :meth:`map` what ``itertools.starmap`` is to the builtin: for arguments that are
        in tuples already. The options are those of :meth:`map`.

        Example:
            >>> from hfexecutor import HubExecutor
            >>> with HubExecutor(2, endpoint="local") as executor:
            ...     list(executor.starmap(pow, [(2, 5), (3, 2)]))
            [32, 9]
        """
        options = MapOptions.check(
            timeout=timeout,
            chunksize=chunksize,
            buffersize=buffersize,
            ordered=ordered,
            return_exceptions=return_exceptions,
            progress=progress,
            keep=self._keeps(keep),
            resume=resume,
        )
        rows = (tuple(args) for args in iterable)
        submit = self._submit_for(resume, keep)
        return _calls(self, fn, rows, options, _length((iterable,)), submit=submit).results()

    @overload
    def amap(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        return_exceptions: Literal[False] = False,
        keep: None = None,
        **options: Unpack[_Options],
    ) -> AsyncIterator[T]: ...
    @overload
    def amap(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        return_exceptions: Literal[False] = False,
        keep: Literal["remote"],
        **options: Unpack[_Options],
    ) -> AsyncIterator[RemoteValue[T]]: ...
    @overload
    def amap(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        return_exceptions: bool,
        keep: None = None,
        **options: Unpack[_Options],
    ) -> AsyncIterator[T | BaseException]: ...
    @overload
    def amap(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        return_exceptions: bool,
        keep: Literal["remote"],
        **options: Unpack[_Options],
    ) -> AsyncIterator[RemoteValue[T] | BaseException]: ...

    def amap(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
        progress: bool = False,
        resume: str | None = None,
        keep: Literal["remote"] | None = None,
    ) -> AsyncIterator[T | RemoteValue[T] | BaseException]:
        """Return an async iterator over ``fn``'s results, for ``async for``.

        As :meth:`map`, with its options: calls are submitted at once, and while results are waited
        for the event loop is free. Submitting many calls takes it a moment: `buffersize` spreads
        that. Leaving the loop early cancels what has not begun when asyncio closes the iterator,
        which it does soon; ``contextlib.aclosing`` makes it certain.

        With `resume` calls are submitted when the loop begins: what earlier runs have completed is
        read first, in a thread.

        Example:
            >>> import asyncio
            >>> from hfexecutor import HubExecutor
            >>> async def main():
            ...     async with HubExecutor(2, endpoint="local") as executor:
            ...         return [n async for n in executor.amap(pow, [2, 3], [5, 2])]
            >>> asyncio.run(main())
            [32, 9]
        """
        rows = zip(*iterables, strict=False)
        options = MapOptions.check(
            timeout=timeout,
            chunksize=chunksize,
            buffersize=buffersize,
            ordered=ordered,
            return_exceptions=return_exceptions,
            progress=progress,
            keep=self._keeps(keep),
            resume=resume,
        )
        length = _length(iterables)
        if resume is not None:
            refuse_async(fn)  # now, as all else that is wrong is told now
            check_name("resume", resume)
            return self._amap_resumed(resume, fn, rows, options, length)
        submit = self._submit_for(None, keep)
        return _calls(self, fn, rows, options, length, submit=submit).results_async()

    async def _amap_resumed(
        self,
        resume: str,
        fn: Callable[..., T],
        rows: Iterable[Row],
        options: MapOptions,
        length: int | None,
    ) -> AsyncIterator[T | BaseException]:
        """Submit once earlier results are at hand, then yield what comes of it."""
        submit = await asyncio.to_thread(self._submit_for, resume)
        results: Any = _calls(self, fn, rows, options, length, submit=submit).results_async()
        async with contextlib.aclosing(results):
            async for result in results:
                yield result

    def _jobs(self) -> Callable[[], Jobs | None]:
        """Return what tells of the jobs that calls run in; of None where there are none."""
        return lambda: None

    def _summary(self) -> Callable[[int], None]:
        """Return what hears of how many calls that failed a map's summary has told."""
        return lambda _: None


def _length(iterables: tuple[Iterable[Any], ...]) -> int | None:
    """Return how many rows there will be, if that is known before."""
    lengths = [len(one) for one in iterables if isinstance(one, Sized)]
    return min(lengths) if lengths and len(lengths) == len(iterables) else None


def _calls(
    executor: MappingExecutor,
    fn: Callable[..., Any],
    rows: Iterable[Row],
    options: MapOptions,
    length: int | None,
    *,
    submit: Submit,
) -> MappedCalls:
    """Submit the calls of a map."""
    refuse_async(fn)
    single = options.chunksize == 1
    results: Results
    if options.return_exceptions:
        results = Return(single=single, summary=executor._summary())  # noqa: SLF001 - this module's own
        run = run_keeping(fn)
    else:
        results, run = Raise(single=single), run_rows(fn)

    def submit_one(executor: Executor, chunk: list[Row]) -> Future[Any]:
        return submit(executor, fn, *chunk[0])

    def submit_several(executor: Executor, chunk: list[Row]) -> Future[Any]:
        return submit(executor, run, chunk)

    watch = None
    if options.progress:
        from hfexecutor.progress.maps import MapProgress  # noqa: PLC0415 - for who wants to see it
        from hfexecutor.progress.tally import Tally  # noqa: PLC0415

        tally = Tally(executor._jobs(), length)  # noqa: SLF001 - this module's own
        watch = MapProgress(getattr(fn, "__name__", ""), tally, results.failed)
    how = submit_one if single else submit_several
    home = executor._home()  # noqa: SLF001 - as above
    return MappedCalls(home, how, rows, options, results, progress=watch)
