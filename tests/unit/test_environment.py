"""The image, the Python and the packages of a job."""

from __future__ import annotations

import re
import sys

import pytest

from hfexecutor.environment import client_python, default_image, python_option

OURS = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_the_default_image_has_this_interpreters_python():
    assert client_python() == OURS
    assert default_image() == f"ghcr.io/astral-sh/uv:python{OURS}-bookworm"


@pytest.mark.parametrize(
    ("python", "image", "asked"),
    [
        (None, None, None),  # the default image has no other
        (None, "me/image", OURS),  # one of the user's own may have
        (OURS, None, OURS),
        (OURS, "me/image", OURS),
        (f"{OURS}.2", None, f"{OURS}.2"),
    ],
)
def test_uv_is_asked_for_a_python_where_the_image_may_have_another(python, image, asked):
    assert python_option(python, image) == asked


@pytest.mark.parametrize("python", ["2.7", "3.1", "3.99", "4.0.1"])
def test_another_python_is_refused_and_the_way_out_told(python):
    with pytest.raises(ValueError, match=re.escape(f"python={python!r} differs from the")) as no:
        python_option(python, None)

    assert str(no.value).endswith(f"or run this script with Python {python}.")


@pytest.mark.parametrize("python", ["", "3", "python3.11", "3.11rc1", ">=3.11", "3.11 "])
def test_what_is_no_version_is_refused(python):
    with pytest.raises(ValueError, match=f"python must be a version like '{OURS}', not"):
        python_option(python, None)
