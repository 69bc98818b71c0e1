"""What travels is enough, in interpreters that have nothing else of this one's."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import types
import zipfile

import cloudpickle
import pytest

from hfexecutor.payload.calls import Pickler
from hfexecutor.payload.local_code import LocalCode
from hfexecutor.payload.modules import locate
from hfexecutor.remote.entries import body_of


def interpreter(*arguments: str, sent: bytes = b"") -> str:
    """Return what a new interpreter prints."""
    done = subprocess.run(
        [sys.executable, *arguments], input=sent, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


# --- functions of modules that are registered ---------------------------------------------------


@pytest.fixture
def module(monkeypatch):
    """A module that can be imported here, but nowhere else."""
    module = types.ModuleType("only_here")
    exec("n = 1\ndef f(): return n", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    yield module
    if "only_here" in cloudpickle.list_registry_pickle_by_value():
        cloudpickle.unregister_pickle_by_value(module)


def elsewhere(frozen) -> str:
    """Run a frozen call where nothing of this process is found by name."""
    script = (
        "import pickle, sys, hfexecutor.remote.namespaces; a, b = pickle.load(sys.stdin.buffer)\n"
        "args, kwargs = pickle.loads(b); print(pickle.loads(a)(*args, **kwargs))"
    )
    arguments = frozen.data[body_of(frozen.data) :]
    return interpreter("-c", script, sent=pickle.dumps((frozen.function.data, arguments)))


def apart(pickler, fn):
    """Freeze a call whose function travels apart: not so the first since it is new, or changed."""
    frozen = pickler.freeze(fn, (), {})
    return frozen if frozen.function else apart(pickler, fn)


def test_a_module_that_is_registered_later_travels_by_value(module):
    pickler = Pickler()
    by_name = apart(pickler, module.f)
    cloudpickle.register_pickle_by_value(module)
    by_value = apart(pickler, module.f)
    module.n = 2
    changed = apart(pickler, module.f)
    cloudpickle.unregister_pickle_by_value(module)
    by_name_again = apart(pickler, module.f)

    assert len(by_name.function.data) < len(by_value.function.data)
    assert elsewhere(by_value) == "1"
    assert elsewhere(changed) == "2"
    assert by_name_again.function.data == by_name.function.data


def test_a_helper_of_a_module_that_is_registered_later_travels_by_value(module):
    namespace, pickler = {"__name__": "__main__"}, Pickler()
    exec("from only_here import f as g\ndef f(): return g()", namespace)
    apart(pickler, namespace["f"])
    cloudpickle.register_pickle_by_value(module)

    assert elsewhere(apart(pickler, namespace["f"])) == "1"


# --- archives of local code ---------------------------------------------------------------------

IMPORT = (
    "import sys, importlib; sys.path[:0] = sys.argv[2:]; "
    "print(importlib.import_module(sys.argv[1]).answer())"
)
LAYOUTS = {
    "flat": {
        "one/__init__.py": "from .two import answer",
        "one/two.py": "from . import three\ndef answer(): return three.value",
        "one/three.py": "value = 42",
    },
    "single": {"one.py": "def answer(): return 42"},
    "namespace": {
        "space/one/__init__.py": "from .two import answer",
        "space/one/two.py": "def answer(): return 42",
    },
    "dynamic": {
        "one/__init__.py": "import pkgutil, importlib\n"
        "def answer():\n"
        " names = [m.name for m in pkgutil.iter_modules(__path__)]\n"
        " return sum(importlib.import_module('.' + n, __name__).value for n in names)",
        "one/a.py": "value = 40",
        "one/b.py": "value = 2",
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_files_of_a_package_run(project, tmp_path, layout):
    for path, source in LAYOUTS[layout].items():
        project.put(path, source)
    name = "space.one" if layout == "namespace" else "one"
    archive, *_ = LocalCode().archive(locate(name))
    zipfile.ZipFile(io.BytesIO(archive.data)).extractall(tmp_path / "job")

    assert interpreter("-I", "-S", "-c", IMPORT, name, str(tmp_path / "job")) == "42"


# --- the header of a script ---------------------------------------------------------------------

SCRIPT = """\
# /// script
# dependencies = ["numpy>=2"]
#
# [tool.hf-jobs]
# flavor = "a10g-small"
# ///
from hfexecutor.payload.script_header import main_header
print(main_header().flavor)
"""


def test_the_header_of_the_script_that_runs_is_found(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)

    assert interpreter(str(path)) == "a10g-small"
