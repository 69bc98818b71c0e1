"""Options are checked before anything is spent, and the message names the option."""

from __future__ import annotations

import dataclasses
import enum
import pickle
import re
import subprocess
import threading
from types import MappingProxyType

import pytest

from hfexecutor.environment import client_python, default_image
from hfexecutor.errors import UnpicklableCallError
from hfexecutor.options import LONGEST_VARIABLE, Options

DEFAULTS = {
    "max_workers": 8,
    "flavor": "cpu-basic",
    "image": None,
    "python": None,
    "dependencies": None,
    "env": None,
    "secrets": None,
    "labels": None,
    "timeout": None,
    "idle_timeout": 60.0,
    "reuse_workers": True,
    "slots_per_job": 1,
    "call_timeout": None,
    "max_retries": 2,
    "initializer": None,
    "initargs": (),
    "give_up_after": 300.0,
}


class Flavor(enum.Enum):
    UPGRADE = "cpu-upgrade"


def check(**options):
    return Options.check(**{**DEFAULTS, **options})


def test_the_defaults_are_good():
    options = check()

    assert options.image == default_image()
    assert (options.python, options.timeout, options.call_timeout) == (None, None, None)
    assert (options.dependencies, options.env, options.secrets, options.labels) == ((), {}, {}, {})
    assert options.initializer is None


def test_options_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        check().flavor = "other"


def test_what_the_caller_does_with_a_dict_later_is_not_seen():
    env = {"NAME": "a"}
    options = check(env=env)
    env["NAME"] = "b"

    assert options.env == {"NAME": "a"}


def test_secrets_do_not_show():
    assert "hunter2" not in repr(check(secrets={"PASSWORD": "hunter2"}))


LONGEST = {"AB": "x" * (LONGEST_VARIABLE - len("AB=") - 1)}
GOOD = {
    "a flavor of huggingface_hub's enum": ("flavor", Flavor.UPGRADE, "cpu-upgrade"),
    "an image": ("image", "me/image:1", "me/image:1"),
    "dependencies": ("dependencies", iter(["numpy>=2"]), ("numpy>=2",)),
    "a timeout in seconds": ("timeout", 90, 90.0),
    "a timeout in minutes": ("timeout", "30m", 1800.0),
    "a timeout in hours": ("timeout", " 1.5 h ", 5400.0),
    "a timeout in days": ("timeout", "2d", 172800.0),
    "a timeout in seconds as text": ("timeout", "90s", 90.0),
    "a timeout in bare seconds as text": ("timeout", "90", 90.0),
    "slots": ("slots_per_job", 4, 4),
    "as many slots as there are CPUs": ("slots_per_job", "auto", "auto"),
    "a time limit for calls": ("call_timeout", 1, 1.0),
    "no second chances": ("max_retries", 0, 0),
    "an environment": ("env", {"A_1": ""}, {"A_1": ""}),
    "a secret of one letter": ("secrets", {"A": "b"}, {"A": "b"}),
    "a label": ("labels", {"team.a-b_c": ""}, {"team.a-b_c": ""}),
    "one job per call": ("reuse_workers", False, False),
    "the longest variable": ("env", LONGEST, LONGEST),
    "an environment that is no dict": ("env", MappingProxyType({"AB": "c"}), {"AB": "c"}),
}


@pytest.mark.parametrize(("name", "given", "taken"), GOOD.values(), ids=GOOD)
def test_good_options_are_taken(name, given, taken):
    assert getattr(check(**{name: given}), name) == taken


