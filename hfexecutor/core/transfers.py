"""The large buffers of one worker: which it has, which are on their way, what it is to forget.

A call is handed over once the worker has all buffers that it refers to. Each buffer goes in ranges,
several at a time, those of several buffers in turn; a range that fails is sent again, and no other.
The worker forgets nothing by itself: what it has is what is written here.

=========  =======================================  ==============================================
a buffer   what it is                               what ends it
=========  =======================================  ==============================================
LOADING    wanted by a call that was let in, and    it has (KEPT); it cannot, or does not say so
           a file that the worker is to read        for long (MOVING); room is wanted (DROPPING)
MOVING     wanted by a call that was let in, or     all ranges have arrived (KEPT); room is wanted,
           there in part, and not sent on until     and no call needs it (DROPPING)
           one wants it again
KEPT       there as a whole                         room is wanted, and it was used least recently
                                                    of those that no call needs (DROPPING)
DROPPING   the worker is told to forget it          it has answered (unknown)
=========  =======================================  ==============================================

Calls are let in by their order, as long as there is room for what they need: so a worker never has
more than `buffer_bytes`, unless a single call needs more.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Self

from hfexecutor.remote import entries as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from hfexecutor.core.call import Buffer, Call
    from hfexecutor.core.rules import Rules

__all__ = ["Transfers"]


class _Moving:
    """A buffer on its way: the ranges that are to be sent, and how many have not arrived.

    One that the worker reads from a file has none to be sent, for the time being. One that begins
    anew is another one: answers to ranges of the former count for nothing. The buffer itself is
    only there while a call wants it, for it may be all that keeps its memory.
    """

    def __init__(self, buffer: Buffer) -> None:
        self.buffer: Buffer | None = buffer
        self.name = buffer.name
        self.size = buffer.size
        self.missing = -(-buffer.size // wire.RANGE_BYTES)
        self.to_send = deque(range(self.missing))
        self.is_file = False
        self.order = 0  # to read the file
        self.read_by = math.inf  # when it should have said so

    def read(self) -> Self:
        """Have it read from a file."""
        self.to_send.clear()
        self.is_file = True
        return self


class Transfers:
    """The buffers of one worker.

    Attributes:
        used: There was a call with buffers: without, as with most workers, there is nothing to do.
        again_at: When ranges may be sent again after one has failed; infinity if they may now.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.used = False
        self._waiting: dict[int, Call] = {}  # by id, in their order
        self._let_in: dict[int, Call] = {}  # whose buffers are there, or come
        self._wanted: dict[bytes, int] = {}  # by how many of those
        self._kept: dict[bytes, int] = {}  # sizes; the least recently used first
        self._moving: dict[bytes, _Moving] = {}  # the next one to send of first
        self._to_drop: dict[bytes, int] = {}  # sizes
        self._dropping: dict[bytes, int] = {}  # of which the worker is being told
        self._under_way: dict[int, tuple[_Moving, int]] = {}  # by the number of the request
        self._failures = 0  # in a row
        self._files: Container[bytes] = ()  # names of what the worker can read
        self._unreadable: set[bytes] = set()  # what it could not
        self.again_at = math.inf

    def __repr__(self) -> str:
        return f"<Transfers {len(self._kept)} kept, {len(self._moving)} moving>"

    @property
    def due(self) -> float:
        """When there is something to do about them."""
        if not self._moving:
            return self.again_at
        return min(self.again_at, *[moving.read_by for moving in self._moving.values()])

    def __bool__(self) -> bool:
        """Whether a call waits for buffers, one is on its way, or the worker is to forget one."""
        return bool(self._waiting or self._moving or self._to_drop)

    def __contains__(self, name: bytes) -> bool:
        """Whether a buffer is there, or on its way."""
        return name in self._kept or name in self._moving

    def mount(self, files: Container[bytes]) -> None:
        """Note that the worker can read buffers from files, now those with these names."""
        self._files = files

    # --- calls -------------------------------------------------------------------------------

    def aboard(self, call: Call) -> None:
        """Note a call that has its buffers with it in the launch request."""
        self.used = True
        self._let_in[call.id] = call
        for buffer in call.buffers:
            self._kept[buffer.name] = buffer.size
            self._wanted[buffer.name] = self._wanted.get(buffer.name, 0) + 1

    def relaunched(self) -> None:
        """Note that the request goes out once more, perhaps without some that were cancelled."""
        for name in self._kept.keys() - self._wanted.keys():
            del self._kept[name]

    def wait(self, call: Call) -> None:
        """Take a call that needs buffers, to be handed over when they are there."""
        self.used = True
        self._waiting[call.id] = call

    def release(self, call_id: int) -> None:
        """Note that the worker has done with a call, or is not to have it."""
        self._waiting.pop(call_id, None)
        call = self._let_in.pop(call_id, None)
        if call is None:
            return
        for buffer in call.buffers:
            left = self._wanted[buffer.name] = self._wanted[buffer.name] - 1
            if not left:
                del self._wanted[buffer.name]
                if (moving := self._moving.get(buffer.name)) is not None:
                    moving.buffer = None

    def _unwanted(self) -> list[bytes]:
        """Return what no call needs: what is there in part, then what was used least recently."""
        return [name for name in (*self._moving, *self._kept) if name not in self._wanted]

    def _give_up(self, name: bytes) -> int:
        """Have the worker forget a buffer; return how large it is."""
        moving = self._moving.pop(name, None)
        size = self._kept.pop(name) if moving is None else moving.size
        self._to_drop[name] = size
        return size

    def let_in(self) -> list[Call]:
        """Let calls in as far as there is room; return those whose buffers are all there."""
        ready = []
        for call in list(self._waiting.values()):
            if not self._make_room(call):
                break
            del self._waiting[call.id]
            self._let_in[call.id] = call
            for buffer in call.buffers:
                name = buffer.name
                self._wanted[name] = self._wanted.get(name, 0) + 1
                if name in self._kept:
                    self._kept[name] = self._kept.pop(name)  # used last
                elif name not in self._moving:
                    readable = name in self._files and name not in self._unreadable
                    self._moving[name] = _Moving(buffer).read() if readable else _Moving(buffer)
                else:
                    self._moving[name].buffer = buffer
            if self._has_all(call):
                ready.append(call)
        return ready

    def _make_room(self, call: Call) -> bool:
        """Say whether there is room for what a call needs and is not there; see that there will be.

        A call that needs more than there ever is comes when no other call has buffers here.
        """
        if any(b.name in self._to_drop or b.name in self._dropping for b in call.buffers):
            return False
        names = {buffer.name for buffer in call.buffers}
        new = [b for b in call.buffers if b.name not in self._kept and b.name not in self._moving]
        moving = sum(moving.size for moving in self._moving.values())
        taken = sum(self._kept.values()) + moving + sum(buffer.size for buffer in new)
        count = len(self._kept) + len(self._moving) + len(new)
        for name in self._unwanted() if new else ():
            if taken <= self._rules.buffer_bytes and count <= self._rules.buffers:
                break
            if name not in names:
                taken, count = taken - self._give_up(name), count - 1
        fits = taken <= self._rules.buffer_bytes and count <= self._rules.buffers
        gone = not (self._to_drop or self._dropping)
        return not new or (gone and (fits or not self._let_in))

    def _has_all(self, call: Call) -> bool:
        return all(buffer.name in self._kept for buffer in call.buffers)

    # --- forgetting --------------------------------------------------------------------------

    def forget(self, names: Iterable[bytes]) -> bool:
        """Have the worker forget those of these buffers that no call needs; say whether any."""
        found = set(names).intersection(self._unwanted())
        for name in found:
            self._give_up(name)
        return bool(found)

    @property
    def is_urgent(self) -> bool:
        """Whether the worker is to be told to forget something, or to read something."""
        return bool(self._to_drop) or any(map(_is_unasked, self._moving.values()))

    def to_drop(self) -> tuple[bytes, ...]:
        """Take the names that the worker is to forget, for a message."""
        names = tuple(self._to_drop)
        self._dropping |= self._to_drop
        self._to_drop = {}
        return names

    def dropped(self, names: Iterable[bytes]) -> None:
        """Note that it has forgotten them."""
        for name in names:
            self._dropping.pop(name, None)

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes that have arrived of the buffers that are on their way, and all of theirs."""
        moving = self._moving.values()
        wanted = [one for one in moving if one.buffer is not None and not one.is_file]
        left = [min(moving.size, moving.missing * wire.RANGE_BYTES) for moving in wanted]
        size = sum(moving.size for moving in wanted)
        return size - sum(left), size

    # --- files -------------------------------------------------------------------------------

    def to_load(self, now: float, number: Callable[[], int]) -> Iterator[tuple[int, Buffer]]:
        """Take what the worker is to read, each with the number of its order, for a message."""
        for moving in list(self._moving.values()):
            if _is_unasked(moving):
                assert moving.buffer is not None
                moving.order = number()
                patience = self._rules.load + moving.size / self._rules.load_slowest
                moving.read_by = now + patience
                yield moving.order, moving.buffer

    def loaded(self, number: int, *, read: bool) -> list[Call] | None:
        """Note how an order to read has ended; return the calls whose buffers are all there by it.

        None if nobody wants to know any more.
        """
        found = (one for one in self._moving.values() if one.is_file and one.order == number)
        moving = next(found, None)
        if moving is None:
            return None
        if read:
            return self._keep(moving)
        self._send_instead(moving)
        return []

    def _send_instead(self, moving: _Moving) -> None:
        """Have a buffer sent that the worker does not read."""
        del self._moving[moving.name]
        self._unreadable.add(moving.name)
        if moving.buffer is not None:
            self._moving[moving.name] = _Moving(moving.buffer)

    # --- ranges ------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Note that the time has come, if it has."""
        if now >= self.again_at:
            self.again_at = math.inf
        for moving in [one for one in self._moving.values() if now >= one.read_by]:
            if moving.buffer is None:  # nobody wants it, and it may be there
                self._give_up(moving.name)
            else:
                self._send_instead(moving)

    def send(
        self, now: float, most: int, number: Callable[[], int]
    ) -> Iterator[tuple[int, Buffer, int]]:
        """Yield the ranges that are to be sent now: number of the request, buffer, and which part.

        Args:
            now: The time.
            most: How many may be under way at once.
            number: Returns the number of the next request.
        """
        self.tick(now)
        while len(self._under_way) < most and self.again_at == math.inf:
            turn = next((name for name in self._moving if self._is_to_send(name)), None)
            if turn is None:
                return
            moving = self._moving[turn] = self._moving.pop(turn)  # the others are before it now
            assert moving.buffer is not None
            sent, part = number(), moving.to_send.popleft()
            self._under_way[sent] = (moving, part)
            yield sent, moving.buffer, part

    def _is_to_send(self, name: bytes) -> bool:
        return bool(self._moving[name].to_send) and name in self._wanted

    def _answered(self, number: int) -> tuple[_Moving, int] | None:
        """Take the answer to a range; None if nobody wants to know any more."""
        moving, index = self._under_way.pop(number, (None, 0))
        if moving is None or self._moving.get(moving.name) is not moving:
            return None
        return moving, index

    def arrived(self, number: int) -> list[Call]:
        """Note that a range has arrived; return the calls whose buffers are all there by that."""
        self._failures, self.again_at = 0, math.inf
        answered = self._answered(number)
        if answered is None:
            return []
        moving, _ = answered
        moving.missing -= 1
        return [] if moving.missing else self._keep(moving)

    def _keep(self, moving: _Moving) -> list[Call]:
        """Note that a buffer is there; return the calls whose buffers are all there by that."""
        name = moving.name
        del self._moving[name]
        self._kept[name] = moving.size
        return [call for call in self._wanting(name) if self._has_all(call)]

    def _wanting(self, name: bytes) -> list[Call]:
        calls = self._let_in.values()
        return [call for call in calls if any(buffer.name == name for buffer in call.buffers)]

    def failed(self, number: int, now: float, jitter: float) -> None:
        """Note that a range has not arrived, as far as anybody knows: it is sent again, later."""
        answered = self._answered(number)
        if answered is not None:
            moving, index = answered
            moving.to_send.appendleft(index)
        self._pause(now, jitter)

    def _pause(self, now: float, jitter: float) -> None:
        first, longest = self._rules.resend
        pause = min(longest, first * 2.0 ** min(self._failures, 30))
        self.again_at = now + (1 + jitter) / 2 * pause
        self._failures += 1

    def refused(self, number: int, now: float, jitter: float) -> list[Call]:
        """Note that the worker has no room for a buffer, of which it has forgotten all.

        It is to forget what no call needs, and then it is tried again; where there is nothing to
        forget, return the calls that want the buffer: they cannot have it there.
        """
        answered = self._answered(number)
        if answered is None:
            return []
        name, buffer = answered[0].name, answered[0].buffer
        if buffer is None:
            del self._moving[name]
            return []
        unwanted = [other for other in self._unwanted() if other != name]
        if not (unwanted or self._to_drop or self._dropping):
            return self._wanting(name)
        for other in unwanted:
            self._give_up(other)
        self._moving[name] = _Moving(buffer)
        self._pause(now, jitter)
        return []

    def clear(self) -> None:
        """Drop everything: nothing can be sent any more."""
        self.__init__(self._rules)  # type: ignore[misc]


def _is_unasked(moving: _Moving) -> bool:
    """Whether the worker is to read it, and was not told so."""
    return moving.is_file and not moving.order and moving.buffer is not None
