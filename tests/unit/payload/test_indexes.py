"""What jobs are told of indexes, and what they are never told."""

from __future__ import annotations

import pytest

from hfexecutor.payload.indexes import foreign_index, index_secrets


@pytest.mark.parametrize(
    "name",
    [
        "UV_INDEX",
        "UV_DEFAULT_INDEX",
        "UV_INDEX_URL",
        "UV_EXTRA_INDEX_URL",
        "UV_INDEX_INTERNAL_USERNAME",
        "UV_INDEX_INTERNAL_PASSWORD",
        "UV_INDEX_STRATEGY",
    ],
)
def test_what_uv_is_told_here_it_is_told_there(name):
    assert index_secrets({name: "value"}) == {name: "value"}


@pytest.mark.parametrize(
    "name",
    [
        "PIP_INDEX_URL",
        "HF_TOKEN",
        "UV_CACHE_DIR",
        "UV_PUBLISH_TOKEN",
        "UV_FIND_LINKS",
        "PATH",
        "XUV_INDEX",
        "UV_PYTHON",
    ],
)
def test_nothing_else_is_passed(name):
    assert index_secrets({name: "value"}) == {}


@pytest.mark.parametrize(
    "value",
    [
        "file:///opt/simple",
        "/opt/simple",
        "./simple",
        "local=file:///opt",
        "https://a/ file:///b",
        "",
    ],
)
def test_a_directory_of_this_machine_is_not_passed(value):
    assert index_secrets({"UV_INDEX": value}) == {}


def test_an_index_of_pips_is_mentioned_without_its_password():
    note = foreign_index({"PIP_INDEX_URL": "https://me:secret@host/simple"})

    assert "PIP_INDEX_URL" in note
    assert "secret@" not in note


@pytest.mark.parametrize("environment", [{}, {"PIP_INDEX_URL": "x", "UV_INDEX": "https://x"}])
def test_nothing_is_said_where_all_is_well(environment):
    assert foreign_index(environment) == ""
