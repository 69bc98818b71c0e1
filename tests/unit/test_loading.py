"""Imports without garbage collection: afterwards the collector is as it was."""

from __future__ import annotations

import gc
import sys
import weakref

import pytest

from hfexecutor.loading import uncollected

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] == (3, 12), reason="there something is frozen from the start"
)


@pytest.fixture(autouse=True)
def enabled():
    gc.enable()
    yield
    gc.enable()


def test_nothing_is_collected_meanwhile():
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_rests_goes_on_resting():
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()


def test_the_collector_works_again_after_an_import_that_failed():
    with pytest.raises(ImportError), uncollected():
        import hfexecutor.no_such_module  # noqa: F401
    assert gc.isenabled()


def test_what_was_made_meanwhile_is_old_and_still_collected():
    class Ring:
        def __init__(self):
            self.itself = self

    before = Ring()
    with uncollected():
        meanwhile = Ring()
    there = [weakref.ref(before), weakref.ref(meanwhile)]
    assert meanwhile not in gc.get_objects(generation=0)
    assert gc.get_freeze_count() == 0

    del before, meanwhile
    gc.collect()
    assert [ring() for ring in there] == [None, None]


def test_what_somebody_has_frozen_stays_frozen():
    gc.collect()
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with uncollected():
            assert gc.isenabled()
        assert gc.get_freeze_count() == frozen > 0
    finally:
        gc.unfreeze()
