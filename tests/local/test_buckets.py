"""Buckets: Hugging Face's own client, with its own `hf_xet`, and what raw requests get."""

from __future__ import annotations

import io
import json
import random
import secrets
import struct
import subprocess
import sys
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("hf_xet")
from huggingface_hub import HfApi, HfFileSystem
from huggingface_hub.errors import BucketNotFoundError, EntryNotFoundError, HfHubHTTPError

from hfexecutor.local import LocalHub
from hfexecutor.local import faults as f
from hfexecutor.local.buckets.bucket import Bucket, File, why_not
from hfexecutor.local.buckets.formats import FormatError, Term, chunks_of, files_of

pytestmark = pytest.mark.usefixtures("no_progress_bars")
BATCH = "POST /api/buckets/{namespace}/{repo}/batch"


@pytest.fixture
def bucket(api, hub):
    """A bucket with a few files."""
    name = f"{hub.namespace}/{secrets.token_hex(8)}"
    api.create_bucket(name, private=True)
    files = [(b"one", "a/1.txt"), (b"two", "a/b/2.txt"), (b"", "empty"), (b"dash", "a-1")]
    api.batch_bucket_files(name, add=files)
    return name


def paths(api, bucket, **options):
    return [(one.type, one.path) for one in api.list_bucket_tree(bucket, **options)]


def content(api, bucket, path, tmp_path):
    api.download_bucket_files(bucket, [(path, tmp_path / "got")], raise_on_missing_files=True)
    return (tmp_path / "got").read_bytes()


# ---------------------------------------------------------------------------- the client


def test_a_bucket_is_made_found_renamed_and_deleted(api, hub):
    url = api.create_bucket("mine")
    assert url.bucket_id == f"{hub.namespace}/mine"
    assert api.create_bucket(url.bucket_id, exist_ok=True).url == url.url
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_bucket(url.bucket_id)
    info = api.bucket_info(url.bucket_id)
    assert (info.private, info.size, info.total_files) == (False, 0, 0)
    assert "mine" in [one.id.partition("/")[2] for one in api.list_buckets()]
    api.move_bucket(url.bucket_id, f"{hub.namespace}/yours")
    with pytest.raises(BucketNotFoundError):
        api.bucket_info(url.bucket_id)
    api.delete_bucket(f"{hub.namespace}/yours")
    with pytest.raises(BucketNotFoundError):
        api.delete_bucket(f"{hub.namespace}/yours")
    api.delete_bucket(f"{hub.namespace}/yours", missing_ok=True)


def test_files_come_back_as_they_were(api, hub, tmp_path):
    name = f"{hub.namespace}/back"
    api.create_bucket(name)
    large = random.Random(1).randbytes(3 << 20)
    (tmp_path / "source").write_bytes(large)
    files = [(tmp_path / "source", "deep/er/large"), (b"small", "odd name ü %2F.txt"), (b"", "no")]
    api.batch_bucket_files(name, add=files)
    assert content(api, name, "deep/er/large", tmp_path) == large
    assert content(api, name, "odd name ü %2F.txt", tmp_path) == b"small"
    assert content(api, name, "no", tmp_path) == b""
    info = api.bucket_info(name)
    assert (info.size, info.total_files) == (len(large) + 5, 3)
    with pytest.raises(EntryNotFoundError):
        content(api, name, "nothing", tmp_path)
    api.batch_bucket_files(name, add=[(b"other", "no")], delete=["deep/er/large", "nothing"])
    assert content(api, name, "no", tmp_path) == b"other"
    assert api.bucket_info(name).size == 10


