"""joblib's ``Parallel`` on jobs, and scikit-learn on top of it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time

import joblib
import pytest
from joblib import Parallel, delayed, parallel_config

from hfexecutor import HubExecutor
from hfexecutor.integrations.joblib import HubBackend, register

DEADLINE = 30.0
HERE = os.getpid()


@pytest.fixture(autouse=True, scope="module")
def _registered():
    register()
    yield
    del joblib.parallel.BACKENDS["hfexecutor"]


@pytest.fixture(scope="module")
def executor(options):
    with HubExecutor(2, **options) as shared:
        yield shared


@pytest.fixture
def configured(executor):
    """Run what the test runs on the shared executor."""
    with parallel_config(backend="hfexecutor", executor=executor):
        yield


@pytest.fixture
def gate():
    """Hold calls until the test is over, or opens it."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        listener.settimeout(DEADLINE)
        yield Gate(listener)


class Gate:
    def __init__(self, listener):
        self.listener = listener
        self.address = listener.getsockname()
        self.held = []

    def arrived(self):
        self.held.append(self.listener.accept()[0])

    def open(self):
        self.listener.close()
        for connection in self.held:
            connection.close()


def meet(address, value):
    with contextlib.suppress(ConnectionError), socket.create_connection(address) as connection:
        connection.recv(1)
    return value


def square(number):
    return number * number


def process(_number):
    return os.getpid()


def fail_at(bad, number):
    if number == bad:
        raise KeyError(number)
    return number


def until(condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- results ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("configured")
def test_results_come_in_order_from_other_processes():
    assert Parallel()(delayed(square)(n) for n in range(20)) == [n * n for n in range(20)]
    assert HERE not in Parallel()(delayed(process)(n) for n in range(4))


@pytest.mark.usefixtures("configured")
def test_quick_tasks_are_put_together(executor):
    before = executor.stats().done

    assert len(Parallel()(delayed(square)(n) for n in range(2000))) == 2000
    assert executor.stats().done - before < 1000


@pytest.mark.usefixtures("configured")
def test_a_generator_yields_in_order_as_the_rest_still_runs(gate):
    tasks = [delayed(square)(3), delayed(meet)(gate.address, "late")]
    results = Parallel(return_as="generator", batch_size=1)(tasks)

    assert next(results) == 9
    gate.arrived()
    gate.open()
    assert list(results) == ["late"]


@pytest.mark.usefixtures("configured")
def test_an_unordered_generator_yields_what_is_there(gate):
    tasks = [delayed(meet)(gate.address, "late"), delayed(square)(3)]
    results = Parallel(return_as="generator_unordered", batch_size=1)(tasks)

    assert next(results) == 9
    gate.open()
    assert list(results) == ["late"]


# --- ends ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("configured")
def test_an_exception_keeps_its_type_and_its_remote_traceback(executor):
    Parallel()(delayed(square)(n) for n in range(2))
    jobs = executor.stats().jobs_started

    with pytest.raises(KeyError, match="3") as caught:
        Parallel()(delayed(fail_at)(3, n) for n in range(8))

    assert "in fail_at" in str(caught.value.__cause__)
    assert Parallel()(delayed(square)(n) for n in range(3)) == [0, 1, 4]
    assert executor.stats().jobs_started == jobs


@pytest.mark.usefixtures("configured")
def test_after_an_exception_what_runs_is_killed_and_what_waits_is_cancelled(gate, executor):
    def fail_once_it_runs(address):
        gate_of_ours = socket.create_connection(address)
        gate_of_ours.close()
        raise KeyError("first")

    def tasks():
        yield delayed(meet)(gate.address, "held")
        yield delayed(fail_once_it_runs)(gate.address)
        for number in range(1000):
            yield delayed(meet)(gate.address, number)

    with pytest.raises(KeyError, match="first"):
        Parallel(batch_size=1, pre_dispatch=100)(tasks())

    until(lambda: executor.stats().pending == 0)  # though the gate was never opened


@pytest.mark.usefixtures("configured")
def test_a_timeout_ends_it_and_the_next_call_goes_on(gate, executor):
    with pytest.raises(multiprocessing.TimeoutError):
        Parallel(timeout=0.2)(delayed(meet)(gate.address, n) for n in range(2))

    assert Parallel(timeout=DEADLINE)(delayed(square)(n) for n in range(3)) == [0, 1, 4]
    assert executor.stats().pending == 0


@pytest.mark.usefixtures("configured")
def test_what_cannot_be_pickled_is_the_users_to_hear():
    with pytest.raises(Exception, match="cannot be pickled"):
        Parallel()(delayed(square)(threading.Lock()) for _ in range(2))


# --- nested ----------------------------------------------------------------------------------


def nested(number):
    threads = Parallel(n_jobs=2)(delayed(process)(n) for n in range(2))
    again = Parallel(n_jobs=2, backend="hfexecutor")(delayed(square)(n) for n in range(number))
    return os.getpid(), threads, again


@pytest.mark.usefixtures("configured")
def test_what_is_nested_runs_in_threads_of_the_job():
    for number, (job, threads, again) in enumerate(Parallel()(delayed(nested)(n) for n in (0, 1))):
        assert job != HERE
        assert threads == [job, job]
        assert again == [n * n for n in range(number)]


# --- how many --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_jobs", "max_workers", "at_once"),
    [
        (-1, 4, 4),
        (None, 4, 4),
        (-2, 4, 3),
        (3, 4, 3),
        (9, 4, 4),
        (9, None, 9),
        (-1, None, 8),
        (1, 4, 1),  # as joblib has it: here
        (-1, 1, 2),  # there, one after the other: 1 would be here
        (-9, 4, 2),
    ],
)
def test_how_many_run_at_once(n_jobs, max_workers, at_once):
    assert HubBackend(max_workers=max_workers).effective_n_jobs(n_jobs) == at_once


