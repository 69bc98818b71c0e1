"""Ctrl-C at each point of a piece of code at which it can strike."""

from __future__ import annotations

import dis
import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

import pytest

# From Python 3.12 on one that is set while frames run hears nothing of their instructions.
needs_instructions = pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="traces instructions as Python 3.11 does"
)


def interrupted_at_each_point(run: Callable[[Interrupt], Any]) -> Iterator[str]:
    """Call `run` once for each point, and say where it was interrupted then.

    It calls the interrupt's `arm` once points count.
    """
    for number in itertools.count(1):
        interrupt = Interrupt(number)
        try:
            run(interrupt)
        finally:
            sys.settrace(None)
        if interrupt.where is None:
            return
        yield interrupt.where


def in_another_thread(work: Callable[[], Any]) -> Any:
    """Return what this returns there; a failure if that takes long."""
    returned = []
    thread = threading.Thread(target=lambda: returned.append(work()), daemon=True)
    thread.start()
    thread.join(10)
    assert returned, "it hangs"
    return returned[0]


class Interrupt:
    """Raises KeyboardInterrupt in this thread, once, at the point of that number.

    The interpreter looks for signals where a function begins, where a loop begins anew, and after a
    call, whose exception it is then.
    """

    def __init__(self, number: int) -> None:
        self._left = number
        self._last: dict[FrameType, int] = {}  # which instruction was at work
        self.where: str | None = None

    def arm(self) -> None:
        """Count the points from here on."""
        sys.settrace(self._trace)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if self.where is not None:
            return None
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            self._strike(frame)
        elif event == "opcode":
            last, self._last[frame] = self._last.get(frame), frame.f_lasti
            if last is not None and _is_point(frame.f_code, last, frame.f_lasti):
                self._strike(frame)
        elif event == "return":
            self._last.pop(frame, None)
        return self._trace

    def _strike(self, frame: FrameType) -> None:
        self._left -= 1
        if self._left == 0:
            self.where = f"{frame.f_code.co_qualname}:{frame.f_lineno}, before {frame.f_lasti}"
            sys.settrace(None)
            self._last.clear()
            raise KeyboardInterrupt


def _is_point(code: CodeType, last: int, now: int) -> bool:
    """Say whether a signal after one instruction is handled as an error of the next would be."""
    kind = dis.opname[code.co_code[last]]
    looked = kind in {"CALL", "CALL_FUNCTION_EX", "JUMP_BACKWARD"}
    return looked and _handlers(code, last) == _handlers(code, now)


def _handlers(code: CodeType, at: int) -> list[int]:
    entries = dis._parse_exception_table(code)  # type: ignore[attr-defined]
    return [entry.target for entry in entries if entry.start <= at < entry.end]
