"""A job sees what it would see in its container, and nothing of the environment of the hub."""

from __future__ import annotations

import functools
import http.server
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hfexecutor.local import hardware, ready_environment
from hfexecutor.local.differences import memory

from ..wheels import make_wheel  # noqa: TID252 - tests are no package

HERE = f"3.{sys.version_info.minor}"
PLAIN = f"python:{HERE}"
UV = f"ghcr.io/astral-sh/uv:python{HERE}-bookworm"
SITE = "import sys; print([p for p in sys.path if 'packages' in p])"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Have a few small packages where uv finds them, and a cache that nobody has used."""
    wheels = tmp_path / "wheels"
    make_wheel(wheels, "tinyone")
    make_wheel(wheels, "tinytwo", requires=["tinyone"])
    config = tmp_path / "uv.toml"
    config.write_text(f'no-index = true\nfind-links = ["{wheels}"]\n')
    monkeypatch.setenv("UV_CONFIG_FILE", str(config))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return wheels


@pytest.fixture
def polluted(monkeypatch, tmp_path):
    """Have what could leak: a PYTHONPATH, a user site, a directory on PATH, settings of Python."""
    (tmp_path / "leak").mkdir()
    (tmp_path / "leak" / "leaked.py").write_text("")
    (tmp_path / "leak" / "leaked-command").write_text("#!/bin/sh\necho leaked\n")
    (tmp_path / "leak" / "leaked-command").chmod(0o700)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "leak"))
    monkeypatch.setenv("PYTHONUSERBASE", str(tmp_path / "leak"))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "leak" / "leaked.py"))
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    monkeypatch.setenv("PATH", f"{tmp_path / 'leak'}:{os.environ['PATH']}")


def output(raw, *command, stage="COMPLETED", **spec):
    job = raw.run(*command, **spec)
    lines = raw.log(job)
    ended = raw.wait(job)
    assert ended["status"]["stage"] == stage, lines
    return [line for line in lines if not line.startswith("===== LocalHub: ")]


@pytest.mark.parametrize("image", [PLAIN, UV])
@pytest.mark.parametrize("package", ["huggingface_hub", "hfexecutor", "pytest", "leaked", "pip"])
def test_no_package_of_the_hub_can_be_imported(raw, polluted, image, package):
    command = ["python", "-c", f"import {package}"]
    if image == UV:
        command = ["uv", "run", *command]
    *_, last = output(raw, *command, dockerImage=image, stage="ERROR")
    assert last == f"ModuleNotFoundError: No module named '{package}'"


@pytest.mark.parametrize("image", [PLAIN, UV, "unknown/image"])
def test_what_a_job_has(raw, polluted, image):
    code = """if True:
        import os, sys, sysconfig, site, importlib.metadata, subprocess
        print(os.getcwd(), os.listdir(), os.listdir(os.environ['TMPDIR']))
        print(list(importlib.metadata.distributions()))
        print([n for n in os.environ if n.startswith(('PYTHON', 'VIRTUAL', 'UV'))])
        print(sys.prefix == sys.base_prefix, sys.executable.startswith(sys.prefix))
        print(sys.flags.isolated, sys.flags.no_site, sys.flags.ignore_environment)
        print([p for p in sys.path if 'packages' in p] == [sysconfig.get_path('purelib')])
        print(subprocess.run('leaked-command', shell=True, stderr=-3).returncode)
        import ssl, sqlite3, ctypes, lzma, venv, ensurepip
        os.chdir('/'); import hashlib; print(os.path.dirname(hashlib.__file__))
    """
    lines = output(raw, "python", "-c", code, dockerImage=image)
    where, listed, temporary = lines[0].split(" ", 2)
    assert (listed, temporary) == ("[]", "[]")
    assert Path(where).name == "work"
    assert lines[1:] == [
        *("[]", "[]", "True True", "0 0 0", "True", "127"),
        str(Path(sys.base_prefix, "lib", f"python{HERE}")),
    ]


def test_two_jobs_have_nothing_in_common(raw):
    code = "import os, sys; open('f', 'w'); print(os.getcwd(), sys.prefix, os.environ['HOME'])"
    jobs = [output(raw, "python", "-c", code)[0].split() for _ in range(2)]
    assert not set(jobs[0]) & set(jobs[1])


def test_commands_of_the_hubs_environment_are_not_there(raw, polluted):
    for command in (["leaked-command"], ["hf"], ["pytest"], ["uvicorn"]):
        job = raw.run(*command)
        message = f'exec: "{command[0]}": executable file not found in $PATH'
        assert raw.wait(job)["status"]["message"] == message
    assert "hf" not in output(raw, "sh", "-c", "command -v hf; command -v python")[0].split("/")


# ---------------------------------------------------------------------------- uv


def test_an_image_without_uv_fails_as_there(raw):
    job = raw.run("uv", "run", "python", "-c", "1", dockerImage=PLAIN)
    message = 'exec: "uv": executable file not found in $PATH'
    assert raw.wait(job)["status"]["message"] == message
    assert raw.log(job) == [message]
    (line,) = output(raw, "sh", "-c", "uv --version", dockerImage=PLAIN, stage="ERROR")
    assert "not found" in line
    assert output(raw, "sh", "-c", "uv --version", dockerImage=UV)[0].startswith("uv ")


def test_what_was_asked_for_is_there(make, packages, polluted):
    _, raw = make()
    code = (
        "import tinytwo, tinyone as t, os; print(t.version, [n for n in os.environ if 'UV_' in n])"
    )
    command = ["uv", "run", "--with", "tinytwo", "python", "-c", code]
    of_uv = "['UV_RUN_RECURSION_DEPTH']"  # which it sets itself, there as here
    assert output(raw, *command, dockerImage=UV)[-1] == f"1.0 {of_uv}"
    command[-1] = "import tinyone, pytest"
    *_, last = output(raw, *command, dockerImage=UV, stage="ERROR")
    assert last == "ModuleNotFoundError: No module named 'pytest'"


def test_what_one_job_asked_for_another_has_not(make, packages):
    _, raw = make()
    code = ["python", "-c", "import tinyone"]
    output(raw, "uv", "run", "--with", "tinyone", *code, dockerImage=UV)
    for command in (code, ["uv", "run", *code], ["uv", "run", "--with", "tinytwo==9", *code]):
        output(raw, *command, dockerImage=UV, stage="ERROR")


def test_a_job_installs_for_itself(make, packages):
    _, raw = make()
    script = "uv pip install {}tinytwo && python -c 'import tinytwo; print(tinytwo.__file__)'"
    *_, module = output(raw, "sh", "-c", script.format("--system "), dockerImage=UV)
    assert module.endswith("/python/lib/python" + HERE + "/site-packages/tinytwo.py")
    # The words of uv in its image: there is no virtual environment in it.
    first = output(raw, "sh", "-c", script.format(""), dockerImage=UV, stage="ERROR")[0]
    assert first.startswith("error: No virtual environment found; run `uv venv`")
    venv = "uv venv -q && uv pip install -q tinytwo && .venv/bin/python -c 'import tinytwo'"
    output(raw, "sh", "-c", venv, dockerImage=UV)
    output(raw, "python", "-c", "import tinytwo", dockerImage=UV, stage="ERROR")
    done = subprocess.run([sys.executable, "-c", "import tinytwo"], stderr=-3, check=False)
    assert done.returncode == 1


def test_a_script_with_its_needs_in_its_head(make, packages):
    _, raw = make()
    head = '# /// script\n# dependencies = ["tinytwo"]\n# ///\n'
    code = "import os, tinytwo; print(tinytwo.version, [n for n in os.environ if 'INDEX' in n])\n"
    job = ["sh", "-c", 'printf %s "$0" > s.py && uv run s.py', head + code]
    assert output(raw, *job, dockerImage=UV)[-1] == "1.0 []"
    assert output(raw, "sh", "-c", 'printf %s "$0" | uv run -', head + code, dockerImage=UV)[-1]


def test_a_script_gets_what_it_and_what_its_command_ask_for(make, packages, tmp_path):
    """The second job is started in another way than the first, and does the same."""
    make_wheel(packages, "tinythree")
    header = '# /// script\n# dependencies = ["tinythree"]\n# ///\n'
    plain, headed = tmp_path / "plain.py", tmp_path / "headed.py"
    plain.write_text("import sys, tinytwo; print(tinytwo.version, sys.argv[1:]); sys.exit(3)")
    headed.write_text(header + "import tinythree\n" + plain.read_text())
    _, raw = make()
    for script in (plain, headed):
        command = ["uv", "run", "--with", "tinytwo", str(script), "a b"]
        for _ in range(2):
            lines = output(raw, *command, dockerImage=UV, stage="ERROR")
            assert lines[-1] == "1.0 ['a b']"
    without = ["uv", "run", str(plain)]
    *_, last = output(raw, *without, dockerImage=UV, stage="ERROR")
    assert last == "ModuleNotFoundError: No module named 'tinytwo'"


def test_a_package_that_there_is_not(make, packages):
    _, raw = make()
    command = ["uv", "run", "--with", "tinythree", "python", "-c", "1"]
    lines = output(raw, *command, dockerImage=UV, stage="ERROR")
    assert "tinythree" in "".join(lines)


def test_a_set_of_requirements_is_installed_once(make, packages, tmp_path):
    _, raw = make()
    command = ["uv", "run", "--with", "tinytwo", "python", "-c", "import tinytwo"]
    first = output(raw, *command, dockerImage=UV)
    assert any(line.startswith("Installed 2 packages") for line in first)
    assert output(raw, *command, dockerImage=UV) == []
    _, another = make()
    assert output(another, *command, dockerImage=UV) == []
    copies = list((tmp_path / "cache").rglob("tinytwo.py"))
    assert {path.stat().st_ino for path in copies} == {copies[0].stat().st_ino}  # hard links


def test_what_was_resolved_lately_is_not_asked_for_again(make, tmp_path, monkeypatch):
    """Neither where the index is gone; and what uv has forgotten is resolved anew."""
    make_wheel(tmp_path / "simple" / "tinyone", "tinyone")
    asked = []

    class Index(_Quiet):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

    handler = functools.partial(Index, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = tmp_path / "uv.toml"
    url = f"http://127.0.0.1:{server.server_port}/simple/"
    config.write_text(f'[[index]]\nurl = "{url}"\ndefault = true\n')
    monkeypatch.setenv("UV_CONFIG_FILE", str(config))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    _, raw = make()
    code = "import os, sys, tinyone; print(sys.argv[1], os.listdir()); sys.exit(int(sys.argv[1]))"
    command = ["uv", "run", "--with", "tinyone", "python", "-c", code]
    assert output(raw, *command, "0", dockerImage=UV)[-1] == "0 []"
    first = len(asked)
    assert first > 0
    assert output(raw, *command, "0", dockerImage=UV) == ["0 []"]
    assert output(raw, *command, "3", dockerImage=UV, stage="ERROR") == ["3 []"]
    assert len(asked) == first
    shutil.rmtree(tmp_path / "cache")
    assert output(raw, *command, "0", dockerImage=UV)[-1] == "0 []"
    assert len(asked) > first
    server.shutdown()
    server.server_close()


def test_a_second_job_with_packages_starts_sooner_than_the_first(make, packages):
    _, raw = make()

    def seconds(*options):
        began = time.monotonic()
        output(raw, "uv", "run", *options, "python", "-c", "1", dockerImage=UV)
        return time.monotonic() - began

    first = seconds("--with", "tinytwo")
    assert min(seconds("--with", "tinytwo") for _ in range(5)) < first


# ------------------------------------------------- environments that jobs install for themselves

INTO = "uv pip install --python $(command -v python) --target t -- {} 2>&1"
SAYS = "python -c 'import sys; sys.path.append(\"t\"); import {0}; print({0}.version)'"
SAID = "Installed what an earlier job has installed"


@pytest.fixture
def store(packages, tmp_path):
    return tmp_path / "xdg" / "hfexecutor" / "environments"


def environments(store):
    return sorted(store.glob("environment-*"))


def test_what_a_job_has_installed_the_next_has_at_once(make, packages, store, tmp_path):
    """Without uv: its cache is gone, and so are the packages, and the hub of the first job."""
    hub, raw = make()
    script = f"{INTO.format('tinytwo tinyone==1.0')}; {SAYS.format('tinytwo')}"
    first = output(raw, "sh", "-c", script, dockerImage=UV)
    hub.close()
    assert SAID not in first
    assert first[-1] == "1.0"
    shutil.rmtree(packages)
    shutil.rmtree(tmp_path / "cache")
    for _ in range(2):
        hub, raw = make()
        assert output(raw, "sh", "-c", script, dockerImage=UV) == [SAID, "1.0"]
        hub.close()
    assert len(environments(store)) == 1
    assert list(environments(store)[0].glob("__pycache__/tinytwo*"))  # compiled once
    _, raw = make()
    other = script.replace("tinyone==1.0", "tinyone")  # which there may be a newer one of
    output(raw, "sh", "-c", other, dockerImage=UV, stage="ERROR")


def test_what_a_job_adds_to_it_no_other_has(make, packages, store):
    make_wheel(packages, "tinythree")
    _, raw = make()
    one, two = INTO.format("tinyone"), INTO.format("tinythree")
    output(raw, "sh", "-c", one, dockerImage=UV)
    both = f"{one}; {SAYS.format('tinyone')}; {two}; {SAYS.format('tinythree')}"
    lines = output(raw, "sh", "-c", f"{both}; {SAYS.format('tinyone')}", dockerImage=UV)
    assert lines[:2] == [SAID, "1.0"]
    assert lines[-2:] == ["1.0", "1.0"]
    third = f"{one}; {SAYS.format('tinythree')}"
    *_, last = output(raw, "sh", "-c", third, dockerImage=UV, stage="ERROR")
    assert last == "ModuleNotFoundError: No module named 'tinythree'"


def test_indexes_are_asked_again_after_a_day(make, packages, store):
    _, raw = make()
    script = f"{INTO.format('tinyone')}; {SAYS.format('tinyone')}"
    output(raw, "sh", "-c", script, dockerImage=UV)
    make_wheel(packages, "tinyone", "2.0")
    assert output(raw, "sh", "-c", script, dockerImage=UV) == [SAID, "1.0"]
    (note,) = (store / "resolved").iterdir()
    os.utime(note, (time.time() - 90_000,) * 2, follow_symlinks=False)
    lines = output(raw, "sh", "-c", script, dockerImage=UV)
    assert SAID not in lines
    assert lines[-1] == "2.0"
    assert len(environments(store)) == 2


def test_what_nobody_has_used_for_long_is_deleted(make, packages, store):
    _, raw = make()
    output(raw, "sh", "-c", INTO.format("tinyone"), dockerImage=UV)
    (old,) = environments(store)
    long_ago = time.time() - 31 * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    (store / "draft-1-1").mkdir()
    os.utime(store / "draft-1-1", (long_ago, long_ago))
    output(raw, "sh", "-c", INTO.format("tinytwo"), dockerImage=UV)
    (new,) = environments(store)
    assert new != old
    assert {path.name for path in store.iterdir()} == {new.name, "lock", "resolved"}
    lines = output(raw, "sh", "-c", INTO.format("tinyone"), dockerImage=UV)
    assert SAID not in lines
    assert len(environments(store)) == 2


def test_what_cannot_be_installed_leaves_nothing(make, packages, store):
    _, raw = make()
    script = INTO.format("tinyone tinyfour") + "; echo $?; ls t"
    *said, status, missing = output(raw, "sh", "-c", script, dockerImage=UV, stage="ERROR")
    assert "tinyfour was not found" in " ".join(said)
    assert status == "1"
    assert "No such file or directory" in missing
    assert {path.name for path in store.iterdir()} == {"lock", "resolved"}


@pytest.mark.parametrize(
    "words",
    [
        "--python PYTHON --target t -- ./here",
        "--python PYTHON --target t -- one @ file:///here",
        "--python PYTHON --target t -- exists",
        "--python PYTHON --target t -e x",
        "--python PYTHON --target t --upgrade one",
        "--python PYTHON --target t -r requirements.txt",
        "--python PYTHON -- one",
        "--python 3.11 --target t -- one",
        "--python /usr/bin/python3 --target t -- one",
        "--target t -- one",
        "--system one",
    ],
)
def test_what_may_mean_something_else_in_another_job_is_left_to_uv(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exists").touch()
    (tmp_path / "python" / "bin").mkdir(parents=True)
    (tmp_path / "python" / ready_environment.SHARED).symlink_to("/shared")
    python = f"{tmp_path}/python/bin/python3"
    right = ["--python", python, "--target=t", "--", "one==1", "two[x] @ git+https://h/r@c"]
    assert ready_environment.parse(["pip", "install", *right]) == (
        "/shared/bin/python",
        "t",
        ("one==1", "two[x] @ git+https://h/r@c"),
    )
    given = ["pip", "install", *words.replace("PYTHON", python).split()]
    if "one @" in words:
        given[-3:] = ["one @ file:///here"]
    assert ready_environment.parse(given) is None


def test_an_index_that_asks_for_a_password(make, tmp_path, monkeypatch):
    """The settings of a person reach uv, whoever starts it, and the job's own code does not."""
    make_wheel(tmp_path / "simple" / "tinyone", "tinyone")
    asked = []

    class Index(_Quiet):
        def do_GET(self):
            asked.append(self.headers.get("Authorization"))
            if asked[-1] is None:
                self.send_response(401)
                self.send_header("WWW-Authenticate", "Basic")
                self.end_headers()
            else:
                super().do_GET()

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Index, directory=str(tmp_path))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_INDEX", "")
    index = f"http://someone:hunter2@127.0.0.1:{server.server_port}/simple/"
    monkeypatch.setenv("UV_DEFAULT_INDEX", index)
    _, raw = make()
    code = "import os, tinyone; print('hunter2' in str(os.environ))"
    command = ["uv", "run", "--with", "tinyone", "python", "-c", code]
    assert output(raw, *command, dockerImage=UV)[-1] == "False"
    script = "uv pip install -q --system tinyone && python -c 'import tinyone' && env"
    assert "hunter2" not in "".join(output(raw, "sh", "-c", script, dockerImage=UV))
    assert len(asked) > 1
    server.shutdown()
    server.server_close()


