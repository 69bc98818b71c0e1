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

from hfexecutor import HubExecutor
from hfexecutor.environment import client_python, default_image
from hfexecutor.errors import UnpicklableCallError
from hfexecutor.hub.limits import ONE_VARIABLE
from hfexecutor.options import Options
from hfexecutor.payload.requirements import Dependencies


class Flavor(enum.Enum):
    UPGRADE = "cpu-upgrade"


check = Options.check


def test_the_defaults_are_good():
    options = check()

    assert options.max_workers == 8
    assert options.image == default_image()
    assert (options.python, options.timeout, options.call_timeout) == (None, 12 * 3600, None)
    assert (options.flavor, options.dependencies) == (("cpu-basic",), Dependencies(auto=True))
    assert (options.env, options.secrets, options.labels, options.volumes) == ({}, {}, {}, ())
    assert options.initializer is None


def test_a_view_waits_for_hardware_as_long_as_it_says_itself():
    options = check(flavor=["a", "b"], scheduling_timeout="10m", max_retries=0)
    assert options.of_calls.scheduling_timeout == 600
    assert options.with_options(scheduling_timeout=5).of_calls.scheduling_timeout == 5
    assert options.with_options(scheduling_timeout=None).scheduling_timeout == 300
    assert options.with_options(flavor="c").scheduling_timeout == 600  # of no use, and no slip
    assert check().with_options(flavor=["a", "b"], scheduling_timeout=5).scheduling_timeout == 5
    with pytest.raises(ValueError, match="there is only 'c': make flavor a list"):
        options.with_options(flavor="c", scheduling_timeout=5)


@pytest.mark.parametrize(
    ("call_timeout", "timeout"), [(60, 12 * 3600), ("6h", 12 * 3600 + 10), ("1d", 48 * 3600 + 10)]
)
def test_without_a_timeout_jobs_live_long_enough_for_two_calls(call_timeout, timeout):
    assert check(call_timeout=call_timeout).timeout == timeout


def test_a_timeout_that_no_call_fits_into_is_refused():
    assert check(timeout=70, call_timeout="1m").timeout == 70
    words = "timeout=69 s would end jobs before a call has had its call_timeout=60 s: make it 70 s"
    with pytest.raises(ValueError, match=words):
        check(timeout=69, call_timeout="1m")


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


async def nobody_awaits():
    pass


