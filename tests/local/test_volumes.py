"""Volumes of jobs: buckets, and what was downloaded from the Hub."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest

pytest.importorskip("hf_xet")

from hfexecutor.local import Timings, reaper
from hfexecutor.local import faults as f
from hfexecutor.local.volumes import attaching, probe
from hfexecutor.local.volumes.watching import Inotify, Looks

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's namespaces")
mounts = pytest.mark.skipif(
    sys.platform != "linux" or probe.hindrance() is not None, reason="nothing can be mounted here"
)
pytestmark = pytest.mark.usefixtures("no_progress_bars")
DROP_FROM_BOUNDS, MAY_MOUNT = 24, 21  # prctl's word, and the capability


class Volumes:
    """Jobs with volumes of one bucket."""

    def __init__(self, raw, api):
        self.raw, self.api = raw, api
        self.bucket = f"{raw.hub.namespace}/b{os.urandom(6).hex()}"
        api.create_bucket(self.bucket)

    def put(self, **files):
        named = {name.replace("__", "/"): text.encode() for name, text in files.items()}
        self.api.batch_bucket_files(self.bucket, add=[(data, name) for name, data in named.items()])

    def __call__(self, place="/data", **more):
        return {"type": "bucket", "source": self.bucket, "mountPath": place, **more}

    def shell(self, script, *volumes, **spec):
        return self.raw.run("sh", "-c", script, volumes=list(volumes) or [self()], **spec)

    def log(self, script, *volumes, **spec):
        """Run a job to its end, and return what it printed."""
        job = self.shell(script, *volumes, **spec)
        self.raw.wait(job)
        return self.raw.log(job)

    def paths(self):
        return [one.path for one in self.api.list_bucket_tree(self.bucket, recursive=True)]

    def read(self, path):
        reply = self.raw.http.get(f"/buckets/{self.bucket}/resolve/{path}")
        return reply.text if reply.status_code == 200 else None


@pytest.fixture
def volumes(raw, api):
    return Volumes(raw, api)


@pytest.fixture
def made(make):
    """Return volumes of a hub with options of one's own."""
    from huggingface_hub import HfApi

    def build(**options):
        hub, raw = make(**options)
        return Volumes(raw, HfApi(endpoint=hub.endpoint, token=hub.token))

    return build


def directories(raw):
    return list(Path(raw.hub._core._folder, "volumes").iterdir())


# ---------------------------------------------------------------------------- what a job sees


@mounts
def test_who_brings_a_mount_its_files_leaves_the_threads_to_who_sends_them(made):
    """Both are the hub: with as many jobs as it had threads neither would get any further."""
    volumes = made()
    loop = volumes.raw.hub._core._loop
    loop.call_soon_threadsafe(loop.set_default_executor, ThreadPoolExecutor(1))
    volumes.put(a="one")
    assert volumes.log("cat /data/a") == ["one"]
    assert volumes.read("a") == "one"


@mounts
def test_a_bucket_is_where_the_job_asked_for_it(volumes, raw):
    volumes.put(a="one", sub__b="two")
    assert volumes.log("cd /data && cat a sub/b && ls / | grep -c data") == ["onetwo1"]
    assert volumes.log("ls /mnt/x/y", volumes("/mnt/x/y", path="sub")) == ["b"]
    assert not Path("/data").exists()
    assert not Path("/mnt/x").exists()
    assert volumes.log("cat /data/a /data/in/b", volumes(), volumes("/data/in", path="sub")) == [
        "onetwo"
    ]
    assert directories(raw) == []


@mounts
def test_what_a_job_writes_is_in_the_bucket_when_it_has_ended(volumes):
    volumes.put(old="old", dead="dead", kept="kept", d__x="x")
    script = "cd /data; echo new > old; rm dead; mkdir -p e/f; echo deep > e/f/g; mv d moved"
    assert volumes.log(script) == []
    assert volumes.paths() == ["e/f/g", "kept", "moved/x", "old"]
    assert volumes.read("old") == "new\n"
    assert volumes.read("e/f/g") == "deep\n"