@pytest.mark.parametrize("size", [4_000_000, 300_000, (1 << 20) + 1])
def test_a_file_that_repeats_itself_comes_back(api, hub, tmp_path, size):
    """Its parts are ranges of chunks that overlap."""
    name = f"{hub.namespace}/repeats-{size}"
    api.create_bucket(name)
    pattern = (bytes(500_000) + random.Random(1).randbytes(200_000)) * (size // 100_000)
    api.batch_bucket_files(name, add=[(bytes(size), "zeros"), (pattern, "pattern")])
    assert content(api, name, "zeros", tmp_path) == bytes(size)
    assert content(api, name, "pattern", tmp_path) == pattern


def test_lists_go_as_deep_as_asked(api, bucket):
    assert paths(api, bucket) == [("file", "a-1"), ("directory", "a"), ("file", "empty")]
    assert paths(api, bucket, recursive=True) == [
        ("file", "a-1"),
        ("file", "a/1.txt"),
        ("file", "a/b/2.txt"),
        ("file", "empty"),
    ]
    assert paths(api, bucket, prefix="a/") == [("file", "a/1.txt"), ("directory", "a/b")]
    # As clients say of the Hub: letter by letter.
    assert ("file", "a-1") in paths(api, bucket, prefix="a", recursive=True)
    assert paths(api, bucket, prefix="nothing") == []
    known = {one.path: one for one in api.get_bucket_paths_info(bucket, ["empty", "a", "no"])}
    assert list(known) == ["empty"]
    assert abs(known["empty"].mtime - datetime.now(UTC)) < timedelta(minutes=5)


def test_contents_are_copied_without_being_sent(api, hub, raw, bucket, tmp_path):
    target = f"{hub.namespace}/copies"
    api.create_bucket(target)
    sent = hub.requests["GET /api/buckets/{namespace}/{repo}/xet-write-token"]
    api.copy_files(f"hf://buckets/{bucket}/a/", f"hf://buckets/{target}/x/")
    api.copy_files(f"hf://buckets/{bucket}/a/1.txt", f"hf://buckets/{bucket}/again")
    api.copy_files(f"hf://buckets/{bucket}/empty", f"hf://buckets/{target}/empty")
    assert hub.requests["GET /api/buckets/{namespace}/{repo}/xet-write-token"] == sent
    api.delete_bucket(bucket)
    assert content(api, target, "x/b/2.txt", tmp_path) == b"two"
    copy = {"type": "copyFile", "path": "y", "xetHash": "0" * 64, "sourceRepoId": bucket}
    for kind, words in (("model", "repositories"), ("bucket", "No file of")):
        reply = batch(raw, target, {**copy, "sourceRepoType": kind})
        assert reply.status_code == 422
        assert words in reply.json()["failed"][0]["error"]


def test_a_directory_is_kept_in_step(api, bucket, tmp_path):
    source, back = tmp_path / "source", tmp_path / "back"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "file").write_text("first")
    (source / "gone").write_text("gone")
    address = f"hf://buckets/{bucket}/synced"
    assert api.sync_bucket(str(source), address, quiet=True).summary()["uploads"] == 2
    assert api.sync_bucket(str(source), address, quiet=True).summary()["uploads"] == 0
    (source / "gone").unlink()
    (source / "sub" / "file").write_text("second, and longer")
    summary = api.sync_bucket(str(source), address, delete=True, quiet=True).summary()
    assert (summary["uploads"], summary["deletes"]) == (1, 1)
    api.sync_bucket(address, str(back), quiet=True)
    assert [path.name for path in back.rglob("*")] == ["sub", "file"]
    assert (back / "sub" / "file").read_text() == "second, and longer"