LONGEST = {"AB": "x" * (ONE_VARIABLE - len("AB=") - 1)}
GOOD = {
    "a flavor of huggingface_hub's enum": ("flavor", Flavor.UPGRADE, ("cpu-upgrade",)),
    "flavors in their order": (
        "flavor",
        iter(["t4-small", Flavor.UPGRADE]),
        ("t4-small", "cpu-upgrade"),
    ),
    "an image": ("image", "me/image:1", "me/image:1"),
    "dependencies": (
        "dependencies",
        iter(["numpy>=2"]),
        Dependencies(auto=False, given=("numpy>=2",)),
    ),
    "no dependencies": ("dependencies", None, Dependencies(auto=False)),
    "the flavor that is the default": ("flavor", None, ("cpu-basic",)),
    "no larger flavor after a kill": ("on_memory_error", None, False),
    "how long a flavor is waited for": ("scheduling_timeout", None, 300.0),
    "package data": ("package_data", iter(["a/*.json"]), ("a/*.json",)),
    "no local code": ("local_code_limit", 0, 0),
    "a timeout in seconds": ("timeout", 90, 90.0),
    "a timeout in minutes": ("timeout", "30m", 1800.0),
    "a timeout in hours": ("timeout", " 1.5 h ", 5400.0),
    "a timeout in days": ("timeout", "2d", 172800.0),
    "a timeout in seconds as text": ("timeout", "90s", 90.0),
    "a timeout in bare seconds as text": ("timeout", "90", 90.0),
    "as many workers as nobody says": ("max_workers", None, 8),
    "the shortest timeout": ("timeout", 10, 10.0),
    "an idle timeout as text": ("idle_timeout", "60s", 60.0),
    "a long idle timeout": ("idle_timeout", "90d", 7_776_000.0),
    "a time limit for calls as text": ("call_timeout", "5m", 300.0),
    "a long time limit for calls": ("call_timeout", "90d", 7_776_000.0),
    "no time limit for calls": ("call_timeout", float("inf"), None),
    "a patience as text": ("give_up_after", "5m", 300.0),
    "a patience without end": ("give_up_after", float("inf"), float("inf")),
    "processes for one call each": ("max_tasks_per_child", 1, 1),
    "processes for ever": ("max_tasks_per_child", None, None),
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
    ("max_tasks_per_child", 0, ValueError, "max_tasks_per_child must be >= 1"),
    ("max_tasks_per_child", 1.5, TypeError, "max_tasks_per_child must be an integer"),
    ("max_retries", -1, ValueError, "max_retries must be 0 or more: it counts second chances"),
    ("max_retries", 1.5, TypeError, "max_retries must be a whole number, not 1.5"),
    ("flavor", "", ValueError, "flavor must not be empty; the cheapest is 'cpu-basic'"),
    ("flavor", " ", ValueError, "flavor must not be empty; the cheapest is 'cpu-basic'"),
    ("flavor", 3, TypeError, "flavor must be a string such as 'cpu-basic', or a list of such"),
    ("flavor", [], ValueError, "flavor must not be an empty list; the cheapest is 'cpu-basic'"),
    ("flavor", ["a", ""], ValueError, "flavor must not be empty"),
    ("flavor", ["a", 3], TypeError, "flavor must be a string such as 'cpu-basic', or a list of"),
    ("flavor", ["a", "b", "a"], ValueError, "flavor names 'a' twice: each is tried in its place"),
    ("flavor", {"a"}, TypeError, "flavor must be a list, for its order says which is"),
    ("on_memory_error", "retry", ValueError, 'on_memory_error must be "next flavor", or None to'),
    ("on_memory_error", "next flavor", ValueError, "there is only 'cpu-basic': make flavor a list"),
    ("scheduling_timeout", "10m", ValueError, "and there is only 'cpu-basic': make flavor a list"),
    ("scheduling_timeout", 0, ValueError, "scheduling_timeout must be greater than 0 seconds"),
    ("package_data", "a/*", TypeError, "package_data must be a list of patterns, like"),
    ("package_data", [3], TypeError, "package_data must be texts"),
    ("local_code_limit", -1, ValueError, "local_code_limit must be 0 or more bytes, not -1"),
    ("local_code_limit", "8 MB", TypeError, "local_code_limit must be a whole number"),
    ("volumes", "hf://a/b:/c", TypeError, "volumes must be a list, like 'hf://datasets/"),
    ("volumes", [3], TypeError, "volumes must be texts or huggingface_hub.Volume"),
    ("volumes", ["hf://a/b"], ValueError, "volumes has 'hf://a/b', and wants something like"),
    ("volumes", ["hf://a/b:/x", "hf://c/d:/x"], ValueError, "two for the mount path '/x'"),
    ("secrets", ["NOT_SET_HERE"], ValueError, "not set in this environment: NOT_SET_HERE"),
    ("env", ["AB=c"], ValueError, "not set in this environment: AB=c (in env); give values as"),
    ("env", [3], TypeError, "env must be a list of names of variables, not 3"),
    ("env", "AB", TypeError, "or a list of names of this environment, not str"),
    ("dependencies", "numpy", TypeError, "dependencies must be a list of requirements, like"),
    ("dependencies", ["-r x"], ValueError, "not a requirement: '-r x'"),
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
    ("timeout", [1], TypeError, "timeout must be a number of seconds, or a text like '90s' or"),
    ("timeout", 5, ValueError, "needs some 10 s until it takes its first call: 5 is too short"),
    ("timeout", "5s", ValueError, "'5s' is too short. To limit a call use call_timeout"),
    ("keep_for", float("inf"), ValueError, "keep_for must be finite: a job that waits is paid for"),
    ("detach", 1, TypeError, "detach must be True or False, not 1"),
    ("idle_timeout", float("inf"), ValueError, "idle_timeout must be finite: it is what ends"),
    ("idle_timeout", "soon", ValueError, "idle_timeout must be seconds or like '90s', '30m'"),
    ("call_timeout", "0s", ValueError, "call_timeout must be greater than 0 seconds, not 0.0"),
    ("call_timeout", float("nan"), ValueError, "call_timeout must be greater than 0 seconds"),
    ("idle_timeout", 0, ValueError, "idle_timeout must be greater than 0 seconds, not 0"),
    ("idle_timeout", True, TypeError, "idle_timeout must be a number of seconds, or a text like"),
    ("idle_timeout", None, TypeError, "idle_timeout must be a number of seconds, or a text like"),
    ("call_timeout", -1, ValueError, "call_timeout must be greater than 0 seconds, not -1"),
    ("give_up_after", 0, ValueError, "give_up_after must be greater than 0 seconds, not 0"),
    ("slots_per_job", 0, ValueError, "slots_per_job must be 1 or more, or 'auto', not 0"),
    ("slots_per_job", True, ValueError, "slots_per_job must be 1 or more, or 'auto', not True"),
    ("slots_per_job", "all", ValueError, "slots_per_job must be 1 or more, or 'auto', not 'all'"),
    ("env", {"A": "b"}, ValueError, "does not accept 'A' as a name in env: letters, digits and"),
    ("env", {"1A": "b"}, ValueError, "does not accept '1A' as a name in env"),
    ("env", {"NAME\n": "b"}, ValueError, "does not accept 'NAME\\n' as a name in env"),
    ("env", {"AB": 1}, TypeError, "env must map strings to strings; look at 'AB'"),
    ("env", ["a"], ValueError, "not set in this environment: a (in env)"),
    ("env", "A=1", TypeError, "env must be a dict of strings, like {'NAME': 'value'}, or a list"),
    ("env", "", TypeError, "env must be a dict of strings"),
    ("env", {1: "b"}, TypeError, "env must map strings to strings; look at 1"),
    ("env", {"AB": "a\0b"}, ValueError, "the value of 'AB' in env has a NUL"),
    ("env", {"AB": "\udc80"}, ValueError, "the value of 'AB' in env is no text that UTF-8 can"),
    ("env", {"ABC": LONGEST["AB"]}, ValueError, "may be 131,070 bytes, and are 131,071. Pass"),
    ("env", {f"A{i}": "x" * 10**5 for i in range(8)}, ValueError, "are 800,032 bytes in all, and"),
    ("env", {"HFEXECUTOR_KEY": ""}, ValueError, "names that begin with HFEXECUTOR_ are taken"),
    ("env", {"PATH": "/bin"}, ValueError, "'PATH' in env would keep the job from finding uv, or"),
    ("secrets", {"PATH": "/bin"}, ValueError, "set os.environ['PATH'] in an initializer"),
    ("env", {"PYTHONHOME": "/"}, ValueError, "'PYTHONHOME' in env would keep the job from"),
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
    ("initializer", nobody_awaits, TypeError, "initializer is an async function, which nobody"),
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


def test_an_option_that_does_not_exist_is_named():
    with pytest.raises(TypeError, match="no such option: colour, sizes"):
        check(sizes=1, colour=2)


def test_an_argument_of_an_initializer_needs_none():
    assert check(initargs=[1]).initializer is None


# --- names of this environment ------------------------------------------------------------------


def test_variables_are_given_by_name(monkeypatch):
    monkeypatch.setenv("MY_NAME", "me")
    monkeypatch.setenv("MY_KEY", "hunter2")
    options = check(env=["MY_NAME"], secrets=("MY_KEY",))

    assert (options.env, options.secrets) == ({"MY_NAME": "me"}, {"MY_KEY": "hunter2"})


def test_the_token_is_also_the_one_that_was_left_by_a_login(monkeypatch, tmp_path):
    from huggingface_hub import constants

    (tmp_path / "token").write_text("hf_left_here")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))

    assert check(secrets=["HF_TOKEN"]).secrets == {"HF_TOKEN": "hf_left_here"}


