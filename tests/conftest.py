"""What holds for every test: no token, no endpoint and no cache of the person who runs it."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path

import pytest

# huggingface_hub reads these once, when it is first imported: so they are set before that, here.
_LIVE_TOKEN = os.environ.get("HF_TOKEN")
for _name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "HFEXECUTOR_ENDPOINT"):
    os.environ.pop(_name, None)
_HF_HOME = tempfile.TemporaryDirectory(prefix="hfexecutor-tests-")
os.environ["HF_HOME"] = _HF_HOME.name

# Found, not imported: a test of one module should not fail because another cannot be imported.
_SPEC = importlib.util.find_spec("hfexecutor")
assert _SPEC is not None
assert _SPEC.origin is not None
PACKAGE = Path(_SPEC.origin).parent


def pytest_report_header() -> list[str]:
    """Say what is tested: a checkout, or what was installed from a wheel."""
    import huggingface_hub

    return [f"hfexecutor from {PACKAGE}", f"huggingface_hub {huggingface_hub.__version__}"]


def pytest_configure() -> None:
    installed = "site-packages" in PACKAGE.parts
    if os.environ.get("HFEXECUTOR_TEST_INSTALLED") and not installed:
        raise pytest.UsageError(f"the installed package is to be tested, not {PACKAGE}")


def pytest_unconfigure() -> None:
    _HF_HOME.cleanup()


@pytest.fixture(scope="session")
def live_token() -> str:
    """Return the token for the real Hub; only tests marked ``live`` may ask for it."""
    if not _LIVE_TOKEN:
        pytest.skip("no HF_TOKEN: the real Hub is not called")
    return _LIVE_TOKEN
