"""In which image, with which Python and packages a call runs.

Pickles are exchanged with the job, so its Python must be of the client's minor version: cloudpickle
across minor versions can end in a segfault without a traceback. The default image is therefore
the uv image of *this* interpreter's version, not the Hub's default.
"""

from __future__ import annotations

import re
import sys

__all__ = ["check_image", "client_python", "default_image", "python_option"]

_UV_IMAGE = "ghcr.io/astral-sh/uv:python{python}-bookworm"


def client_python() -> str:
    """Return this interpreter's minor version, like ``"3.11"``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def default_image() -> str:
    """Return the image with uv and this interpreter's Python."""
    return _UV_IMAGE.format(python=client_python())


def check_image(image: str | None) -> str | None:
    """Return `image`, checked for the mistakes people make.

    Raises:
        TypeError: not a string.
        ValueError: empty, or with blanks in it.
    """
    if image is None:
        return None
    hint = f"not {image!r}; leave it out for {default_image()!r}"
    if not isinstance(image, str):
        raise TypeError(f"image must be a string, the name of a container image, {hint}")
    if not re.fullmatch(r"\S+", image):
        raise ValueError(f"image must be the name of a container image, {hint}")
    return image


def python_option(python: str | None, image: str | None) -> str | None:
    """Return what to ask ``uv run --python`` for, None for the image's own.

    An image of the user's own need not have our Python first on its path, so uv is asked for it;
    the default image has no other.

    Raises:
        TypeError: `python` is not a string: the number 3.10 would be 3.1.
        ValueError: `python` is not a version like ``"3.11"``, or not this interpreter's.
    """
    ours = client_python()
    if python is None:
        return None if image is None else ours
    if not isinstance(python, str):
        raise TypeError(f"python must be a string like {ours!r}, not {python!r}")
    if not re.fullmatch(r"\d+\.\d+(\.\d+)?", python):
        raise ValueError(f"python must be a version like {ours!r}, not {python!r}")
    if ".".join(python.split(".")[:2]) != ours:
        raise ValueError(
            f"python={python!r} differs from the Python {ours} that runs this script: functions "
            f"pickled here cannot be trusted to load there. Leave the option out, or run this "
            f"script with Python {python}."
        )
    return python