def test_volumes_are_written_as_the_command_line_writes_them():
    from huggingface_hub import Volume

    volume = Volume(type="bucket", source="org/name", mount_path="/out")
    taken = check(volumes=["hf://datasets/org/name@main/sub:/data:ro", volume]).volumes

    assert [v.to_dict() for v in taken] == [
        {
            "type": "dataset",
            "source": "org/name",
            "mountPath": "/data",
            "revision": "main",
            "readOnly": True,
            "path": "sub",
        },
        {"type": "bucket", "source": "org/name", "mountPath": "/out"},
    ]


@pytest.mark.parametrize(
    ("dependencies", "passed"), [("auto", True), (["a"], True), (None, False), ([], False)]
)
def test_jobs_are_told_of_indexes_where_they_install(monkeypatch, dependencies, passed):
    monkeypatch.setenv("UV_INDEX", "https://me:secret@host/simple")
    secrets = check(dependencies=dependencies, secrets={"A": "b"}).secrets

    assert secrets.get("UV_INDEX") == ("https://me:secret@host/simple" if passed else None)
    assert secrets["A"] == "b"


def test_an_index_that_the_user_names_counts(monkeypatch):
    monkeypatch.setenv("UV_INDEX", "https://here")

    assert check(secrets={"UV_INDEX": "https://there"}).secrets == {"UV_INDEX": "https://there"}


