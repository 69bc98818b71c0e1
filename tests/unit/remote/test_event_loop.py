"""The loop, the writer, signals and small JSON: the ground that the supervisor stands on."""

from __future__ import annotations

import math
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hfexecutor.remote import plain
from hfexecutor.remote.buffered_writer import BufferedWriter
from hfexecutor.remote.config import Config
from hfexecutor.remote.event_loop import EventLoop
from hfexecutor.remote.pipes import ItemReader, ResultReader, pack_item, pack_result_head


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    ends = {reading, writing}
    yield reading, writing, ends
    for fd in ends:
        os.close(fd)


def drain(fd):
    data = b""
    while True:
        try:
            more = os.read(fd, 1 << 20)
        except BlockingIOError:
            return data
        if not more:
            return data
        data += more


# --- loop


def test_moments_come_in_time_and_once():
    now = [0.0]
    loop = EventLoop(clock=lambda: now[0])
    called = []
    loop.at(1.0, lambda: called.append("early"))
    late = lambda: called.append("late")
    loop.at(2.0, late)
    loop.at(0.5, late)  # the last word counts
    now[0] = 0.7
    loop.step()
    assert called == ["late"]
    now[0] = 5.0
    loop.step()
    assert called == ["late", "early"]


def test_a_moment_may_be_given_up():
    now = [0.0]
    loop = EventLoop(clock=lambda: now[0])
    called = []
    first = lambda: (called.append(1), loop.at(None, second))
    second = lambda: called.append(2)
    loop.at(1.0, first)
    loop.at(1.5, second)
    now[0] = 2.0
    loop.step()
    assert called == [(1)]


def test_a_descriptor_that_is_ready_calls_back(pipe):
    reading, writing, _ = pipe
    loop, called = EventLoop(), []
    loop.on_readable(reading, lambda: called.append(os.read(reading, 10)))
    loop.on_writable(writing, lambda: (os.write(writing, b"x"), loop.on_writable(writing, None)))
    loop.step()
    loop.step()
    assert called == [b"x"]
    loop.forget(reading)
    loop.at(0, lambda: called.append("moment"))
    os.write(writing, b"y")
    loop.step()
    assert called == [b"x", "moment"]


def test_a_reader_that_leaves_is_noticed(pipe):
    reading, writing, ends = pipe
    loop, called = EventLoop(), []
    loop.on_broken(writing, lambda: called.append("broken"))
    ends.discard(reading)
    os.close(reading)
    loop.step()
    assert called == ["broken"]
    loop.clear()


def test_a_callback_may_forget_another_one_of_the_same_round():
    loop, called = EventLoop(), []
    pipes = [os.pipe() for _ in range(2)]
    readers = [reading for reading, _ in pipes]

    def call(mine):
        called.append(mine)
        for fd in readers:
            loop.forget(fd)

    for reading, writing in pipes:
        os.write(writing, b"x")
        loop.on_readable(reading, lambda reading=reading: call(reading))
    loop.step()
    assert len(called) == 1
    for fd in (fd for ends in pipes for fd in ends):
        os.close(fd)


# --- writer


@given(st.lists(st.integers(0, 200_000), max_size=8))
def test_a_writer_writes_everything_in_order_however_slow_its_reader(sizes):
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    loop, empty = EventLoop(), []
    writer = BufferedWriter(
        writing, loop, on_broken=pytest.fail, on_empty=lambda: empty.append(True)
    )
    data = [bytes([i + 1]) * size for i, size in enumerate(sizes)]
    for piece in data:
        writer.write(piece)
    waited = writer.backlog > 0
    assert waited or sum(sizes) <= 65_536
    heard = drain(reading)
    while writer.backlog:
        loop.step()
        heard += drain(reading)
    assert heard + drain(reading) == b"".join(data)
    assert bool(empty) == waited
    os.close(reading)
    os.close(writing)


def test_a_writer_whose_reader_is_gone_is_broken_once(pipe):
    reading, writing, ends = pipe
    broken = []
    writer = BufferedWriter(writing, EventLoop(), on_broken=lambda: broken.append(True))
    ends.discard(reading)
    os.close(reading)
    for _ in range(3):
        writer.write(b"x")
    assert broken == [True]
    assert writer.broken
    assert writer.backlog == 0


# --- what goes between supervisor and child


@given(st.lists(st.integers(0, 400_000), max_size=4), st.integers(20_000, 60_000))
@example([0, 1, 20], 1)
def test_answers_arrive_however_they_are_chunked(sizes, chunk):
    sent = [(b"V", i, 2.5, 0.5, bytes([i]) * size) for i, size in enumerate(sizes)]
    data = b"".join(pack_result_head(*head, len(payload)) + payload for *head, payload in sent)
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    answers, heard = ResultReader(), []
    for start in range(0, len(data), chunk):
        os.write(writing, data[start : start + chunk])
        while True:
            try:
                answers.read(reading)
            except BlockingIOError:
                break
            heard += answers.take()
    os.close(reading)
    os.close(writing)
    assert heard == sent


def test_items_arrive_small_and_large():
    reading, writing = os.pipe()
    sent = [(b"C", 1, b"abc"), (b"F", 2, b""), (b"C", 3, b"x" * 50_000)]
    for kind, number, data in sent:
        os.write(writing, b"".join(pack_item(kind, number, data)))
    os.close(writing)
    reader = ItemReader(reading)
    assert [reader.item() for _ in sent] == sent
    with pytest.raises(EOFError):
        reader.item()
    os.close(reading)


# --- configuration


def test_configuration_has_defaults(monkeypatch):
    config = Config(plain.pack({}))
    assert (config.slots, config.port, config.one_shot) == (1, None, False)
    assert config.idle_timeout > 0
    monkeypatch.setenv("CPU_CORES", "3")
    assert Config(plain.pack({"slots": "auto"})).slots == 3
    monkeypatch.setenv("CPU_CORES", "many")
    assert Config(plain.pack({"slots": "auto"})).slots == os.cpu_count()


@pytest.mark.parametrize("value", [math.inf, math.nan, None])
def test_a_time_that_no_clock_counts_is_for_ever(value):
    assert Config(plain.pack({"idle_timeout": value})).idle_timeout is None


@pytest.mark.parametrize("seconds", [3e6, 1e300, math.inf])
def test_the_loop_waits_for_what_is_far_away(pipe, seconds):
    reading, writing, _ = pipe
    loop, called = EventLoop(), []
    loop.on_readable(reading, lambda: called.append(os.read(reading, 10)))
    os.write(writing, b"x")
    loop.at(loop.clock() + seconds, called.clear)
    loop.step(loop.clock() + seconds)
    assert called == [b"x"]


def test_the_loop_waits_no_longer_than_it_is_told():
    loop = EventLoop()
    loop.at(loop.clock() + 1000, lambda: None)
    begun = loop.clock()
    loop.step(begun + 0.01)
    assert 0.01 <= loop.clock() - begun < 100


def test_what_is_to_be_done_before_waiting_is_done_once_when_the_next_step_begins():
    loop, done = EventLoop(), []
    loop.before_waiting(lambda: done.append("first"))
    loop.before_waiting(lambda: loop.before_waiting(lambda: done.append("then")))
    assert done == []
    loop.step(loop.clock())
    loop.step(loop.clock())
    assert done == ["first", "then"]
