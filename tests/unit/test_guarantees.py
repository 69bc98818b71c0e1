"""Promises in docs/guarantees.md are backed by tests that exist."""

from __future__ import annotations

import ast
import functools
import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
# `path::name`, or `path::name["a row of its table"]`
CITED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)(?:\[\"([^`]+)\"\])?`", TEXT)


@functools.cache
def names_and_constants(path: str) -> tuple[set[str], set[object]]:
    nodes = list(ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))))
    names = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    return names, {node.value for node in nodes if isinstance(node, ast.Constant)}


@pytest.mark.parametrize(("path", "name", "row"), CITED, ids=lambda part: part or None)
def test_a_test_that_backs_a_promise_exists(path: str, name: str, row: str) -> None:
    names, constants = names_and_constants(path)

    assert name in names
    assert not row or row in constants


def test_every_citation_is_understood() -> None:
    assert len(CITED) == TEXT.count("::")


def test_every_promise_names_its_tests() -> None:
    """A paragraph that begins in bold is a promise; a list of tests follows it."""
    promises, _, limits = TEXT.partition("## Limits")
    paragraphs = [text for text in promises.split("\n\n") if text.strip()]
    following = itertools.pairwise(paragraphs)
    bare = [text for text, after in following if text[:2] == "**" and after[:9] != "- `tests/"]

    assert bare == []
    assert all("`tests/" in item or "::" in item for item in re.split(r"\n- ", limits)[1:])
