"""Which packages lie where in a job, and which process can run which call."""

from __future__ import annotations

import json

import pytest

from hfexecutor.remote.effects import Install
from hfexecutor.remote.environments import (
    FAILED,
    READY,
    WAITING,
    Environments,
    Need,
    World,
    need_of,
)


def need(requirements=None, archives=None) -> bytes:
    pairs = [[text.partition("==")[0], text] for text in requirements or ()]
    return json.dumps({"requirements": pairs, "archives": archives or []}).encode()


@pytest.fixture
def environments():
    return Environments()


def test_nothing_is_needed_until_somebody_says_so(environments):
    assert environments.need(0).state == READY
    assert environments.next_install([0, 1, 2]) is None


def test_what_is_needed_is_installed_once(environments):
    environments.learn(1, need(["a==1", "b==2"]))
    environments.learn(2, need(["b==2"]))

    assert environments.next_install([1, 2]) == Install(0, ["a==1", "b==2"])
    assert environments.need(1).state == WAITING
    environments.installed()

    assert environments.need(1).state == READY
    assert environments.next_install([1, 2]) is None
    assert environments.need(2).state == READY
    assert environments.need(2).environment == 0


def test_one_installation_runs_at_a_time(environments):
    environments.learn(1, need(["a==1"]))
    environments.learn(2, need(["b==1"]))

    assert environments.next_install([1, 2]) == Install(0, ["a==1"])
    assert environments.next_install([1, 2]) is None
    environments.installed()

    assert environments.next_install([1, 2]) == Install(0, ["a==1", "b==1"])


def test_another_version_gets_an_environment_of_its_own(environments):
    environments.learn(1, need(["a==1"]))
    environments.learn(2, need(["a==2"]))
    environments.learn(3, need(["a==1", "c==1"]))
    environments.next_install([1])
    environments.installed()

    assert environments.next_install([2]) == Install(1, ["a==2"])
    environments.installed()
    assert environments.next_install([3]) == Install(0, ["a==1", "c==1"])


def test_a_failure_is_that_of_the_call_that_needed_it(environments):
    environments.learn(1, need(["nothing==1"]))
    environments.learn(2, need(["a==1"]))
    environments.next_install([1, 2])

    assert environments.install_failed("no such thing") is None

    assert (environments.need(1).state, environments.need(1).failure) == (FAILED, "no such thing")
    assert environments.next_install([1, 2]) == Install(0, ["a==1"])


def test_what_cannot_be_installed_beside_the_rest_is_tried_by_itself(environments):
    environments.learn(1, need(["a==1"]))
    environments.learn(2, need(["b==1"]))
    environments.next_install([1])
    environments.installed()
    environments.next_install([2])

    assert environments.install_failed("a needs b==2") == Install(1, ["b==1"])
    environments.installed()

    assert environments.need(2).environment == 1
    assert environments.need(1).environment == 0


def test_a_failure_by_itself_is_final(environments):
    environments.learn(1, need(["a==1"]))
    environments.learn(2, need(["b==1"]))
    environments.next_install([1])
    environments.installed()
    environments.next_install([2])
    environments.install_failed("a needs b==2")

    assert environments.install_failed("there is no b") is None
    assert environments.need(2).failure == "there is no b"


def test_what_is_said_again_changes_nothing(environments):
    environments.learn(1, need(["a==1"]))
    environments.next_install([1])
    environments.installed()
    environments.learn(1, need(["a==1"]))

    assert environments.need(1).state == READY


# --- processes ----------------------------------------------------------------------------------


def ready(environment=None, archives=None) -> Need:
    made = need_of(need([], list((archives or {}).items())))
    made.environment = environment
    return made


def test_a_new_process_suits_every_call():
    assert World().suits(ready())
    assert World().suits(ready(3, {"mine": 7}))


def test_no_process_suits_a_call_whose_packages_are_not_here():
    assert not World().suits(need_of(need(["a==1"])))


def test_what_a_call_lacks_is_added_once():
    world = World()

    assert world.add(ready(0, {"mine": 7})) == (0, [7])
    assert world.add(ready(0, {"mine": 7, "other": 8})) == (None, [8])
    assert world.suits(ready())


def test_a_process_has_one_environment():
    world = World()
    world.add(ready(0))

    assert not world.suits(ready(1))
    assert world.suits(ready(0))


def test_a_process_has_one_version_of_the_clients_code():
    world = World()
    world.add(ready(None, {"mine": 7}))

    assert not world.suits(ready(None, {"mine": 8}))
    assert world.suits(ready(None, {"mine": 7}))
    assert world.suits(ready(None, {"other": 9}))
