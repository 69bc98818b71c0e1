"""What people do wrong, or their code does: each ends as a clear error on the right future, the
next call works, and no job is left running (the fixture asserts that)."""

from __future__ import annotations

import concurrent.futures
import ctypes
import functools
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

import pytest

import hfexecutor
from hfexecutor import HubExecutor
from hfexecutor.local import LocalHub

from .conftest import until


class TwoArguments(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


class WithLock(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


def raises_two_arguments() -> None:
    raise TwoArguments(7, "seven")


def raises_with_lock() -> None:
    raise WithLock("held")


def returns_lock() -> Any:
    return threading.Lock()


def returns_generator() -> Any:
    return (n for n in range(3))


def exits() -> None:
    os._exit(3)


def crashes() -> None:
    ctypes.string_at(0)


def kills_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def calls_exit() -> None:
    sys.exit(5)


def closes_everything() -> int:
    os.closerange(0, 3)
    return 1


def prints_without_newline() -> int:
    for _ in range(4000):
        print("x", end="", flush=True)
    return 4000


def key_error() -> None:
    raise KeyError("missing")


def interrupts() -> None:
    raise KeyboardInterrupt


CASES: dict[str, tuple[Callable[[], Any], type[BaseException], str]] = {
    "an unpicklable result": (returns_lock, hfexecutor.UnpicklableResultError, "lock"),
    "a generator as result": (returns_generator, hfexecutor.UnpicklableResultError, "list"),
    "an exception with two arguments": (raises_two_arguments, TwoArguments, "7: seven"),
    "an unpicklable exception": (raises_with_lock, WithLock, "held"),
    "a builtin exception": (key_error, KeyError, "missing"),
    "os._exit": (exits, hfexecutor.CallDiedError, "exit code 3"),
    "a segmentation fault": (crashes, hfexecutor.CallDiedError, "SIGSEGV"),
    "a kill": (kills_itself, hfexecutor.CallDiedError, "SIGKILL, likely out of memory"),
    "sys.exit": (calls_exit, SystemExit, "5"),
    "KeyboardInterrupt in the call": (interrupts, KeyboardInterrupt, "^$"),
}


# With a job for each call, one of each kind is enough for the quick tests: how an outcome travels
# is the same for all that raise, and for all that die.
QUICK_COLD = {"an unpicklable result", "os._exit", "a builtin exception"}


@pytest.fixture(params=["warm", pytest.param("cold", marks=pytest.mark.slow)])
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize(
    ("mode", "case"),
    [
        *(("warm", case) for case in CASES),
        *(
            pytest.param("cold", case, marks=[pytest.mark.slow] * (case not in QUICK_COLD))
            for case in CASES
        ),
    ],
)
def test_a_call_that_goes_wrong_ends_as_its_own_error(executor: HubExecutor, case: str) -> None:
    call, error_type, text = CASES[case]
    with pytest.raises(error_type, match=text) as caught:
        executor.submit(call).result(30)
    assert type(caught.value) is error_type
    assert executor.submit(pow, 2, 3).result(30) == 8


def test_an_exceptions_own_attributes_survive(executor: HubExecutor) -> None:
    error = executor.submit(raises_two_arguments).exception(30)
    assert isinstance(error, TwoArguments)
    assert error.code == 7


def test_the_remote_traceback_is_the_cause(executor: HubExecutor) -> None:
    error = executor.submit(key_error).exception(30)
    assert error is not None
    assert 'raise KeyError("missing")' in str(error.__cause__) or "key_error" in str(
        error.__cause__
    )


def test_a_call_that_closes_its_output_returns_its_result(executor: HubExecutor) -> None:
    assert executor.submit(closes_everything).result(30) == 1
    assert executor.submit(pow, 2, 3).result(30) == 8


def test_four_thousand_prints_without_a_newline(executor: HubExecutor) -> None:
    future = executor.submit(prints_without_newline)
    assert future.result(30) == 4000
    assert future.logs() == "x" * 4000


@pytest.mark.parametrize("what", ["function", "argument", "keyword argument"])
def test_what_cannot_be_pickled_is_named(executor: HubExecutor, hub: LocalHub, what: str) -> None:
    lock = threading.Lock()
    before = len(hub.jobs())
    if what == "function":
        future = executor.submit(lambda: lock)
    elif what == "argument":
        future = executor.submit(print, lock)
    else:
        future = executor.submit(print, sep=lock)
    with pytest.raises(hfexecutor.UnpicklableCallError, match="lock"):
        future.result(30)
    assert isinstance(future.exception(), pickle.PicklingError)
    assert len(hub.jobs()) == before, "no job is started for it"
    assert executor.submit(pow, 2, 3).result(30) == 8


def test_an_executor_and_a_future_as_arguments_are_told_to_stay(
    executor: HubExecutor, hub: LocalHub
) -> None:
    before = len(hub.jobs())
    pending: concurrent.futures.Future[int] = hfexecutor.HubFuture()
    for argument, words in [
        (executor, r"an executor cannot be sent to a job: pass what the call needs, or make one"),
        ([pending], r"a HubFuture cannot be sent to a job: pass its result\(\), as soon as"),
    ]:
        with pytest.raises(hfexecutor.UnpicklableCallError, match=words):
            executor.submit(print, argument).result(30)
        with pytest.raises(hfexecutor.UnpicklableCallError, match=words):
            executor.submit(lambda: argument).result(30)  # noqa: B023  (that it is closed over)
    assert len(hub.jobs()) == before, "no job is started for it"


async def awaited(n: int) -> int:
    return n


async def generated(n: int) -> Any:
    yield n


class Awaited:
    async def __call__(self, n: int) -> int:
        return n

    async def method(self, n: int) -> int:
        return n


@pytest.mark.parametrize(
    "call",
    [awaited, generated, functools.partial(awaited, 1), Awaited(), Awaited().method],
    ids=["function", "generator", "partial", "object", "method"],
)
def test_an_async_function_is_refused_at_once(warm: HubExecutor, call: Any) -> None:
    for refused in (
        lambda: warm.submit(call, 1),
        lambda: warm.map(call, [1]),
        lambda: warm.map(call, [1, 2], chunksize=2),
    ):
        with pytest.raises(TypeError, match=r"is an async function, and nobody would await it"):
            refused()


def test_a_call_may_have_an_executor_of_its_own(make: Callable[..., HubExecutor]) -> None:
    def square_there(n: int) -> int:
        from hfexecutor import HubExecutor

        with HubExecutor(1, endpoint="local") as inner:
            return inner.submit(pow, n, 2).result(30)

    # A job sees no packages of this process; here it is to see this very one, and those it needs.
    with make(1, env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}) as outer:
        assert outer.submit(square_there, 7).result(60) == 49


def test_a_typo_in_a_flavor_is_told_the_nearest(make: Callable[..., HubExecutor]) -> None:
    with make(flavor="cpu-upgrad") as executor:
        with pytest.raises(
            hfexecutor.HubRequestError, match=r"no flavor 'cpu-upgrad'\. Did you mean 'cpu-upgrade'"
        ):
            executor.submit(pow, 2, 3).result(30)


def test_more_calls_to_a_job_than_its_machine_can_serve_are_warned_of(
    make: Callable[..., HubExecutor], caplog: pytest.LogCaptureFixture
) -> None:
    with make(100, slots_per_job=100, flavor="cpu-basic") as executor:
        assert executor.submit(pow, 2, 3).result(30) == 8
        until(lambda: "100 calls at once share one cpu-basic (2 vCPU, 16 GB, 160" in caplog.text)


def test_who_the_embedded_hub_ignores_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        with HubExecutor(1, endpoint="local", token="hf_x", namespace="me") as executor:
            assert executor.submit(pow, 2, 3).result(30) == 8
    said = [record.getMessage() for record in caplog.records if "ignored" in record.getMessage()]
    assert said == ['endpoint="local" has a user of its own: token and namespace will be ignored']


def test_doors_are_shown_the_token_that_is_for_them(
    make: Callable[..., HubExecutor], caplog: pytest.LogCaptureFixture
) -> None:
    """The embedded Hub knows one token only: a door that is shown another one does not open."""
    with make(1, door_token="hf_of_fewer_rights") as executor:
        assert executor.submit(pow, 2, 3).result(30) == 8
        assert executor.submit(pow, 2, 4).result(30) == 16
        assert executor.stats().jobs_started == 2, "one job for each call, as there is no door"
    assert "hf_of_fewer_rights" not in caplog.text


def test_an_unknown_flavor_is_refused_before_a_job_exists(
    make: Callable[..., HubExecutor], hub: LocalHub
) -> None:
    before = len(hub.jobs())
    with make(flavor="cpu-gigantic") as executor:
        with pytest.raises(hfexecutor.HubRequestError, match=r"'cpu-gigantic'.*cpu-basic"):
            executor.submit(pow, 2, 3).result(30)
    assert len(hub.jobs()) == before


def test_a_bad_token_says_what_to_do(make: Callable[..., HubExecutor]) -> None:
    with make(token="hf_wrong") as executor:
        futures = [executor.submit(pow, 2, n) for n in range(3)]
        for future in futures:
            with pytest.raises(hfexecutor.AuthenticationError, match="hf auth login"):
                future.result(30)
            assert "hf_wrong" not in str(future.exception())


def test_a_wrong_namespace_is_named(make: Callable[..., HubExecutor]) -> None:
    with make(namespace="somebody-else") as executor:
        with pytest.raises(
            hfexecutor.HubRequestError,
            match=r'in somebody-else: .* Check the namespace: .* HubExecutor\(endpoint="local"\)',
        ) as caught:
            executor.submit(pow, 2, 3).result(30)
    assert type(caught.value) is hfexecutor.HubRequestError


def test_no_token_names_the_embedded_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    with pytest.raises(hfexecutor.AuthenticationError, match='endpoint="local"'):
        HubExecutor(endpoint="https://huggingface.co")


def test_a_hub_that_is_down_is_said_to_be(make: Callable[..., HubExecutor]) -> None:
    with LocalHub() as gone:
        endpoint, token = gone.endpoint, gone.token
    with make(endpoint=endpoint, token=token, give_up_after=0.5) as executor:
        with pytest.raises(
            hfexecutor.HubUnavailableError,
            match=rf'the network and the endpoint {endpoint}, .* HubExecutor\(endpoint="local"\)',
        ):
            executor.submit(pow, 2, 3).result(30)


def test_a_hub_that_is_gone_half_way_fails_what_is_open(mode: str) -> None:
    import time

    hub = LocalHub().start()
    with HubExecutor(
        2,
        endpoint=hub.endpoint,
        token=hub.token,
        give_up_after=1.0,
        reuse_workers=mode == "warm",
    ) as executor:
        assert executor.submit(pow, 2, 3).result(30) == 8
        future = executor.submit(time.sleep, 60)
        while not future.running():
            time.sleep(0.01)
        hub.close()
        # Whichever is seen first: that the job is gone, or that the hub is.
        with pytest.raises((hfexecutor.HubError, hfexecutor.JobError)):
            future.result(30)


def test_another_python_is_refused_before_anything_starts(
    make: Callable[..., HubExecutor], hub: LocalHub
) -> None:
    other = "3.12" if sys.version_info[:2] != (3, 12) else "3.11"
    before = len(hub.jobs())
    with pytest.raises(ValueError, match=f"python='{other}' differs"):
        make(python=other)
    assert len(hub.jobs()) == before


def another_python() -> tuple[str, Path] | None:
    """Return another minor version and where its interpreter is, if this machine has one."""
    folders = [*os.get_exec_path(), *(Path.home() / ".pyenv" / "versions").glob("*/bin")]
    for minor in (13, 12, 11, 10, 9):
        for path in (Path(folder, f"python3.{minor}") for folder in folders):
            if minor != sys.version_info.minor and path.exists():  # pyenv's shims may not run
                done = subprocess.run([path, "-V"], capture_output=True, text=True, check=False)
                if done.stdout.startswith(f"Python 3.{minor}."):
                    return f"3.{minor}", path
    return None


def test_another_python_in_the_image_is_an_error_of_the_call(
    make: Callable[..., HubExecutor], hub: LocalHub, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = another_python()
    if found is None:
        pytest.skip("there is no other Python on this machine")
    version, path = found
    # LocalHub takes the Python that an image's name promises from PATH. That the name of the
    # default image promises another one stands for an image that does not keep its promise.
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    image = f"ghcr.io/astral-sh/uv:python{version}-bookworm"
    monkeypatch.setattr("hfexecutor.options.default_image", lambda: image)

    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    with make(reuse_workers=mode == "warm") as executor:
        futures = [executor.submit(pow, 2, n) for n in range(3)]
        for future in futures:
            with pytest.raises(
                hfexecutor.PythonMismatchError,
                match=rf"has Python {version}\.\d+, but this script runs Python {ours}, .*job ",
            ):
                future.result(30)
    assert hub.running == 0


def test_a_failing_initializer_breaks_the_executor(make: Callable[..., HubExecutor]) -> None:
    with make(initializer=key_error) as executor:
        with pytest.raises(
            hfexecutor.BrokenHubExecutor,
            match=r"initializer raised KeyError: .missing., so no call can run; job",
        ) as caught:
            executor.submit(pow, 2, 3).result(30)
        assert isinstance(caught.value, BrokenExecutor)
        assert isinstance(caught.value.__cause__, KeyError)
        depths = []
        for _ in range(3):  # one error that is raised again and again would gather all tracebacks
            with pytest.raises(hfexecutor.BrokenHubExecutor, match="missing") as again:
                executor.submit(pow, 2, 3)
            assert isinstance(again.value.__cause__, KeyError)
            depths.append(len(list(traceback.walk_tb(again.value.__traceback__))))
        assert len(set(depths)) == 1


def test_a_call_that_is_too_large_for_a_launch_says_so(make: Callable[..., HubExecutor]) -> None:
    with make(reuse_workers=False, bucket=False) as executor:
        with pytest.raises(hfexecutor.PayloadTooLargeError, match="reuse_workers=True"):
            executor.submit(len, os.urandom(1_000_000)).result(30)
        assert executor.submit(pow, 2, 3).result(30) == 8


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_workers": 0}, "max_workers must be greater than 0"),
        ({"dependencies": "numpy"}, "list of requirements"),
        ({"env": {"1A": "x"}}, "1A"),
        ({"env": {"A_B": 1}}, "strings"),
        ({"secrets": {"HFEXECUTOR_KEY": "x"}}, "HFEXECUTOR_"),
        ({"labels": {"a b": "x"}}, "label"),
        ({"timeout": "1d12h"}, "timeout"),
        ({"idle_timeout": 0}, "idle_timeout"),
        ({"slots_per_job": 0}, "slots_per_job"),
        ({"call_timeout": -1}, "call_timeout"),
        ({"max_retries": -1}, "max_retries"),
        ({"initializer": 3}, "callable"),
        ({"endpoint": "ftp://x"}, "endpoint"),
        ({"endpoint": 3}, "endpoint must be"),
        ({"token": 3}, "token must be"),
        ({"namespace": ""}, "namespace must be"),
        ({"image": 3}, "image must be"),
        ({"python": 3.11}, "python must be"),
        ({"flavor": 3}, "flavor must be"),
        ({"env": "a"}, "env must be"),
        ({"secrets": ["NOT_SET_HERE"]}, "not set in this environment"),
        ({"labels": [1]}, "labels must be"),
        ({"initargs": 3}, "initargs must be"),
        ({"reuse_workers": "no"}, "reuse_workers must be"),
        ({"bucket": "mine"}, "bucket must be True or False"),
    ],
)
def test_bad_options_are_named_at_once(
    make: Callable[..., HubExecutor], options: dict[str, Any], text: str
) -> None:
    def ours() -> set[threading.Thread]:
        names = ("hfexecutor-pool", "LocalHub")
        return {thread for thread in threading.enumerate() if thread.name in names}

    before = ours()
    with pytest.raises((ValueError, TypeError), match=text):
        make(**options)
    with pytest.raises((ValueError, TypeError), match=text):
        HubExecutor(**{"endpoint": "local", **options})
    assert ours() <= before, "nothing was started"


@pytest.mark.parametrize("size", [470_000, 499_000])
def test_a_call_just_below_the_limit_fits_into_a_launch(
    make: Callable[..., HubExecutor], size: int
) -> None:
    with make(1, reuse_workers=False) as executor:
        assert executor.submit(len, bytes(size)).result(30) == size


def test_a_launch_has_less_room_beside_large_secrets(make: Callable[..., HubExecutor]) -> None:
    secrets = {f"LARGE_{n}": "x" * 120_000 for n in range(5)}
    with make(1, reuse_workers=False, bucket=False, secrets=secrets) as executor:
        assert executor.submit(len, bytes(50_000)).result(30) == 50_000
        with pytest.raises(hfexecutor.PayloadTooLargeError, match="beside these options"):
            executor.submit(len, bytes(300_000)).result(30)


def test_an_initializer_that_is_too_large_says_so(
    make: Callable[..., HubExecutor], mode: str
) -> None:
    with pytest.raises(hfexecutor.PayloadTooLargeError, match="initializer"):
        make(1, reuse_workers=mode == "warm", initializer=len, initargs=(bytes(900_000),))
