"""One embedded Hub for each module, whose jobs have the packages of these tests."""

from __future__ import annotations

import email
import importlib.metadata
import re
import sysconfig
import zipfile

import cloudpickle
import pytest
from packaging.requirements import Requirement

from hfexecutor.local import LocalHub


@pytest.fixture(scope="module")
def hub():
    with LocalHub() as running:
        yield running


@pytest.fixture(scope="module")
def options(hub, request):
    """Options of an executor on it. Nothing is fetched: jobs import from where the tests do."""
    cloudpickle.register_pickle_by_value(request.module)
    yield {
        "endpoint": hub.endpoint,
        "token": hub.token,
        "dependencies": None,
        "env": {"PYTHONPATH": sysconfig.get_path("purelib")},
    }
    cloudpickle.unregister_pickle_by_value(request.module)


@pytest.fixture
def offline(tmp_path):
    """Return variables with which uv has these packages from wheels made here, and no others."""

    def offline(*packages):
        write_wheels(tmp_path, *packages)
        cache = str(tmp_path / "cache")
        return {"UV_OFFLINE": "1", "UV_FIND_LINKS": str(tmp_path), "UV_CACHE_DIR": cache}

    return offline


def write_wheels(folder, *names):
    """Write wheels of these packages, and of all that they require."""
    wanted, done = list(names), set()
    while wanted:
        distribution = importlib.metadata.distribution(wanted.pop())
        if distribution.name not in done:
            done.add(distribution.name)
            _write_wheel(folder, distribution)
            needs = map(Requirement, distribution.requires or ())
            wanted += [one.name for one in needs if not one.marker or one.marker.evaluate()]


def _write_wheel(folder, distribution):
    info = email.message_from_string(distribution.read_text("WHEEL") or "")
    tags = [tag.split("-") for tag in info.get_all("Tag", [])]
    pythons, abis, platforms = (".".join(dict.fromkeys(part)) for part in zip(*tags, strict=True))
    name = re.sub(r"[-_.]+", "_", distribution.name)
    path = folder / f"{name}-{distribution.version}-{pythons}-{abis}-{platforms}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in distribution.files or ():
            if ".." not in file.parts and file.suffix != ".pyc" and "tests" not in file.parts:
                archive.write(file.locate(), str(file))
