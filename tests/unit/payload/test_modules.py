"""Where modules come from, found without importing them."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import sysconfig
import types
from pathlib import Path

import pytest

from hfexecutor.payload.modules import Kind, locate


@pytest.mark.parametrize(
    "name",
    [
        "sys",
        "json",
        "math",
        "os.path",
        "xml.etree.ElementTree",
        *(["distutils.core"] if "distutils" in sys.stdlib_module_names else []),
        "_decimal",
        "zipfile",
    ],
)
def test_the_standard_library_is_nobodys(name):
    assert locate(name).kind is Kind.STANDARD


@pytest.mark.parametrize("name", ["cloudpickle", "hfexecutor", "hfexecutor.payload.calls"])
def test_what_travels_with_every_call_is_known(name):
    assert locate(name).kind is Kind.CARRIED


@pytest.mark.parametrize("name", ["__main__", "nobody_has_this", "nobody.has.this", "json.nothing"])
def test_what_nobody_has_is_no_file(name):
    assert locate(name).file == ""


def test_a_module_beside_the_script_is_a_file(project):
    path = project.put("beside.py", "raise RuntimeError('imported')")

    place = locate("beside")

    assert (place.kind, place.file, place.directories) == (Kind.FILE, str(path), ())
    assert place.root == str(project.path)
    assert "beside" not in sys.modules


def test_a_module_of_a_package_is_found_without_importing_the_package(project):
    project.put("pack/__init__.py", "raise RuntimeError('imported')")
    path = project.put("pack/deep/__init__.py", "")
    inner = project.put("pack/deep/inner.py", "")

    assert locate("pack.deep").is_package
    assert locate("pack.deep").file == str(path)
    assert locate("pack.deep.inner").file == str(inner)
    assert locate("pack.deep.inner").root == str(project.path)
    assert "pack" not in sys.modules


def test_a_directory_without_init_is_a_namespace(project):
    inner = project.put("names/inner.py", "")

    assert locate("names").kind is Kind.NAMESPACE
    assert locate("names.inner").file == str(inner)


def test_a_module_that_hides_one_of_pythons_is_the_users(project):
    """`test` is a name of the standard library, and of half of all projects."""
    path = project.put("test/__init__.py", "")
    helper = project.put("test/helper.py", "")

    assert locate("test").file == str(path)
    assert locate("test.helper").file == str(helper)


def test_a_module_made_by_a_program_is_in_memory():
    sys.modules["made"] = types.ModuleType("made")

    assert locate("made").kind is Kind.MEMORY


def test_a_module_run_from_a_file_by_hand_is_that_file(project):
    """As tools do that import tests and plugins by their path."""
    path = project.put("by_path.py", "")
    spec = importlib.util.spec_from_file_location("odd.name.by_path", path)
    sys.modules["odd.name.by_path"] = importlib.util.module_from_spec(spec)

    assert locate("odd.name.by_path").file == str(path)


def test_this_test_module_is_a_file():
    assert locate(__name__).file == __file__


def test_a_finder_that_fails_is_passed_over(project):
    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            raise ImportError("not mine")

    path = project.put("beside.py", "")
    sys.meta_path.insert(0, Finder)

    assert locate("beside").file == str(path)


def test_a_module_that_only_a_finder_knows_is_found(project, tmp_path):
    """As editable installs have it whose backend keeps a table of names and paths."""
    away = tmp_path / "elsewhere" / "impl.py"
    away.parent.mkdir()
    away.write_text("")

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "mapped":
                return importlib.util.spec_from_file_location(name, away)
            return None

    sys.meta_path.append(Finder)

    assert locate("mapped").file == str(away)


def test_an_extension_module_of_the_project_is_a_file(project):
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    path = project.put(f"native{suffix}", b"\x7fELF")

    assert locate("native").file == str(path)


def test_extension_modules_of_python_are_standard():
    names = [n for n in ("_ctypes", "_sqlite3", "_ssl") if importlib.util.find_spec(n)]

    assert [locate(name).kind for name in names] == [Kind.STANDARD] * len(names)


def test_what_is_installed_beside_the_standard_library_is_not_of_it():
    """Without a virtual environment, site-packages lies within the standard library."""
    library = Path(sysconfig.get_path("stdlib"))
    spec = importlib.util.spec_from_file_location("extra", library / "site-packages" / "extra.py")
    sys.modules["extra"] = importlib.util.module_from_spec(spec)

    assert locate("extra").kind is Kind.FILE
