"""Calls whose packages and modules their job does not have: on the embedded Hub's clean room.

The packages are made here, as wheels that uv finds on this disk, and installed here by uv as well.
"""

from __future__ import annotations

import os
import textwrap

import pytest

from .workplace import Workplace

WORD = "the answer"


@pytest.fixture
def workplace(tmp_path):
    return Workplace(tmp_path)


HEAD = """
import sys
from hfexecutor import HubExecutor
from hfexecutor.errors import *
WARM = "cold" not in sys.argv
def executor(**options):
    return HubExecutor(2, endpoint="local", reuse_workers=WARM, **options)
"""


@pytest.mark.parametrize("mode", ["warm", pytest.param("cold", marks=pytest.mark.slow)])
def test_a_script_runs_unchanged_with_all_that_it_imports(workplace, mode):
    """Packages, a package beside it, a module beside it, and a project elsewhere (src layout)."""
    workplace.wheel("frames", "2.1", "import arrays\nclass Frame:\n def __init__(s, x): s.x = x")
    workplace.wheel("arrays", "1.4", "def total(xs): return sum(xs)")
    workplace.wheel("arrays", "1.5")
    workplace.install("frames", "arrays==1.4")
    workplace.write("beside.py", "import mine\ndef call(x):\n return mine.deep.double(x)")
    workplace.write("mine/__init__.py", "from . import deep")
    workplace.write("mine/deep.py", "import arrays\ndef double(x): return arrays.total([x, x])")
    workplace.write("project/src/edited/__init__.py", "class Thing:\n def __init__(s, x): s.x = x")
    lines = workplace.run(
        HEAD
        + f"sys.path.append({str(workplace.path / 'project' / 'src')!r})\n"
        + textwrap.dedent(
            """
            import arrays, beside, edited, frames

            class Local(edited.Thing):
                pass

            def use(thing, frame):
                import arrays as lazily
                assert isinstance(thing, edited.Thing) and isinstance(frame, frames.Frame)
                return Local(lazily.total([thing.x, frame.x])), lazily.version, frames.version

            with executor() as pool:
                futures = [pool.submit(beside.call, 4), pool.submit(arrays.total, [1, 2])]
                futures.append(pool.submit(use, edited.Thing(3), frames.Frame(4)))
                print(futures[0].result(), futures[1].result())
                value, *versions = futures[2].result()
                print(type(value) is Local, isinstance(value, edited.Thing), value.x, *versions)
            """
        ),
        mode,
    )

    assert lines == ["8 3", "True True 7 1.4 2.1"]


@pytest.mark.slow  # as does the script of the test before
def test_a_job_gets_the_versions_that_are_installed_here(workplace):
    for version in ("1", "2", "3"):
        workplace.wheel("thing", version)
    workplace.install("thing==2")

    lines = workplace.run(
        HEAD
        + "import thing\n"
        + "with executor() as pool: print(pool.submit(lambda: thing.version).result())\n"
    )

    assert lines == ["2"]


def test_nothing_of_this_environment_is_in_the_job_unless_it_is_asked_for(workplace):
    workplace.wheel("thing", "1")
    workplace.install("thing")
    source = (
        HEAD
        + "import thing\n"
        + "try:\n"
        + "    with executor(dependencies=None) as pool:\n"
        + "        pool.submit(lambda: thing.version).result()\n"
        + "except MissingModuleError as error:\n"
        + "    print(error.name, isinstance(error, ModuleNotFoundError), error)\n"
    )

    (line,) = workplace.run(source)

    assert line.startswith("thing True the job has no module 'thing'. Here it is thing 1: add ")
    assert 'dependencies=["auto", "thing==1"]' in line
    assert "packages: none; local code: none" in line


# That what is asked for counts is shown by a script's header as well: here with an option.
@pytest.mark.parametrize(
    ("option", "expected"),
    [
        pytest.param('["auto", "thing==2"]', "2", marks=pytest.mark.slow),
        pytest.param('["thing==3"]', "3", marks=pytest.mark.slow),
        pytest.param('["auto", "more"]', "1", marks=pytest.mark.slow),
    ],
)
def test_what_the_user_asks_for_counts(workplace, option, expected):
    for version in ("1", "2", "3"):
        workplace.wheel("thing", version)
    workplace.wheel("more", "1")
    workplace.install("thing==1")

    lines = workplace.run(
        HEAD
        + "import thing\n"
        + f"with executor(dependencies={option}) as pool:\n"
        + "    print(pool.submit(lambda: thing.version).result())\n"
    )

    assert lines == [expected]


def test_the_header_of_the_script_is_the_default(workplace):
    workplace.wheel("thing", "1")
    workplace.wheel("thing", "2")
    workplace.install("thing==1")

    lines = workplace.run(
        '# /// script\n# dependencies = ["thing==2", "hfexecutor[local]"]\n'
        "# [tool.hf-jobs]\n# env = { FROM_HEADER = 'yes' }\n# ///\n"
        + HEAD
        + "import os, thing\n"
        + "def call(): return thing.version, os.environ['FROM_HEADER']\n"
        + "with executor() as pool: print(*pool.submit(call).result())\n"
    )

    assert lines == ["2 yes"]


