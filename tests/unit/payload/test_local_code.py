"""Which files of the user's travel; tests/payload/test_elsewhere.py has that they are enough."""

from __future__ import annotations

import importlib
import importlib.machinery
import io
import os
import random
import sys
import zipfile

import pytest

from hfexecutor.errors import DependencyError, PayloadTooLargeError
from hfexecutor.payload.archives import build_archive
from hfexecutor.payload.imports import Import
from hfexecutor.payload.local_code import LocalCode
from hfexecutor.payload.modules import locate


def names(archive) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(archive.data)).namelist()


def pack(name, **options):
    return LocalCode(**options).archive(locate(name))[0]


# --- archives -----------------------------------------------------------------------------------


def test_the_same_files_make_the_same_archive_in_any_order():
    files = {f"a/{i}.py": b"x" * i for i in range(20)}
    shuffled = list(files.items())
    random.Random(1).shuffle(shuffled)

    one, two = build_archive("a", files), build_archive("a", dict(shuffled))

    assert one == two
    assert one.data == two.data


@pytest.mark.parametrize("other", [{"a.py": b"2"}, {"b.py": b"1"}, {"a.py": b"1", "b.py": b""}, {}])
def test_other_files_make_another_archive(other):
    assert build_archive("a", {"a.py": b"1"}) != build_archive("a", other)


def test_an_archive_is_short_when_shown():
    assert len(repr(build_archive("a", {"a.py": b"x" * 10_000}))) < 100


# --- what is in them ----------------------------------------------------------------------------


def test_a_single_module_travels_alone(project):
    project.put("beside.py", "")
    project.put("other.py", "")

    assert names(pack("beside")) == ["beside.py"]


def test_a_package_travels_whole_whichever_of_its_modules_is_asked_for(project):
    for path in ("p/__init__.py", "p/a.py", "p/sub/__init__.py", "p/sub/b.py", "p/plain/c.py"):
        project.put(path, "")

    archive = pack("p.sub.b")

    assert archive.name == "p"
    assert archive == pack("p.a")
    assert names(archive) == sorted(
        ["p/__init__.py", "p/a.py", "p/sub/__init__.py", "p/sub/b.py", "p/plain/c.py"]
    )


# --- in zip files -------------------------------------------------------------------------------


@pytest.fixture
def zipped(tmp_path):
    """Return what writes a zip file of sources, and puts it on the search path."""

    def write(**files):
        path = tmp_path / "lib.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in ZIPPED.items():
                archive.writestr(name, files.get(name.partition(".")[0], text))
        if str(path) not in sys.path:
            sys.path.insert(0, str(path))
        return path

    return write


ZIPPED = {
    "single.py": "import deep_inside.it",
    "p/__init__.py": "from . import a",
    "p/a.py": "",
    "p/words.txt": "x" * 1000,
    "p/.env": "secret",
    "p/.git/hook.py": "secret",
    "p/my.key": "secret",
    "p/node_modules/x.py": "",
    "pq/__init__.py": "",
}


def test_modules_and_packages_in_a_zip_file_travel_as_others_do(zipped):
    zipped()

    assert names(pack("single")) == ["single.py"]
    assert names(pack("p.a")) == ["p/__init__.py", "p/a.py"]
    data = ["p/*"]
    assert names(pack("p", package_data=data)) == ["p/__init__.py", "p/a.py", "p/words.txt"]
    with pytest.raises(PayloadTooLargeError, match=r"1,000 bytes  .*lib\.zip/p/words\.txt"):
        pack("p", package_data=data, most_bytes=900)


def test_what_they_import_is_read_as_well(zipped):
    zipped()

    assert Import("deep_inside.it") in LocalCode().imports(locate("single"))
    assert Import("p", "a") in LocalCode().imports(locate("p"))


def test_a_zip_file_that_is_written_anew_is_new_code(zipped):
    code = LocalCode()
    path = zipped()
    first, stamps = code.archive(locate("single"))
    assert list(stamps) == [str(path)]
    assert code.archive(locate("single"))[0] is first

    zipped(single="import another  # longer than before")
    importlib.invalidate_caches()

    assert code.archive(locate("single"))[0] != first
    assert code.imports(locate("single")) == {Import("another")}


def test_a_zip_file_that_is_none_any_more_is_named(zipped):
    path = zipped()
    place = locate("single")
    path.write_bytes(b"nothing")

    with pytest.raises(DependencyError, match=r"lib\.zip"):
        LocalCode().archive(place)


def test_of_a_namespace_only_the_package_in_it_travels(project):
    project.put("spacious/one/__init__.py", "")
    project.put("spacious/one/a.py", "")
    project.put("spacious/two.py", "")
    project.put("spacious/data.csv", "")

    assert names(pack("spacious.one.a")) == ["spacious/one/__init__.py", "spacious/one/a.py"]
    assert names(pack("spacious.two")) == ["spacious/two.py"]


HARMFUL = [
    "p/.env",
    "p/.git/config.py",
    "p/.hidden.py",
    "p/__pycache__/a.py",
    "p/node_modules/a.py",
    "p/site-packages/a.py",
    "p/.venv/lib/a.py",
    "p/data.csv",
    "p/server.pem",
    "p/id_rsa",
    "p/prod.env",
    "p/notes.txt",
    "p/p.egg-info/a.py",
]


