"""A real worker without any Hub: the very command and secrets of a job, run as a process."""

# ruff: noqa: PTH110, PTH123 - calls travel by value, and take along what they import

from __future__ import annotations

import base64
import http.client
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

from hfexecutor.payload import byvalue, package
from hfexecutor.remote import entries, frames, outcomes, plain

DEADLINE = 60.0
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def by_value(function):
    """Return a copy of the function that is pickled by value, as those of ``__main__`` are."""
    copy = type(function)(
        function.__code__,
        {"__builtins__": __builtins__, "__name__": "__main__"},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__module__ = "__main__"
    copy.__qualname__ = function.__name__
    return copy


def call_entry(number, function, *args, **kwargs):
    return limited_entry(0.0, number, function, *args, **kwargs)


def limited_entry(seconds, number, function, *args, **kwargs):
    """Return a call that may run for so long."""
    data = byvalue.dumps((by_value_if_python(function), args, kwargs))
    return entries.Entry(entries.CALL, number, 0, 1, entries.call_head(0, 0, seconds) + data)


def by_value_if_python(function):
    return by_value(function) if type(function) is type(by_value) else function


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def nap(seconds):
    import time

    time.sleep(seconds)


def touch_and_wait(path):
    """Say that this call runs, and run on until the file is gone."""
    import os
    import time

    with open(path, "w"):
        pass
    while os.path.exists(path):
        time.sleep(0.002)


def wait_for(path):
    limit = time.monotonic() + DEADLINE
    while not Path(path).exists():
        assert time.monotonic() < limit
        time.sleep(0.002)


def gone(pid):
    limit = time.monotonic() + DEADLINE
    while Path(f"/proc/{pid}").exists():
        if "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]:
            return True
        assert time.monotonic() < limit
        time.sleep(0.005)
    return True


class WorkerProcess:
    """Start a worker, hear what it says, speak through its door."""

    def __init__(
        self,
        *launch,
        python=sys.executable,
        wanted=PYTHON,
        env=(),
        log=None,
        careful=False,
        **config,
    ):
        config = {"one_shot": False, "slots": 1, "idle_timeout": 30.0, **config}
        if not config["one_shot"]:
            config.setdefault("port", free_port())
            config.setdefault("host", "127.0.0.1")
        self.key = os.urandom(32)
        self.seal = frames.Seal(self.key)
        first = entries.Entry(entries.CONFIG, 0, 0, 1, plain.pack(config))
        message = frames.seal_message(self.seal, 0, entries.pack([first, *launch]))
        secrets = package.launch_secrets(self.key.hex(), message, wanted)
        if careful:  # a system that does not let a process write into its own memory
            boot = zlib.decompress(base64.b64decode(secrets["HFEXECUTOR_BOOT"]))
            boot = boot.replace(b"/proc/self/mem", b"/proc/self/none")
            secrets["HFEXECUTOR_BOOT"] = base64.b64encode(zlib.compress(boot)).decode()
        self.process = subprocess.Popen(
            [python, *package.BOOT_COMMAND],
            env={"PATH": os.environ["PATH"], **secrets, **dict(env)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if log is None else log,
            stderr=subprocess.PIPE,
        )
        self.port = config.get("port")
        self.plain = []  # plain lines as they came
        self.printed = {}  # call -> {number: text}
        self.lines = 0
        self.forged = 0
        self.order = []  # kinds and calls of all entries as they came
        self.outcomes = {}
        self.said = {}  # kind -> details
        self.times_said = {}  # call -> how often its outcome was said
        self.number = 0
        self._speaker = (0, 0)
        self._news = queue.Queue()
        self._connection = None
        self.errors = b""
        self._threads = [threading.Thread(target=self._hear_errors, daemon=True)]
        if log is None:
            self._threads.append(threading.Thread(target=self._hear, daemon=True))
        for thread in self._threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(DEADLINE)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process.stderr.close()
        if self._connection is not None:
            self._connection.close()

    # --- hear

    def _hear(self):
        reader, assembler = frames.LineReader(self.seal), entries.Assembler()
        for raw in self.process.stdout:
            self.lines += 1
            line = reader.feed(raw.decode("utf-8", "replace").removesuffix("\n"))
            self.forged += line.forged
            for part in line.entries:
                entry = assembler.feed(part)
                if entry is not None:
                    self._news.put(entry)
            if line.plain is not None:
                self._news.put(line.plain)
        self._news.put(None)

    def _hear_errors(self):
        self.errors = self.process.stderr.read()

    def _note(self, news):
        if isinstance(news, str):
            call, number = self._speaker
            self.plain.append(news)
            self.printed.setdefault(call, {})[number] = news
            self._speaker = (call, number + 1)
            return
        if news.kind != entries.HELD:
            self.order.append((news.kind, news.call))
        if news.kind == entries.OUTCOME:
            self.outcomes[news.call] = outcomes.decode(news.data)
            self.times_said[news.call] = self.times_said.get(news.call, 0) + 1
        elif news.kind == entries.SPEAKER:
            number, flags = struct.unpack("<QB", news.data)
            if flags & 1:  # goes on the last line: put them together as a client does
                number -= 1
                before = self.printed[news.call].pop(number)
                self._join(news.call, number, before)
                return
            self._speaker = (news.call, number)
        elif news.kind == entries.LARGE:
            self._fetch(news.call, entries.unpack_ids(news.data)[0])
        elif news.kind != entries.HELD:  # of a call that takes its time: said whenever that is
            self.said[news.kind] = plain.unpack(news.data)

    def _fetch(self, call, size):
        """Get a large outcome through the door, its ranges in no particular order."""
        whole = bytearray(size)
        for start in reversed(range(0, size, 1 << 20)):
            stop = min(start + (1 << 20), size)
            span = entries.pack_ids([start, stop])
            order = entries.Entry(entries.FETCH, call, 0, 1, span)
            whole[start:stop] = self.ask(order)
        self._note(entries.Entry(entries.OUTCOME, call, 0, 1, bytes(whole)))

    def _join(self, call, number, before):
        following = self._news.get(timeout=DEADLINE)
        self.plain.append(following)
        self.printed.setdefault(call, {})[number] = before + following
        self._speaker = (call, number + 2)
        self.printed[call][number + 1] = self.printed[call].pop(number)

    def until(self, condition):
        """Hear on until the condition holds."""
        limit = time.monotonic() + DEADLINE
        while not condition():
            try:
                news = self._news.get(timeout=max(0.01, limit - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"not said in time; {self.order} {self.plain}") from None
            if news is None:
                self._news.put(None)
                assert condition(), f"the worker is gone; {self.order} {self.plain} {self.errors}"
                return
            self._note(news)

    def outcome(self, call):
        self.until(lambda: call in self.outcomes)
        return self.outcomes[call]

    def hello(self):
        self.until(lambda: entries.HELLO in self.said)
        return self.said[entries.HELLO]

    def bye(self):
        """Wait for the end and return the last words."""
        self.until(lambda: entries.BYE in self.said)
        assert self.process.wait(DEADLINE) == 0, self.errors
        self.until(lambda: self._news.queue and self._news.queue[0] is None)
        return self.said[entries.BYE]

    def text(self, call):
        """Return what a call printed, as lines."""
        return [text for _, text in sorted(self.printed.get(call, {}).items())]

    # --- speak

    def post(self, body):
        """Send bytes through the door; return status and body of the answer."""
        if self._connection is None:
            self.hello()
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        self._connection.request("POST", "/", body)
        response = self._connection.getresponse()
        return response.status, response.read()

    def tell(self, *said, number=None):
        """Send entries; return those of the reply."""
        if number is None:
            self.number += 1
            number = self.number
        status, body = self.post(frames.seal_message(self.seal, number, entries.pack(said)))
        assert status == 200, status
        return entries.unpack(frames.open_reply(self.seal, number, body))

    def ask(self, order):
        """Send an order whose answer is bytes as they are; return them."""
        self.number += 1
        message = frames.seal_message(self.seal, self.number, entries.pack([order]))
        status, body = self.post(message)
        assert status == 200, status
        return frames.open_reply(self.seal, self.number, body)

    def order_of(self, kind, *calls):
        return entries.Entry(kind, 0, 0, 1, entries.pack_ids(calls))

    def given_back(self, reply):
        (recall,) = (entry for entry in reply if entry.kind == entries.RECALL)
        return sorted(entries.unpack_ids(recall.data))

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
