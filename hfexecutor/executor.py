"""The ``concurrent.futures`` contract: :class:`HubExecutor`."""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Literal, NoReturn, ParamSpec, Self, TypeVar

from hfexecutor import lifecycle
from hfexecutor.call_factory import CallFactory, with_needs_of_initializer
from hfexecutor.core.rules import Limits
from hfexecutor.errors import PayloadError
from hfexecutor.events import CallSubmitted, Events, RunEnded
from hfexecutor.futures import PoolFuture
from hfexecutor.hub.credentials import Credentials
from hfexecutor.hub.settings import LOCAL, check_user, resolve_endpoint, resolve_token
from hfexecutor.loading import uncollected
from hfexecutor.names import name_of
from hfexecutor.options import Options
from hfexecutor.payload.async_functions import refuse_async
from hfexecutor.payload.explanation import explain
from hfexecutor.payload.fingerprint import fingerprint, fingerprint_of_key
from hfexecutor.remote import outcomes
from hfexecutor.remote.entries import pack_key
from hfexecutor.results import unwrap
from hfexecutor.runtime.connection import Connection
from hfexecutor.runtime.launch_request import room
from hfexecutor.runtime.price import bills_of, offer
from hfexecutor.runtime.results_store import ResultsStore
from hfexecutor.runtime.runner import Runner
from hfexecutor.stats import describe, describe_html, jobs_of, stats_of
from hfexecutor.submitting import SubmittingExecutor
from hfexecutor.timeline.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from huggingface_hub import Volume

    from hfexecutor.attached import AttachedRun
    from hfexecutor.cost import Cost
    from hfexecutor.futures import HubFuture
    from hfexecutor.payload.shared import Shared
    from hfexecutor.progress.tally import Jobs
    from hfexecutor.remote.outcomes import Outcome
    from hfexecutor.retrying import RetryOn, Wait
    from hfexecutor.stats import Stats
    from hfexecutor.submitting import Keep
    from hfexecutor.timeline import Timeline

__all__ = ["HubExecutor"]

logger = logging.getLogger("hfexecutor")

P = ParamSpec("P")
T = TypeVar("T")


