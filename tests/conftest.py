"""What holds for every test: no token, no endpoint and no cache of the person who runs it."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib.util
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import certifi
import pytest
from hypothesis import settings

# How long an example takes says more about the machine's other work than about ours.
settings.register_profile("quick", deadline=None, max_examples=25)
settings.register_profile("thorough", deadline=None, max_examples=400)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# Whoever starts the tests in the background has them ignore SIGINT, and all they start with them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# CI spends a minute on new seeds of the simulation; some seconds do where it is one test of many.
os.environ.setdefault("SIMULATION_SECONDS", "3")

# huggingface_hub reads these once, when it is first imported: so they are set before that, here.
_LIVE_TOKEN = os.environ.get("HF_TOKEN")
for _name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "HFEXECUTOR_ENDPOINT"):
    os.environ.pop(_name, None)
_HF_HOME = tempfile.TemporaryDirectory(prefix="hfexecutor-tests-")
os.environ["HF_HOME"] = _HF_HOME.name
if not _LIVE_TOKEN:
    # Tests talk to this machine only. Each client loads all authorities that are trusted, and a
    # hundred and forty of them take longer than most tests: so one is trusted.
    _AUTHORITIES = Path(certifi.where()).read_text(encoding="ascii", errors="replace")
    _ONE = Path(_HF_HOME.name, "one-authority.pem")
    _ONE.write_text(_AUTHORITIES[: _AUTHORITIES.index("-----END") + 26], encoding="ascii")
    os.environ["SSL_CERT_FILE"] = str(_ONE)

# Found, not imported: a test of one module should not fail because another cannot be imported.
_SPEC = importlib.util.find_spec("hfexecutor")
assert _SPEC is not None
assert _SPEC.origin is not None
PACKAGE = Path(_SPEC.origin).parent


WIDE = {"width": 1200, "height": 850}  # of a browser's window

_HANGS = 120.0  # seconds, or up to a quarter less
_stderr = -1  # of the whole run, which is shown while a test's own is captured
_armed = float("-inf")


def pytest_report_header() -> list[str]:
    """Say what is tested: a checkout, or what was installed from a wheel."""
    import huggingface_hub

    return [f"hfexecutor from {PACKAGE}", f"huggingface_hub {huggingface_hub.__version__}"]


def pytest_configure() -> None:
    installed = "site-packages" in PACKAGE.parts
    if os.environ.get("HFEXECUTOR_TEST_INSTALLED") and not installed:
        raise pytest.UsageError(f"the installed package is to be tested, not {PACKAGE}")
    global _stderr
    _stderr = os.dup(2)


def pytest_runtest_logstart() -> None:
    """Have all stacks written where a test hangs.

    pytest's own `faulthandler_timeout` starts and ends a thread for each test, which takes longer
    than half of them.
    """
    global _armed
    if time.monotonic() > _armed + _HANGS / 4:
        _armed = time.monotonic()
        faulthandler.dump_traceback_later(_HANGS, file=_stderr)


def pytest_unconfigure() -> None:
    faulthandler.cancel_dump_traceback_later()
    _HF_HOME.cleanup()


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have executors read a lost job's log again for one second, in place of four.

    Here its tail is late only where the test says so.
    """
    from hfexecutor.runtime import runner

    rules = runner.RULES._replace(patience=(0.1, 0.25, 0.5))
    monkeypatch.setattr(runner, "RULES", rules)


@pytest.fixture
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have executors look for the job of an unclear launch for one second, in place of four to ten.

    Here lists lag only where the test says so.
    """
    from hfexecutor.runtime import runner

    rules = runner.RULES._replace(looks=(0.1, 0.25, 0.5), lag=1.0)
    monkeypatch.setattr(runner, "RULES", rules)


@pytest.fixture(scope="session")
def live_token() -> str:
    """Return the token for the real Hub; only tests marked ``live`` may ask for it."""
    if not _LIVE_TOKEN:
        pytest.skip("no HF_TOKEN: the real Hub is not called")
    return _LIVE_TOKEN


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Return a real browser, without a window; tests that ask for it are slow."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    # As root, which CI is, Chromium has no sandbox; it sees pages of these tests alone.
    args = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=args)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Open tabs; in the end, none has complained of anything."""
    complaints: list[str] = []
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> Any:
            context = chromium.new_context(**{"viewport": WIDE, **options})
            stack.callback(context.close)
            tab = context.new_page()
            tab.set_default_timeout(20_000)
            tab.on("console", lambda message: complaints.append(message.text))
            tab.on("pageerror", lambda error: complaints.append(str(error)))
            tab.on("dialog", lambda dialog: complaints.append(dialog.message))
            return tab

        yield start
    assert complaints == []


@pytest.fixture(scope="module")
def no_progress_bars() -> Iterator[None]:
    """Have huggingface_hub draw no bars in a module that uses buckets itself."""
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    disable_progress_bars()
    yield
    enable_progress_bars()
