"""A run of another process, or of this one before: :class:`AttachedRun`."""

from __future__ import annotations

import time
import weakref
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from hfexecutor import lifecycle
from hfexecutor.cost import Cost, JobCost
from hfexecutor.errors import HubRequestError, HubUnavailableError
from hfexecutor.hub.client import HubClient
from hfexecutor.hub.credentials import Credentials
from hfexecutor.hub.settings import resolve_endpoint, resolve_token
from hfexecutor.logged_calls import LOGS_AT_ONCE, RunCalls, read_calls
from hfexecutor.options import Options
from hfexecutor.payload.fingerprint import fingerprint_of_key
from hfexecutor.rich_display import table
from hfexecutor.runs import list_runs
from hfexecutor.runtime.adopted import AdoptedRunner
from hfexecutor.runtime.asking import ask
from hfexecutor.runtime.connection import AdoptedConnection
from hfexecutor.stats import pages_of_jobs

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from hfexecutor.futures import HubFuture
    from hfexecutor.rich_display import Part
    from hfexecutor.runs import Run
    from hfexecutor.timeline import Timeline

__all__ = ["AttachedRun", "attach"]

_PATIENCE = 60.0  # seconds for the jobs to tell what they know


class AttachedRun:
    """A run whose process is gone: its calls, as its jobs tell of them.

    Made by ``HubExecutor.attach``. Nothing is launched, and nothing runs again. Leaving the
    ``with`` block, or the process, leaves the jobs to themselves; :meth:`cancel` stops them.

    Example:
        >>> with HubExecutor.attach("nightly") as run:              # doctest: +SKIP
        ...     for number, future in run.futures.items():
        ...         print(number, future.result())
    """

    def __init__(self, name: str, nonce: str, runner: AdoptedRunner, place: _Place) -> None:
        self._name = name
        self._nonce = nonce
        self._runner = runner
        self._place = place
        self._finalizer = weakref.finalize(self, runner.leave)
        self._finalizer.atexit = False

    @property
    def name(self) -> str:
        """The name of the run."""
        return self._name

    @property
    def nonce(self) -> str:
        """What tells it from other runs of that name: the label ``hfexecutor-run`` of its jobs."""
        return self._nonce

    @property
    def futures(self) -> Mapping[int, HubFuture[Any]]:
        """The futures of its calls by their number: the first that was submitted is 1.

        Those whose outcome is in a log, or kept by a job, are done at once or very soon; those that
        run end when their calls do; those whose job was lost end with ``JobLostError``, which says
        what is known. Calls that no job has had are not in it, see :attr:`missing`. It is what is
        known at this moment: while jobs run, asked again it may have more.
        """
        return MappingProxyType(self._runner.futures.copy())

    @property
    def missing(self) -> tuple[int, ...]:
        """Numbers of calls that were submitted, and that no job tells of.

        Later ones were submitted, so these were, too. That there were any after the last one that
        is known, nobody can tell but the process that submitted them.
        """
        known = set(self._runner.futures)
        return tuple(n for n in range(1, max(known, default=0)) if n not in known)

    @property
    def keys(self) -> Mapping[int, str]:
        """The keys of calls that were submitted with ``submit_keyed``, by number.

        Of a long one its first 200 characters; :meth:`future_of` takes the whole key.
        """
        adopting = self._runner.machine.adopting
        return MappingProxyType(adopting.keys.copy() if adopting is not None else {})

    def future_of(self, key: str) -> HubFuture[Any]:
        """Return the future of the call that was submitted under a key, with ``submit_keyed``.

        Of several with one key it is that of the last one.

        Raises:
            KeyError: No job has told of such a call: it was handed to none, or an earlier run of
                the same name had completed it, or its part of a log is gone.
            TypeError: `key` is no string.
        """
        if not isinstance(key, str):
            raise TypeError(f"key must be a string, not {key!r}")
        adopting = self._runner.machine.adopting
        number = adopting.numbers.get(fingerprint_of_key(key)) if adopting is not None else None
        future = self._runner.futures.get(number or 0)
        if future is None:
            raise KeyError(key)
        return future

    def cost(self) -> Cost:
        """Return what its jobs have cost, by the Hub's price list: the most that can be billed.

        Raises:
            HubError: The Hub does not tell.
        """
        run = self._place.run_of(self._name, self._nonce)
        jobs = tuple(
            JobCost(
                id=job.id,
                url=job.url,
                flavor=job.flavor,
                running=job.running,
                minutes=job.minutes,
                dollars=job.dollars or 0.0,
            )
            for job in run.jobs
        )
        return Cost(dollars=run.dollars, hourly=run.hourly, max_cost=None, jobs=jobs)

    def timeline(self, path: str | os.PathLike[str] | None = None) -> Timeline:
        """Return what each slot of each job has done so far, and when, as the logs tell.

        As ``hfexecutor timeline`` draws it: when calls were submitted, and what their functions are
        called, only the process of the run has known. The logs are read anew each time.

        Args:
            path: A file that its picture is written into, one HTML page that needs nothing else;
                None, the default, writes none.

        Raises:
            HubError: The Hub does not tell. Logs that cannot be read are named in its notes.
            OSError: The file cannot be written.
        """
        from hfexecutor.timeline.logged import timeline_of_logs  # noqa: PLC0415 - seldom asked for

        run = self._place.run_of(self._name, self._nonce)
        timeline = timeline_of_logs(self._place.calls_of(run), time.time())
        if path is not None:
            timeline.save(path)
        return timeline

    def cancel(self) -> None:
        """Stop the run: cancel its jobs, and wait for that. Calls that are open end.

        Those that a job had begun end with ``CallStoppedError``, others are cancelled.
        """
        self._runner.cancel(f"run {self._name} was cancelled")
        self._runner.join()

    def close(self) -> None:
        """Watch no longer. Jobs go on; open futures end with ``DetachedError``, here alone."""
        self._runner.leave()
        self._runner.join()
        self._finalizer.detach()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a run cannot be sent to a job: attach to it there, by its name")

    def _counts(self) -> tuple[int, int]:
        """Return how many calls are done, and how many open."""
        futures = list(self._runner.futures.values())
        done = sum(future.done() for future in futures)
        return done, len(futures) - done

    def __repr__(self) -> str:
        done, left = self._counts()
        return f"<AttachedRun {self._name} [{done} calls done, {left} open]>"

    def _repr_html_(self) -> str:
        done, left = self._counts()
        missing = len(self.missing)
        rows: list[tuple[str, Part | Iterable[Part]]] = [
            ("calls", f"{done:,} done, {left:,} open"),
            ("missing", f"{missing:,} that no job tells of" if missing else ""),
            ("jobs", pages_of_jobs(self._runner)),
        ]
        return table(AttachedRun.__name__, self._name, rows)