# ---------------------------------------------------------------------------- differences


def differences(raw, *command, **spec):
    job = raw.run(*command, **spec)
    lines = raw.log(job)
    raw.wait(job)
    return [line[16:-6] for line in lines if line.startswith("===== LocalHub: ")]


def test_an_image_that_is_not_known(make, caplog):
    _, raw = make()
    with caplog.at_level(logging.INFO, "hfexecutor"):
        for _ in range(2):
            (text,) = differences(raw, "echo", "hi", dockerImage="me/mine:1")
    assert text.startswith("the image 'me/mine:1' is not known here: the job has Python ")
    assert caplog.text.count(text) == 1
    assert differences(raw, "echo", "hi", dockerImage=UV) == []
    assert differences(raw, "true", dockerImage="me/mine:1") == []  # it writes nothing at all


def test_a_flavor_that_this_machine_cannot_be(make, caplog, monkeypatch):
    _, raw = make()
    with caplog.at_level(logging.WARNING, "hfexecutor"):
        texts = differences(raw, "echo", "hi", flavor="h200x8")
    assert len(texts) >= 2
    assert texts[0] == "h200x8 has 8 Nvidia H200, and this machine has no accelerator"
    assert texts[1].startswith("h200x8 has 184 CPUs, as CPU_CORES and OMP_NUM_THREADS tell, and")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    small = hardware.Flavor("cpu-basic", "Small", 1, 1, 1, 0.01)
    monkeypatch.setitem(hardware.FLAVORS, "cpu-basic", small)
    assert differences(raw, "echo", "hi") == []