# --- the script's header ------------------------------------------------------------------------

HEADER = """\
# /// script
# dependencies = ["numpy>=2"]
# [tool.hf-jobs]
# flavor = "a10g-small"
# timeout = "30m"
# image = "org/image:1"
# env = { AA = "script", BB = "script" }
# secrets = ["MY_KEY", "OTHER"]
# labels = { team = "x" }
# name = "nightly"
# namespace = "my-team"
# volumes = ["hf://datasets/org/name:/data", "hf://datasets/org/name:/more"]
# ///
"""


@pytest.fixture
def header(monkeypatch, tmp_path):
    (tmp_path / "script.py").write_text(HEADER)
    monkeypatch.setattr("__main__.__file__", str(tmp_path / "script.py"), raising=False)
    monkeypatch.setenv("MY_KEY", "hunter2")
    monkeypatch.setenv("OTHER", "here")


@pytest.mark.usefixtures("header")
def test_the_header_of_the_script_gives_defaults():
    options = check()

    assert (options.flavor, options.timeout) == (("a10g-small",), 1800.0)
    assert options.image == "org/image:1"
    assert options.dependencies == Dependencies(auto=False, given=("numpy>=2",))
    assert options.env == {"AA": "script", "BB": "script"}
    assert options.secrets == {"MY_KEY": "hunter2", "OTHER": "here"}
    assert options.labels == {"team": "x", "name": "nightly"}
    assert [volume.mount_path for volume in options.volumes] == ["/data", "/more"]


@pytest.mark.usefixtures("header")
def test_what_the_user_gives_counts():
    options = check(
        flavor="cpu-basic",
        timeout="1h",
        dependencies=["auto"],
        env={"BB": "user"},
        secrets={"OTHER": "user"},
        labels={"team": "y"},
        volumes=["hf://buckets/org/name:/data"],
    )

    assert (options.flavor, options.timeout) == (("cpu-basic",), 3600.0)
    assert options.image == "org/image:1"
    assert options.dependencies == Dependencies(auto=True)
    assert options.env == {"AA": "script", "BB": "user"}
    assert options.secrets == {"MY_KEY": "hunter2", "OTHER": "user"}
    assert options.labels == {"team": "y", "name": "nightly"}
    assert [(v.type, v.mount_path) for v in options.volumes] == [
        ("dataset", "/more"),
        ("bucket", "/data"),
    ]


@pytest.mark.usefixtures("header")
def test_the_header_of_the_script_says_who_pays_unless_the_user_does():
    somewhere = {"endpoint": "http://127.0.0.1:9", "token": "hf_x"}

    with HubExecutor(**somewhere) as theirs, HubExecutor(namespace="mine", **somewhere) as ours:
        assert repr(theirs).startswith("<HubExecutor my-team/a10g-small ")
        assert repr(ours).startswith("<HubExecutor mine/a10g-small ")


def test_a_namespace_in_the_header_is_checked_as_the_option_is(monkeypatch, tmp_path):
    (tmp_path / "script.py").write_text(HEADER.replace("my-team", "my/team"))
    monkeypatch.setattr("__main__.__file__", str(tmp_path / "script.py"), raising=False)
    monkeypatch.setenv("MY_KEY", "hunter2")
    monkeypatch.setenv("OTHER", "here")

    with pytest.raises(ValueError, match="not 'my/team'"):
        HubExecutor(endpoint="http://127.0.0.1:9", token="hf_x")


@pytest.mark.usefixtures("header")
def test_a_secret_that_the_script_wants_has_to_be_there(monkeypatch):
    monkeypatch.delenv("OTHER")

    with pytest.raises(ValueError, match="not set in this environment: OTHER"):
        check()