@pytest.mark.parametrize("patterns", [(), ("*",), ("p/*", "p/**/*")])
@pytest.mark.parametrize("path", HARMFUL)
def test_what_must_stay_here_stays(project, path, patterns):
    project.put("p/__init__.py", "")
    project.put(path, "secret")
    unasked = not patterns or not path.endswith((".csv", ".txt"))

    assert names(pack("p", package_data=patterns)) == ["p/__init__.py"] if unasked else True


def test_a_virtual_environment_of_any_name_stays(project):
    project.put("p/__init__.py", "")
    project.put("p/myenv/pyvenv.cfg", "")
    project.put("p/myenv/lib/a.py", "")

    assert names(pack("p")) == ["p/__init__.py"]


def test_package_data_travels_when_it_is_asked_for(project):
    for path in ("p/__init__.py", "p/templates/a.html", "p/templates/b.txt", "p/words.json"):
        project.put(path, "x")

    assert names(pack("p", package_data=["p/templates/*.html", "p/*.json"])) == [
        "p/__init__.py",
        "p/templates/a.html",
        "p/words.json",
    ]


def test_no_link_leads_out_of_the_package(project, tmp_path):
    secret = tmp_path / "secret.py"
    secret.write_text("secret")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "more.py").write_text("secret")
    project.put("p/__init__.py", "")
    inside = project.put("p/a.py", "")
    (project.path / "p" / "out.py").symlink_to(secret)
    (project.path / "p" / "folder").symlink_to(tmp_path / "secrets")
    (project.path / "p" / "again.py").symlink_to(inside)

    assert names(pack("p")) == ["p/__init__.py", "p/a.py", "p/again.py"]
    with pytest.raises(DependencyError, match="leads out of"):
        pack("p.out")


def test_a_package_that_is_itself_a_link_travels(project, tmp_path):
    """As people link a package of theirs into each of their projects."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "__init__.py").write_text("")
    (tmp_path / "real" / "a.py").write_text("")
    (project.path / "linked").symlink_to(tmp_path / "real")

    assert names(pack("linked.a")) == ["linked/__init__.py", "linked/a.py"]


def test_what_is_too_large_is_refused_with_the_largest_files(project):
    project.put("p/__init__.py", "")
    project.put("p/large.py", "#" * 3000)
    project.put("p/larger.py", "#" * 4000)

    with pytest.raises(PayloadTooLargeError) as caught:
        pack("p", most_bytes=5000)

    lines = str(caught.value).splitlines()
    assert "local_code_limit" in lines[0]
    assert [line.rpartition("/")[2] for line in lines[1:3]] == ["larger.py", "large.py"]
    assert pack("p", most_bytes=7000).size == 7000


def test_a_single_file_has_the_same_limit(project):
    project.put("alone.py", "#" * 6000)

    with pytest.raises(PayloadTooLargeError, match=r"alone\.py"):
        pack("alone", most_bytes=5000)


def test_machine_code_is_refused_by_name(project):
    name = f"native{importlib.machinery.EXTENSION_SUFFIXES[0]}"
    project.put(f"p/{name}", b"\x7fELF")
    project.put("p/__init__.py", "")

    with pytest.raises(DependencyError, match=r"p\.native.*machine code"):
        LocalCode().imports(locate("p.native"))
    assert names(pack("p")) == ["p/__init__.py"]  # nobody asked for it


def test_a_file_that_cannot_be_read_is_named(project):
    path = project.put("beside.py", "")
    place = locate("beside")
    path.unlink()

    with pytest.raises(DependencyError, match=r"beside\.py"):
        LocalCode().archive(place)


# --- when it changes ----------------------------------------------------------------------------


def test_nothing_is_read_again_until_it_changes(project):
    path = project.put("p/__init__.py", "import a")
    local = LocalCode()
    first, stamps = local.archive(locate("p"))

    assert local.archive(locate("p"))[0] is first
    assert str(path) in stamps
    assert str(path.parent) in stamps


@pytest.mark.parametrize("change", ["edit", "add", "remove", "rename", "touch"])
def test_any_change_is_seen(project, change):
    project.put("p/__init__.py", "")
    path = project.put("p/a.py", "x = 1")
    local = LocalCode()
    before, _ = local.archive(locate("p"))
    if change == "edit":
        path.write_text("x = 2")
        os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))  # within the clock's grain
    elif change == "add":
        project.put("p/b.py", "")
    elif change == "remove":
        path.unlink()
    elif change == "rename":
        path.rename(path.with_name("c.py"))
    else:
        os.utime(path)
    after, _ = local.archive(locate("p"))

    assert (after == before) is (change == "touch")


def test_imports_are_read_again_when_a_file_changes(project):
    path = project.put("beside.py", "import a")
    local, place = LocalCode(), locate("beside")
    assert {one.module for one in local.imports(place)} == {"a"}
    path.write_text("import a, b  # more")

    assert {one.module for one in local.imports(place)} == {"a", "b"}
