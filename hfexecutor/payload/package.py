"""The package that travels: built from the very files of :mod:`hfexecutor.remote`, as data.

It holds that package's modules and the client's own cloudpickle, so both ends run the same
version and a plain call needs nothing installed in the job. The modules travel compiled, for a
job that ran the compiler would start a tenth of a second later. A Python of another version cannot
read them; the few that say so in words that the client understands come along as sources.
"""

from __future__ import annotations

import base64
import functools
import importlib.util
import inspect
import marshal
import pkgutil
import sys
import zlib
from importlib.abc import InspectLoader
from importlib.machinery import PathFinder
from types import CodeType
from typing import TYPE_CHECKING, Final

from hfexecutor.errors import PayloadTooLargeError
from hfexecutor.hub.limits import ALL_VARIABLES, FOR_US, ONE_PIECE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.machinery import ModuleSpec

__all__ = ["BOOT_COMMAND", "build_package", "launch_secrets"]

# run_uv_job asks the file system about each argument, so none may be longer than 255 bytes.
BOOT_COMMAND: Final = (
    "-c",
    (
        "import os,zlib,binascii;"
        "exec(zlib.decompress(binascii.a2b_base64(os.environ['HFEXECUTOR_BOOT'])))"
    ),
)

_PREFIX = "HFEXECUTOR_"
_NAME_HERE, _NAME_THERE = "hfexecutor.remote", "hfexecutor_remote"
_SPEECH = ("entries", "frames", "outcomes", "exceptions", "plain", "refusal", "seals")
_FOR_REFUSAL = {"loading", f"{_NAME_THERE}/", *(f"{_NAME_THERE}.{name}" for name in _SPEECH)}
_HAS_DOCSTRING = 0x4000000  # of a code's flags
_MARSHAL = 4  # the version that all supported Pythons read
_LEVEL = 5  # with 7 a sixtieth smaller, and half as long again: it is what there is room for
_FRAMING = 4096  # bytes of the message besides what is in it, and of the names of its pieces


def message_room(others: int) -> int:
    """Return how many bytes a launch message can have beside `others` bytes of variables.

    Secrets carry base64, 4 bytes for 3.
    """
    return (ALL_VARIABLES - FOR_US - others) * 3 // 4 - _FRAMING


def launch_secrets(key_hex: str, message: bytes, python: str) -> dict[str, str]:
    """Return the secrets with which a job of `BOOT_COMMAND` starts.

    Args:
        key_hex: the launch key.
        message: the sealed launch message.
        python: the minor version that the job must have, like ``"3.11"``.

    Raises:
        PayloadTooLargeError: the message is too large for a launch request.
    """
    secrets = {
        "BOOT": _boot(),
        "KEY": key_hex,
        "PYTHON": python,
        **_cut("PACKAGE", _encoded_package()),
        **_cut("MESSAGE", base64.b64encode(message).decode()),
    }
    size = sum(len(name) + len(value) for name, value in secrets.items())
    if size > ALL_VARIABLES:
        raise PayloadTooLargeError(
            f"a launch request would have {size:,} bytes, and may have {ALL_VARIABLES:,}"
        )
    return {_PREFIX + name: value for name, value in secrets.items()}


def _cut(name: str, value: str) -> dict[str, str]:
    pieces = [value[i : i + ONE_PIECE] for i in range(0, len(value), ONE_PIECE)]
    return {f"{name}_{i}": piece for i, piece in enumerate(pieces)}


@functools.cache
def _boot() -> str:
    source = _source(f"{_NAME_HERE}.bootstrap")
    return base64.b64encode(zlib.compress(source.encode(), 9)).decode()


@functools.cache
def _encoded_package() -> str:
    return base64.b64encode(build_package()).decode()


@functools.cache
def build_package() -> bytes:
    """Return the package, marshalled: all modules compiled, and some as sources."""
    names = dict(_names())
    codes = {there: marshal.dumps(_code(here)) for here, there in names.items()}
    sources = {there: _source(here) for here, there in names.items() if there in _FOR_REFUSAL}
    package = {
        "magic": importlib.util.MAGIC_NUMBER,
        "codes": zlib.compress(marshal.dumps(codes, _MARSHAL), _LEVEL),
        "sources": zlib.compress(marshal.dumps(sources, _MARSHAL), _LEVEL),
    }
    return marshal.dumps(package, _MARSHAL)


def _names() -> Iterator[tuple[str, str]]:
    """Yield what travels: a module's name here, and in the job (a package's ends in ``/``)."""
    for here, there in ((_NAME_HERE, _NAME_THERE), ("cloudpickle", "cloudpickle")):
        yield here, f"{there}/"
        for module in pkgutil.iter_modules(_spec(here).submodule_search_locations):
            # These two run by hand, before there is a package.
            bare = here == _NAME_HERE and module.name in {"bootstrap", "loading"}
            yield f"{here}.{module.name}", module.name if bare else f"{there}.{module.name}"
    yield "hfexecutor.errors", f"{_NAME_THERE}.client_errors"  # for code that imports this library


def _spec(name: str) -> ModuleSpec:
    """Return where a module is found on disk.

    In a call that has an executor of its own, cloudpickle is loaded from what travelled there: that
    has no files, but the one that this package is installed with has.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not isinstance(spec.loader, InspectLoader):
        parent = name.rpartition(".")[0]
        path = _spec(parent).submodule_search_locations if parent else None
        spec = PathFinder.find_spec(name, path)
    if spec is None:
        raise ImportError(f"the source of {name} is needed to run it in jobs", name=name)
    return spec


def _code(name: str) -> CodeType:
    code = _loader(name).get_code(name)
    assert code is not None  # it has a source
    return _without_docstrings(code)


def _without_docstrings(code: CodeType) -> CodeType:
    """Return code without what nobody reads in a job: an eighth of a launch request's room."""
    constants = [
        _without_docstrings(item) if isinstance(item, CodeType) else item for item in code.co_consts
    ]
    is_function = code.co_flags & inspect.CO_OPTIMIZED and not code.co_name.startswith("<")
    # From Python 3.13 on a flag says whether the first constant is one; before, it always is.
    marked = sys.version_info < (3, 13) or code.co_flags & _HAS_DOCSTRING
    if constants and isinstance(constants[0], str):
        if is_function and marked:
            constants[0] = None if sys.version_info < (3, 13) else ""
        elif code.co_name == "<module>":
            constants[0] = ""
    if all(new is old for new, old in zip(constants, code.co_consts, strict=True)):
        return code
    return code.replace(co_consts=tuple(constants))


def _loader(name: str) -> InspectLoader:
    loader = _spec(name).loader
    if isinstance(loader, InspectLoader):
        return loader
    raise ImportError(f"the source of {name} is needed to run it in jobs", name=name)


def _source(name: str) -> str:
    return _loader(name).get_source(name) or ""
