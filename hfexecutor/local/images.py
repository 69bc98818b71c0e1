"""What is in a container image, as far as its name tells."""

from __future__ import annotations

import re
from typing import NamedTuple

THIS_PYTHON = ""  # whatever Python the hub runs on

_NAME = re.compile(
    r"(?:docker\.io/)?(?:library/)?(?P<name>[^:@]+)(?::(?P<tag>[^@]+))?(?:@.+)?", re.ASCII
)
_PYTHON_TAG = re.compile(r"(\d+(?:\.\d+)?)")
_UV = ("ghcr.io/astral-sh/uv", "astral/uv")
_UV_TAG = re.compile(r"(?:[\d.]+-)?python(\d+(?:\.\d+)?)")
# Official images with a shell and neither Python nor uv.
_BARE = {"alpine", "busybox", "debian", "fedora", "ubuntu"}


class Image(NamedTuple):
    """The contents of an image that matter here.

    Attributes:
        python: the version that `python` is in it, like "3.12"; None: it has none.
        uv: whether it has uv.
        known: False where all this is only assumed.
    """

    python: str | None
    uv: bool
    known: bool = True


def look_up(name: str) -> Image:
    """Return what is known of an image; one that is not known gets this Python, and uv."""
    match = _NAME.fullmatch(name)
    if match:
        base, tag = match["name"], match["tag"] or ""
        if base == "python":
            version = _PYTHON_TAG.match(tag)
            return Image(version[1] if version else THIS_PYTHON, uv=False)
        if base in _UV and (version := _UV_TAG.match(tag)):
            return Image(version[1], uv=True)
        if base in _BARE:
            return Image(None, uv=False)
    return Image(THIS_PYTHON, uv=True, known=False)