@pytest.mark.skipif(not hasattr(HfApi, "sync_job_volume"), reason="this client has no such method")
def test_a_directory_becomes_a_volume(api, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        volume = api.sync_job_volume(tmp_path, "/inputs")
    assert volume.source == f"{api.whoami()['name']}/jobs-artifacts"
    assert paths(api, volume.source, prefix=volume.path, recursive=True) == [
        ("file", f"{volume.path}/.keep")
    ]


def test_a_file_system(hub, bucket):
    fs = HfFileSystem(endpoint=hub.endpoint, token=hub.token, skip_instance_cache=True)
    root = f"buckets/{bucket}"
    assert sorted(one["name"] for one in fs.ls(root)) == [
        f"{root}/{n}" for n in ("a", "a-1", "empty")
    ]
    assert [one["name"] for one in fs.ls(f"{root}/a/b")] == [f"{root}/a/b/2.txt"]
    with fs.open(f"{root}/written", "wb") as file:
        file.write(b"0123456789")
    with fs.open(f"{root}/written", block_size=4) as file:
        file.seek(3)
        assert file.read(4) == b"3456"
    fs.rm(f"{root}/written")
    assert not fs.exists(f"{root}/written")
    assert fs.cat(f"{root}/a/1.txt") == b"one"


# ---------------------------------------------------------------------------- raw requests


def test_files_are_sent_whole_or_in_ranges(raw, bucket):
    url = f"/buckets/{bucket}/resolve/a%2Fb%2F2.txt"
    whole = raw.http.get(url)
    assert (whole.status_code, whole.content) == (200, b"two")
    assert whole.headers["x-linked-size"] == "3"
    assert whole.headers["etag"] == f'"{whole.headers["x-xet-hash"]}"'
    head = raw.http.head(f"/buckets/{bucket}/resolve/a/b/2.txt")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "3")
    route = head.headers["x-xet-refresh-route"].removeprefix(raw.hub.endpoint)
    token = raw.http.get(route)
    assert token.json()["casUrl"] == token.headers["x-xet-cas-url"]
    assert int(token.headers["x-xet-token-expiration"]) == token.json()["exp"]
    assert token.json()["accessToken"] == token.headers["x-xet-access-token"]
    for asked, status, body in (
        ("bytes=1-1", 206, b"w"),
        ("bytes=1-", 206, b"wo"),
        ("bytes=-1", 206, b"o"),
        ("bytes=1-99", 206, b"wo"),
        ("bytes=2-1", 200, b"two"),
        ("items=1-2", 200, b"two"),
        ("bytes=0-2", 200, b"two"),
    ):
        part = raw.http.get(url, headers={"Range": asked})
        assert (part.status_code, part.content) == (status, body), asked
    beyond = raw.http.get(url, headers={"Range": "bytes=3-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */3")


def test_who_may_not_see_it_does_not_learn_that_it_is_there(raw, bucket):
    url = f"/api/buckets/{bucket}"
    nobody = httpx.Client(base_url=raw.hub.endpoint, trust_env=False, verify=False)
    with nobody:
        for path in (url, f"{url}x", f"{url}/tree", f"{url}/xet-read-token", f"{url}/events"):
            reply = nobody.get(path)
            assert (reply.status_code, reply.headers["x-error-code"]) == (401, "RepoNotFound")
        assert nobody.get(f"{url}/xet-write-token").status_code == 401
        assert nobody.delete(url).status_code == 401
        assert raw("PUT", f"{url}/settings", json={"private": False}).json() == {"private": False}
        assert nobody.get(url).json()["totalFiles"] == 4
        assert nobody.get(f"/buckets/{bucket}/resolve/a-1").content == b"dash"
        assert nobody.get("/api/buckets/me").status_code == 401
        wrong = nobody.get(url, headers={"Authorization": "Bearer hf_other"})
        assert wrong.status_code == 401
    for path in (f"{url}x", "/api/buckets/somebody/else", "/api/buckets/somebody/else/tree/x"):
        reply = raw("GET", path)
        assert (reply.status_code, reply.headers["x-error-code"]) == (404, "RepoNotFound")
    missing = raw("GET", f"/buckets/{bucket}/resolve/no")
    assert (missing.status_code, missing.headers["x-error-code"]) == (404, "EntryNotFound")
    assert raw("POST", "/api/buckets/somebody/new", json={}).status_code == 403
    assert raw("GET", "/api/buckets/somebody").json() == []


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("", {"visibility": "secret"}, "visibility"),
        ("-", {}, "name"),
        ("/settings", {"private": "yes"}, "private"),
        ("/paths-info", {"paths": ["x"] * 1001}, "paths"),
        ("/paths-info", {}, "paths"),
        ("/tree?cursor=!", None, "cursor"),
        ("/events?cursor=x-1", None, "cursor"),
        ("/events?since=yesterday", None, "since"),
    ],
)
def test_bad_requests_are_refused_with_words(raw, bucket, path, body, words):
    method = "GET" if body is None else "PUT" if path == "/settings" else "POST"
    reply = raw(method, f"/api/buckets/{bucket}{path}", json=body)
    assert reply.status_code == 400
    assert words in reply.json()["error"]


def batch(raw, bucket, *lines):
    data = b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in lines)
    return raw.http.post(f"/api/buckets/{bucket}/batch", content=data)