class HubExecutor(SubmittingExecutor):
    """Run calls in Hugging Face Jobs.

    Jobs are started when calls need them, up to `max_workers` calls at a time. Running jobs cost
    money by the minute until the executor is shut down, or they have been idle for
    `idle_timeout`: so use it in a ``with`` block.

    Args:
        max_workers: Calls that may run at once, in as few jobs as `slots_per_job` says. None, the
            default, is 8.
        flavor: Hardware of each job. None, the default, is what the script's header says, else
            ``"cpu-basic"``, the cheapest. The Hub's list is at ``hf jobs hardware``; a name that is
            not on it fails before anything is started. A list like ``["a100-large", "l40sx1"]`` is
            in the order of preference: where the Hub has none of the first, or refuses it, the next
            one is tried.
        scheduling_timeout: Seconds (or "10m") that a job of one flavor of a list may wait for its
            hardware. Then it is cancelled, and what it had aboard goes to one of the next flavor;
            the one that did not come is not asked for again for half an hour. A job of the last one
            waits as long as it takes. None, the default, is 5 minutes. Of no use, and refused,
            where there is but one flavor. A job that began just as it was cancelled counts as lost:
            its call ends with ``JobLostError`` if `max_retries` is 0.
        on_memory_error: What becomes of a call whose process, or whole job, was killed for memory.
            With ``"next flavor"`` it runs once more, whatever `max_retries` is: on the flavor of
            the list that has the next larger memory. If that does not do either, and where no
            flavor is larger, the call ends with its ``CallDiedError`` or ``JobLostError``, as it
            does with None, the default. Of no use, and refused, where there is but one flavor.
        endpoint: The Hub. None, the default, takes ``HFEXECUTOR_ENDPOINT``, then what
            ``huggingface_hub`` would use; ``"local"`` starts an embedded Hub that runs jobs as
            processes of this machine, without account, network or cost. That one has a user of
            its own: `namespace`, `token` and `door_token` are ignored, which the log says.
        namespace: User or organisation that the jobs belong to, and that pays. None, the default:
            what the script's header says, else the user whom the token belongs to.
        token: None, the default, takes what ``huggingface_hub`` finds (``HF_TOKEN``,
            ``hf auth login``), and asks it again all the while: tokens of some logins rotate.
        door_token: A token for the doors of jobs alone, where calls are handed out. None, the
            default, shows them `token`, which what runs in a job may be able to read: nobody says
            whether the Hub's proxy takes it off. One that may read the namespace is enough.
        image: Docker image with uv in it. None, the default: the uv image of this interpreter's
            version. In an image of your own uv is asked for that version, too, and downloads it
            if it is not there.
        python: Version that uv is asked for; must be of this interpreter's minor version. None,
            the default, is that version; name one to have a certain patch release.
        dependencies: What is installed in jobs. "auto", the default, is what each call imports of
            what is installed here, in the same versions, when a job is to run a call that needs it
            (docs/environment.md); a call of the standard library installs nothing. A list like
            ``["numpy>=2"]`` is installed instead, in each job before its first call;
            ``["auto", "torch==2.9"]`` does both, and of one package what is written counts. None
            installs nothing. A PEP 723 header of the script is the default where there is one.
        package_data: Patterns of files that travel with the modules and packages of your own that
            calls import, like ``["mypackage/templates/*.html"]``; none by default. Python files
            travel anyway, hidden files and keys never do.
        local_code_limit: Bytes that one of these packages may have, 8 MiB by default.
        volumes: What is mounted in jobs, none by default: ``"hf://datasets/org/name:/data"``,
            ``"hf://buckets/org/name:/out:rw"`` and the like, or ``huggingface_hub.Volume``.
        env: Environment variables of the jobs, none by default: a dict, or a list of names whose
            values are those of this environment. Everybody who may see the jobs can read them.
            ``PATH`` and ``PYTHONHOME`` are refused: the job itself needs them.
        secrets: The same, for variables that nobody can read on the Hub. Calls can: they are for
            them. ``["HF_TOKEN"]`` gives them the token of this machine.
        labels: Labels of the jobs, beside our own; none by default.
        timeout: Seconds (or "90s", "30m", "6h", "2d") after which the Hub kills a job, whatever
            it does: its calls are those of a job that was lost. A job that is so old that another
            call of `call_timeout` (without one: of the longest that it has run) might not end in
            time gets no more, and is replaced. At least 10 s more than `call_timeout`, for a job
            takes about that long to start. None, the default, is 12 hours, or twice `call_timeout`
            and 10 s if that is longer; not the Hub's 30 minutes.
        idle_timeout: Seconds (or "60s", "5m") without a call after which a job leaves by itself, 60
            by default.
            Short ones save money between calls, long ones save cold starts. It is also how long a
            job goes on after this process was killed.
        reuse_workers: True, the default, lets a job run call after call; False starts a job for
            each call: more isolation, and seconds of cold start per call.
        bucket: Whether large values go through a private bucket of the namespace,
            ``hfexecutor-values``. Those of jobs that cannot be reached (with
            ``reuse_workers=False``, and where ports are of no use) have no other way: arguments for
            which a launch request has no room, and results of more than 4 MiB, which a log may not
            keep. And what eight jobs or more would be sent, of 64 MiB or more at a stretch, is
            uploaded once for all. By default jobs mount the bucket once there is such a value; with
            True all jobs do, which takes time with each, and two that share a value are enough;
            with False none does. With True results can stay there, too (``keep="remote"`` of maps).
            Who may read the namespace can read the values there until the executor is shut down.
            Where there is no bucket, what jobs share goes through their ports; where they have
            none, a call with such arguments ends with ``PayloadTooLargeError``, and results of up
            to 64 MiB come through the log, which may lose some.
        slots_per_job: Calls that run at once in one job, each in a process of its own. "auto", the
            default, is one on each vCPU of the flavor, or one on each GPU where it has some: then
            ``CUDA_VISIBLE_DEVICES`` shows each its own, unless `env` sets it. 1 gives each running
            call a machine, and its memory, for itself.
        call_timeout: Seconds (or "90s", "5m") after which a call is killed; its future ends with
            ``CallTimeoutError`` and the job goes on. None, the default, and infinity: never.
        max_retries: How often a call runs again whose *job* was lost, or that has raised what
            `retry_on` names, 2 by default; both count together. With 0 no call is ever run twice.
        retry_on: Types of exceptions, like ``(ConnectionError, TimeoutError)``, after which a call
            runs again, preferably in another job; also those derived from them. None, the
            default: a call that raises never runs again. Errors of this library count where they
            are named: ``CallTimeoutError``, ``CallDiedError``. What cannot be rebuilt here is known
            by its type's name alone. The last exception has a note on each attempt before it.
        retry_wait: One of tenacity's wait strategies: how long before it runs again, like
            ``tenacity.wait_fixed(5)``. None, the default, is ``wait_exponential_jitter``: about 1
            s, then 2, 4 and so on up to 60, and up to a second more by chance. Jobs run other
            calls meanwhile, or wait and are paid for.
        speculate: True starts a backup of a call that takes over 3 times the median (and a second
            more), when at least 10 calls were submitted and half of them are done, no call waits,
            and another job has a free slot. The first outcome counts, and the other attempt is
            stopped. No job is started for it; it counts against `max_retries`. Calls are compared
            with those of the same executor, or view. False, the default, starts none.
        max_tasks_per_child: Calls after which a process of a job makes room for a new one, as in
            the stdlib: for calls that leak. None, the default: never.
        initializer: Called with `initargs` once in each process, before its first call; None by
            default. If it raises, every call ends with ``BrokenHubExecutor``.
        initargs: Its arguments, none by default.
        give_up_after: Seconds (or "5m") for which the Hub may answer nothing, 300 by default, until
            calls end with ``HubUnavailableError``. The clock starts with the first request that
            fails. While all is quiet one is sent every 30 s, and it takes up to 10 s to fail; so
            that much may pass before it starts.
        max_cost: Dollars that all jobs together may cost, by the Hub's price list; None, the
            default, is no limit. A job is ended before a minute begins that is not left: idle ones
            first, and calls that then have no job end with ``CostLimitError``.
        confirm_price: Whether a flavor of $10 an hour or more is meant. Without, and without
            `max_cost`, calls end with ``CostLimitError`` before such a job is launched.
        name: The name of this run, a label of its jobs, by which it is found again from anywhere:
            ``hfexecutor attach NAME``. Letters, digits, dots, dashes and underscores, at most 100.
            None, the default, makes one of the script's file name and five characters. A run that
            is started again may have the same: then the latest one is meant.
        detach: True lets jobs outlive this process: where it ends without having waited for its
            calls (the end of the script, ``shutdown(wait=False)``, an exception that leaves the
            ``with`` block, Ctrl-C, SIGTERM) they finish what they were given, and their outcomes
            are found with :meth:`attach`. Leaving the ``with`` block otherwise waits, as ever.
            False, the default, stops them, or waits, as the stdlib does.
        keep_for: Seconds (or "10m", "2h") that an idle job stays for outcomes that nobody has
            fetched, if that is longer than `idle_timeout`. It is paid for, and outcomes are in the
            job's log in any case: so it is for results of many megabytes. None, the default, is 10
            minutes with `detach`, else 0.
        progress: True shows on stderr how far the run has come: calls, jobs by stage, dollars and
            the time that is left. A bar in a terminal and in a notebook, a line now and then in a
            pipe. What is printed meanwhile stands above the bar. False, the default, shows nothing.
        stream_logs: True prints what calls print as it arrives, each line after ``[call 3]``, the
            number of its call. False, the default: ``HubFuture.logs`` has it.

    The header of the script may have a ``[tool.hf-jobs]`` table, as ``hf jobs uv run`` reads it: of
    `flavor`, `image`, `python`, `timeout`, `namespace`, `env`, `secrets`, `labels`, `volumes` what
    is given here counts. Its `network_group` and `network_aliases` mean nothing here.

    Raises:
        ValueError: An option, or the script's header, is out of range; TypeError if of the wrong
            type.
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
        max_workers: int | None = None,
        *,
        flavor: str | Sequence[str] | None = None,
        scheduling_timeout: float | str | None = None,
        on_memory_error: Literal["next flavor"] | None = None,
        endpoint: str | None = None,
        namespace: str | None = None,
        token: str | None = None,
        door_token: str | None = None,
        image: str | None = None,
        python: str | None = None,
        dependencies: str | Iterable[str] | None = "auto",
        package_data: Iterable[str] | None = None,
        local_code_limit: int = 8 << 20,
        volumes: Iterable[str | Volume] | None = None,
        env: Mapping[str, str] | Iterable[str] | None = None,
        secrets: Mapping[str, str] | Iterable[str] | None = None,
        labels: Mapping[str, str] | None = None,
        timeout: float | str | None = None,
        idle_timeout: float | str = 60.0,
        reuse_workers: bool = True,
        bucket: bool | None = None,
        slots_per_job: int | Literal["auto"] = "auto",
        call_timeout: float | str | None = None,
        max_retries: int = 2,
        retry_on: RetryOn | None = None,
        retry_wait: Wait | None = None,
        speculate: bool = False,
        max_tasks_per_child: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        give_up_after: float | str = 300.0,
        max_cost: float | None = None,
        confirm_price: bool = False,
        name: str | None = None,
        detach: bool = False,
        keep_for: float | str | None = None,
        progress: bool = False,
        stream_logs: bool = False,
    ) -> None:
        given = locals()  # first of all, while there is nothing else in it
        self._options = Options.check(**{name: given[name] for name in Options.defaults()})
        self._options = with_needs_of_initializer(self._options)
        self._calls = CallFactory(self._options)
        self._max_workers = self._options.max_workers  # where the stdlib's executors have it
        limits = _limits(self._options)
        connect, farewell, self._where = _choose_hub(
            endpoint, token, door_token, namespace, self._options
        )
        self._results = ResultsStore(connect)
        farewell = functools.partial(_take_leave, self._results, farewell)
        self._events = Events()
        self._recorder = Recorder()
        self._events.listen(self._recorder, kinds=Recorder.KINDS)
        self._pool = Runner(
            self._options,
            limits,
            connect,
            farewell,
            lifecycle.hook_sigterm,
            events=self._events,
            way_back=_way_back(self._options, endpoint, namespace) if self._where != LOCAL else "",
            keep=functools.partial(_keep, self._results),
        )
        bar, lines = self._options.progress, self._options.stream_logs
        if bar or lines:
            from hfexecutor.progress.run import RunProgress  # noqa: PLC0415 - for them alone

            shown = RunProgress(self._options.name, self._jobs(), bar=bar, lines=lines)
            self._events.listen(shown, kinds=shown.kinds)
        self._connect = connect
        self._lock = threading.Lock()  # guards _shutdown, and the pool's start
        self._call_ids = itertools.count(1)  # 0 is no call
        self._shutdown = False
        self._started = False
        self._pid = os.getpid()
        # The pool knows nothing of the executor: when nobody else does either, it winds up.
        self._finalizer = weakref.finalize(self, _wind_up, self._pool, farewell, self._pid)
        self._finalizer.atexit = False
        lifecycle.register(self._pool)

    @classmethod
    def attach(
        cls,
        name: str,
        *,
        endpoint: str | None = None,
        token: str | None = None,
        namespace: str | None = None,
    ) -> AttachedRun:
        """Find a run again by its name, from any process and machine with the same token.

        The latest one of that name, as its jobs carry it. What its jobs tell is all that is needed;
        it returns when they have told what they know. It is for runs whose process is gone: two
        that watch the same run may take large results from each other.

        Args:
            name: Of the run: ``executor.name``, and in the first line of its log.
            endpoint: The Hub, as for the executor; the embedded one of ``"local"`` ends with it.
            token: The token that the run was started with: no other one can read what its jobs say.
                None, the default, takes what ``huggingface_hub`` finds.
            namespace: Whose jobs; None, the default, is the user whom the token belongs to.

        Raises:
            HubRequestError: There is no such run.
            HubError: The Hub refuses it, or cannot be reached.

        Example:
            >>> with HubExecutor.attach("nightly") as run:           # doctest: +SKIP
            ...     results = {n: future.result() for n, future in run.futures.items()}
        """
        from hfexecutor.attached import attach  # noqa: PLC0415 - not for who starts runs

        return attach(name, endpoint=endpoint, token=token, namespace=namespace)

    def _submit(
        self,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        keep: Keep | None = None,
    ) -> HubFuture[T]:
        return self._submit_made(self._calls, fn, args, kwargs, keep)

    def _submit_made(
        self,
        calls: CallFactory,
        fn: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        keep: Keep | None,
    ) -> HubFuture[T]:
        """Submit a call that a factory makes; `keep` says under what its result is kept."""
        if os.getpid() != self._pid:  # first: who forked may have held any lock just then
            raise RuntimeError(
                "this executor belongs to the process that was forked; create one of your own"
            )
        refuse_async(fn)
        call_id = next(self._call_ids)
        future: PoolFuture[T] = PoolFuture()
        try:
            frozen = calls.freeze(fn, args, kwargs)
            if keep is not None:
                known = keep.call or fingerprint(fn, args, kwargs, frozen.attachments)
                keep = keep._replace(call=known)
        except PayloadError as error:
            self._check_open()
            future.set_running_or_notify_cancel()
            future.set_exception(error)
            return future
        if keep is not None and (data := self._kept(keep)) is not None:
            self._check_open()
            return _completed(future, data, keep.name)
        future.bind(call_id, self._pool)
        call = calls.make(call_id, future, frozen)
        call.kept_as, call.name = keep, name_of(fn)
        if keep is not None and keep.key is not None:
            call.key = pack_key(fingerprint_of_key(keep.key), keep.key)
        if self._events.are_heard(CallSubmitted):
            self._check_open()
            self._events.tell(CallSubmitted(time.time(), call_id, call.name))
        with self._lock:
            self._check_open()
            if not self._started:
                self._started = True
                self._pool.start()
            self._pool.submit(call)
        return future

    def _kept(self, keep: Keep) -> bytes | None:
        assert keep.call is not None
        return self._results.get(keep.name, keep.call)

    def explain(self, fn: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return what ``submit(fn, *args, **kwargs)`` would send, install, mount and run.

        With sizes, the price of a job as the Hub lists it, and how many calls it runs at once.
        Nothing is launched; the Hub is asked for its prices alone, and the embedded Hub is no
        network.

        Raises:
            PayloadError: The call cannot be pickled, or needs what no job can have; as on the
                future that `submit` would return.

        Example:
            >>> with HubExecutor(2, endpoint="local") as executor:
            ...     print(executor.explain(pow, 2, 5).splitlines()[0])
            call          pow
        """
        refuse_async(fn)
        function, pickled = self._calls.pickler.dump(fn, args, kwargs)
        number, function_data = (0, b"") if function is None else function
        sizes = [("the function, once for each job", len(function_data))] if number else []
        sizes.append(("arguments" if number else "the call", pickled.size))
        options = self._options
        if options.initializer is not None:
            sizes.append(("the initializer, with each job", len(options.initializer)))
        findings = self._calls.needs.explain(number, function_data, pickled.pickle)
        job = [
            *offer(options, self._connect),
            ("image", options.image),
            ("timeout", f"{options.timeout:g} s"),
            *(("mounted", f"{v.type} {v.source} at {v.mount_path}") for v in options.volumes),
            ("env", ", ".join(options.env)),
            ("secrets", ", ".join(options.secrets)),
        ]
        name = getattr(fn, "__qualname__", None) or repr(fn)
        return explain(name, sizes, findings, job, at_launch=options.dependencies.at_launch)

    def _let_go_with(self, shared: Shared) -> None:
        """Have jobs forget a shared value when its handle is gone."""
        if shared.names:
            gone = weakref.finalize(shared, self._pool.unshare, shared.names)
            gone.atexit = False

    def _check_open(self) -> None:
        if (broken := self._pool.machine.broken) is not None:
            # A new one each time: one that is raised again and again gathers all tracebacks.
            raise type(broken)(*broken.args) from broken.__cause__
        if self._shutdown:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if lifecycle.ending():
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        lifecycle.hook_sigterm()

    def shutdown(
        self, wait: bool = True, *, cancel_futures: bool = False, detach: bool | None = None
    ) -> None:
        """Take no more calls; see what is submitted through, then let every job leave.

        With `wait`, return when no job is left. With `cancel_futures`, calls that have not begun
        are cancelled, also those that a job was handed ahead of time.

        With `detach`, jobs are left to themselves as soon as they have all calls that wait: the
        first that takes some is waited for as long as that takes, others that are coming up for
        30 s at most. Futures that are not done by then end with
        ``DetachedError``; :meth:`attach` has their outcomes. `wait` waits for the handing over
        alone. None, the default, is the option's `detach` where this does not wait, else False.

        If the Hub cannot be reached, open calls end after `give_up_after`. When none is open, this
        waits up to 35 s and returns all the same: jobs that are left go after `idle_timeout`.
        """
        if detach is None:
            detach = self._options.detach and not wait

        def tell() -> None:
            if not detach or cancel_futures:
                self._pool.close(cancel_futures=cancel_futures)
            if detach:
                self._pool.detach()

        self._finish(tell, wait=wait)

    def terminate_workers(self) -> None:
        """Stop all jobs now, and take no more calls; as in Python 3.14, on every version.

        Pending calls are cancelled, running ones end with ``BrokenHubExecutor``. Does not wait:
        jobs are cancelled in the background, and leaving the ``with`` block, or `shutdown`, waits
        for that. A job that is cancelled has no time to clean up.
        """
        self._stop_workers("terminate_workers")

    def kill_workers(self) -> None:
        """Do as :meth:`terminate_workers` does: the Hub has one way to end a job, and it kills."""
        self._stop_workers("kill_workers")

    def _stop_workers(self, name: str) -> None:
        why = f"{name}() was called"
        self._finish(lambda: self._pool.abort(why, broken=True), wait=False)

    def _finish(self, tell: Callable[[], None], *, wait: bool) -> None:
        if os.getpid() != self._pid:
            return  # a fork: the jobs belong to the parent, and the lock may be taken for ever
        lifecycle.hook_sigterm()
        with self._lock:
            self._shutdown = True
        if self._started:
            tell()
            if wait:
                self._pool.join()
                self._finalizer.detach()
        else:
            self._finalizer()
            self._events.tell(RunEnded(time.time(), 0, 0, 0, 0.0, 0.0))

    @property
    def events(self) -> Events:
        """What happens in this run: jobs that start and end, calls that end, troubles.

        Iterate over it (in a thread of its own: it waits for the next one, up to the
        :class:`~hfexecutor.events.RunEnded`), or have a function called with each:

        Example:
            >>> with HubExecutor(2, endpoint="local") as executor:
            ...     stop = executor.events.listen(lambda event: seen.append(type(event).__name__))
            ...     executor.submit(pow, 2, 5).result()                 # doctest: +SKIP
        """
        return self._events

    def _jobs(self) -> Callable[[], Jobs | None]:
        return functools.partial(jobs_of, self._pool)

    def _summary(self) -> Callable[[int], None]:
        return self._pool.sum_up

    def stats(self) -> Stats:
        """Return what has been done so far, and what it has cost by the Hub's price list."""
        return stats_of(self._pool)

    def cost(self, *, billed: bool = False) -> Cost:
        """Return what the jobs have cost so far, in all and each, and what they cost an hour now.

        By the Hub's price list, and so that it is the most that can be billed: from the moment a
        job may have begun to run, by the minute that has begun. A run that is over, and one that
        has launched nothing, has an hourly price of 0.

        Args:
            billed: Ask the Hub's billing, too, what it says of these jobs. It may not know a job
                yet that has just ended.

        Raises:
            HubError: With `billed`, the Hub does not tell.

        Example:
            >>> with HubExecutor(2, endpoint="local") as executor:
            ...     _ = executor.submit(pow, 2, 5).result()
            ...     print(executor.cost())
            $0.0003 so far, and $0.02 an hour for 1 job
        """
        from hfexecutor.cost import cost_of, with_bills  # noqa: PLC0415 - not before it is asked for

        cost = cost_of(self._pool)
        return with_bills(cost, bills_of(self._connect)) if billed else cost

    def timeline(self, path: str | os.PathLike[str] | None = None) -> Timeline:
        """Return what each slot of each job has done so far, and when: why a run was slow.

        It can be asked for while the run goes on, and after it. The first 100,000 calls are in it;
        later ones it only counts. It is made of what this process has heard, and asks nobody.

        Args:
            path: A file that its picture is written into, one HTML page that needs nothing else;
                None, the default, writes none.

        Raises:
            OSError: The file cannot be written.

        Example:
            >>> with HubExecutor(2, endpoint="local") as executor:
            ...     _ = list(executor.map(abs, [-1, -2]))
            >>> timeline = executor.timeline()
            >>> [(call.call, call.name, call.state) for call in timeline.calls]
            [(1, 'abs', 'done'), (2, 'abs', 'done')]
        """
        from hfexecutor.timeline.recorded import (  # noqa: PLC0415 - seldom asked for
            recording_of,
            timeline_of,
        )

        recording = recording_of(self._recorder.snapshot())
        timeline = timeline_of(self.name, recording, self.cost(), time.time())
        if path is not None:
            timeline.save(path)
        return timeline

    def __enter__(self) -> Self:
        lifecycle.hook_sigterm()
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

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do as ``with`` does, and leave the event loop free meanwhile."""
        if kind is None:
            try:
                await asyncio.to_thread(self.shutdown)
            except asyncio.CancelledError as cancelled:  # among others Ctrl-C in asyncio.run
                kind = type(cancelled)
                await self._stop_async(kind)
                raise
        else:
            await self._stop_async(kind)

    async def _stop_async(self, kind: type[BaseException]) -> None:
        self._abort(kind, wait=False)
        await asyncio.to_thread(self.shutdown)

    def _stop(self, kind: type[BaseException]) -> None:
        try:
            self._abort(kind, wait=True)
        except KeyboardInterrupt:
            lifecycle.hurry()
            raise

    def _abort(self, kind: type[BaseException], *, wait: bool) -> None:
        why = f"{kind.__name__} left the with block"
        self._finish(lambda: self._pool.abort(why), wait=wait)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an executor cannot be sent to a job: pass what the call needs, or make one in the call"
        )

    def __repr__(self) -> str:
        state = describe(self._pool, reuse_workers=self._options.reuse_workers)
        over = "shut down, " if self._shutdown else ""
        return f"<HubExecutor {self._where}/{self._flavors} [{over}{state}]>"

    @property
    def _flavors(self) -> str:
        return " or ".join(self._options.flavor)

    def _repr_html_(self) -> str:
        over = ", shut down" if self._shutdown else ""
        return describe_html(
            self._pool,
            title=HubExecutor.__name__,
            detail=f"{self._where}/{self._flavors}{over}",
            name=self._options.name,
            reuse_workers=self._options.reuse_workers,
        )


def _choose_hub(
    endpoint: str | None,
    token: str | None,
    door_token: str | None,
    namespace: str | None,
    options: Options,
) -> tuple[Callable[[], Connection], Callable[[], None], str]:
    """Return how to connect, what to do when done, and a name for the repr."""
    address = resolve_endpoint(endpoint)
    payer = options.namespace if namespace is None else namespace
    check_user(token, door_token, payer)  # also where they are ignored: it is a slip there, too

    def connection(endpoint: str, credentials: Credentials, namespace: str | None) -> Connection:
        return Connection(
            endpoint=endpoint, credentials=credentials, namespace=namespace, options=options
        )

    if address != LOCAL:
        found = resolve_token(token)
        renew = None if token is not None else resolve_token
        return (
            lambda: connection(
                address, Credentials(found, renew=renew, door_token=door_token), payer
            ),
            lambda: None,
            payer or address.partition("://")[2],
        )
    user = {"token": token, "door_token": door_token, "namespace": namespace}
    if ignored := [name for name, value in user.items() if value is not None]:
        _note_ignored(" and ".join(ignored))
    with uncollected():
        from hfexecutor.local import LocalHub  # noqa: PLC0415 - an extra, and 0.3 s to import

    hub = LocalHub()
    hub.start()
    logger.info("the embedded Hub shows its jobs at %s", hub.page)
    return (
        lambda: connection(hub.endpoint, Credentials(hub.token), hub.namespace),
        hub.close,
        LOCAL,
    )


def _way_back(options: Options, endpoint: str | None, namespace: str | None) -> str:
    """Return the command that attaches to this run, with what the environment does not say."""
    words = f"hfexecutor attach {options.name}"
    address = resolve_endpoint(endpoint)
    if address != resolve_endpoint():
        words += f" --endpoint {address}"
    payer = options.namespace if namespace is None else namespace
    return words if payer is None else f"{words} --namespace {payer}"


def _take_leave(results: ResultsStore, farewell: Callable[[], None]) -> None:
    try:
        results.close()
    finally:
        farewell()


def _keep(results: ResultsStore, kept_as: Keep, outcome: Outcome) -> None:
    """Keep a value for later runs; what was raised may go better next time."""
    if outcome.status == outcomes.VALUE:
        data = outcomes.encode(outcomes.VALUE, outcome.duration, 0, outcome.whole())
        assert kept_as.call is not None
        results.put(kept_as.name, kept_as.call, bytes(data))


def _completed(future: PoolFuture[T], data: bytes, name: str) -> PoolFuture[T]:
    """Give a future the result that an earlier run had."""
    value, error = unwrap(outcomes.decode(data), f"an earlier run, kept as {name}")
    future.set_running_or_notify_cancel()
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
    return future


@functools.cache
def _note_ignored(names: str) -> None:
    logger.warning('endpoint="local" has a user of its own: %s will be ignored', names)


def _limits(options: Options) -> Limits:
    """Return what the core has to know of the options."""
    return Limits(
        max_workers=options.max_workers,
        slots_per_job=None if options.slots_per_job == "auto" else options.slots_per_job,
        reuse_workers=options.reuse_workers,
        give_up_after=options.give_up_after,
        max_cost=options.max_cost,
        timeout=options.timeout,
        room=room(options),
        bucket=options.bucket,
    )


def _wind_up(pool: Runner, farewell: Callable[[], None], pid: int) -> None:
    """The executor is gone: end the pool, or what was prepared for one that never started."""
    if os.getpid() != pid:
        return  # a fork: they belong to the parent
    if pool.alive:
        pool.wind_up()
    elif not pool.started:
        farewell()
