"""From distributions to requirements, and the option `dependencies`."""

from __future__ import annotations

import pytest

from hfexecutor.errors import DependencyError
from hfexecutor.payload.distributions import Distribution, Installed
from hfexecutor.payload.requirements import (
    Dependencies,
    pin,
    pin_all,
    platform_note,
)


def made(name="thing", version="1.0", **fields) -> Distribution:
    return Distribution(name, version, **fields)


def url(url: str, **more) -> dict:
    return {"direct_url": {"url": url, **more}}


GIT = {"vcs_info": {"vcs": "git", "commit_id": "0" * 40, "requested_revision": "main"}}


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        (made(version="2.8.0+cu128"), "thing==2.8.0"),
        (made(version="1.0rc1"), "thing==1.0rc1"),
        (made(version="1!2.0.post1.dev3+local"), "thing==1!2.0.post1.dev3"),
        (made(**url("https://host/r.git", **GIT)), f"thing @ git+https://host/r.git@{'0' * 40}"),
        (
            made(**url("https://host/r.git", subdirectory="sub", **GIT)),
            f"thing @ git+https://host/r.git@{'0' * 40}#subdirectory=sub",
        ),
        (
            made(**url("https://host/thing-1.0.tar.gz", archive_info={"hash": "sha256=1"})),
            "thing @ https://host/thing-1.0.tar.gz",
        ),
    ],
)
def test_a_distribution_is_pinned_to_what_is_here(distribution, expected):
    assert pin(distribution) == expected


@pytest.mark.parametrize(
    ("distribution", "reason"),
    [
        (
            made(**url("file:///home/me/thing.whl", archive_info={})),
            "was installed from file:///home",
        ),
        (made(**url("file:///home/me/thing", dir_info={})), "was installed from file:///home"),
        (made(**url("ssh://git@host/r.git", **GIT)), "no key"),
        (made(**url("file:///home/me/r.git", **GIT)), "cannot read"),
        (made(version=""), "has no version"),
        (made(version="unknown"), "no index can have"),
    ],
)
def test_what_no_job_can_install_is_said_with_what_to_do(distribution, reason):
    with pytest.raises(DependencyError, match=reason) as caught:
        pin(distribution)

    assert 'dependencies=["auto", "thing==..."]' in str(caught.value)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        (("py3-none-any",), ""),
        (("cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux2014_x86_64"), ""),
        (("cp311-cp311-linux_x86_64",), "built here"),
        (("cp311-cp311-macosx_11_0_arm64",), "macosx_11_0_arm64: jobs need a wheel for Linux"),
        (("cp311-cp311-win_amd64",), "jobs need a wheel for Linux"),
        ((), ""),
    ],
)
def test_a_wheel_for_one_platform_is_noted(tags, words):
    note = platform_note(made(tags=tags))

    assert words in note
    assert bool(note) == bool(words)


# --- the option ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "auto", "given"),
    [
        ("auto", True, ()),
        (["auto"], True, ()),
        (["auto", "torch==2.9"], True, ("torch==2.9",)),
        (["torch==2.9"], False, ("torch==2.9",)),
        ([], False, ()),
        (None, False, ()),
        (("numpy",), False, ("numpy",)),
    ],
)
def test_the_option_is_read(option, auto, given):
    assert Dependencies.read(option) == Dependencies(auto, given)


@pytest.mark.parametrize("option", ["numpy", b"numpy", {"numpy": "2"}, 5, [5], [None]])
def test_what_is_no_list_of_strings_is_refused(option):
    with pytest.raises(TypeError, match="dependencies"):
        Dependencies.read(option)


@pytest.mark.parametrize("item", ["", "  ", "--index-url x", "-r file"])
def test_what_is_no_requirement_is_refused(item):
    with pytest.raises(ValueError, match="not a requirement"):
        Dependencies.read([item])


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (["auto"], ("numpy==1", "zope-interface==2")),
        (["auto", "NumPy>=2"], ("NumPy>=2", "zope-interface==2")),
        (
            ["auto", "numpy[extra] @ https://host/n.whl"],
            ("numpy[extra] @ https://host/n.whl", "zope-interface==2"),
        ),
        (["auto", "Zope.Interface"], ("Zope.Interface", "numpy==1")),
        (["auto", "./a.whl"], ("./a.whl", "numpy==1", "zope-interface==2")),
        (["torch"], ()),  # every job has it from its launch on
        (None, ()),
    ],
)
def test_the_users_own_requirements_come_first_and_override_by_name(option, expected):
    assert Dependencies.read(option).merge(["zope-interface==2", "numpy==1"]) == expected


# --- what is required by what is needed ---------------------------------------------------------


def pins(site, *names, overridden=()):
    installed = Installed()
    wanted = [installed.named(name) for name in names]
    return sorted(pin_all(wanted, installed, frozenset(overridden)).values())


def test_what_a_distribution_requires_is_pinned_too(site):
    site.install("top", "1", requires=("middle>=1", "absent"))
    site.install("middle", "2", requires=("low",))
    site.install("low", "3+local")

    assert pins(site, "top") == ["low==3", "middle==2", "top==1"]


def test_circles_end(site):
    site.install("a", "1", requires=("b",))
    site.install("b", "1", requires=("a",))

    assert pins(site, "a") == ["a==1", "b==1"]


def test_what_only_an_extra_requires_is_left_out_unless_it_is_asked_for(site):
    site.install("top", "1", requires=("low ; extra == 'all'", "other[Some_Thing]"))
    site.install("other", "1", requires=("deep ; python_version > '3' and extra == 'some-thing'",))
    site.install("low", "1")
    site.install("deep", "1")

    assert pins(site, "top") == ["deep==1", "other==1", "top==1"]


def test_markers_are_read_for_the_job_which_runs_linux(site, monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    site.install(
        "top", "1", requires=("mac; sys_platform == 'darwin'", "gnu; sys_platform == 'linux'")
    )
    site.install("mac", "1")
    site.install("gnu", "1")

    assert pins(site, "top") == ["gnu==1", "top==1"]


def test_a_version_that_does_not_fit_is_left_to_the_resolver(site):
    """pip lets environments become inconsistent; a job is resolved anew."""
    site.install("top", "1", requires=("low<2", "fine"))
    site.install("low", "2")
    site.install("fine", "1", requires=("low",))

    assert pins(site, "top") == ["fine==1", "top==1"]


def test_what_the_user_overrides_is_not_pinned_nor_what_only_that_requires(site):
    site.install("top", "1", requires=("low", "shared"))
    site.install("other", "1", requires=("shared", "top"))
    site.install("low", "1")
    site.install("shared", "1")

    assert pins(site, "top", "other", overridden={"top"}) == ["other==1", "shared==1"]


def test_what_travels_with_every_call_is_not_asked_for(site):
    site.install("joblike", "1", requires=("cloudpickle", "hfexecutor"))

    assert pins(site, "joblike") == ["joblike==1"]


def test_a_requirement_that_cannot_be_installed_is_left_to_the_resolver(site):
    site.install("top", "1", requires=("low",))
    site.install("low", "1", url={"url": "file:///somewhere", "dir_info": {"editable": True}})

    assert pins(site, "top") == ["top==1"]
