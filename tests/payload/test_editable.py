"""Editable installs, made by the real tool with build backends of every kind."""

from __future__ import annotations

import importlib.util
import io
import shutil
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import cloudpickle
import pytest

from hfexecutor.payload.needs import NeedsFinder
from hfexecutor.payload.requirements import Dependencies

# A build backend in the project itself, so that nothing is downloaded. It makes editable wheels in
# one of the ways that the backends in use do: a path file, or a finder that has a table of names.
BACKEND = '''
import pathlib, zipfile
STYLE = {style!r}
HERE = pathlib.Path(__file__).parent
FINDER = """
import importlib.util, sys
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "mine":
            return importlib.util.spec_from_file_location(
                name, {{init!r}}, submodule_search_locations=[{{where!r}}]
            )
        return None
sys.meta_path.append(Finder)
"""
def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "mine-1.0-py3-none-any.whl"
    wheel = "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    files = {{
        "mine-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: mine\\nVersion: 1.0\\n",
        "mine-1.0.dist-info/WHEEL": wheel,
    }}
    source = HERE / "src"
    if STYLE == "path":
        files["__editable__.mine.pth"] = str(source) + "\\n"
    else:
        where = source / "mine"
        files["_mine_finder.py"] = FINDER.format(init=str(where / "__init__.py"), where=str(where))
        files["__editable__.mine.pth"] = "import _mine_finder\\n"
    files["mine-1.0.dist-info/RECORD"] = "".join(f"{{n}},,\\n" for n in files)
    with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
'''
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "mine"
version = "1.0"
"""
SETUPTOOLS = """
[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"
[project]
name = "mine"
version = "1.0"
[tool.setuptools.package-dir]
mine = "src/mine"
"""


def uv() -> str:
    found = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    assert found, "uv is part of the extra that the tests install"
    return found


@pytest.fixture(params=["path", "finder", "setuptools", "setuptools-strict"])
def editable(request, tmp_path):
    """Install a project of the src layout, and activate it in this process."""
    where = tmp_path / "mine-project"
    (where / "src" / "mine").mkdir(parents=True)
    (where / "src" / "mine" / "__init__.py").write_text("from .deep import answer\n")
    (where / "src" / "mine" / "deep.py").write_text("import plain\ndef answer(): return 42\n")
    target = tmp_path / "site-packages"
    command = [uv(), "pip", "install", "--python", sys.executable, "--offline", "--no-deps"]
    if request.param.startswith("setuptools"):
        if importlib.util.find_spec("setuptools") is None:
            pytest.skip("setuptools is not installed")
        (where / "pyproject.toml").write_text(SETUPTOOLS)
        command.append("--no-build-isolation")
        if request.param.endswith("strict"):
            command += ["--config-setting", "editable_mode=strict"]
    else:
        (where / "pyproject.toml").write_text(PYPROJECT)
        (where / "backend.py").write_text(BACKEND.format(style=request.param))
    done = subprocess.run(
        [*command, "--target", str(target), "--editable", str(where)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    site.addsitedir(str(target))
    return where


def test_an_editable_install_is_local_code(editable, site):
    site.install("plain", "3")
    import mine

    data = cloudpickle.dumps((mine.answer, (), {}))

    needs = NeedsFinder(Dependencies()).find(0, b"", data)

    assert needs.requirements == ("plain==3",)
    assert [archive.name for archive in needs.archives] == ["mine"]
    names = zipfile.ZipFile(io.BytesIO(needs.archives[0].data)).namelist()
    assert names == ["mine/__init__.py", "mine/deep.py"]