def test_a_requirement_that_is_a_path_of_this_machine(make, packages, caplog):
    _, raw = make()
    path = str(packages / "tinyone-1.0-py3-none-any.whl")
    job = raw.run("uv", "run", "--with", path, "python", "-c", "import tinyone", dockerImage=UV)
    said, *lines = raw.log(job)
    assert f"{path!r} is a path of this machine" in said
    assert lines[-1].endswith(f"Distribution not found at: {path}")
    assert raw.wait(job)["status"]["message"] == "Job failed with exit code: 1. Reason: Error"
    assert "is a path of this machine" in caplog.text


def test_a_python_that_cannot_be_had_ends_quickly(raw):
    began = time.monotonic()
    jobs = [raw.run("python", "-c", "1", dockerImage="python:3.5") for _ in range(8)]
    for job in jobs:
        status = raw.wait(job)["status"]
        assert status["stage"] == "ERROR"
        assert "Python 3.5 is not to be had here: run `uv python install 3.5`" in status["message"]
    assert time.monotonic() - began < 30


def test_what_needs_no_python_runs_in_an_image_of_any(raw):
    (text,) = differences(raw, "echo", "hi", dockerImage="python:3.5")
    assert text.startswith("Python 3.5 is not to be had here")
    script = "command -v python3.5 || echo none"
    assert output(raw, "sh", "-c", script, dockerImage="python:3.5") == ["none"]


def test_more_memory_than_the_flavor_has(make, monkeypatch):
    small = hardware.Flavor("cpu-basic", "Small", 1, 1, 1, 0.01)
    monkeypatch.setitem(hardware.FLAVORS, "cpu-basic", small)
    if memory() <= 2 << 30:
        pytest.skip("this machine has no more memory itself")
    _, raw = make()
    script = "b = b'y' * (1 << 29); print('half', flush=True); c = b'x' * (3 << 28); print('all')"
    job = raw.run("python", "-c", script)
    assert raw.log(job)[0] == "half"
    message = "Job failed with exit code: 137. Reason: OOMKilled"
    assert raw.wait(job)["status"]["message"] == message
    # The largest process goes, and what remains of the job goes on.
    script = f"""python -c "{script}; import time; time.sleep(60)" > /dev/null; echo $?"""
    assert output(raw, "sh", "-c", script) == ["Killed", "137"]