def test_a_batch_does_what_it_can_and_reports_the_rest(raw, api, bucket):
    known = next(iter(api.get_bucket_paths_info(bucket, ["a/1.txt"]))).xet_hash
    add = {"type": "addFile", "xetHash": known, "mtime": 1}
    reply = batch(
        raw,
        bucket,
        {**add, "path": "new"},
        {**add, "path": "up/../down"},
        {**add, "path": "x", "xetHash": "12" * 32},
        {"type": "deleteFile", "path": "a-1"},
        b"",
    )
    assert reply.status_code == 200
    report = reply.json()
    assert (report["success"], report["processed"], report["succeeded"]) == (False, 4, 2)
    assert [one["path"] for one in report["failed"]] == ["up/../down", "x"]
    assert {path for _, path in paths(api, bucket)} == {"a", "empty", "new"}
    assert batch(raw, bucket, {**add, "path": ""}).status_code == 422
    assert batch(raw, bucket).json()["success"]
    for bad in (b"{", {"type": "moveFile", "path": "x"}, {**add, "path": "x", "xetHash": "short"}):
        reply = batch(raw, bucket, {**add, "path": "never"}, bad)
        assert (reply.status_code, reply.json()["error"][:7]) == (400, "line 2:")
    assert not list(api.get_bucket_paths_info(bucket, ["never"]))


def test_lists_come_in_pages(make):
    hub, raw = make(page_size=2)
    for number in range(5):
        raw("POST", f"/api/buckets/me/b{number}", json={})
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    assert [one.id[-2:] for one in api.list_buckets()] == ["b0", "b1", "b2", "b3", "b4"]
    assert [one.id[-2:] for one in api.list_buckets(search="3")] == ["b3"]
    name = f"{hub.namespace}/b0"
    add = {"type": "addFile", "xetHash": "0" * 64}
    many = [f"{number % 7}/{number}" for number in range(2500)] + [f"{n}-" for n in range(1500)]
    assert batch(raw, name, *({**add, "path": path} for path in many)).json()["success"]
    assert {path for _, path in paths(api, name, recursive=True)} == set(many)
    top = [path for _, path in paths(api, name)]
    assert len(top) == len(set(top)) == 1507


def test_the_quota_holds_for_all_buckets_together(make):
    hub, _ = make(bucket_quota=10)
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    for name in ("one", "two"):
        api.create_bucket(name)
    one, two = (f"{hub.namespace}/{name}" for name in ("one", "two"))
    api.batch_bucket_files(one, add=[(b"123456", "x")])
    with pytest.raises(HfHubHTTPError, match="storage limit"):
        api.batch_bucket_files(two, add=[(b"12345", "x")])
    api.batch_bucket_files(one, add=[(b"12345", "x")])
    api.batch_bucket_files(two, add=[(b"12345", "x")])
    api.delete_bucket(one)
    api.batch_bucket_files(two, add=[(b"1234567890", "x")])
    with pytest.raises(ValueError, match="bucket_quota"):
        LocalHub(bucket_quota=-1)


def test_a_deleted_bucket_takes_all_that_was_uploaded_with_it(api, raw, bucket):
    url = raw("GET", f"/api/buckets/{bucket}/xet-write-token").json()["casUrl"]
    directory = Path(raw.hub._core._folder, "buckets", url.rpartition("/")[2])
    assert [path.is_file() for path in directory.iterdir()] == [True]
    api.delete_bucket(bucket)
    assert not directory.exists()


UPLOAD = """
import sys
from huggingface_hub import HfApi
endpoint, token, bucket, name = sys.argv[1:]
api = HfApi(endpoint=endpoint, token=token)
api.batch_bucket_files(bucket, add=[(name.encode() * 100_000, name)])
print("up", flush=True)
sys.stdin.readline()
api.download_bucket_files(bucket, [(one, f"{sys.argv[0]}-{name}-{one}") for one in "ab"])
"""


