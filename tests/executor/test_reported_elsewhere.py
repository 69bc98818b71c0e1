"""What users of other executors have reported about modules that workers lack, each as a script.

One table: the thread, the files beside the script, what is installed, the script, what it prints.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import pytest

from hfexecutor.local import LocalHub

from .workplace import Workplace


class Report(NamedTuple):
    script: str
    prints: list[str]
    files: dict[str, str] = {}  # noqa: RUF012 (it is a default)
    installed: tuple[tuple[str, str, str, str], ...] = ()  # name, version, source, requirement


REPORTS = {
    # An object of a class of a package beside the script submits calls of its own methods.
    "dask/distributed#344": Report(
        files={
            "package/__init__.py": "",
            "package/code2.py": "def scale(x): return 2 * x",
            "package/fitting.py": """
                from .code2 import scale
                class Fitter:
                    def fit(self, x): return scale(x)
                    def fit_all(self, xs, executor): return list(executor.map(self.fit, xs))
                """,
        },
        script="from package import fitting\nprint(fitting.Fitter().fit_all([1, 2], executor))",
        prints=["[2, 4]"],
    ),
    # A function of the script itself works as long as it needs nothing: with a package of the
    # user's, of which one module imports another, it has to work as well.
    "coiled/feedback#175": Report(
        files={
            "my_package/__init__.py": "",
            "my_package/numbers.py": "ONE = 128",
            "my_package/tools/__init__.py": """
                from my_package.numbers import ONE
                def one(): return ONE
                """,
        },
        script="from my_package.tools import one\ndef return_one(): return one()\n"
        "print([f.result() for f in [executor.submit(return_one) for _ in range(2)]])",
        prints=["[128, 128]"],
    ),
    # Function and class of a module that is only here: pickle goes by their names, without a word.
    "dask/distributed#2268": Report(
        files={
            "geometry.py": """
                class Point:
                    def __init__(self, x, y): self.x, self.y = x, y
                def distance(point): return (point.x ** 2 + point.y ** 2) ** 0.5
                """,
        },
        script="from geometry import Point, distance\n"
        "print(list(executor.map(distance, [Point(3, 4), Point(6, 8)])))",
        prints=["[5.0, 10.0]"],
    ),
    # A package beside the script that nobody has installed anywhere.
    "dask/dask-kubernetes#222": Report(
        files={
            "MyModule/__init__.py": "",
            "MyModule/myModule.py": "def worker_func(x): return x + 1",
        },
        script="from MyModule.myModule import worker_func\n"
        "print(executor.submit(worker_func, 1).result())",
        prints=["2"],
    ),
    # A function of a module beside the script, under another name.
    "dask/distributed#501": Report(
        files={"moduleTest.py": "def say(name): return name"},
        script="import moduleTest as mt\n"
        "print([f.result() for f in [executor.submit(mt.say, n) for n in ('Bill', 'Janice')]])",
        prints=["['Bill', 'Janice']"],
    ),
    # An instance of a class beside the script is an argument, and comes back.
    "dask/distributed#924": Report(
        files={"foo.py": "class Foo:\n    pass"},
        script="import foo\nfoos = executor.map(lambda x: x, [foo.Foo()] * 2)\n"
        "print([type(x) is foo.Foo for x in foos])",
        prints=["[True, True]"],
    ),
    # A function of a package in a package, with a helper that it imports by its full name.
    "dask/distributed#7797": Report(
        files={
            "analysis/__init__.py": "",
            "analysis/steps/__init__.py": "",
            "analysis/steps/clean.py": """
                from analysis.common import tidy
                def clean(x): return tidy(x)
                """,
            "analysis/common.py": "def tidy(x): return x.strip()",
        },
        script="from analysis.steps.clean import clean\n"
        "print(executor.submit(clean, ' x ').result())",
        prints=["x"],
    ),
    # A decorated function of a module, and a configuration beside it.
    "Parsl/parsl#2680": Report(
        installed=(("framework", "1.0", "def app(fn):\n fn.marked = True\n return fn", ""),),
        files={
            "config.py": "size = 3",
            "library.py": """
                from framework import app
                import config
                @app
                def increment(x): return x + config.size
                """,
        },
        script="from library import increment\nprint(executor.submit(increment, 1).result())",
        prints=["4"],
    ),
    # Other versions on the worker, two steps away from what is imported: a crash without a word.
    "huggingface/datatrove#497": Report(
        installed=(
            ("arrays", "1.26.4", "", ""),
            ("arrays", "2.0.1", "", ""),
            ("frames", "2.2.2", "import arrays\ndef f(): return arrays.version", "arrays>=1"),
        ),
        script="import frames\nprint(frames.f(), executor.submit(frames.f).result())",
        prints=["1.26.4 1.26.4"],
    ),
    # A script with a package and a module beside it, which import others.
    "huggingface/huggingface_hub#4558": Report(
        files={
            "helpers.py": "import settings\ndef help(): return settings.answer",
            "settings.py": "answer = 42",
            "mypackage/__init__.py": "from .core import run",
            "mypackage/core.py": "def run(): return 1",
        },
        script="import helpers\nfrom mypackage import run\n"
        "def call(): return helpers.help(), run()\nprint(executor.submit(call).result())",
        prints=["(42, 1)"],
    ),
    # An error that names the module, not a worker that was killed.
    "dask/dask#4839": Report(
        script="import importlib\n"
        "def call(name): return importlib.import_module(name)\n"
        "error = executor.submit(call, 'not' + 'here').exception()\n"
        "print(type(error).__name__, error.name)",
        prints=["MissingModuleError nothere"],
    ),
}


@pytest.fixture(scope="module")
def workplaces(tmp_path_factory):
    """Return what makes a user's directory; all of them have the same packages within reach."""
    wheels = tmp_path_factory.mktemp("wheels")

    def make(name):
        workplace = Workplace(tmp_path_factory.mktemp(name))
        workplace.variables["UV_FIND_LINKS"] = str(wheels)
        workplace.wheels = wheels
        return workplace

    return make


@pytest.fixture(scope="module")
def hub(workplaces):
    """Return a hub whose uv finds those packages, and nothing that is not on this disk."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in workplaces("hub").variables.items():
            patch.setenv(name, value)
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        with LocalHub() as hub:
            yield hub


@pytest.mark.parametrize(
    "threads",
    [
        pytest.param(list(REPORTS), id="all in one script"),
        *(pytest.param([one], id=one, marks=pytest.mark.slow) for one in REPORTS),
    ],
)
def test_what_was_reported_there_works_here(workplaces, hub, threads):
    reports, workplace = [REPORTS[thread] for thread in threads], workplaces("reported")
    first = {}
    for report in reports:
        for name, source in report.files.items():
            workplace.write(name, source)
        for name, version, source, requires in report.installed:
            workplace.wheel(name, version, source, requires)
            first.setdefault(name, f"{name}=={version}")
    if first:
        workplace.install(*first.values())
    head = "from hfexecutor import HubExecutor\nexecutor = HubExecutor(2)"

    printed = workplace.run(
        "\n".join([head, *(report.script for report in reports), "executor.shutdown()\n"]),
        HFEXECUTOR_ENDPOINT=hub.endpoint,
        HF_TOKEN=hub.token,
    )

    assert printed == [line for report in reports for line in report.prints]
