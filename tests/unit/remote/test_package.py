"""The package that travels, and the launch request that carries it."""

from __future__ import annotations

import ast
import base64
import sys
from pathlib import Path

import pytest

from hfexecutor import remote
from hfexecutor.payload import package

MODULES = sorted(Path(remote.__file__).parent.glob("*.py"))


def test_the_command_line_is_short_and_no_file():
    for argument in package.BOOT_COMMAND:
        assert len(argument.encode()) < 255
        assert not argument.endswith((".py", ".sh", ".yaml", ".yml", ".toml"))


def test_the_secrets_fit_into_an_environment():
    secrets = package.launch_secrets("ab" * 32, b"x" * 500_000, "3.11")
    assert all(len(name) + len(value) < 131_072 for name, value in secrets.items())
    assert all(name.startswith("HFEXECUTOR_") for name in secrets)
    pieces = [secrets[f"HFEXECUTOR_MESSAGE_{i}"] for i in range(6)]
    assert base64.b64decode("".join(pieces)) == b"x" * 500_000


def test_a_message_that_is_too_large_is_refused():
    with pytest.raises(ValueError, match="launch request"):
        package.launch_secrets("ab" * 32, b"x" * 800_000, "3.11")


def test_the_package_is_built_once():
    assert package.build_package() is package.build_package()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_what_travels_imports_nothing_but_the_standard_library_and_itself(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1
            continue
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        for name in names:
            root = name.partition(".")[0]
            allowed = {*sys.stdlib_module_names, "cloudpickle", "_frozen_importlib_external"}
            assert root in allowed