def test_several_processes_write_and_read_at_once(hub, bucket, tmp_path):
    (tmp_path / "script").write_text(UPLOAD)
    words = [sys.executable, tmp_path / "script", hub.endpoint, hub.token, bucket]
    both = [
        subprocess.Popen([*words, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    for process in both:
        assert process.stdout.readline() == "up\n"
    for process in both:
        process.communicate("\n", timeout=60)
        assert process.returncode == 0
    for reader in "ab":
        for name in "ab":
            got = Path(f"{tmp_path}/script-{reader}-{name}").read_text()
            assert got == name * 100_000


# ---------------------------------------------------------------------------- chunks


@pytest.fixture
def cas(raw, api, bucket):
    """Return a client of a bucket's content, and the paths of a file of it."""
    data = random.Random(2).randbytes(300_000)
    api.batch_bucket_files(bucket, add=[(data, "large")])
    client = httpx.Client(trust_env=False, verify=False)
    with client:

        def tokens(scope):
            told = raw("GET", f"/api/buckets/{bucket}/xet-{scope}-token").json()
            client.headers["Authorization"] = f"Bearer {told['accessToken']}"
            return told["casUrl"]

        yield (
            client,
            tokens,
            next(iter(api.get_bucket_paths_info(bucket, ["large"]))).xet_hash,
            data,
        )


def test_parts_of_a_file_are_made_of_whole_chunks(cas):
    client, tokens, name, data = cas
    url = f"{tokens('read')}/v1/reconstructions/{name}"
    for start, end in ((0, 300_000), (150_000, 150_001), (299_999, 400_000), (0, 1)):
        plan = client.get(url, headers={"Range": f"bytes={start}-{end - 1}"}).json()
        size = sum(term["unpacked_length"] for term in plan["terms"])
        assert plan["offset_into_first_range"] + min(end, len(data)) - start <= size
        (places,) = plan["fetch_info"].values()
        asked = places[0]["url_range"]
        part = client.get(
            places[0]["url"], headers={"Range": f"bytes={asked['start']}-{asked['end']}"}
        )
        assert (part.status_code, len(part.content)) == (206, asked["end"] - asked["start"] + 1)
    assert client.get(url, headers={"Range": "bytes=300000-300001"}).status_code == 416
    assert client.get(url[:-1] + "x").status_code == 404


def test_tokens_are_for_one_bucket_and_one_purpose(cas, raw, api):
    client, tokens, name, _ = cas
    root = tokens("read")
    plan = client.get(f"{root}/v1/reconstructions/{name}").json()
    assert client.post(f"{root}/v1/shards", content=b"").status_code == 403
    address = next(iter(plan["fetch_info"].values()))[0]["url"]
    del client.headers["Authorization"]
    assert client.get(f"{root}/v1/reconstructions/{name}").status_code == 401
    assert client.get(address).status_code == 206
    assert client.get(address[:-1] + "-").status_code == 401
    other = api.create_bucket(secrets.token_hex(4)).bucket_id
    token = raw("GET", f"/api/buckets/{other}/xet-read-token").json()["accessToken"]
    client.headers["Authorization"] = f"Bearer {token}"
    assert client.get(f"{root}/v1/reconstructions/{name}").status_code == 401
    client.headers["Authorization"] = "Bearer read.1.x"
    assert client.get(f"{root}/v1/reconstructions/{name}").status_code == 401


def test_what_is_no_content_is_not_taken(cas):
    client, tokens, *_ = cas
    root, name = tokens("write"), "ab" * 32
    for body in (b"", b"\xff" * 100, b"\0\xff\0\0\0\xff\0\0short"):
        reply = client.post(f"{root}/v1/xorbs/default/{name}", content=body)
        assert (reply.status_code, "xorb" in reply.json()["error"]) == (400, True)
    assert client.post(f"{root}/v1/xorbs/default/..", content=b"x").status_code in (400, 404)
    chunk = b"\0\3\0\0\0\3\0\0abc"
    told = [client.post(f"{root}/v1/xorbs/default/{name}", content=chunk).json() for _ in range(2)]
    assert told == [{"was_inserted": True}, {"was_inserted": False}]
    for size, end in ((3, 2), (4, 1), (3, 0)):
        entry = bytes.fromhex(name) + struct.pack("<IIII", 0, size, 0, end)
        reply = client.post(f"{root}/v1/shards", content=a_shard(entry))
        assert (reply.status_code, "chunks" in reply.json()["error"]) == (400, True)
    for body in (b"", b"x" * 500, a_shard(b"", rows=3)[:-40]):
        assert client.post(f"{root}/v1/shards", content=body).status_code == 400


def a_shard(*entries, rows=None):
    head = b"HFRepoMetaData\0".ljust(32, b"x") + struct.pack("<QQ", 2, 0)
    file = struct.pack("<32sIIII", b"f" * 32, 0, len(entries) if rows is None else rows, 0, 0)
    return head + file + b"".join(entries) + struct.pack("<32sIIII", b"\xff" * 32, 0, 0, 0, 0)


@pytest.fixture
def download(cas):
    """Read a file with `hf_xet` itself, which is not to wait long before it tries again."""
    import hf_xet

    client, tokens, name, data = cas
    url = tokens("read")
    settings = {"client.retry_base_delay": "1ms", "client.retry_max_attempts": 2}
    session = hf_xet.XetSession(hf_xet.XetConfig().with_config(settings))
    token = client.headers["Authorization"].removeprefix("Bearer ")

    def read():
        group = session.new_download_stream_group(
            endpoint=url, token=token, token_expiry_unix_secs=2**40
        )
        return b"".join(group.download_stream(hf_xet.XetFileInfo(name, len(data))))

    return read


# It waits for a second before it reads again: within a chunk's head, and amid others, for all.
@pytest.mark.parametrize(
    "at",
    [7, 150_000, *(pytest.param(at, marks=pytest.mark.slow) for at in (0, 1, 8, 65_535, 299_999))],
)
def test_content_that_is_cut_is_read_again_or_not_at_all(hub, cas, download, at):
    try:
        hub.inject(f.CutContent(at, times=1))
        assert download() == cas[3]
        hub.inject(f.CutContent(at))
        with pytest.raises((OSError, RuntimeError)):
            download()
    finally:
        hub.behave()


def test_content_that_is_spoiled_is_spoiled(hub, cas, download):
    """`hf_xet` 1.8 compares no hashes of what it reads: who is to notice has to do so himself."""
    try:
        hub.inject(f.SpoilContent(100, times=1))
        right = sum(one == other for one, other in zip(download(), cas[3], strict=True))
        assert right == len(cas[3]) - 1
    finally:
        hub.behave()
    assert download() == cas[3]


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12), st.data()
)
@settings(deadline=None)
def test_chunks_are_found_in_a_xorb(chunks, data):
    raw = b"".join(
        b"\0" + size.to_bytes(3, "little") + b"\0" + whole.to_bytes(3, "little") + b"x" * size
        for size, whole in chunks
    )
    xorb = chunks_of(io.BytesIO(raw + b"XETBLOB"))
    assert xorb.offsets[-1] == len(raw)
    assert xorb.places[-1] == sum(whole for _, whole in chunks)
    start = data.draw(st.integers(0, len(chunks) - 1))
    end = data.draw(st.integers(start + 1, len(chunks)))
    total = xorb.places[end] - xorb.places[start]
    term = Term("x", start, end, total)
    skip = data.draw(st.integers(0, total - 1))
    size = data.draw(st.integers(1, total - skip))
    part, before = xorb.part(term, skip, size)
    assert start <= part.start < part.end <= end
    assert xorb.places[part.start] + before == xorb.places[start] + skip
    assert part.size == xorb.places[part.end] - xorb.places[part.start]
    # All that is wanted, and no chunk that is not.
    assert before < xorb.places[part.start + 1] - xorb.places[part.start]
    assert xorb.places[part.end - 1] < xorb.places[start] + skip + size <= xorb.places[part.end]


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_anything_is_read_as_a_shard_or_refused(data):
    shard = a_shard(struct.pack("<32sIIII", b"x" * 32, 0, 5, 0, 1))
    for text in (data, shard[: len(data)], shard + data):
        try:
            files = files_of(text)
        except FormatError:
            continue
        assert list(files.values()) == [(Term("78" * 32, 0, 1, 5),)]


# ---------------------------------------------------------------------------- the feed


def events(raw, bucket, **params):
    """Yield the events of a bucket's feed, each as its name and data."""
    with raw.stream(f"/api/buckets/{bucket}/events", **params) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        name = ""
        for line in reply.iter_lines():
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                yield name, json.loads(line[6:])


def changed(data):
    return [(one["op"], one["path"]) for one in data["changes"]]


def test_changes_are_told_as_they_happen_and_again(raw, api, hub):
    bucket = f"{hub.namespace}/feed"
    api.create_bucket(bucket)
    live = events(raw, bucket)
    assert next(live) == ("ready", {})
    api.batch_bucket_files(bucket, add=[(b"1", "a"), (b"2", "b")])
    name, data = next(live)
    assert (name, changed(data)) == ("changes", [("add", "a"), ("add", "b")])
    assert data["changes"][0]["size"] == 1
    api.batch_bucket_files(bucket, add=[(b"3", "a")], delete=["b"])
    _, later = next(live)
    assert changed(later) == [("update", "a"), ("delete", "b")]
    again = events(raw, bucket, cursor=data["cursor"])
    assert [next(again) for _ in range(2)] == [
        ("changes", later),
        ("ready", {"cursor": later["cursor"]}),
    ]
    whole = events(raw, bucket, since="2020-01-01T00:00:00Z")
    assert [name for name, _ in (next(whole), next(whole), next(whole))] == [
        *("changes", "changes", "ready")
    ]
    updated = raw("GET", f"/api/buckets/{bucket}").json()["updatedAt"]
    assert next(events(raw, bucket, since=updated))[0] == "changes"  # a millisecond may be cut off
    assert next(events(raw, bucket, since="2099-01-01T00:00:00Z"))[0] == "ready"
    api.delete_bucket(bucket)
    assert list(live) == []


def test_a_follower_that_was_away_too_long_is_told():
    bucket = Bucket("me", "b", private=False)
    for number in range(300):
        bucket.change([a_file(f"{number}/{n}") for n in range(100)])
    assert bucket.since(0) is None
    assert bucket.number_at(bucket.created) is None
    last = bucket.since(bucket.total - 1)
    assert [one.number for one in last] == [300]
    assert bucket.since(bucket.total) == []


def a_file(path, size=1):
    return File(path, size, "1" * 64, None, datetime.now(UTC))


# ---------------------------------------------------------------------------- faults


def test_faults_of_buckets(make):
    hub, raw = make(
        faults=[
            f.FailOperation("no luck", nth=2),
            f.EndFeed(nth=1),
            f.ResetFeed(nth=2),
            f.Refuse(503, route=BATCH, nth=3),
        ]
    )
    raw("POST", "/api/buckets/me/b", json={})
    bucket = f"{hub.namespace}/b"
    live = events(raw, bucket)
    next(live)
    add = {"type": "addFile", "xetHash": "0" * 64}
    report = batch(raw, bucket, *({**add, "path": path} for path in "abc")).json()
    assert report["failed"] == [{"path": "b", "error": "no luck"}]
    ended = list(live)
    assert [name for name, _ in ended] == ["changes", "reconnect"]
    again = events(raw, bucket, cursor=ended[1][1]["cursor"])
    assert next(again)[0] == "ready"
    batch(raw, bucket, {**add, "path": "d"})
    assert [name for name, _ in again] == ["changes", "reset"]
    assert batch(raw, bucket, {**add, "path": "e"}).status_code == 503


# ---------------------------------------------------------------------------- parts


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(-1, 5)), max_size=40))
@settings(deadline=None)
def test_a_bucket_is_as_large_as_its_files(steps):
    bucket, files = Bucket("me", "b", private=False), {}
    for path, size in steps:
        put, deleted = ([], [path]) if size < 0 else ([a_file(path, size)], [])
        expected = bucket.size + bucket.grown_by(put, deleted)
        bucket.change(put, deleted)
        files |= {path: size}
        files = {path: size for path, size in files.items() if size >= 0}
        assert bucket.size == expected == sum(files.values())
        assert [one.path for one in bucket.starting_with("")] == sorted(files)


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "a/./b", "..", "a\0", "a\n", "x" * 1025])
def test_what_is_no_path(path):
    assert why_not(path)
    assert why_not("some/path of a file.txt") is None