class _Place:
    """Where runs are looked for."""

    def __init__(self, endpoint: str | None, token: str | None, namespace: str | None) -> None:
        self.endpoint = endpoint
        self.token = token
        self.namespace = namespace

    def run_of(self, name: str, nonce: str | None = None) -> Run:
        """Return the latest run of that name, or the one with that nonce.

        Raises:
            HubRequestError: There is none.
        """
        found = list_runs(name, endpoint=self.endpoint, token=self.token, namespace=self.namespace)
        for run in found:
            if nonce in {None, run.nonce}:
                return run
        raise HubRequestError(
            f"there is no run {name!r} whose jobs the Hub still knows and this token's owner has "
            "started; `hfexecutor runs` lists those that there are"
        )

    def calls_of(self, run: Run) -> RunCalls:
        """Return what the logs of a run tell of its calls.

        Raises:
            HubError: The Hub cannot be reached.
        """
        token = resolve_token(self.token)
        calls = RunCalls(run, token)

        def open_hub() -> HubClient:
            return HubClient(
                endpoint=resolve_endpoint(self.endpoint),
                token=token,
                namespace=self.namespace,
                give_up_after=_PATIENCE,
            )

        async def read(hub: HubClient) -> None:
            await hub.resolve_namespace()
            await read_calls(hub, calls)

        ask(open_hub, read, _PATIENCE * (2 + len(run.jobs) // LOGS_AT_ONCE))
        return calls


def attach(
    name: str,
    *,
    endpoint: str | None,
    token: str | None,
    namespace: str | None,
    nonce: str | None = None,
) -> AttachedRun:
    """Find a run by its name, and nonce, and watch it; see ``HubExecutor.attach``."""
    place = _Place(endpoint, token, namespace)
    run = place.run_of(name, nonce)
    options = Options.check(name=name)
    address, found = resolve_endpoint(endpoint), resolve_token(token)
    renew = None if token is not None else resolve_token

    def connect() -> AdoptedConnection:
        return AdoptedConnection(
            endpoint=address,
            credentials=Credentials(found, renew=renew),
            namespace=namespace,
            options=options,
            nonce=run.nonce,
        )

    runner = AdoptedRunner(options, connect)
    attached = AttachedRun(name, run.nonce, runner, place)
    lifecycle.register(runner)
    runner.start()
    if not runner.complete.wait(_PATIENCE):
        attached.close()
        raise HubUnavailableError(
            f"the jobs of run {name!r} do not tell what they know within {_PATIENCE:g} seconds"
        )
    return attached
