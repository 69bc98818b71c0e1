"""Which distribution a module belongs to, and what that says of itself."""

from __future__ import annotations

import importlib.metadata

import pytest

from hfexecutor.payload.distributions import Installed, canonical
from hfexecutor.payload.modules import locate


@pytest.fixture
def installed():
    return Installed()


def owner(installed, name):
    found = installed.owner(locate(name))
    return None if found is None else f"{found.name} {found.version}"


@pytest.mark.parametrize("name", ["scikit_learn", "Scikit-Learn", "scikit.learn", "scikit--learn"])
def test_names_are_compared_in_one_spelling(name):
    assert canonical(name) == "scikit-learn"


def test_a_distribution_that_is_named_like_its_module(site, installed):
    site.install("plain", "1.2")

    assert owner(installed, "plain") == "plain 1.2"


def test_a_distribution_that_is_named_otherwise(site, installed):
    site.install("scikit-thing", "3", files={"skthing/__init__.py": "", "skthing/a/b.py": ""})

    assert owner(installed, "skthing") == "scikit-thing 3"


def test_a_single_file(site, installed):
    site.install("Six_Like", "1", files={"sixlike.py": ""})

    assert owner(installed, "sixlike") == "six-like 1"


def test_a_name_that_another_distribution_has_does_not_decide(site, installed):
    """As `attr` is attrs' although a distribution attr exists; both can be installed."""
    site.install("oddname", "9", files={"something/__init__.py": ""})
    site.install("oddnames", "1", files={"oddname/__init__.py": ""})

    assert owner(installed, "oddname") == "oddnames 1"


def test_namespace_packages_are_told_apart_by_their_files(site, installed):
    site.install("cloud-storage", "1", files={"spacious/cloud/storage/__init__.py": ""})
    site.install("cloud-query", "2", files={"spacious/cloud/query.py": ""})

    assert owner(installed, "spacious.cloud.storage") == "cloud-storage 1"
    assert owner(installed, "spacious.cloud.query") == "cloud-query 2"


def test_a_file_that_nobody_has_installed_is_nobodys(site, installed):
    site.install("plain", "1")
    site.put("stray.py", "")

    assert owner(installed, "stray") is None


def test_the_project_itself_is_nobodys_although_it_has_an_egg_info(project, installed):
    """As older tools leave it beside the sources of what they install editable."""
    project.put("mine/__init__.py", "")
    project.put("mine.egg-info/top_level.txt", "mine\n")
    project.put("mine.egg-info/PKG-INFO", "Name: mine\nVersion: 1\n")

    assert owner(installed, "mine") is None


def test_an_egg_info_of_an_installed_distribution_counts(site, installed):
    site.put("oldie/__init__.py", "")
    site.put("oldie-2.egg-info/top_level.txt", "oldie\n")
    site.put("oldie-2.egg-info/PKG-INFO", "Metadata-Version: 1.0\nName: oldie\nVersion: 2\n")

    assert owner(installed, "oldie") == "oldie 2"


def test_what_is_installed_later_is_seen(site, installed):
    site.install("early", "1")
    assert owner(installed, "early") == "early 1"
    site.install("late", "1", files={"later/__init__.py": ""})

    assert owner(installed, "later") == "late 1"


def test_a_distribution_says_what_it_is_made_of(site, installed):
    url = {"url": "https://host/x.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}
    site.install(
        "Plain.Name",
        "1",
        files={"plain.py": ""},
        requires=("a>1",),
        url=url,
        tag="cp311-cp311-linux_x86_64",
    )

    found = installed.owner(locate("plain"))

    assert (found.name, found.requires, found.direct_url) == ("plain-name", ("a>1",), url)
    assert (found.pure, found.tags) == (False, ("cp311-cp311-linux_x86_64",))


def test_damaged_metadata_do_no_harm(site, installed):
    site.install("plain", "1")
    site.put("plain-1.dist-info/direct_url.json", "{not json")
    site.put("broken-1.dist-info/RECORD", b"\xff\xfe")
    site.put("empty-1.dist-info/nothing", "")

    assert installed.owner(locate("plain")).direct_url == {}


def test_the_first_of_the_search_path_is_what_an_import_finds(site, project, tmp_path, installed):
    site.install("plain", "1")
    second = type(site)(tmp_path / "first" / "site-packages")
    second.install("plain", "2")

    assert installed.named("plain").version == "2"
    assert owner(installed, "plain") == "plain 2"


def test_what_is_installed_to_a_directory_of_any_name_is_installed(tmp_path, site, installed):
    """`pip install --target`, and PYTHONPATH."""
    target = type(site)(tmp_path / "target")
    target.install("aimed", "1")

    assert owner(installed, "aimed") == "aimed 1"


def test_every_distribution_here_is_found_by_its_own_modules(installed):
    """Against importlib.metadata's table, on what is really installed."""
    table = importlib.metadata.packages_distributions()
    checked = 0
    for name, distributions in table.items():
        place = locate(name) if name.isidentifier() else None
        if place is None or not place.file or "site-packages" not in place.file:
            continue
        found = installed.owner(place)
        assert found is not None, name
        assert found.name in {canonical(one) for one in distributions}
        checked += 1

    assert checked > 20
