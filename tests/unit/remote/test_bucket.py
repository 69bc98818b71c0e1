"""Large values as a job has them: files of which nothing is believed before it was compared."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.remote import bucket as module
from hfexecutor.remote import handles
from hfexecutor.remote.bucket import Bucket, NoRoomError, StoredArgumentError
from hfexecutor.remote.buffers import layout_of
from hfexecutor.remote.pickling import dump
from hfexecutor.remote.ranges import RANGE_BYTES, digest_of, name_of

CONTENT = bytes(range(256)) * (RANGE_BYTES // 256) + b"the second range"
PARTS = (CONTENT[:RANGE_BYTES], CONTENT[RANGE_BYTES:])
NAME = name_of(len(CONTENT), [digest_of(part) for part in PARTS])


def of(folder: Path, late: float = 0.0) -> Bucket:
    return Bucket(str(folder), str(folder), [NAME], late=late)


def test_an_argument_is_memory_of_its_own(tmp_path):
    (tmp_path / NAME.hex()).write_bytes(CONTENT)
    memory = of(tmp_path).read(NAME)
    assert memory[:] == CONTENT
    memory[0] = 7
    assert (tmp_path / NAME.hex()).read_bytes() == CONTENT


@given(st.data())
def test_what_is_not_what_was_stored_is_never_believed(tmp_path_factory, data):
    wrong = bytearray(CONTENT)
    if data.draw(st.booleans()):
        wrong[data.draw(st.integers(0, len(wrong) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del wrong[data.draw(st.integers(0, len(wrong) - 1)) :]
    folder = tmp_path_factory.mktemp("arguments")
    (folder / NAME.hex()).write_bytes(wrong)
    with pytest.raises(StoredArgumentError, match="is not what was put there"):
        of(folder).read(NAME)


def test_an_argument_that_shows_late_is_waited_for(tmp_path):
    def show() -> None:
        (tmp_path / "draft").write_bytes(CONTENT)
        (tmp_path / "draft").rename(tmp_path / NAME.hex())

    timer = threading.Timer(0.05, show)
    timer.start()
    assert of(tmp_path, late=60).read(NAME)[:] == CONTENT
    timer.join()


@pytest.mark.parametrize("seconds", [4, 6])
def test_an_argument_that_shows_late_and_cut_has_its_time_from_then_on(
    tmp_path, monkeypatch, seconds
):
    class Time:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

        def sleep(self, pause: float) -> None:
            before, self.now = self.now, self.now + pause
            for moment, content in ((20, CONTENT[:-1]), (20 + seconds, CONTENT)):
                if before < moment <= self.now:
                    (tmp_path / NAME.hex()).write_bytes(content)

    monkeypatch.setattr(module, "time", Time())
    if seconds < module._WRONG_SECONDS:
        assert of(tmp_path, late=60).read(NAME)[:] == CONTENT
    else:
        with pytest.raises(StoredArgumentError, match="is not what was put there"):
            of(tmp_path, late=60).read(NAME)


def test_a_result_is_a_file_of_which_size_and_digest_are_told(tmp_path):
    payload = dump([bytes(1 << 20), "small"])
    said = of(tmp_path).write(payload, layout_of(payload[0]))
    written = (tmp_path / said["name"]).read_bytes()
    assert written == b"".join(payload)
    assert said["size"] == len(written)
    assert said["digest"] == hashlib.sha256(written).hexdigest()
    assert said["layout"] == [0, 1 << 20]


# --- a result, as the argument of another call ----------------------------------------------------

VALUE = [bytearray(b"first" * 20_000), b"second" * 20_000, "small"]


def written(folder: Path) -> dict:
    """Write a result; return what its call says of it."""
    payload = dump(VALUE)
    return of(folder).write(payload, layout_of(payload[0]))


def test_a_result_is_a_value_again_each_time_it_is_loaded(tmp_path):
    said = written(tmp_path)
    value = of(tmp_path).load(**said)
    assert value == VALUE
    value[0][0] = 0
    assert of(tmp_path).load(**said) == VALUE


@given(st.data())
def test_a_result_that_is_not_what_was_written_is_never_believed(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("results")
    said = written(folder)
    path = folder / said["name"]
    wrong = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        wrong[data.draw(st.integers(0, len(wrong) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del wrong[data.draw(st.integers(0, len(wrong) - 1)) :]
    path.write_bytes(wrong)
    with pytest.raises(StoredArgumentError, match="is not what was put there"):
        of(folder).load(**said)


def test_a_result_that_is_not_there_or_could_not_be_is_said(tmp_path):
    said = written(tmp_path)
    (tmp_path / said["name"]).unlink()
    with pytest.raises(StoredArgumentError, match="is not there"):
        Bucket(results=str(tmp_path), late=-1.0).load(**said)
    with pytest.raises(StoredArgumentError, match="no folder of results mounted: no rights"):
        Bucket(why_not="no rights").load(**said)


def test_a_pickle_finds_the_bucket_of_its_process(tmp_path):
    said = written(tmp_path)
    before = module.mounted()
    with pytest.raises(StoredArgumentError, match="no process of a job"):
        handles.stored((), *said.values())
    module.mount(of(tmp_path))
    try:
        assert handles.stored((), *said.values()) == VALUE
    finally:
        module.mount(before)


def test_a_result_without_a_place_says_why(tmp_path, monkeypatch):
    with pytest.raises(NoRoomError, match="no rights"):
        Bucket(why_not="no rights").write([b"x"], ())
    with pytest.raises(NoRoomError, match="nowhere is not mounted"):
        Bucket(results=f"{tmp_path}/nowhere").write([b"x"], ())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write", full)
    with pytest.raises(NoRoomError, match="No space left"):
        of(tmp_path).write([b"x"], ())
