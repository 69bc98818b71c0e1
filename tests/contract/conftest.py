"""The executors that the contract suite runs on, and the means to hold their calls."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)  # processes of the stdlib inherit it, and import the calls by name

import contract_calls  # noqa: E402

cloudpickle.register_pickle_by_value(contract_calls)

try:
    from hfexecutor import HubExecutor
except ImportError:
    HubExecutor = None


@dataclass
class Kind:
    """One implementation of the contract, and what sets it apart from the others."""

    name: str
    make: Callable[..., Executor] = field(repr=False)
    remote: bool  # calls run in another process: arguments are copies, tracebacks are text
    chunks: bool  # `map` heeds chunksize
    buffers: bool  # `map` takes buffersize
    many: int  # how many short calls take about a second
    largest: int  # bytes that an argument may have, at least
    source: str  # an expression that makes such an executor, for a script

    @property
    def hub(self) -> bool:
        return self.name.startswith("hub")


_NEW = sys.version_info >= (3, 14)
_FORKSERVER = multiprocessing.get_context("forkserver")


def _processes(max_workers: int = 2, **options: Any) -> Executor:
    return ProcessPoolExecutor(max_workers, mp_context=_FORKSERVER, **options)


def _threads(max_workers: int = 2, **options: Any) -> Executor:
    return ThreadPoolExecutor(max_workers, **options)


def _hub(hub: Any, *, reuse_workers: bool) -> Callable[..., Executor]:
    def make(max_workers: int = 2, **options: Any) -> Executor:
        options = {"endpoint": hub.endpoint, "token": hub.token, **options}
        return HubExecutor(max_workers, reuse_workers=reuse_workers, **options)

    return make


@pytest.fixture(scope="module")
def hub() -> Iterator[Any]:
    """One embedded Hub for all tests of a module; every executor is a client of its own."""
    if HubExecutor is None:
        pytest.skip("HubExecutor cannot be imported")
    from hfexecutor.local import LocalHub

    with LocalHub() as running:
        yield running
        # Executors that tests have dropped wind up by themselves, and need it until then.
        deadline = time.monotonic() + contract_calls.DEADLINE
        while pools := [t for t in threading.enumerate() if t.name == "hfexecutor-pool"]:
            pools[0].join(deadline - time.monotonic())
            assert not pools[0].is_alive()


# Whatever becomes of a call is the same where each has a job of its own, and CI says so; but each
# takes a job's start there, and tests/executor has what is particular about them.
COLD = pytest.param("hub-cold", marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=["threads", "hub"])
def new(request: pytest.FixtureRequest) -> Callable[[int], Executor]:
    """Return a function that makes an executor with our maps: of threads, or of jobs."""
    if request.param == "threads":
        from hfexecutor.mapping import MappingExecutor

        class Threads(MappingExecutor, ThreadPoolExecutor):
            """The stdlib's threads with our maps: what does not need jobs needs no jobs."""

        return Threads
    return _hub(request.getfixturevalue("hub"), reuse_workers=True)


@pytest.fixture(scope="module")
def pool(new: Callable[[int], Executor]) -> Iterator[Executor]:
    """One of those, shared by the tests of a module."""
    with new(2) as shared:
        yield shared


@pytest.fixture(scope="module", params=["threads", "processes", "hub-warm", COLD])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Return one kind of executor after the other; the tests are the same for all."""
    return kind_of(request)


def kind_of(request: pytest.FixtureRequest) -> Kind:
    if request.param == "threads":
        return Kind(
            "threads",
            _threads,
            remote=False,
            chunks=False,
            buffers=_NEW,
            many=1000,
            largest=4 << 20,
            source="concurrent.futures.ThreadPoolExecutor({workers})",
        )
    if request.param == "processes":
        return Kind(
            "processes",
            _processes,
            remote=True,
            chunks=True,
            buffers=_NEW,
            many=1000,
            largest=4 << 20,
            source="concurrent.futures.ProcessPoolExecutor({workers},"
            " mp_context=multiprocessing.get_context('forkserver'))",
        )
    warm = request.param == "hub-warm"
    return Kind(
        request.param,
        _hub(request.getfixturevalue("hub"), reuse_workers=warm),
        remote=True,
        chunks=True,
        buffers=True,
        many=1000 if warm else 8,
        largest=4 << 20 if warm else 499_000,  # without a door all travels in one request
        source=f"hfexecutor.HubExecutor({{workers}}, reuse_workers={warm})",
    )


@pytest.fixture(scope="module")
def executor(kind: Kind) -> Iterator[Executor]:
    """One executor with two workers, shared by the tests that leave it as they found it."""
    with kind.make(2) as shared:
        yield shared


@pytest.fixture
def make(kind: Kind) -> Iterator[Callable[..., Executor]]:
    """Make executors of this test's own; what is still open at its end is shut down."""
    with contextlib.ExitStack() as stack:

        def make(*args: Any, **options: Any) -> Executor:
            made = kind.make(*args, **options)
            stack.callback(made.shutdown, wait=True, cancel_futures=True)
            return made

        yield make


@pytest.fixture
def make_unheld(kind: Kind) -> Callable[..., Executor]:
    """Make executors that nobody but the test holds."""
    return kind.make


class Gate:
    """Holds calls of any process until it is opened, and knows how many have come.

    A call connects to it and waits for the connection's end, so nobody polls or sleeps, and a
    test that fails leaves no call behind: the fixture opens the gate.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self._listener.settimeout(contract_calls.DEADLINE)
        self._held: list[socket.socket] = []
        self.address: contract_calls.ADDRESS = self._listener.getsockname()

    def arrived(self, count: int = 1) -> None:
        """Return when `count` more calls have come."""
        for _ in range(count):
            self._held.append(self._listener.accept()[0])

    def let_one_pass(self) -> None:
        self._held.pop(0).close()

    def open(self) -> None:
        """Let all calls pass: those that wait, and those that come later."""
        with contextlib.suppress(OSError):  # it is open already
            self._listener.shutdown(socket.SHUT_RDWR)  # also in processes that were forked
        self._listener.close()
        while self._held:
            self.let_one_pass()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def signatures(tmp_path: Path) -> Callable[[], list[str]]:
    """Return what the calls of this test wrote with `sign(str(tmp_path / "ran"))`."""

    def read() -> list[str]:
        path = tmp_path / "ran"
        return path.read_text().split() if path.exists() else []

    return read


class Released:
    """Events that say that things are gone, without asking again and again."""

    def watch(self, thing: Any) -> threading.Event:
        event = threading.Event()
        contract_calls.watch(thing, event)
        return event

    def now(self, event: threading.Event) -> bool:
        """Tell whether the thing is gone, or goes as soon as other threads finish a step."""
        gc.collect()
        return event.wait(contract_calls.DEADLINE)


@pytest.fixture(scope="module", autouse=True)
def collected_quickly() -> Iterator[None]:
    """Let collections look at what these tests have made, not at all that pytest has imported."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def released() -> Released:
    return Released()