@mounts
def test_only_below_its_folder(volumes):
    volumes.put(a__x="x", ab__y="y", z="z")
    assert volumes.log("ls /d; echo 1 > /d/new", volumes("/d", path="a")) == ["x"]
    assert volumes.paths() == ["a/new", "a/x", "ab/y", "z"]


@mounts
def test_a_file_gets_there_once_it_is_closed(volumes, raw, until):
    job = volumes.shell("exec 3> /data/open; echo half >&3; echo 1 > /data/closed; sleep 60")
    until(lambda: "closed" in volumes.paths())
    assert volumes.paths() == ["closed"]
    raw.cancel(job)
    assert volumes.paths() == ["closed", "open"]
    assert volumes.read("open") == "half\n"


@mounts
def test_what_others_change_shows(volumes, raw):
    volumes.put(gone="gone", same="same")
    job = volumes.shell(
        "echo ready; cd /data; until [ -e new ] && ! [ -e gone ]; do sleep 0.01; done; cat new same"
    )
    lines = raw.lines(job)
    assert next(lines) == "ready"
    volumes.put(new="new")
    volumes.api.batch_bucket_files(volumes.bucket, delete=["gone"])
    assert next(lines) == "newsame"
    raw.wait(job)


@mounts
def test_jobs_see_what_the_others_write(volumes, raw):
    wait = "until [ -e /data/{0} ]; do sleep 0.01; done; cat /data/{0}"
    first = volumes.shell("echo ping > /data/ping; " + wait.format("pong"))
    second = volumes.shell(wait.format("ping") + "; echo pong > /data/pong")
    assert (raw.log(first), raw.log(second)) == (["pong"], ["ping"])
    for job in (first, second):
        raw.wait(job)


@mounts
def test_what_is_read_only_cannot_be_written_and_is_there_once(volumes, raw):
    volumes.put(a="one")
    script = "echo x > /data/a; rm /data/a; touch /data/b; echo ready; sleep 60"
    jobs = [volumes.shell(script, volumes(readOnly=True)) for _ in range(3)]
    for job in jobs:
        *said, ready = islice(raw.lines(job), 4)
        assert [line.endswith("Read-only file system") for line in said] == [True] * 3, said
        assert ready == "ready"
    assert [one.suffix for one in sorted(directories(raw))] == ["", ".incoming"]
    for job in jobs:
        raw.cancel(job)
    assert volumes.paths() == ["a"]
    assert directories(raw) == []


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        ({"source": "somebody/else"}, "no bucket somebody/else"),
        ({"path": "nowhere"}, "no folder nowhere"),
        ({"type": "model", "source": "org/none"}, "run `hf download org/none` first"),
        ({"mountPath": str(Path("/tmp").resolve())}, "mount the volume elsewhere"),
        ({"mountPath": "/"}, "mount the volume elsewhere"),
    ],
)
def test_what_cannot_be_mounted(volumes, raw, monkeypatch, volume, words):
    monkeypatch.setattr("tempfile.tempdir", None)
    job = volumes.shell("true", volumes() | volume)
    ended = raw.wait(job)
    assert ended["status"]["stage"] == "ERROR"
    assert words in ended["status"]["message"]
    assert any(words in line for line in raw.log(job))
    assert directories(raw) == []


def test_two_volumes_at_one_place(volumes, raw):
    job = volumes.shell("true", volumes("/a/b"), volumes("/a/../a/b/"))
    assert "two volumes" in raw.wait(job)["status"]["message"]


@mounts
def test_a_bucket_that_is_deleted_meanwhile(volumes, raw):
    volumes.put(a="one")
    job = volumes.shell("echo ready; sleep 60")
    assert next(raw.lines(job)) == "ready"
    volumes.api.delete_bucket(volumes.bucket)
    raw.cancel(job)
    assert directories(raw) == []


# ---------------------------------------------------------------------------- delays and faults


