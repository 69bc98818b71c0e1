"""The log of a job: bytes in, events out."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from hfexecutor.local import LocalHub, Timings
from hfexecutor.local.logs import PIECE_BYTES, Log

STAMP = "2026-05-12T14:58:23.645Z"


def texts(log, position=0):
    events = log.after(position)[0]
    assert all(event.startswith(b"data: {") and event.endswith(b"}\n\n") for event in events)
    parsed = [json.loads(event[6:]) for event in events]
    assert all(set(event) == {"data", "timestamp"} for event in parsed)
    return [event["data"] for event in parsed]


@pytest.fixture
def log(tmp_path):
    return Log(lambda: STAMP, tmp_path / "log")


def everything(log, position=0):
    """Read a log to its end as a follower does, batch by batch."""
    lines = []
    while position < log.total:
        lines += texts(log, position)
        position = log.after(position)[1]
    return lines


def test_the_form_of_an_event(log):
    log.feed(b"<line>\n")
    assert log.after(0)[0] == [b'data: {"data": "<line>", "timestamp": "%s"}\n\n' % STAMP.encode()]


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\nb\rc\n", ["a\r", "b\rc"]),
        (b"\n\n", ["", ""]),
        (b'say "hi" \\o/\t\0\x1b\n', ['say "hi" \\o/\t\0\x1b']),
        ("grüße 🤗\n".encode(), ["grüße 🤗"]),
        (b"\xff\xfe\n", ["\ufffd\ufffd"]),
        ("a\u2028b\u2029c\x85d\n".encode(), ["a\u2028b\u2029c\x85d"]),
        (b"x\n" * 3, ["x"] * 3),
        (b"no end", []),
    ],
)
def test_lines_survive_as_they_are(log, written, lines):
    log.feed(written)
    assert texts(log) == lines


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_chunks_do_not_matter(log, size):
    data = "eins\nzwei \u20ac\n\ndrei\nrest".encode()
    for at in range(0, len(data), size):
        log.feed(data[at : at + size])
    log.end()
    assert texts(log) == ["eins", "zwei \u20ac", "", "drei", "rest"]


def test_line_ends_beyond_ascii_are_escaped(log):
    log.feed("a\u2028\x85\n".encode())
    assert log.after(0)[0][0].isascii()
    assert b"\\u2028\\u0085" in log.after(0)[0][0]


def test_long_lines_come_in_pieces(log):
    log.feed(b"x" * (2 * PIECE_BYTES + 5) + b"\n")
    assert list(map(len, texts(log))) == [PIECE_BYTES, PIECE_BYTES, 5]


def test_an_endless_line_comes_in_pieces_while_it_is_written(log):
    for _ in range(10):
        log.feed(b"x" * 4000)
    assert list(map(len, texts(log))) == [PIECE_BYTES, PIECE_BYTES]
    log.end()
    assert sum(map(len, texts(log))) == 40_000


def test_a_window(tmp_path):
    log = Log(lambda: STAMP, tmp_path / "log", window=3)
    log.feed(b"".join(b"%d\n" % n for n in range(10)))
    assert texts(log) == ["7", "8", "9"]
    assert (log.start, log.total) == (7, 10)
    assert texts(log, 9) == ["9"]
    assert log.after(10) == ([], 10)
    assert log.after(8)[1] == 10


def test_a_long_log_is_on_disk_and_read_from_there(log, tmp_path):
    lines = [f"{n}:{'x' * (n % 500)}" for n in range(20_000)]
    for at in range(0, len(lines), 7):
        log.feed("".join(f"{line}\n" for line in lines[at : at + 7]).encode())
    assert log.total == len(lines)
    assert everything(log) == lines
    for position in (0, 1, 63, 64, 65, 10_000, 19_999):
        assert everything(log, position) == lines[position:]
    in_files = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert in_files > 3 << 20
    batch, position = log.after(0)
    assert sum(map(len, batch)) < 2 << 20  # however much there is, a reader gets it bit by bit
    assert position == len(batch)


def test_a_log_costs_no_memory(tmp_path):
    tracemalloc.start()
    log = Log(lambda: STAMP, tmp_path / "log")
    chunk = b"".join(b"%d %s\n" % (n, b"x" * 90) for n in range(1000))
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(60):
        log.feed(chunk)
    log.end()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert log.total == 60_000
    assert after - before < 256 * 1024


@pytest.mark.parametrize("window", [None, 100])
def test_the_oldest_of_a_log_goes_when_there_is_too_much(tmp_path, window):
    log = Log(lambda: STAMP, tmp_path / "log", window, limit=1 << 20)
    for n in range(50_000):
        log.feed(b"%d %s\n" % (n, b"x" * 100))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2 << 20
    kept = everything(log)
    assert [int(line.split()[0]) for line in kept] == list(range(log.start, 50_000))
    assert len(kept) == window if window else 3000 < len(kept) < 10_000
    assert json.loads(log.first[0][6:])["data"].startswith("0 ")


def test_a_disk_that_is_full_costs_lines_and_no_more(tmp_path, caplog):
    log = Log(lambda: STAMP, tmp_path / "no" / "such" / "folder")
    log.feed(b"lost\n" * 10_000)
    assert everything(log) == []  # the folder has gone, as when the hub is closed: nobody reads it
    assert caplog.text == ""
    (tmp_path / "file").touch()
    log = Log(lambda: STAMP, tmp_path / "file" / "log")
    log.feed(b"lost\n" * 10_000)
    assert "has lost lines" in caplog.text
    log.feed(b"kept\n")
    assert texts(log, log.start) == ["kept"]


def test_listeners_hear_of_each_change(log):
    heard = []
    stop = log.listen(lambda: heard.append(log.total))
    log.feed(b"a\nb\n")
    log.feed(b"c")
    log.end()
    stop()
    log.say("later")
    assert heard == [2, 3, 3]


# ---------------------------------------------------------------------------- over HTTP


def test_the_first_event(raw):
    job = raw.run("true")
    first = next(raw.events(job))
    assert first["data"].startswith("===== Job started at 20")
    assert first["data"].endswith(" =====")
    assert len(first["timestamp"]) == len(STAMP)
    raw.wait(job)


def test_every_connection_replays_from_the_start(raw):
    job = raw.run("sh", "-c", "echo 1; echo 2 >&2; echo 3")
    assert raw.log(job) == ["1", "2", "3"]
    assert raw.log(job) == ["1", "2", "3"]
    raw.wait(job)


def test_tail(raw):
    job = raw.run("seq", "10")
    raw.wait(job)
    assert raw.log(job, tail=3) == ["8", "9", "10"]
    assert raw.log(job, tail=0) == []
    assert len(list(raw.events(job, tail=100))) == 11


def test_the_first_event_comes_whatever_the_tail(make):
    hub, raw = make(log_window=5)
    job = raw.run("seq", "10")
    raw.wait(job)
    for tail, lines in ((0, []), (2, ["9", "10"]), (4, ["7", "8", "9", "10"])):
        first, *rest = raw.events(job, tail=tail)
        assert first["data"].startswith("===== Job started at 20")
        assert [event["data"] for event in rest] == lines
    # Whether the window keeps it is not known.
    assert [event["data"] for event in raw.events(job, tail=5)] == ["6", "7", "8", "9", "10"]
    assert hub.jobs()[0].lines == 11


def test_the_first_event_comes_once(raw):
    job = raw.run("seq", "3")
    raw.wait(job)
    for tail, count in ((3, 4), (4, 4), (5, 4), (None, 4)):
        assert len(list(raw.events(job, **({} if tail is None else {"tail": tail})))) == count


def test_lines_come_while_the_job_runs(raw, tmp_path):
    fifo = tmp_path / "fifo"
    job = raw.run("sh", "-c", f"mkfifo {fifo}; echo before; cat {fifo}; echo after")
    lines = raw.lines(job)
    assert next(lines) == "before"
    with raw.stream(f"{raw.jobs}/{job}/logs", tail=0) as follower:
        fifo.write_text("through\n")
        assert list(lines) == ["through", "after"]
        assert follower.read().count(b"data: ") == 3
    raw.wait(job)


def test_a_window_over_http(make):
    _, raw = make(log_window=5)
    job = raw.run("seq", "100")
    raw.wait(job)
    assert raw.log(job) == ["96", "97", "98", "99", "100"]


def test_logs_are_in_a_folder_that_goes_with_the_hub(make):
    hub, raw = make()
    job = raw.run("sh", "-c", "seq 20000; echo $TMPDIR")
    *numbers, tmp = raw.log(job)
    assert numbers == [str(n) for n in range(1, 20_001)]
    folder = Path(tmp).parents[1]
    assert any(path.name.startswith(job) for path in (folder / "logs").iterdir())
    raw.wait(job)
    hub.close()
    assert not folder.exists()
    with pytest.raises(ValueError, match="log_limit"):
        LocalHub(log_limit=0)


def test_comments_in_silences(make):
    _, raw = make(timings=Timings(keep_alive=0.05))
    job = raw.run("sleep", "60")
    with raw.stream(f"{raw.jobs}/{job}/logs") as reply:
        seen = b""
        for chunk in reply.iter_bytes():
            seen += chunk
            if seen.count(b": keep-alive\n\n") == 2:
                break
    raw.cancel(job)


def test_a_burst_of_ten_megabytes(raw):
    code = "import sys; sys.stdout.write(('x' * 8191 + '\\n') * 1250)"
    job = raw.python(code)
    lines = raw.log(job)
    assert len(lines) == 1250
    assert set(map(len, lines)) == {8191}
    raw.wait(job)


def test_followers_that_leave_are_forgotten(raw, hub):
    job = raw.run("sleep", "60")
    for _ in range(3):
        with raw.stream(f"{raw.jobs}/{job}/logs") as reply:
            next(reply.iter_bytes())
    raw.cancel(job)
