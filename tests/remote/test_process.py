"""Real processes around a machine: forks that fail, kills that come late, processes that stand."""

from __future__ import annotations

import builtins
import contextlib
import os
import resource
import select
import signal
import time
from pathlib import Path

import pytest
from worker_process import (
    DEADLINE,
    WorkerProcess,
    call_entry,
    limited_entry,
    touch_and_wait,
    wait_for,
)

from hfexecutor.remote import child, effects, entries, frames, outcomes
from hfexecutor.remote.bucket import Bucket
from hfexecutor.remote.entries import Entry
from hfexecutor.remote.event_loop import EventLoop
from hfexecutor.remote.machine import Machine
from hfexecutor.remote.memory import Memory
from hfexecutor.remote.process import Process

SEAL = frames.Seal(b"key")


class Team:
    """A machine with one process, driven by hand."""

    def __init__(self, *launch):
        self.loop = EventLoop()
        memory = Memory()
        self.machine = Machine(
            SEAL,
            launch,
            "01234567",
            take_back=lambda _: self.process.take_back(),
            memory=memory,
        )
        self.process = Process(0, self.machine, self.loop, memory)
        self.reader = frames.LineReader(SEAL)
        self.outcomes = {}
        self.number = 0
        self.forks = 0
        self.machine.start(self.loop.clock())

    def act(self):
        """Do what a supervisor does, but for waiting."""
        while wanted := self.machine.step(self.loop.clock()):
            for effect in wanted:
                self.do(effect)
        while chunk := self.machine.log.chunk():
            for line in chunk.decode().splitlines():
                for entry in self.reader.feed(line).entries:
                    if entry.kind == entries.OUTCOME:
                        self.outcomes[entry.call] = outcomes.decode(entry.data)

    def do(self, effect):
        if isinstance(effect, effects.Fork):
            self.forks += 1
            pipes = self.process.fork()
            if pipes is not None:
                child.live(pipes, b"", "", Bucket(), has_door=True)
        elif isinstance(effect, effects.Give):
            self.process.give(effect)
        else:
            getattr(self.process, type(effect).__name__.lower())()  # stop, resume, kill

    def turn(self):
        """Go once around the loop."""
        self.act()
        self.loop.step(self.loop.clock() + 0.01)
        if self.process.pid:
            pid, status = os.waitpid(self.process.pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            if pid and os.WIFSTOPPED(status):
                self.process.note_stopped()
            elif pid and os.WIFCONTINUED(status):
                self.process.note_continued()
            elif pid:
                self.process.bury(os.waitstatus_to_exitcode(status))
        self.act()

    def until(self, condition):
        limit = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < limit
            self.turn()

    @contextlib.contextmanager
    def in_no_time(self):
        """Stop the clock: what was given ahead is not taken back, however slow the machine is."""
        clock, now = self.loop.clock, self.loop.clock()
        self.loop.clock = lambda: now
        yield
        self.loop.clock = clock

    def tell(self, *said):
        self.number += 1
        message = frames.seal_message(SEAL, self.number, entries.pack(said))
        assert self.machine.message(message, self.loop.clock())[0] == 200

    def warm_up(self):
        """Let the process have so many micro-calls that it is given more of them ahead."""
        self.tell(*(call_entry(number, builtins.abs, -1) for number in range(1000, 1200)))
        self.until(lambda: len(self.outcomes) == 200)
        self.machine.pool.slots[0].pace.note(0.0)  # the last one may have been slow: machines are

    def has_begun_the_next_one(self):
        """Say whether a result is there that nobody has read, and no ticket any more."""
        readable, _, _ = select.select(
            [self.process._results, self.process._tickets_back], [], [], 0.001
        )
        return readable == [self.process._results]


@pytest.fixture
def team():
    team = Team()
    yield team
    if team.process.pid:
        os.kill(team.process.pid, signal.SIGKILL)
        os.waitpid(team.process.pid, 0)
        team.process.bury(-9)


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("free", range(8))
def test_a_fork_without_enough_descriptors_leaves_none_open(team, free):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = open_descriptors()
    with contextlib.ExitStack() as stack:
        highest = max(int(fd.name) for fd in Path("/proc/self/fd").iterdir())
        for _ in range(highest):  # fill what is free below it
            fd = os.open(os.devnull, os.O_RDONLY)
            stack.callback(os.close, fd)
            if fd > highest:
                break
        resource.setrlimit(resource.RLIMIT_NOFILE, (fd + 1 + free, hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(3):
            with pytest.raises(OSError, match="Too many open files"):
                team.process.fork()

    assert open_descriptors() <= before  # less, where garbage of other tests was closed meanwhile
    assert team.process.pid == 0


def test_a_fork_that_fails_leaves_nothing_open(team, monkeypatch):
    def refuse():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    before = open_descriptors()
    with pytest.raises(BlockingIOError):
        team.process.fork()
    assert open_descriptors() == before


@pytest.mark.parametrize("by", ["kill", "timeout"])
def test_a_kill_that_comes_as_its_call_ends_hits_nobody(by, gate):
    team = Team()
    team.warm_up()
    limit = 1000.0 if by == "timeout" else 0.0
    first = limited_entry(limit, 1, time.sleep, 0)
    with team.in_no_time():
        team.tell(first, limited_entry(limit, 2, touch_and_wait, gate))
        team.act()
    assert list(team.machine.pool.slots[0].given) == [1, 2]
    limit = time.monotonic() + DEADLINE
    while not team.has_begun_the_next_one():
        assert time.monotonic() < limit
    if by == "kill":
        team.tell(Entry(entries.KILL, 0, 0, 1, entries.pack_ids([1])))
    else:  # we were so busy that we have not heard of it for so long
        team.machine.pool.slots[0].began -= 1000
        team.machine.pool._expect(team.machine.pool.slots[0])
    team.act()
    assert team.machine.pool.slots[0].phase == "stopping"
    team.until(lambda: 1 in team.outcomes)
    wait_for(gate)
    Path(gate).unlink()
    team.until(lambda: len(team.outcomes) == 202)

    assert [team.outcomes[number].status for number in (1, 2)] == [outcomes.VALUE] * 2
    assert team.forks == 1
    team.process.kill()
    team.until(lambda: not team.process.pid)


def test_a_call_that_has_stopped_its_own_process_is_killed_all_the_same(team):
    def stop():
        import os
        import signal

        os.kill(os.getpid(), signal.SIGSTOP)

    team.tell(call_entry(1, stop))
    team.until(lambda: team.process._stands)
    team.tell(Entry(entries.KILL, 0, 0, 1, entries.pack_ids([1])))
    team.until(lambda: 1 in team.outcomes)

    assert team.outcomes[1].details()["asked"] is True


def test_a_process_is_replaced_after_its_share_of_calls_and_the_worker_stays():
    calls = [call_entry(number, os.getpid) for number in range(1, 8)]
    with WorkerProcess(*calls, max_tasks_per_child=3) as worker:
        pids = [worker.outcome(number).value() for number in range(1, 8)]
        assert worker.tell() is not None
    groups = {pid: pids.count(pid) for pid in pids}

    assert sorted(groups.values()) == [1, 3, 3]


def test_each_new_process_begins_with_the_initializer(tmp_path):
    def init(path):
        with open(path, "a") as file:  # noqa: PTH123 - it travels by value
            file.write("x")

    import cloudpickle
    from worker_process import by_value

    path = str(tmp_path / "begun")
    pickled = cloudpickle.dumps((by_value(init), (path,)), protocol=5)
    launch = [Entry(entries.INIT, 0, 0, 1, pickled)]
    launch += [call_entry(number, os.getpid) for number in range(1, 5)]
    with WorkerProcess(*launch, max_tasks_per_child=1) as worker:
        pids = {worker.outcome(number).value() for number in range(1, 5)}

    assert len(pids) == 4
    assert Path(path).read_text() in {"xxxx", "xxxxx"}


@pytest.mark.parametrize("seconds", [float("inf"), 1e7, 1e300])
def test_a_worker_with_endless_times_works(seconds):
    with WorkerProcess(limited_entry(seconds, 1, builtins.abs, -3), idle_timeout=seconds) as worker:
        assert worker.outcome(1).value() == 3
        worker.tell(limited_entry(seconds, 2, time.sleep, 0.05))
        assert worker.outcome(2).value() is None
        worker.tell(Entry(entries.LEAVE, 0, 0, 1, b""))
        assert worker.bye()["why"] == "asked"
