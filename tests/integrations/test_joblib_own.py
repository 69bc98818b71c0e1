"""joblib's own tests of backends pass with ours added to its list of those that run in parallel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

THEIRS = Path(sysconfig.get_path("purelib"), "joblib", "test", "test_parallel.py")
BACKENDS = 'PARALLEL_BACKENDS = PROCESS_BACKENDS + ["threading"]\n'
WITH_OURS = BACKENDS.replace("]\n", ', "hfexecutor"]\n')
# One executor for all tests, whose jobs import from where the tests do.
CONFTEST = """
from joblib import register_parallel_backend

from hfexecutor import HubExecutor
from hfexecutor.integrations.joblib import HubBackend

executor = HubExecutor(4, endpoint="local", dependencies=None, env=["PYTHONPATH"])


class Backend(HubBackend):
    def __init__(self, **options):
        super().__init__(executor=executor, **options)


register_parallel_backend("hfexecutor", Backend)


def pytest_sessionfinish():
    executor.shutdown(cancel_futures=True)
"""
NOT_OURS = [
    # An executor that is given is its owner's: the end of a Parallel does not let it go.
    "test_parallel_as_context_manager[hfexecutor]",
    # Its tasks write into a queue of a process of this machine.
    "test_dispatch_multiprocessing[hfexecutor]",
    # Processes of joblib's own pools know no backend but joblib's.
    *(
        f"test_nested_loop[{outer}-hfexecutor]"
        for outer in ("multiprocessing", "loky", "back_compat_backend")
    ),
    *(
        f"test_backend_nesting_level[{context}-hfexecutor-loky]"
        for context in ("parallel_config", "parallel_backend")
    ),
]


@pytest.mark.slow
def test_joblibs_own_tests_of_backends_pass(tmp_path):
    theirs = THEIRS.read_text(encoding="utf-8")
    assert theirs.count(BACKENDS) == 1
    script = tmp_path / THEIRS.name
    script.write_text(theirs.replace(BACKENDS, WITH_OURS), encoding="utf-8")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(script)]
        + ["-k", "hfexecutor"]
        + [f"--deselect={script.name}::{name}" for name in NOT_OURS],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tmp_path), sysconfig.get_path("purelib")]),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 90, done.stdout