BAD = [
    ("max_workers", 0, ValueError, "max_workers must be greater than 0"),
    ("max_workers", -1, ValueError, "max_workers must be greater than 0"),
    ("max_workers", 0.5, TypeError, "max_workers must be a whole number, not 0.5"),
    ("max_workers", "8", TypeError, "max_workers must be a whole number, not '8'"),
    ("max_workers", None, TypeError, "max_workers must be a whole number, not None"),
    ("max_retries", -1, ValueError, "max_retries must be 0 or more: it counts second chances"),
    ("max_retries", 1.5, TypeError, "max_retries must be a whole number, not 1.5"),
    ("flavor", "", ValueError, "flavor must not be empty; the cheapest is 'cpu-basic'"),
    ("flavor", " ", ValueError, "flavor must not be empty; the cheapest is 'cpu-basic'"),
    ("flavor", None, TypeError, "flavor must be a string such as 'cpu-basic', not None"),
    ("image", 3, TypeError, "image must be a string, the name of a container image, not 3; leave"),
    ("image", "", ValueError, "image must be the name of a container image, not ''; leave it out"),
    ("image", "a b", ValueError, "image must be the name of a container image, not 'a b'"),
    ("reuse_workers", "no", TypeError, "reuse_workers must be True or False, not 'no'"),
    ("reuse_workers", 0, TypeError, "reuse_workers must be True or False, not 0"),
    ("timeout", 0, ValueError, "timeout must be greater than 0 seconds, not 0"),
    ("timeout", "0s", ValueError, "timeout must be greater than 0 seconds, not 0.0"),
    ("timeout", "soon", ValueError, "timeout must be seconds or like '90s', '30m', '6h', '2d'"),
    ("timeout", "-5m", ValueError, "timeout must be seconds or like"),
    ("timeout", float("nan"), ValueError, "timeout must be greater than 0 seconds, not nan"),
    ("timeout", float("inf"), ValueError, "timeout must be finite"),
    ("timeout", "9" * 400, ValueError, "timeout must be finite"),
    ("timeout", [1], TypeError, "timeout must be a number of seconds, not [1]"),
    ("idle_timeout", 0, ValueError, "idle_timeout must be greater than 0 seconds, not 0"),
    ("idle_timeout", "1m", TypeError, "idle_timeout must be a number of seconds, not '1m'"),
    ("idle_timeout", True, TypeError, "idle_timeout must be a number of seconds, not True"),
    ("call_timeout", -1, ValueError, "call_timeout must be greater than 0 seconds, not -1"),
    ("give_up_after", 0, ValueError, "give_up_after must be greater than 0 seconds, not 0"),
    ("slots_per_job", 0, ValueError, "slots_per_job must be 1 or more, or 'auto', not 0"),
    ("slots_per_job", True, ValueError, "slots_per_job must be 1 or more, or 'auto', not True"),
    ("slots_per_job", "all", ValueError, "slots_per_job must be 1 or more, or 'auto', not 'all'"),
    ("env", {"A": "b"}, ValueError, "does not accept 'A' as a name in env: letters, digits and"),
    ("env", {"1A": "b"}, ValueError, "does not accept '1A' as a name in env"),
    ("env", {"NAME\n": "b"}, ValueError, "does not accept 'NAME\\n' as a name in env"),
    ("env", {"AB": 1}, TypeError, "env must map strings to strings; look at 'AB'"),
    ("env", ["a"], TypeError, "env must be a dict of strings, like {'NAME': 'value'}, not list"),
    ("env", "A=1", TypeError, "env must be a dict of strings, like {'NAME': 'value'}, not str"),
    ("env", "", TypeError, "env must be a dict of strings"),
    ("env", {1: "b"}, TypeError, "env must map strings to strings; look at 1"),
    ("env", {"AB": "a\0b"}, ValueError, "the value of 'AB' in env has a NUL"),
    ("env", {"AB": "\udc80"}, ValueError, "the value of 'AB' in env is no text that UTF-8 can"),
    ("env", {"ABC": LONGEST["AB"]}, ValueError, "may be 131,070 bytes, and are 131,071. Pass"),
    ("env", {f"A{i}": "x" * 10**5 for i in range(8)}, ValueError, "are 800,032 bytes in all, and"),
    ("env", {"HFEXECUTOR_KEY": ""}, ValueError, "names that begin with HFEXECUTOR_ are taken"),
    ("secrets", {"hfexecutor_x": ""}, ValueError, "are taken: 'hfexecutor_x' in secrets"),
    ("secrets", {"_A": "b"}, ValueError, "secrets: letters, digits and underscores, beginning"),
    ("secrets", {"A": "\0"}, ValueError, "the value of 'A' in secrets has a NUL"),
    ("secrets", {"A": "ü" * 70_000}, ValueError, "may be 131,070 bytes, and are 140,001. Pass"),
    ("secrets", {"A-B": "b"}, ValueError, "does not accept 'A-B' as a name in secrets"),
    ("secrets", {"AB": None}, TypeError, "secrets must map strings to strings; look at 'AB'"),
    ("labels", [1], TypeError, "labels must be a dict of strings, like {'NAME': 'value'}, not"),
    ("labels", {"": "a"}, ValueError, "does not accept the label ''='a': at most 100 letters"),
    ("labels", {"a": "b c"}, ValueError, "does not accept the label 'a'='b c'"),
    ("labels", {"a": "b" * 101}, ValueError, "at most 100 letters"),
    ("labels", {"a": 1}, TypeError, "labels must map strings to strings; look at 'a'"),
    ("labels", {"hfexecutor-run": "a"}, ValueError, "labels that begin with 'hfexecutor' are"),
    ("dependencies", "numpy", TypeError, "dependencies must be a list of requirements"),
    (
        "dependencies",
        3,
        TypeError,
        "dependencies must be a list of requirements, like ['numpy>=2']",
    ),
    ("dependencies", {"numpy": "2"}, TypeError, "dependencies must be a list of requirements"),
    ("python", "3", ValueError, "python must be a version like"),
    ("python", 3.11, TypeError, f"python must be a string like {client_python()!r}, not 3.11"),
    ("initializer", 5, TypeError, "initializer must be a callable, not int"),
    ("initargs", 3, TypeError, "initargs must be a tuple of the initializer's arguments, like"),
    ("initargs", "ab", TypeError, "like (1,) for one; not str"),
]


@pytest.mark.parametrize(("name", "given", "error", "words"), BAD, ids=lambda part: str(part)[:30])
def test_bad_options_are_named(name, given, error, words):
    with pytest.raises(error, match=re.escape(words)) as caught:
        check(**{name: given})

    assert type(caught.value) is error


@pytest.mark.parametrize("value", ["hunter2\0", "hunter2\udc80", "hunter2" * 20_000, 2, b"hunter2"])
def test_the_value_of_a_secret_is_in_no_message(value):
    with pytest.raises((TypeError, ValueError), match="'PASSWORD'") as caught:
        check(secrets={"PASSWORD": value})

    assert "hunter2" not in str(caught.value)


def test_secrets_that_are_no_dict_are_not_shown():
    with pytest.raises(TypeError, match="secrets must be a dict of strings") as caught:
        check(secrets="PASSWORD=hunter2")

    assert "hunter2" not in str(caught.value)


def test_the_longest_variable_is_what_a_process_can_have():
    subprocess.run(["/bin/true"], env=LONGEST, check=True)


def test_an_image_of_the_users_own_is_asked_for_our_python():
    assert check(image="me/image").python == client_python()


def test_the_initializer_is_frozen_at_once():
    args = [1]
    options = check(initializer=print, initargs=args)
    args.append(2)

    assert pickle.loads(options.initializer) == (print, (1,))


def test_an_initializer_that_cannot_travel_is_refused():
    with pytest.raises(UnpicklableCallError) as caught:
        check(initializer=print, initargs=(threading.Lock(),))

    assert str(caught.value).startswith("initializer or initargs cannot be pickled (TypeError: ")
