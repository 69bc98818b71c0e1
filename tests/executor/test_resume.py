"""What an earlier run has completed is taken from there, and nothing that has changed since."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("hf_xet")
from huggingface_hub import HfApi
from huggingface_hub.errors import BucketNotFoundError

import hfexecutor
from hfexecutor import HubExecutor
from hfexecutor.bucket_paths import RESULTS_BUCKET
from hfexecutor.local import LocalHub
from hfexecutor.runtime import results_store
from hfexecutor.runtime.keys import key_of_results

from .conftest import until


@pytest.fixture(scope="module")
def hub() -> Iterator[LocalHub]:
    with LocalHub() as running:
        yield running


@pytest.fixture
def api(hub: LocalHub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=hub.token)


@pytest.fixture
def begun(tmp_path: Path):
    """Return a function for calls that leave a mark, and one that tells how many have begun."""
    path = str(tmp_path / "begun")

    def mark(number):
        with Path(path).open("a") as file:
            file.write(f"{number}\n")
        if number < 0:
            raise ValueError(number)
        return number * number

    def marks() -> Counter[int]:
        text = Path(path).read_text() if Path(path).exists() else ""
        return Counter(int(line) for line in text.split())

    return mark, marks


def test_what_was_completed_does_not_run_again(make, begun):
    mark, marks = begun
    for _ in range(2):
        with make(1) as executor:
            assert list(executor.map(mark, range(5), resume="squares")) == [0, 1, 4, 9, 16]
    assert executor.stats().jobs_started == 0

    with make(1) as executor:
        found = list(executor.map(mark, range(7), resume="squares", chunksize=1))
    assert found == [0, 1, 4, 9, 16, 25, 36]
    assert marks() == dict.fromkeys(range(7), 1)


def test_another_name_knows_nothing_of_it(make, begun):
    mark, marks = begun
    for name in ("one", "other"):
        with make(1) as executor:
            assert list(executor.map(mark, [2], resume=name)) == [4]
    assert marks() == {2: 2}


def test_code_that_has_changed_runs(make):
    def of(factor):
        return lambda number: number * factor

    for factor in (2, 3):
        with make(1) as executor:
            assert list(executor.map(of(factor), [5], resume="changing")) == [5 * factor]


def test_what_has_failed_runs_again(make, begun):
    mark, marks = begun
    for _ in range(2):
        with make(1) as executor, pytest.raises(ValueError, match="-1"):
            list(executor.map(mark, [-1], resume="failing"))
    assert marks() == {-1: 2}


def test_a_key_stands_for_its_call_whatever_that_is(make):
    with make(1, name="keyed") as executor:
        assert executor.submit_keyed("a", pow, 2, 5).result() == 32
    with make(1, name="keyed") as executor:
        assert executor.submit_keyed("a", pow, 3, 3).result() == 32
        assert executor.submit_keyed("b", pow, 3, 3).result() == 27
    with pytest.raises(TypeError, match="key must be a string, not 1"):
        executor.submit_keyed(1, pow, 2, 5)


def test_a_call_that_cannot_be_compared_says_what_to_do(make):
    class Odd:
        def __reduce_ex__(self, protocol):
            raise TypeError("not me")

    with make(1) as executor, pytest.raises(hfexecutor.UnpicklableCallError):
        list(executor.map(str, [Odd()], resume="odd"))


def test_a_name_that_can_be_none_is_refused(make):
    with make(1) as executor, pytest.raises(ValueError, match="resume is a label"):
        executor.map(str, [1], resume="no name")


def test_the_bucket_is_private_and_what_was_changed_in_it_is_not_believed(make, hub, api, begun):
    mark, marks = begun
    with make(1) as executor:
        list(executor.map(mark, range(3), resume="spoilt"))
    bucket = f"{hub.namespace}/{RESULTS_BUCKET}"
    assert api.bucket_info(bucket).private
    (file,) = api.list_bucket_tree(bucket, prefix="spoilt/", recursive=True)
    api.batch_bucket_files(bucket, add=[(b"hfexecutor results 2\n" + bytes(500), file.path)])
    with make(1) as executor:
        assert list(executor.map(mark, range(3), resume="spoilt")) == [0, 1, 4]
    assert marks() == dict.fromkeys(range(3), 2)


def kept(api: HfApi, hub: LocalHub, name: str, folder: Path) -> set[bytes]:
    """Return what stands for the calls whose results are in the bucket."""
    bucket = f"{hub.namespace}/{RESULTS_BUCKET}"
    try:
        tree = list(api.list_bucket_tree(bucket, prefix=f"{name}/", recursive=True))
    except BucketNotFoundError:
        return set()
    files = [(entry, folder / entry.path.replace("/", "-")) for entry in tree]
    api.download_bucket_files(bucket, files)
    key, found = key_of_results(hub.token), set()
    for _, path in files:
        found |= {call for call, *_ in results_store.read_segment(key, name, path.read_bytes())}
    return found


@pytest.mark.slow
def test_of_5000_calls_that_were_killed_half_way_only_what_is_missing_runs(hub, api, tmp_path):
    script = f"""
        import sys, time
        from hfexecutor import HubExecutor

        def mark(number):
            with open({str(tmp_path / "begun")!r}, "a") as file:
                file.write(f"{{number}}\\n")
            time.sleep(0.002)
            return number

        with HubExecutor(
            4, endpoint={hub.endpoint!r}, token={hub.token!r}, idle_timeout=1
        ) as executor:
            count = 0
            for number in executor.map(mark, range(5000), resume="half"):
                count += 1
                if count == 2500 and sys.argv[1] == "first":
                    print("now", flush=True)
            print(count, executor.stats().done, flush=True)
    """
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(script))

    def begun() -> Counter[int]:
        return Counter(int(line) for line in (tmp_path / "begun").read_text().split())

    def start(which: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(path), which], stdout=subprocess.PIPE, text=True
        )

    with start("first") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "now\n"
        until(lambda: len(kept(api, hub, "half", tmp_path)) > 0)
        first.kill()
    until(lambda: hub.running == 0)
    before, completed = begun(), len(kept(api, hub, "half", tmp_path))
    with start("second") as second:
        assert second.stdout is not None
        said, ran = map(int, second.stdout.readline().split())

    assert said == 5000
    assert ran == 5000 - completed
    everything = begun()
    assert set(everything) == set(range(5000))
    assert max(before.values()) == 1
    assert sum(everything.values()) == sum(before.values()) + ran


def test_an_executor_that_keeps_nothing_knows_no_bucket(hub):
    before = hub.requests.copy()
    with HubExecutor(1, endpoint=hub.endpoint, token=hub.token) as executor:
        assert executor.submit(pow, 2, 5).result() == 32
    asked = hub.requests - before
    assert not [route for route in asked if "bucket" in route]


def test_an_async_map_takes_what_was_completed_as_well(make):
    async def squares(executor: HubExecutor) -> list[int]:
        found = executor.amap(pow, range(5), [2] * 5, resume="async")
        return [number async for number in found]

    with make() as executor:
        assert asyncio.run(squares(executor)) == [0, 1, 4, 9, 16]
    with make() as executor:
        assert asyncio.run(squares(executor)) == [0, 1, 4, 9, 16]
        assert executor.stats().jobs_started == 0
        with pytest.raises(ValueError, match="resume is a label"):
            executor.amap(pow, [1], [2], resume="a b")
