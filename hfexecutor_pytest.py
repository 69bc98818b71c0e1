"""A plugin of pytest: an embedded Hub for tests, and executors on it.

It lies beside the package, not in it: pytest imports it in every run of an environment that has
hfexecutor, and the package is imported only when a test asks for one of these fixtures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfexecutor import HubExecutor
    from hfexecutor.local import LocalHub

_MARKS = (
    "local_hub: executors that the test, or what it calls, makes itself run on the embedded Hub",
    "hub_executor(**options): options of the executor that the fixture of that name makes",
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known."""
    for mark in _MARKS:
        config.addinivalue_line("markers", mark)


@pytest.fixture(scope="session")
def local_hub() -> Iterator[LocalHub]:
    """Return an embedded Hub, one for the whole session."""
    from hfexecutor.local import LocalHub  # noqa: PLC0415 - for who asks for it

    with LocalHub() as hub:
        yield hub


@pytest.fixture
def hub_executor(request: pytest.FixtureRequest, local_hub: LocalHub) -> Iterator[HubExecutor]:
    """Return an executor on that Hub, of two workers, with the options of the mark `hub_executor`.

    When the test is over its calls are finished, and its jobs gone.
    """
    from hfexecutor import HubExecutor  # noqa: PLC0415 - for who asks for it

    mark = request.node.get_closest_marker("hub_executor")
    if mark is not None and mark.args:
        raise pytest.UsageError(
            "the mark hub_executor has its options by name, like hub_executor(max_workers=4)"
        )
    options = {"max_workers": 2, **(mark.kwargs if mark is not None else {})}
    with HubExecutor(endpoint=local_hub.endpoint, token=local_hub.token, **options) as executor:
        yield executor


@pytest.fixture(autouse=True)
def _executors_on_the_local_hub(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have executors run on the embedded Hub, for a test that is marked `local_hub`."""
    if request.node.get_closest_marker("local_hub") is None:
        yield
        return
    hub: LocalHub = request.getfixturevalue("local_hub")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HFEXECUTOR_ENDPOINT", hub.endpoint)
        patch.setenv("HF_TOKEN", hub.token)
        yield
