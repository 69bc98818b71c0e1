"""The names of the package: each is loaded when it is asked for, and none before."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hfexecutor


def run(source):
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_name_is_loaded_when_it_is_asked_for():
    ours = run(
        "import sys, hfexecutor; hfexecutor.HubError; from hfexecutor import JobError\n"
        "print(*(n for n in sys.modules if n.partition('.')[0] in ('hfexecutor', 'httpx')))"
    )

    assert ours == ["hfexecutor.loading", "hfexecutor", "hfexecutor.errors"]


def test_a_star_takes_them_all():
    assert run(
        "import hfexecutor\nfrom hfexecutor import *\n"
        "print(*(name for name in hfexecutor.__all__ if name not in globals()), 'none missing')"
    ) == ["none", "missing"]


def test_a_prompt_is_offered_all_of_them():
    assert set(hfexecutor.__all__) <= set(dir(hfexecutor))


def test_type_checkers_are_told_the_same_names_from_the_same_modules():
    tree = ast.parse(Path(hfexecutor.__file__).read_text(encoding="utf-8"))
    told = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("hfexecutor.")
        for alias in node.names
    }

    assert sorted(told) == sorted(hfexecutor.__all__)
    for name, module in told.items():
        getattr(hfexecutor, name)
        assert getattr(sys.modules[module], name) is getattr(hfexecutor, name)


def test_other_names_there_are_none():
    with pytest.raises(AttributeError, match="module 'hfexecutor' has no attribute 'Executor'"):
        _ = hfexecutor.Executor
    with pytest.raises(ImportError, match="cannot import name 'Executor'"):
        from hfexecutor import Executor  # noqa: F401
