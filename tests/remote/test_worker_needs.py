"""A real worker, and calls that need packages and code of the client's own."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import zipfile
from pathlib import Path

import cloudpickle
import pytest
from worker_process import WorkerProcess, by_value

from hfexecutor.payload.archives import build_archive
from hfexecutor.remote import entries, outcomes


@pytest.fixture
def wheels(tmp_path):
    """Return what writes wheels that the worker's uv finds, and the worker's environment."""
    folder = tmp_path / "wheels"
    folder.mkdir()

    def write(name: str, version: str, source: str = "") -> None:
        info = f"{name}-{version}.dist-info"
        files = {
            f"{name}.py": f"version = {version!r}\n{source}\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in files)
        with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)

    return write


@pytest.fixture
def start(tmp_path):
    found = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    assert found, "uv is part of the extra that the tests install"
    (tmp_path / "temporary").mkdir()
    env = {
        "UV": found,
        "UV_OFFLINE": "1",
        "UV_NO_CONFIG": "1",
        "UV_FIND_LINKS": str(tmp_path / "wheels"),
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "TMPDIR": str(tmp_path / "temporary"),
        "HOME": str(tmp_path),
    }
    running: list[WorkerProcess] = []

    def start(*launch, **config) -> WorkerProcess:
        running.append(WorkerProcess(*launch, env={**env, **config.pop("env", {})}, **config))
        return running[-1]

    yield start
    for worker in running:
        worker.__exit__()


def need(number, requirements=(), archives=()):
    pairs = [[text.partition("==")[0], text] for text in requirements]
    data = json.dumps({"requirements": pairs, "archives": list(archives)}).encode()
    return entries.Entry(entries.NEED, number, 0, 1, data)


def archive(number, name, files, digest=None):
    built = build_archive(name, {path: text.encode() for path, text in files.items()})
    data = entries.pack_archive(name, digest or built.digest, built.data)
    return entries.Entry(entries.ARCHIVE, number, 0, 1, data)


def call(number, need, function, *args):
    data = cloudpickle.dumps((by_value(function), args, {}), protocol=5)
    return entries.Entry(entries.CALL, number, 0, 1, entries.call_head(0, need) + data)


def version_of(name):
    import importlib
    import os

    return importlib.import_module(name).version, os.getpid()


def answer(name):
    import importlib
    import os

    module = importlib.import_module(name)
    return module.answer(), os.getpid()


def test_a_package_is_installed_for_the_call_that_needs_it(start, wheels):
    wheels("thing", "1")
    worker = start()
    worker.tell(need(1, ["thing==1"]), call(1, 1, version_of, "thing"))

    assert worker.outcome(1).value()[0] == "1"


def test_calls_that_need_nothing_go_on_meanwhile(start, wheels, tmp_path):
    """The installation of this test goes on until the other calls are through."""
    real, slow = shutil.which("uv", path=str(Path(sys.executable).parent)), tmp_path / "slow-uv"
    gate = tmp_path / "gate"
    gate.write_text("")
    slow.write_text(f'#!/bin/sh\nwhile [ -e {gate} ]; do sleep 0.01; done\nexec {real} "$@"\n')
    slow.chmod(0o755)
    wheels("thing", "1")
    worker = start(env={"UV": str(slow)})
    worker.tell(need(1, ["thing==1"]), call(1, 1, version_of, "thing"))
    worker.tell(*(call(i, 0, math_sqrt, i) for i in range(2, 12)))

    assert [worker.outcome(i).value() for i in range(2, 12)] == [math.sqrt(i) for i in range(2, 12)]
    assert 1 not in worker.outcomes
    gate.unlink()
    assert worker.outcome(1).value()[0] == "1"


def math_sqrt(x):
    import math

    return math.sqrt(x)


def test_a_process_that_runs_already_gets_what_it_lacks(start, wheels):
    wheels("thing", "1")
    wheels("other", "2")
    worker = start()
    worker.tell(call(1, 0, os_getpid))
    worker.tell(need(1, ["thing==1"]), call(2, 1, version_of, "thing"))
    pid = worker.outcome(1).value()

    assert worker.outcome(2).value() == ("1", pid)
    worker.tell(need(2, ["thing==1", "other==2"]), call(3, 2, version_of, "other"))
    assert worker.outcome(3).value() == ("2", pid)


def os_getpid():
    import os

    return os.getpid()


def test_two_versions_of_one_package_live_in_one_job(start, wheels):
    wheels("thing", "1")
    wheels("thing", "2")
    worker = start()
    worker.tell(need(1, ["thing==1"]), need(2, ["thing==2"]))
    worker.tell(*(call(i, 1 + i % 2, version_of, "thing") for i in range(1, 9)))

    values = [worker.outcome(i).value() for i in range(1, 9)]
    assert [version for version, _ in values] == ["2", "1"] * 4


def test_what_cannot_be_installed_ends_its_calls_with_what_uv_says(start, wheels):
    wheels("thing", "1")
    worker = start()
    worker.tell(need(1, ["nothing-of-that-name==1"]), call(1, 1, version_of, "thing"))
    worker.tell(call(2, 1, version_of, "thing"), call(3, 0, os_getpid))

    for number in (1, 2):
        outcome = worker.outcome(number)
        assert outcome.status == outcomes.NOT_INSTALLED
        assert outcome.details()["requirements"] == ["nothing-of-that-name==1"]
        assert "nothing-of-that-name" in outcome.details()["error"]
    assert worker.outcome(3).status == outcomes.VALUE
    worker.tell(need(2, ["thing==1"]), call(4, 2, version_of, "thing"))
    assert worker.outcome(4).value()[0] == "1"


def test_an_image_without_uv_says_so(start, tmp_path):
    worker = start(env={"UV": "", "PATH": str(tmp_path)})
    worker.tell(need(1, ["thing==1"]), call(1, 1, version_of, "thing"))

    assert worker.outcome(1).details()["error"] == "there is no uv in this image"


def test_code_of_the_clients_own_is_imported_by_its_name(start):
    worker = start()
    files = {
        "mine/__init__.py": "from .deep import answer",
        "mine/deep.py": "def answer():\n return 42",
    }
    worker.tell(archive(7, "mine", files), need(1, archives=[["mine", 7]]))
    worker.tell(call(1, 1, answer, "mine"), call(2, 1, answer, "mine"))

    assert [worker.outcome(i).value()[0] for i in (1, 2)] == [42, 42]


def test_new_code_gets_a_new_process_and_the_job_goes_on(start):
    worker = start()
    worker.tell(archive(1, "mine", {"mine.py": "def answer():\n return 1"}))
    worker.tell(need(1, archives=[["mine", 1]]), call(1, 1, answer, "mine"))
    before = worker.outcome(1).value()
    worker.tell(archive(2, "mine", {"mine.py": "def answer():\n return 2"}))
    worker.tell(need(2, archives=[["mine", 2]]), call(2, 2, answer, "mine"))
    after = worker.outcome(2).value()

    assert (before[0], after[0]) == (1, 2)
    assert before[1] != after[1]
    assert worker.process.poll() is None


def test_old_and_new_code_take_turns_without_mixing(start):
    worker = start(slots=2)
    for n in (1, 2):
        worker.tell(archive(n, "mine", {"mine.py": f"def answer():\n return {n}"}))
        worker.tell(need(n, archives=[["mine", n]]))
    worker.tell(*(call(i, 1 + i % 2, answer, "mine") for i in range(1, 21)))

    assert [worker.outcome(i).value()[0] for i in range(1, 21)] == [2, 1] * 10


def test_many_processes_share_the_files_of_an_archive(start):
    worker = start(slots=4)
    body = "import time\ndef answer():\n time.sleep(0.2)\n return __file__"
    worker.tell(archive(1, "mine", {"mine.py": body}), need(1, archives=[["mine", 1]]))
    worker.tell(*(call(i, 1, answer, "mine") for i in range(1, 5)))

    values = [worker.outcome(i).value() for i in range(1, 5)]
    assert len({file for file, _ in values}) == 1
    assert len({pid for _, pid in values}) == 4


def test_an_initializer_waits_for_what_it_needs(start, wheels):
    wheels("thing", "1")

    def initialize():
        import builtins

        import mine
        import thing

        builtins.seen = (mine.answer(), thing.version)

    def seen():
        import builtins

        return builtins.seen

    init = entries.Entry(
        entries.INIT, 0, 0, 1, cloudpickle.dumps((by_value(initialize), ()), protocol=5)
    )
    worker = start(init, initializer_needs=True)
    worker.tell(archive(1, "mine", {"mine.py": "def answer():\n return 42"}))
    worker.tell(need(1, ["thing==1"], [["mine", 1]]), call(1, 1, seen))

    assert worker.outcome(1).value() == (42, "1")


def test_an_initializer_that_needs_nothing_runs_before_there_is_a_call(start, tmp_path):
    def initialize(path):
        import pathlib

        pathlib.Path(path).write_text("ran")

    path = tmp_path / "ran"
    data = cloudpickle.dumps((by_value(initialize), (str(path),)), protocol=5)
    worker = start(entries.Entry(entries.INIT, 0, 0, 1, data))
    worker.until(path.exists)


def test_calls_can_be_given_back_and_killed_while_they_wait(start, tmp_path):
    never = tmp_path / "never"
    never.write_text("#!/bin/sh\nsleep 1000\n")
    never.chmod(0o755)
    worker = start(env={"UV": str(never)})
    worker.tell(need(1, ["thing==1"]), *(call(i, 1, version_of, "thing") for i in (1, 2)))
    reply = worker.tell(entries.Entry(entries.RECALL, 0, 0, 1, entries.pack_ids([1])))
    killed = worker.tell(entries.Entry(entries.KILL, 0, 0, 1, entries.pack_ids([2])))

    assert _given_back(reply) == (1,)
    assert _given_back(killed) == (2,)
    worker.tell(entries.Entry(entries.LEAVE, 0, 0, 1, b""))
    assert worker.process.wait(20) == 0


def _given_back(reply):
    (entry,) = [entry for entry in reply if entry.kind == entries.RECALL]
    return entries.unpack_ids(entry.data)


def test_the_clients_library_can_be_imported_and_not_used(start, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where no checkout of it lies
    source = (
        "from hfexecutor import CallDiedError, HubExecutor, HubFuture\n"
        "from hfexecutor.local import LocalHub\n"
        "import hfexecutor.errors\n"
        "def main(executor: HubExecutor, future: HubFuture[int]): LocalHub\n"
        "def answer():\n"
        "    assert hfexecutor.errors.CallDiedError is CallDiedError\n"
        "    try:\n"
        "        HubExecutor()\n"
        "    except RuntimeError as error:\n"
        "        return str(error), CallDiedError('x')\n"
    )
    worker = start(python=sys._base_executable)  # the library is not installed there
    worker.tell(archive(1, "mine", {"mine.py": source}), need(1, archives=[["mine", 1]]))
    worker.tell(call(1, 1, answer, "mine"))
    (text, error), _ = worker.outcome(1).value()

    from hfexecutor import errors

    assert "jobs do not have hfexecutor" in text
    assert type(error) is errors.CallDiedError


def test_nothing_is_left_on_the_search_path_of_calls_that_need_nothing(start, tmp_path):
    def prepared(folder):
        """Return what is on the search path of what this worker keeps for its calls."""
        import sys

        return [entry for entry in sys.path if entry.startswith(folder)]

    temporary = f"{tmp_path / 'temporary'}/"
    worker = start()
    worker.tell(call(1, 0, prepared, temporary))
    worker.tell(archive(1, "mine", {"mine.py": ""}), need(1, archives=[["mine", 1]]))
    worker.tell(call(2, 1, prepared, temporary))

    assert worker.outcome(1).value() == []
    assert len(worker.outcome(2).value()) == 1


def test_progress_bars_are_drawn_seldom_unless_the_user_says_otherwise(start):
    def variables():
        import os

        return os.environ["HF_HUB_DISABLE_PROGRESS_BARS"], os.environ["TQDM_MININTERVAL"]

    worker = start(env={"TQDM_MININTERVAL": "5"})
    worker.tell(call(1, 0, variables))

    assert worker.outcome(1).value() == ("1", "5")
    assert os.environ.get("TQDM_MININTERVAL") is None
