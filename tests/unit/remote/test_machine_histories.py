"""Any history of calls, kills and processes: no call begins twice, and each ends once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hfexecutor.remote import entries, frames, outcomes, pipes, plain
from hfexecutor.remote.effects import Close, Fork, Give, Kill, Resume, Stop
from hfexecutor.remote.entries import Entry
from hfexecutor.remote.machine import Machine
from hfexecutor.remote.memory import Memory

SEAL = frames.Seal(b"key")
MARKER = b"\0marker"
MICRO = 0.00001


class Process:
    """What a real process does: takes tickets, runs calls, says so; nobody may have read it."""

    def __init__(self):
        self.tickets = []
        self.call = 0
        self.unread = [(pipes.READY, 0, 0.0, 0.0, b"")]
        self.halting = self.stands = self.closing = False


class World:
    """A machine, its processes, and what is true whatever happens."""

    def __init__(self, **config):
        self.now = 0.0
        self.number = 0
        self.submitted = 0
        self.processes = {}
        self.begun = []
        self.ended = []
        self.given_back = set()
        launch = [Entry(entries.CONFIG, 0, 0, 1, plain.pack(config))]
        self.machine = Machine(SEAL, launch, "01234567", take_back=self.take_back, memory=Memory())
        self.reader = frames.LineReader(SEAL)
        self.machine.start(self.now)
        self.act()

    def take_back(self, slot):
        process = self.processes[slot]
        tickets, process.tickets = process.tickets, []
        return tickets

    # --- what a supervisor does

    def act(self):
        while effects := self.machine.step(self.now):
            for effect in effects:
                getattr(self, f"do_{type(effect).__name__.lower()}")(effect)
        while chunk := self.machine.log.chunk():
            for line in chunk.decode().splitlines():
                for entry in self.reader.feed(line).entries:
                    if entry.kind == entries.OUTCOME:
                        self.ended.append((entry.call, outcomes.decode(entry.data)))

    def do_fork(self, effect: Fork):
        assert effect.slot not in self.processes
        self.processes[effect.slot] = Process()
        self.machine.forked(effect.slot, MARKER)

    def do_give(self, effect: Give):
        self.processes[effect.slot].tickets += effect.calls

    def do_stop(self, effect: Stop):
        self.processes[effect.slot].halting = True

    def do_resume(self, effect: Resume):
        self.processes[effect.slot].stands = False

    def do_kill(self, effect: Kill):
        assert self.processes[effect.slot].stands
        self.end(effect.slot)

    def do_close(self, effect: Close):
        self.processes[effect.slot].closing = True

    def read(self, slot):
        unread, self.processes[slot].unread = self.processes[slot].unread, []
        for result in unread:
            self.machine.output(slot, MARKER, self.now)
            self.machine.result(slot, result, self.now)

    def end(self, slot):
        self.read(slot)
        self.machine.ended(slot, 1, -9, self.now)
        del self.processes[slot]

    # --- what happens

    def submit(self, count):
        calls = range(self.submitted + 1, self.submitted + count + 1)
        self.submitted += count
        data = entries.call_head(0, limit=self.limit) + b"pickle"
        self.tell([Entry(entries.CALL, call, 0, 1, data) for call in calls])

    def order(self, kind, call):
        reply = self.tell([Entry(kind, 0, 0, 1, entries.pack_ids([call]))])
        (recall,) = (entry for entry in reply if entry.kind == entries.RECALL)
        self.given_back.update(entries.unpack_ids(recall.data))

    def tell(self, said):
        self.number += 1
        message = frames.seal_message(SEAL, self.number, entries.pack(said))
        status, reply = self.machine.message(message, self.now)
        assert status == 200
        return entries.unpack(frames.open_reply(SEAL, self.number, reply))

    def move(self, slot):
        """Let a process finish its call, or begin the next one, or find that there is none."""
        process = self.processes[slot]
        if process.stands:
            return
        if process.call:
            process.unread.append((outcomes.VALUE, process.call, 0.0, MICRO, b""))
            process.call = 0
        elif process.tickets:
            process.call = process.tickets.pop(0)
            self.begun.append(process.call)
        elif process.closing:
            self.end(slot)

    def stand(self, slot):
        """Let a process that is to be halted stand."""
        process = self.processes[slot]
        if process.halting:
            process.halting, process.stands = False, True
            self.read(slot)
            self.machine.stopped(slot)

    def settle(self):
        """Let everything come to its end."""
        for _ in range(10 * self.submitted + 50):
            for step in (self.stand, self.move, self.read):
                for slot in list(self.processes):
                    step(slot)
                    self.act()
            self.now += 0.001
            self.act()


@given(st.data())
def test_no_call_begins_twice_and_each_ends_once(data):
    world = World(
        slots=data.draw(st.integers(1, 3)),
        max_tasks_per_child=data.draw(st.sampled_from([None, 1, 3])),
    )
    world.limit = data.draw(st.sampled_from([0.0, 0.003]))
    events = st.sampled_from(["submit", "kill", "recall", "wait", "move", "read", "stand", "end"])
    for _ in range(data.draw(st.integers(1, 60))):
        event = data.draw(events)
        if event == "submit":
            world.submit(data.draw(st.integers(1, 30)))
        elif event == "wait":
            world.now += data.draw(st.floats(0, 0.02))
        elif event in {"kill", "recall"}:
            kind = entries.KILL if event == "kill" else entries.RECALL
            world.order(kind, data.draw(st.integers(1, max(1, world.submitted))))
        elif world.processes:
            getattr(world, event)(data.draw(st.sampled_from(sorted(world.processes))))
        world.act()
    world.settle()

    assert len(world.begun) == len(set(world.begun))
    assert not world.given_back & set(world.begun)
    assert sorted(call for call, _ in world.ended) == sorted(
        set(range(1, world.submitted + 1)) - world.given_back
    )
    assert not world.machine.pool.busy
