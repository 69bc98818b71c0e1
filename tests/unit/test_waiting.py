"""``as_completed`` and ``wait`` of ours beside the stdlib's, of which they are."""

from __future__ import annotations

import concurrent.futures
import gc
import inspect
import weakref

import pytest

import hfexecutor
from hfexecutor import HubFuture

BOTH = pytest.mark.parametrize("module", [concurrent.futures, hfexecutor], ids=lambda m: m.__name__)


@pytest.fixture
def futures():
    done, failed, pending = HubFuture(), HubFuture(), HubFuture()
    done.set_result(1)
    failed.set_exception(ValueError())
    return done, failed, pending


@BOTH
def test_the_same_is_waited_for(module, futures):
    done, failed, pending = futures

    result = module.wait(iter(futures), 0)

    assert result.done == {done, failed}
    assert result.not_done == {pending}
    assert result == (result.done, result.not_done)
    assert module.wait(futures, return_when=concurrent.futures.FIRST_EXCEPTION).not_done
    with pytest.raises(ValueError, match="return"):
        module.wait([pending], return_when="whenever")


@BOTH
def test_the_same_is_given_as_it_ends(module, futures):
    completed = module.as_completed(futures, timeout=0)

    assert {next(completed), next(completed)} == set(futures[:2])
    with pytest.raises(TimeoutError, match=r"1 \(of 3\) futures unfinished"):
        next(completed)


@BOTH
def test_what_was_given_is_not_kept(module):
    def ended():
        future = HubFuture()
        future.set_result(None)
        return future

    completed = module.as_completed([ended(), ended()])
    given = weakref.ref(next(completed))

    gc.collect()
    assert given() is None


@pytest.mark.parametrize("name", ["as_completed", "wait"])
def test_the_parameters_are_the_same(name):
    ours, theirs = (
        inspect.signature(getattr(module, name)).parameters.values()
        for module in (hfexecutor, concurrent.futures)
    )

    assert [(p.name, p.default, p.kind) for p in ours] == [
        (p.name, p.default, p.kind) for p in theirs
    ]
