"""Folders that are gone with their owner, or found when he is."""

from __future__ import annotations

import fcntl
import gc
import os
import subprocess
import sys
import tempfile

import pytest

from hfexecutor.runtime.leftovers import folders
from hfexecutor.runtime.scratch import ScratchFolder, abandoned, delete_abandoned


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_there_until_it_is_cleaned_up_or_its_object_is_gone():
    one, other = ScratchFolder("one"), ScratchFolder("other")
    paths = [one.path, other.path]
    assert all(path.is_dir() for path in paths)
    assert abandoned() == []
    one.cleanup()
    one.cleanup()
    assert not paths[0].exists()
    del other
    gc.collect()
    assert not paths[1].exists()


def test_one_that_is_in_use_is_not_deleted():
    one = ScratchFolder("one")
    assert not delete_abandoned(one.path)
    assert one.path.exists()


def test_that_of_a_process_that_was_killed_is_found(temporary):
    script = (
        "import os, signal\n"
        "from hfexecutor.runtime.scratch import ScratchFolder\n"
        "folder = ScratchFolder('left')\n"
        "(folder.path / 'file').write_bytes(b'x' * 1000)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    env = {**os.environ, "TMPDIR": str(temporary)}
    subprocess.run([sys.executable, "-c", script], env=env, check=False, timeout=60)
    (path,) = abandoned()
    assert path.name.startswith("hfexecutor-left-")
    (found,) = folders(path.stat().st_mtime + 10.0)
    assert (found.kind, found.place, found.size) == ("folder", str(path), 1000)
    assert 9.0 < found.seconds <= 10.0
    assert delete_abandoned(path)
    assert not path.exists()


def test_what_is_none_of_these_is_left_alone(temporary):
    (temporary / "hfexecutor-folder").mkdir()
    (temporary / "hfexecutor-file").touch()
    draft = temporary / "hfexecutor-draft"
    draft.mkdir()
    with (draft / ".owned.part").open("wb") as held:  # made just now: not locked in its place yet
        fcntl.flock(held, fcntl.LOCK_EX)
        assert abandoned() == []
    assert not delete_abandoned(draft)