@pytest.mark.slow  # as does one whose package was upgraded
def test_a_warm_worker_gets_a_new_package_without_a_new_job(workplace):
    workplace.wheel("thing", "1")
    workplace.wheel("other", "1")
    workplace.install("thing", "other")

    lines = workplace.run(
        HEAD
        + "import thing, other\n"
        + "with HubExecutor(1, endpoint='local') as pool:\n"
        + "    first = pool.submit(pow, 2, 3)\n"
        + "    first.result()\n"
        + "    second = pool.submit(lambda: thing.version)\n"
        + "    second.result()\n"
        + "    third = pool.submit(lambda: (thing.version, other.version))\n"
        + "    print(third.result(), len({f.job_id for f in (first, second, third)}))\n"
    )

    assert lines == ["('1', '1') 1"]


@pytest.mark.parametrize("slots", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_package_that_is_upgraded_meanwhile_gets_processes_of_its_own_in_the_same_job(
    workplace, slots
):
    """As in a notebook, with `%pip install -U`; a call that waits has the version of its submit."""
    workplace.wheel("thing", "1")
    workplace.wheel("thing", "2")
    workplace.install("thing==1")

    lines = workplace.run(
        HEAD
        + "import os, subprocess, thing\n"
        + f"install = {workplace.install_command('--upgrade', 'thing==2')!r}\n"
        + "def call():\n"
        + "    return thing.version, os.getpid()\n"
        + f"with HubExecutor({slots}, slots_per_job={slots}, endpoint='local') as pool:\n"
        + "    first = [pool.submit(call) for _ in range(3)]\n"
        + "    subprocess.run(install, check=True, capture_output=True)\n"
        + "    second = [pool.submit(call) for _ in range(3)]\n"
        + "    values = [[future.result() for future in futures] for futures in (first, second)]\n"
        + "    print([[version for version, _ in each] for each in values])\n"
        + "    pids = [{pid for _, pid in each} for each in values]\n"
        + "    print(pids[0].isdisjoint(pids[1]), len({f.job_id for f in first + second}))\n"
    )

    assert lines == ["[['1', '1', '1'], ['2', '2', '2']]", "True 1"]


def test_what_cannot_be_installed_ends_its_calls_and_no_others(workplace):
    workplace.wheel("thing", "1")
    workplace.install("thing")
    (workplace.wheels / "thing-1-py3-none-any.whl").unlink()
    workplace.variables["UV_CACHE_DIR"] += "-empty"

    lines = workplace.run(
        HEAD
        + "import thing\n"
        + "with HubExecutor(1, endpoint='local') as pool:\n"
        + "    futures = [pool.submit(lambda: thing.version), pool.submit(pow, 2, 3)]\n"
        + "    error = futures[0].exception()\n"
        + "    words = 'last lines of uv', 'thing==1'\n"
        + "    print(type(error).__name__, *(word in str(error) for word in words))\n"
        + "    print(futures[1].result(), len({future.job_id for future in futures}))\n"
    )

    assert lines == ["DependencyError True True", "8 1"]


def test_new_code_for_new_calls(workplace):
    workplace.write("beside.py", "def call():\n import os\n return 1, os.getpid()\n")

    lines = workplace.run(
        HEAD
        + "import importlib, pathlib, beside\n"
        + "def edit(n):\n"
        + "    pathlib.Path(beside.__file__).write_text(\n"
        + "        f'def call():\\n import os\\n return {n}, os.getpid()  # edited\\n')\n"
        + "    importlib.invalidate_caches()\n"
        + "    importlib.reload(beside)\n"
        + "with HubExecutor(1, endpoint='local') as pool:\n"
        + "    futures = [pool.submit(beside.call)]\n"
        + "    for n in (22, 333):\n"
        + "        edit(n)\n"
        + "        futures.append(pool.submit(beside.call))\n"
        + "    values = [future.result() for future in futures]\n"
        + "    print([n for n, _ in values], len({pid for _, pid in values}))\n"
        + "    print(len({future.job_id for future in futures}))\n"
    )

    assert lines == ["[1, 22, 333] 3", "1"]


def test_an_initializer_finds_what_it_imports(workplace):
    workplace.wheel("thing", "1")
    workplace.install("thing")
    workplace.write("beside.py", "import thing\nmodel = None\ndef call(): return model\n")

    lines = workplace.run(
        HEAD
        + "import beside, thing\n"
        + "def init():\n"
        + "    beside.model = thing.version\n"
        + "with executor(initializer=init) as pool:\n"
        + "    print(pool.submit(beside.call).result(), pool.submit(beside.call).result())\n"
    )

    assert lines == ["1 1"]


def test_package_data_travel_when_they_are_asked_for(workplace):
    workplace.write("mine/words.txt", WORD)
    workplace.write(
        "mine/__init__.py",
        "import pathlib\nhere = pathlib.Path(__file__).parent\n"
        "def call(): return (here / 'words.txt').read_text()",
    )
    source = (
        HEAD
        + "import mine\n"
        + "with executor(package_data=['mine/*.txt']) as pool:\n"
        + "    print(pool.submit(mine.call).result())\n"
        + "with executor() as pool:\n"
        + "    print(type(pool.submit(mine.call).exception()).__name__)\n"
    )

    assert workplace.run(source) == [WORD, "FileNotFoundError"]


def test_nothing_is_launched_for_what_no_job_can_have(workplace):
    workplace.write("mine/__init__.py", "#" * 5000)
    source = (
        HEAD
        + "import mine\n"
        + "with HubExecutor(1, endpoint='local', local_code_limit=1000) as pool:\n"
        + "    future = pool.submit(lambda: mine)\n"
        + "    print(type(future.exception()).__name__, future.job_id, pool.stats().jobs_started)\n"
    )

    assert workplace.run(source) == ["PayloadTooLargeError None 0"]


@pytest.mark.parametrize("size", [pytest.param(100_000, marks=pytest.mark.slow), 900_000])
def test_code_of_any_size_reaches_a_warm_worker(workplace, size):
    """A launch request has room for half a megabyte; what is larger goes through the door."""
    noise = os.urandom(size // 2).hex()
    workplace.write("mine/__init__.py", f"noise = {noise!r}\ndef call(): return len(noise)")

    lines = workplace.run(
        HEAD
        + "import mine\n"
        + "with HubExecutor(1, endpoint='local') as pool: print(pool.submit(mine.call).result())\n"
    )

    assert lines == [str(len(noise))]


def test_a_call_is_explained_without_starting_anything(workplace):
    workplace.wheel("thing", "1")
    workplace.install("thing")
    workplace.write("beside.py", "import thing\ndef call(x): return x")

    lines = workplace.run(
        HEAD
        + "import beside\n"
        + "given = {'env': {'AB': 'c'}, 'secrets': {'KEY': 'hunter2'}}\n"
        + "with executor(volumes=['hf://datasets/org/name:/data'], **given) as pool:\n"
        + "    print(pool.explain(beside.call, 1))\n"
        + "    print(pool.stats().jobs_started)\n"
    )

    rows = {line[:14].strip(): line[14:] for line in lines if line[:14].strip()}
    assert lines[-1] == "0"
    assert rows["call"] == "call"
    assert rows["installed"] == "thing==1"
    assert "beside" in rows["local code"]
    assert rows["price"] == "$0.01 an hour for each job (2 vCPU)"
    assert rows["calls"] == "2 at once in each job"
    assert rows["mounted"] == "dataset org/name at /data"
    assert (rows["env"], rows["secrets"]) == ("AB", "KEY")
    assert "hunter2" not in "".join(lines)


@pytest.mark.slow  # what it needs takes long to install
def test_a_notebook_runs_with_its_helpers_and_with_new_code_after_a_reload(workplace):
    import nbformat
    from nbclient import NotebookClient

    workplace.wheel("thing", "1")
    workplace.install("thing")
    workplace.write("helpers.py", "import thing\ndef call(): return thing.version, 1\n")
    cells = [
        f"""
        import importlib, pathlib, sys
        sys.path[:0] = [{str(workplace.path)!r}, {str(workplace.site)!r}]
        import helpers
        from hfexecutor import HubExecutor
        pool = HubExecutor(1, endpoint="local")
        """,
        """
        class Mine:
            def __init__(self, x): self.x = x
        def call(mine):
            assert isinstance(mine, Mine)
            return Mine(mine.x + 1), helpers.call()
        """,
        """
        mine, first = pool.submit(call, Mine(1)).result()
        print(type(mine) is Mine, mine.x, first)
        """,
        """
        edited = "import thing\\ndef call(): return thing.version, 22  # edited"
        pathlib.Path(helpers.__file__).write_text(edited)
        importlib.invalidate_caches()
        importlib.reload(helpers)
        mine, second = pool.submit(call, Mine(5)).result()
        print(mine.x, second)
        pool.shutdown()
        """,
    ]
    cells = [textwrap.dedent(cell) for cell in cells]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    for cell in notebook.cells:
        cell.pop("id", None)
    client = NotebookClient(notebook, timeout=240, kernel_name="python3")
    client.execute(env={**os.environ, **workplace.variables}, cwd=str(workplace.home))
    printed = [
        output.text
        for cell in notebook.cells
        for output in cell.outputs
        if output.get("name") == "stdout"
    ]

    assert printed == ["True 2 ('1', 1)\n", "6 ('1', 22)\n"]
