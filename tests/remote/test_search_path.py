"""A child's search path, in real interpreters that have nothing but what travels."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import hfexecutor
from hfexecutor.payload.archives import build_archive

ROOT = Path(hfexecutor.__file__).parent.parent


@pytest.fixture
def run(tmp_path):
    """Run code in an interpreter that knows `add(name, digest)` and `environment(path)`."""

    def run(code: str) -> str:
        start = f"""
            import sys
            sys.path.insert(0, {str(ROOT)!r})
            from hfexecutor.remote.search_path import add_archive, add_environment
            sys.path.remove({str(ROOT)!r})
            for name in [n for n in sys.modules if n.startswith("hfexecutor")]:
                del sys.modules[name]
            def add(name, digest="d"):
                data = open({str(tmp_path)!r} + f"/{{name}}-{{digest}}.zip", "rb").read()
                add_archive({str(tmp_path / "code")!r}, name, digest, data)
        """
        script = textwrap.dedent(start) + textwrap.dedent(code)
        done = subprocess.run(
            [sys.executable, "-I", "-c", script],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture
def pack(tmp_path):
    def pack(name: str, files: dict[str, str], digest: str = "d") -> None:
        archive = build_archive(name, {path: text.encode() for path, text in files.items()})
        (tmp_path / f"{name}-{digest}.zip").write_bytes(archive.data)

    return pack


def test_a_module_of_an_archive_is_imported_as_a_file(run, pack, tmp_path):
    pack("mine", {"mine/__init__.py": "import os\nhere = os.path.dirname(__file__)"})

    assert run("add('mine')\nimport mine\nprint(mine.here)") == str(tmp_path / "code/d/mine")


def test_package_data_lie_beside_the_code(run, pack):
    pack("mine", {"mine/__init__.py": "", "mine/words.txt": "hello"})

    code = "add('mine')\nfrom importlib import resources\n"
    assert run(f"{code}print(resources.files('mine').joinpath('words.txt').read_text())") == "hello"


def test_it_comes_before_what_is_installed(run, pack):
    pack("pip", {"pip/__init__.py": "mine = True"})

    assert run("add('pip')\nimport pip\nprint(pip.mine)") == "True"


def test_a_module_that_was_missed_before_is_found(run, pack):
    pack("mine", {"mine.py": "value = 1"})

    code = "try:\n import mine\nexcept ImportError:\n add('mine')\n import mine\nprint(mine.value)"
    assert run(code) == "1"


def test_what_is_there_is_not_unpacked_again(run, pack, tmp_path):
    pack("mine", {"mine.py": "value = 1"})
    run("add('mine')")
    (tmp_path / "code/d/mine.py").write_text("value = 2")

    assert run("add('mine')\nimport mine\nprint(mine.value)") == "2"
    assert [path.name for path in (tmp_path / "code").iterdir()] == ["d"]


def test_parts_of_a_namespace_come_together(run, pack):
    pack("space.one", {"space/one.py": "value = 1"}, "a")
    pack("space.two", {"space/two/__init__.py": "value = 2"}, "b")

    code = "add('space.one', 'a')\nimport space.one\nadd('space.two', 'b')\nimport space.two\n"
    assert run(f"{code}print(space.one.value + space.two.value)") == "3"


def test_a_part_that_travels_apart_from_its_package_is_found(run, pack):
    pack("mine", {"mine/__init__.py": ""}, "a")
    deep = {"mine/apart/__init__.py": "from .deep import value", "mine/apart/deep.py": "value=3"}
    pack("mine.apart", deep, "b")

    code = "add('mine', 'a')\nadd('mine.apart', 'b')\nimport mine.apart\nprint(mine.apart.value)"
    assert run(code) == "3"


def test_an_environment_comes_before_the_packages_of_the_image(run, tmp_path):
    site = tmp_path / "env"
    for name in ("pip", "json", "fresh"):
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_text("mine = True")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "extra.py").write_text("")
    (site / "path.pth").write_text(f"{tmp_path / 'more'}\n")

    code = f"add_environment({str(site)!r})\nimport pip, json, fresh, extra, os\n"
    answer = "hasattr(pip, 'mine'), hasattr(json, 'mine'), os.environ['PATH'].split(':')[0]"
    assert run(f"{code}print({answer})") == f"True False {site}/bin"