def test_zero_has_no_meaning():
    with pytest.raises(ValueError, match="n_jobs == 0"):
        HubBackend().effective_n_jobs(0)


@pytest.mark.usefixtures("configured")
def test_one_runs_here():
    assert Parallel(n_jobs=1)(delayed(process)(n) for n in range(2)) == [HERE, HERE]


def test_one_worker_is_one_job(options, hub):
    with parallel_config(backend="hfexecutor", max_workers=1, **options):
        pids = Parallel()(delayed(process)(n) for n in range(4))

    assert len(set(pids)) == 1
    assert HERE not in pids


# --- jobs ------------------------------------------------------------------------------------


def started(hub):
    return hub.requests["POST /api/jobs/{namespace}"]


def test_jobs_stay_for_all_calls_within_a_configuration_and_leave_with_it(options, hub, executor):
    executor.submit(square, 1).result()
    running, before = hub.running, started(hub)
    with parallel_config(backend="hfexecutor", n_jobs=2, **options):
        Parallel()(delayed(square)(n) for n in range(4))
        jobs = started(hub)
        Parallel()(delayed(square)(n) for n in range(4))
        assert Parallel(n_jobs=-1)._effective_n_jobs() == 2
        assert before < started(hub) == jobs

    until(lambda: hub.running <= running)


def test_a_parallel_of_its_own_leaves_no_job(options, hub, executor):
    executor.submit(square, 1).result()
    running = hub.running
    parallel = Parallel(n_jobs=2, backend="hfexecutor", **options)

    assert parallel(delayed(square)(n) for n in range(4)) == [0, 1, 4, 9]
    until(lambda: hub.running <= running)
    assert parallel(delayed(square)(n) for n in range(2)) == [0, 1]
    until(lambda: hub.running <= running)


def test_a_given_executor_is_its_owners(executor):
    with parallel_config(backend="hfexecutor", executor=executor):
        Parallel()(delayed(square)(n) for n in range(2))

    assert executor.submit(square, 3).result() == 9
    with pytest.raises(TypeError, match="has its options already: flavor"):
        HubBackend(executor=executor, flavor="cpu-basic")


def test_a_slip_in_an_option_is_told(options):
    with pytest.raises(TypeError, match="flavour"):
        Parallel(n_jobs=2, backend="hfexecutor", flavour="cpu", **options)([delayed(square)(1)])


def test_what_batches_import_is_found():
    batch = joblib.parallel.BatchedCalls([(square, (1,), {})], (None, None))
    with HubExecutor(1, endpoint="local") as executor:
        assert f"joblib=={joblib.__version__}" in executor.explain(batch)


def test_without_joblib_it_says_what_to_install():
    script = "import sys; sys.modules['joblib'] = None; import hfexecutor.integrations.joblib"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert 'pip install "hfexecutor[joblib]"' in done.stderr


# --- scikit-learn ----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("configured")
def test_scikit_learn_runs_unchanged(executor):
    from sklearn.datasets import make_classification
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, cross_val_score

    x, y = make_classification(120, random_state=0)
    search = GridSearchCV(LogisticRegression(), {"C": [0.01, 1.0, 100.0]}, cv=2)
    with parallel_config(backend="sequential"):
        here = search.fit(x, y).cv_results_["mean_test_score"]
        scores_here = cross_val_score(LogisticRegression(), x, y, cv=3)
    done = executor.stats().done

    there = search.set_params(n_jobs=-1).fit(x, y).cv_results_["mean_test_score"]
    scores_there = cross_val_score(LogisticRegression(), x, y, cv=3, n_jobs=-1)

    assert list(there) == list(here)
    assert list(scores_there) == list(scores_here)
    assert executor.stats().done > done
