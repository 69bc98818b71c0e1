"""A script of a data scientist's, word for word but for the line that makes the executor.

It imports numpy, pandas and scikit-learn, a package and a module beside it, and a project that is
installed editable. Jobs install from an index on loopback, which has what is installed here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from .package_index import PackageIndex

STDLIB = "ProcessPoolExecutor(2)"
OURS = {
    "warm": 'HubExecutor(2, endpoint="local")',
    "cold": 'HubExecutor(2, endpoint="local", reuse_workers=False)',
}
FILES = {
    "cleaning.py": """
        import pandas as pd

        def clean(frame):
            return frame.dropna().reset_index(drop=True)
        """,
    "features/__init__.py": "from .scaling import scaled\n",
    "features/scaling.py": """
        from sklearn.preprocessing import StandardScaler

        def scaled(frame):
            return StandardScaler().fit_transform(frame[["x", "y"]])
        """,
    "project/pyproject.toml": """
        [build-system]
        requires = ["setuptools>=64"]
        build-backend = "setuptools.build_meta"
        [project]
        name = "my-models"
        version = "1.0"
        dependencies = ["numpy"]
        """,
    "project/src/models/__init__.py": "from .fitting import Fit, fit\n",
    "project/src/models/fitting.py": """
        from dataclasses import dataclass
        import numpy as np

        @dataclass
        class Fit:
            seed: int
            weights: np.ndarray

        def fit(seed, points):
            return Fit(seed, np.linalg.svd(points, compute_uv=False))
        """,
}
# In parts: a script is all of them, a notebook has a cell for each.
PARTS = [
    """
    import sys
    from concurrent.futures import ProcessPoolExecutor
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import LinearRegression
    import models
    from cleaning import clean
    from features import scaled
    from hfexecutor import HubExecutor
    """,
    """
    class Summary:
        def __init__(self, fit, frame, slope):
            self.fit, self.frame, self.slope = fit, frame, slope

    def work(seed, frame):
        frame = clean(frame)
        line = LinearRegression().fit(frame[["x"]], frame["y"])
        return Summary(models.fit(seed, scaled(frame)), frame.head(1), line.coef_[0])

    def table(seed):
        x = np.random.default_rng(seed).normal(size=50)
        return pd.DataFrame({"x": np.where(x > 1, np.nan, x), "y": 3 * x + seed})
    """,
    """
    if __name__ == "__main__":
        with EXECUTOR as executor:
            for summary in executor.map(work, range(3), map(table, range(3))):
                assert type(summary) is Summary and type(summary.fit) is models.Fit
                assert type(summary.frame) is pd.DataFrame
                print(summary.fit.seed, summary.fit.weights.round(6), round(summary.slope, 6))
                print(summary.frame.round(6).to_string())
            versions = executor.submit(lambda: (np.__version__, pd.__version__)) \
                if type(executor) is HubExecutor else None
            assert versions is None or versions.result() == (np.__version__, pd.__version__)
    """,
]


class Desk:
    """A directory with the scripts, and a Python that has what they import."""

    def __init__(self, path: Path, index: PackageIndex) -> None:
        self.path = path
        steering = ("UV_", "PIP_", "PYTHON", "JUPYTER")
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(steering) and not name.lower().endswith("_proxy")
        }
        self.environment = {
            **inherited,
            "UV_DEFAULT_INDEX": index.url,
            "UV_PYTHON_DOWNLOADS": "never",
            "HOME": str(path / "home"),
            "PIP_CONFIG_FILE": os.devnull,
            "JUPYTER_PATH": str(path / "jupyter"),
            "IPYTHONDIR": str(path / "ipython"),
        }
        (path / "home").mkdir()
        for name, source in FILES.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(textwrap.dedent(source))
        uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
        assert uv, "uv is part of the extra that the tests install"
        self._do(uv, "venv", "--python", sys.executable, "venv")
        # What is installed for the tests is installed for the script as well.
        self.python = path / "venv" / "bin" / "python"
        (site,) = (path / "venv" / "lib").glob("*/site-packages")
        here = [entry for entry in sys.path if entry.endswith("-packages")]
        lines = "".join(f"import site; site.addsitedir({entry!r})\n" for entry in here)
        (site / "tests.pth").write_text(lines)
        install = [uv, "pip", "install", "--python", self.python, "--no-build-isolation"]
        self._do(*install, "--no-deps", "--editable", "project")
        spec = {
            "argv": [str(self.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "desk",
            "language": "python",
        }
        kernel = path / "jupyter" / "kernels" / "desk"
        kernel.mkdir(parents=True)
        (kernel / "kernel.json").write_text(json.dumps(spec))

    def run(self, executor: str) -> list[str]:
        script = self.path / "script.py"
        parts = "\n".join(textwrap.dedent(part) for part in PARTS)
        script.write_text(parts.replace("EXECUTOR", executor))
        return self._do(self.python, script).splitlines()

    def _do(self, *command: object) -> str:
        done = subprocess.run(
            [str(word) for word in command],
            env=self.environment,
            cwd=self.path,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    with PackageIndex(tmp_path_factory.mktemp("index")) as index:
        yield index


@pytest.fixture(scope="module")
def desk(tmp_path_factory, index):
    return Desk(tmp_path_factory.mktemp("desk"), index)


@pytest.fixture(scope="module")
def expected(desk):
    """Return what the script prints with the standard library's executor."""
    lines = desk.run(STDLIB)
    assert len(lines) == 9
    return lines


@pytest.mark.parametrize("mode", OURS)
def test_a_script_runs_unchanged(desk, index, expected, mode):
    assert desk.run(OURS[mode]) == expected
    assert {"numpy", "pandas", "scikit-learn"} <= set(index.asked)


def test_a_notebook_runs_unchanged(desk, expected, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    for name, value in desk.environment.items():
        monkeypatch.setenv(name, value)
    sources = [textwrap.dedent(part).replace("EXECUTOR", OURS["warm"]) for part in PARTS]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
    for cell in notebook.cells:
        cell.pop("id", None)
    client = NotebookClient(notebook, timeout=240, kernel_name="desk")
    client.execute(env=desk.environment, cwd=str(desk.path))

    printed = "".join(
        o.text for c in notebook.cells for o in c.outputs if o.get("name") == "stdout"
    )
    assert printed.splitlines() == expected