@mounts
def test_writes_and_changes_are_late(made):
    volumes = made(timings=Timings(mount_read=3600, mount_write=3600))
    volumes.put(a="one")
    job = volumes.shell("echo 1 > /data/b; echo ready; sleep 60; ")
    assert next(volumes.raw.lines(job)) == "ready"
    volumes.put(c="three")
    assert volumes.paths() == ["a", "c"]
    volumes.raw.cancel(job)
    assert volumes.paths() == ["a", "b", "c"]


@mounts
def test_faults_of_volumes(made):
    volumes = made(faults=[f.LoseWrites(job=0), f.LateWrites(3600, label="late=yes")])
    volumes.put(a="one")
    volumes.log("echo 1 > /data/b")
    assert volumes.paths() == ["a"]
    job = volumes.shell("echo 1 > /data/b; echo ready; sleep 60", labels={"late": "yes"})
    assert next(volumes.raw.lines(job)) == "ready"
    assert volumes.paths() == ["a"]
    volumes.raw.cancel(job)
    assert volumes.paths() == ["a", "b"]


@mounts
def test_what_exceeds_the_quota_is_said_in_the_log(made):
    volumes = made(bucket_quota=5)
    log = volumes.log("echo 12345 > /data/big")
    assert volumes.paths() == []
    assert any("storage limit" in line for line in log)


# ---------------------------------------------------------------------------- repositories


@pytest.fixture
def downloaded(tmp_path, monkeypatch):
    """Lay out a dataset as Hugging Face's client does in its cache."""
    repository = tmp_path / "hub" / "datasets--org--name"
    (repository / "blobs").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c0ffee")
    (repository / "blobs" / "123").write_text("rows")
    (repository / "snapshots" / "c0ffee" / "sub").mkdir(parents=True)
    (repository / "snapshots" / "c0ffee" / "sub" / "data").symlink_to("../../../blobs/123")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    return repository / "blobs" / "123"


@mounts
@pytest.mark.parametrize("more", [{}, {"revision": "c0ffee"}, {"path": "sub"}])
def test_a_dataset_is_what_was_downloaded_of_it(volumes, raw, downloaded, more):
    volume = {"type": "dataset", "source": "org/name", "mountPath": "/ds", **more}
    path = "/ds/data" if "path" in more else "/ds/sub/data"
    log = volumes.log(f"cat {path}; echo x > {path}", volume)
    assert "only what this machine's cache has" in log[0]
    assert log[1].startswith("rows")
    assert "Read-only" in " ".join(log)
    assert downloaded.read_text() == "rows"
    missing = volumes.shell("true", volume | {"revision": "other"})
    assert "--repo-type dataset --revision other" in raw.wait(missing)["status"]["message"]


# ---------------------------------------------------------------------------- where nothing mounts


def test_where_nothing_can_be_mounted_places_are_replaced(volumes, raw, monkeypatch, downloaded):
    for module in (probe, attaching):
        monkeypatch.setattr(module, "hindrance", lambda: "Operation not permitted")
    volumes.put(sub__a="one")
    dataset = {"type": "dataset", "source": "org/name", "mountPath": "/ds"}
    job = raw.run(
        *("sh", "-c", 'cat "$0" "$FILE" "$1"; echo new > "$DATA/b"', "/data/sub/a", "/ds/sub/data"),
        environment={"FILE": "/data/sub/a", "DATA": "/data", "OTHER": "/database"},
        volumes=[volumes(), dataset],
    )
    raw.wait(job)
    log = raw.log(job)
    assert log[-1] == "oneonerows"
    assert any("lets nobody mount (Operation not permitted)" in line for line in log)
    assert volumes.paths() == ["b", "sub/a"]
    job = raw.run(*("sh", "-c", 'echo spoiled > "$0"', "/ds/sub/data"), volumes=[dataset])
    raw.wait(job)
    assert downloaded.read_text() == "rows"
    assert directories(raw) == []


