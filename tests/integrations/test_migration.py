"""The left columns of docs/migration.md: what they say of other libraries is run with these."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from hfexecutor import HubExecutor, wait

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "migration.md").read_text(encoding="utf-8")


class Table:
    """One table of the page: what is run or read here has to stand in its left column.

    Attributes:
        left: What has not been run or read yet.
    """

    def __init__(self, library, **scope):
        section = PAGE.split(f"\n## From {library}\n")[1].split("\n## ")[0]
        column = " ".join(re.findall(r"^\| (.+?) \| .+ \|$", section, re.MULTILINE))
        self.codes = frozenset(re.findall(r"`([^`]+)`", column)) - {library.lower()}
        self.left = set(self.codes)
        self.scope = scope

    def read(self, code):
        assert code in self.codes
        self.left.discard(code)
        return code

    def run(self, code, within="{}"):
        line = within.format(self.read(code))
        try:
            compiled = compile(line, "<migration.md>", "eval")
        except SyntaxError:
            compiled = compile(line, "<migration.md>", "exec")
        return eval(compiled, self.scope)


def square(x):
    print("squaring", x)
    return x * x


def fail(x):
    raise KeyError(x)


def sleep(seconds):
    import time

    time.sleep(seconds)


@pytest.fixture
def ours(options):
    with HubExecutor(2, **options) as executor:
        yield executor


# What it leaves open of its files.
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_what_is_said_of_submitit_is_so(ours, tmp_path, monkeypatch):
    submitit = pytest.importorskip("submitit")
    monkeypatch.chdir(tmp_path)
    scope = {"f": square, "x": 3, "xs": [1, 2, 3], "AutoExecutor": submitit.AutoExecutor}
    table = Table("submitit", submitit=submitit, **scope)

    assert table.run('AutoExecutor(folder="logs")') is not None
    for cluster in ('cluster="debug"', 'cluster="local"'):  # the second one is used below
        table.run(cluster, 'executor = AutoExecutor(folder="logs", {})')
        assert table.scope["executor"].submit(abs, -2).result() == 2
    executor = table.scope["executor"]
    table.run("executor.update_parameters(timeout_min=60, mem_gb=8)")
    for parameter in ("slurm_array_parallelism=8", "gpus_per_node=1"):
        table.run(parameter, "executor.update_parameters({})")
    executor.update_parameters(gpus_per_node=0)
    table.run('AutoExecutor(folder="logs", slurm_max_num_timeout=3)')
    assert isinstance(table.run("Checkpointable", "submitit.helpers.{}"), type)

    table.run("job = executor.submit(f, x)")
    future = ours.submit(square, 3)
    assert table.run("job.result()") == future.result() == 9
    assert table.run("job.exception()") is future.exception() is None
    assert table.run("job.done()") is future.done() is True
    assert table.run("job.job_id")
    assert "squaring 3" in table.run("job.stdout()")
    assert "squaring 3" in future.logs()

    jobs = table.run("executor.map_array(f, xs)")
    assert [job.result() for job in jobs] == list(ours.map(square, [1, 2, 3])) == [1, 4, 9]
    table.scope["jobs"] = jobs
    assert set(table.run("submitit.helpers.as_completed(jobs)")) == set(jobs)
    table.run("with executor.batch():", "{}\n    job = executor.submit(f, x)")
    assert table.scope["job"].result() == 9

    error = executor.submit(fail, 3).exception()
    assert type(error).__name__ == table.read("FailedJobError")
    assert error.__cause__ is None
    assert type(ours.submit(fail, 3).exception()) is KeyError

    table.scope["job"], future = executor.submit(sleep, 60), ours.submit(sleep, 60)
    table.run("job.cancel()")
    future.kill()
    assert table.scope["job"].exception() is not None
    assert not wait([future], timeout=30).not_done  # at once, whether it had begun or not
    assert table.left == set()


def test_what_is_said_of_dask_is_so(ours, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    import dask

    monkeypatch.chdir(tmp_path)
    (tmp_path / "helpers.py").write_text("answer = 42\n")
    ran = []

    def f(x):
        ran.append(x)
        return x * x

    def fail_twice(x):
        ran.append(x)
        if ran.count(x) < 3:
            raise ConnectionError
        return x

    cluster = distributed.LocalCluster(
        n_workers=1, processes=False, dashboard_address=":0", resources={"GPU": 1}
    )
    scope = {"cluster": cluster, "f": f, "x": 3, "xs": [1, 2], "graph": dask.delayed(pow)(2, 3)}
    names = {name: getattr(distributed, name) for name in ("Client", "PipInstall", "as_completed")}
    table = Table("Dask", dask=dask, data=[1, 2], **names, **scope)
    with cluster:
        table.run("client = Client(cluster)")
        with table.scope["client"] as client:
            submit = "client.submit(f, x)"
            assert [table.run(submit).result(), table.run(submit).result()] == [9, 9]
            first, second = table.run(submit), table.run(submit)
            assert first.key == second.key
            assert ran.count(3) < 4

            futures = table.scope["futures"] = table.run("client.map(f, xs)")
            assert table.run("client.gather(futures)") == list(ours.map(square, [1, 2])) == [1, 4]
            assert set(table.run("as_completed(futures)")) == set(futures)
            assert client.submit(f, first).result() == 81  # a future as an argument

            shared = ours.share([1, 2])
            there = client.submit(sum, table.run("client.scatter(data)")).result()
            assert there == ours.submit(sum, shared).result() == 3
            assert table.run("dask.compute(graph)") == (8,)
            assert table.run("dask.compute(graph)", "{}") == dask.compute(
                scope["graph"], scheduler=ours
            )
            assert list(table.run("client.get_executor()").map(abs, [-1])) == [1]
            table.run('client.upload_file("helpers.py")')
            assert table.run('client.register_plugin(PipInstall(["numpy"]))', "lambda: {}")
            table.scope.update(f=fail_twice, x=7)
            assert table.run("client.submit(f, x, retries=3)").result() == 7
            table.scope.update(f=f, x=9)
            assert table.run('client.submit(f, x, resources={"GPU": 1})').result() == 81
            assert table.run("client.dashboard_link").startswith("http")
            table.run("cluster.adapt(maximum=8)")
    assert table.left == set()


def test_what_is_said_of_modal_exists():
    """Without an account nothing runs there; but a parameter that is wrong is refused here."""
    modal = pytest.importorskip("modal")
    names = {name: getattr(modal, name) for name in ("FunctionCall", "Image", "Secret", "Volume")}
    table = Table("Modal", modal=modal, app=modal.App("example"), square=square, **names)

    table.run("@app.function()", "{}\ndef f(x): pass")
    f = table.scope["f"]
    for parameter in (
        *('gpu="A10G"', 'gpu=["H100", "A100"]', "cpu=8", "timeout=60", "retries=3"),
        *("scaledown_window=60", "max_containers=8", "single_use_containers=True"),
        'volumes={"/out": Volume.from_name("name")}',
    ):
        table.run(parameter, "app.function(serialized=True, {})(square)")
    table.run('Secret.from_name("x")', "app.function(serialized=True, secrets=[{}])(square)")
    image = table.run('Image.debian_slim().pip_install("numpy")')
    table.scope["image"] = image
    table.run('image.add_local_python_source("mine")', "lambda: {}")
    for decorator in ("@modal.concurrent(max_inputs=4)", "@modal.enter()"):
        table.run(decorator, "{}\ndef decorated(x): pass")
    assert inspect.signature(modal.App.function).parameters["timeout"].default == 300

    calls = {
        "f.remote(x)": f.remote,
        "call = f.spawn(x)": f.spawn,
        "call.get()": modal.FunctionCall.get,
        "f.map(xs, order_outputs=False, return_exceptions=True)": f.map,
        "f.starmap(rows)": f.starmap,
        "FunctionCall.from_id(id)": modal.FunctionCall.from_id,
    }
    for code, function in calls.items():
        options = re.findall(r"(\w+)=", table.read(code).partition("(")[2])
        assert set(options) <= set(inspect.signature(function).parameters)

    table.left -= {"f", "modal run --detach"}
    assert table.left == set()