@linux
def test_who_may_not_mount_does_so_in_a_user_namespace(tmp_path):
    """The same as for an ordinary user, by root without that capability."""
    libc = ctypes.CDLL(None)
    root, volume = tmp_path / "root", tmp_path / "volume"
    root.mkdir()
    volume.mkdir()
    done = subprocess.run(
        reaper.probing(str(root), str(volume)),
        preexec_fn=lambda: libc.prctl(DROP_FROM_BOUNDS, MAY_MOUNT, 0, 0, 0),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and "ermi" in done.stderr:
        pytest.skip(f"no user namespaces here: {done.stderr}")
    assert (done.returncode, done.stderr) == (0, "")
    assert list(root.iterdir()) == list(volume.iterdir()) == []


def test_what_hinders_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(reaper, "probing", lambda *_: [sys.executable, "-c", "exit('why not')"])
    probe.hindrance.cache_clear()
    try:
        assert probe.hindrance() == "why not"
    finally:
        probe.hindrance.cache_clear()


# ---------------------------------------------------------------------------- watching


@pytest.mark.parametrize("kind", [Inotify, lambda directory: Looks(directory, 0.01)])
def test_a_watch_tells_what_was_written_and_closed(tmp_path, kind):
    if kind is Inotify and sys.platform != "linux":
        pytest.skip("needs Linux")
    (tmp_path / "old").write_text("old")

    async def main():
        watch = kind(tmp_path)
        watch.take()
        seen = set()

        async def until(*paths):
            async with asyncio.timeout(20):
                while not seen >= set(paths):
                    await watch.news.wait()
                    seen.update(watch.take())

        (tmp_path / "a").write_text("a")
        (tmp_path / "new" / "deep").mkdir(parents=True)
        (tmp_path / "new" / "deep" / "b").write_text("b")
        await until("a", "new/deep/b")
        seen.clear()
        (tmp_path / "new" / "deep" / "c").write_text("c")
        (tmp_path / "a").rename(tmp_path / "d")
        (tmp_path / "old").unlink()
        await until("new/deep/c", "d", "a", "old")
        watch.close()
        watch.close()

    asyncio.run(main())


# ---------------------------------------------------------------------------- nothing is left

HOLDER = """
import os, sys
from huggingface_hub import HfApi
from hfexecutor.local import LocalHub
hub = LocalHub().start()
api = HfApi(endpoint=hub.endpoint, token=hub.token)
api.create_bucket("b")
api.batch_bucket_files(f"{hub.namespace}/b", add=[(b"1", "a")])
volume = {"type": "bucket", "source": f"{hub.namespace}/b", "mountPath": "/data"}
import httpx
job = httpx.post(
    f"{hub.endpoint}/api/jobs/{hub.namespace}",
    headers={"Authorization": f"Bearer {hub.token}"},
    json={"flavor": "cpu-basic", "dockerImage": "python:3", "volumes": [volume],
          "command": ["sh", "-c", "echo $$; exec sleep 60"]},
).json()["id"]
for line in api.fetch_job_logs(job_id=job, namespace=hub.namespace, follow=True):
    print(hub._core._folder, line, hub.endpoint, hub.token, flush=True)
"""


@mounts
def test_a_killed_hub_leaves_neither_buckets_nor_volumes(alive, until):
    env = {**os.environ, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True, env=env
    ) as process:
        try:
            folder, pid, *_ = process.stdout.readline().split()
            assert {"buckets", "volumes"} <= {one.name for one in Path(folder).iterdir()}
            assert alive(int(pid))
        finally:
            os.kill(process.pid, signal.SIGKILL)
    until(lambda: not alive(int(pid)) and not Path(folder).exists())


@mounts
def test_a_closed_hub_leaves_neither_buckets_nor_volumes(made):
    volumes = made()
    volumes.put(a="one")
    job = volumes.shell("echo 1 > /data/b; echo ready; sleep 60")
    assert next(volumes.raw.lines(job)) == "ready"
    folder = Path(volumes.raw.hub._core._folder)
    volumes.raw.hub.close()
    assert not folder.exists()
