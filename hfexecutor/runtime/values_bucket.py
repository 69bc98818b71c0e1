"""The large values of one run, in a private bucket of the namespace; all of it blocks.

They are below a folder of the run (:mod:`hfexecutor.bucket_paths`): ``arguments`` has buffers under
their names, which follow from their content; ``results`` has what jobs write, of which the digest
comes through their authenticated logs. So whoever can write into the bucket can make a call fail,
and not have it compute, or return, something else. Who may read the namespace can read them.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from hfexecutor.bucket_paths import VALUES_BUCKET, value_path
from hfexecutor.errors import HubExecutorError, HubUnavailableError, JobLostError
from hfexecutor.remote import buffers
from hfexecutor.runtime.arrivals import check_room
from hfexecutor.runtime.buckets import hub_errors, open_bucket
from hfexecutor.runtime.scratch import ScratchFolder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from huggingface_hub import HfApi, Volume

    from hfexecutor.core.call import Buffer

__all__ = ["ARGUMENTS", "RESULTS", "ValuesBucket"]

logger = logging.getLogger("hfexecutor")

ARGUMENTS: Final = "/hfexecutor/arguments"  # where jobs have them
RESULTS: Final = "/hfexecutor/results"
LATE: Final = 120.0  # seconds after its job has said so that a file may take to be in the bucket
SLOWEST: Final = 4 << 20  # bytes a second that a large one takes besides
TRUSTED: Final = 3600.0  # seconds that what was stored is taken to be there: far less than a day
_LOOKS: Final = (0.05, 5.0)  # shortest and longest pause between two looks for it
_TRIES: Final = 3  # of an upload
_PAUSE: Final = 1.0  # between two of them, then twice as long
_BUCKET: Final = "the bucket of large values"
_NAME: Final = re.compile(r"[0-9a-f]{32}")  # of a result


class ValuesBucket:
    """What one run has in the bucket.

    Args:
        endpoint: The Hub's address.
        namespace: Whose bucket it is.
        nonce: The run's.
        name: The run's, for people who look into the bucket.

    Attributes:
        token: What requests show.
        used: Something of the run may be there.
    """

    def __init__(self, endpoint: str, namespace: str, nonce: str, name: str) -> None:
        self._id = f"{namespace}/{VALUES_BUCKET}"
        self._endpoint = endpoint
        self._nonce = nonce
        self._name = name
        self._lock = threading.Lock()  # guards the next three
        self._api: HfApi | None = None
        self._made_at: dict[str, float] = {}  # when folders were seen to, since 1970
        self._cleared = False
        self._stored_at: dict[str, float] = {}  # by path, the same of buffers
        self.token = ""
        self.used = False

    def __repr__(self) -> str:
        return f"<ValuesBucket {self._id}/{self._nonce}>"

    @property
    def cleared(self) -> bool:
        """Whether all that the run had there is removed, or about to be."""
        return self._cleared

    def _open(self) -> HfApi:
        """Return the API, with a bucket; done once, by who asks first."""
        with self._lock:
            if self._api is None:
                why = "large values go through a bucket"
                self._api = open_bucket(self._endpoint, self._id, self.token, name=_BUCKET, why=why)
            return self._api

    # --- what a launch request needs ---------------------------------------------------------

    def volume(self, folder: str, place: str, *, read_only: bool) -> Volume:
        """Return a folder of the run as what a job mounts."""
        from huggingface_hub import Volume  # noqa: PLC0415 - half a second

        return Volume(
            type="bucket",
            source=self._id,
            mount_path=place,
            read_only=read_only,
            path=value_path(self._nonce, folder),
        )

    def make_folder(self, folder: str) -> None:
        """Make a folder of the run: what is to be mounted has to be there.

        Raises:
            HubError: That is impossible.
        """
        api = self._open()
        with self._lock:
            if self._cleared or time.time() - self._made_at.get(folder, -math.inf) < TRUSTED:
                return
            self.used = True
            path = value_path(self._nonce, f"{folder}/run")
            with hub_errors(_BUCKET, "write"):
                add = [(self._name.encode(), path)]
                api.batch_bucket_files(self._id, add=add, token=self.token)  # type: ignore[arg-type]
            self._made_at[folder] = time.time()

    def put(self, buffer: Buffer) -> None:
        """Upload a buffer, in several tries.

        One that is under way when the run ends is removed as soon as it is there: nothing can stop
        it.

        Raises:
            HubError: It is not there.
        """
        path, pause = self._path_of(buffer), _PAUSE
        logger.info("%s bytes of arguments go into %s", f"{buffer.size:,}", self._id)
        for attempt in range(1, _TRIES + 1):
            if self._cleared:
                return
            try:
                api = self._open()
                self.used = True
                with hub_errors(_BUCKET, f"write {buffer.size:,} bytes into"):
                    add = [(_bytes_of(buffer), path)]
                    api.batch_bucket_files(self._id, add=add, token=self.token)  # type: ignore[arg-type]
            except HubUnavailableError as error:
                if attempt == _TRIES:
                    raise
                logger.info("%s (attempt %s)", error, attempt)
                time.sleep(pause)
                pause *= 2
            else:
                self._stored_at[path] = self._made_at["arguments"] = time.time()
                if self._cleared:
                    self.remove([path])
                return

    def restore(self, stored: Iterable[Buffer]) -> None:
        """Upload buffers again that were stored long ago, and are not there any more.

        Files of a run that has no job for a day are taken for what a killed process has left.

        Raises:
            HubError: One is not there.
        """
        now = time.time()
        old = {
            path: buffer
            for buffer in stored
            if now - self._stored_at.get(path := self._path_of(buffer), now) >= TRUSTED
        }
        if not old:
            return
        api = self._open()
        with hub_errors(_BUCKET, "look into"):
            infos = api.get_bucket_paths_info(self._id, list(old), token=self.token)
            there = {info.path for info in infos}
        for path, buffer in old.items():
            if path in there:
                self._stored_at[path] = now
            else:
                self.put(buffer)

    def _path_of(self, buffer: Buffer) -> str:
        return value_path(self._nonce, f"arguments/{buffer.name.hex()}")

    # --- what jobs have written --------------------------------------------------------------

    def path_of(self, said: dict[str, Any]) -> str:
        """Return where a value is, of which a job has said this: in this run's folder, always.

        Raises:
            ValueError: It has another name than jobs give.
        """
        name = said["name"]
        if not isinstance(name, str) or _NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no name of a value")
        return value_path(self._nonce, f"results/{name}")

    def get(self, said: dict[str, Any]) -> tuple[bytearray, list[buffers.Place]]:
        """Return the front and the places of a value that a job has put there.

        Args:
            said: What the job has said of it: name, size, layout, digest.

        Raises:
            JobLostError: It is not there, or not what the job has said.
            HubError: The Hub refuses it, or cannot be reached.
            MemoryError: This machine has no room for it.
            ValueError: The job has said what cannot be.
        """
        size, path = int(said["size"]), self.path_of(said)
        check_room(size)
        patience, pause = LATE + size / SLOWEST, _LOOKS[0]
        until = time.monotonic() + patience
        while True:
            found = None
            try:
                if self._size(path) == size:
                    found = self._download(path, said)
            except HubUnavailableError:
                if time.monotonic() > until:
                    raise
            if found is not None:
                return found
            if time.monotonic() > until:
                raise JobLostError(
                    f"the result is not in the bucket of large values, where its job has put "
                    f"{size:,} bytes, or it is not what that was (looked for {patience:.3g} s, as "
                    f"{self._id}/{path})"
                )
            time.sleep(pause)
            pause = min(2 * pause, _LOOKS[1])

    def _size(self, path: str) -> int | None:
        api = self._open()
        with hub_errors(_BUCKET, "look into"):
            infos = list(api.get_bucket_paths_info(self._id, [path], token=self.token))
        return infos[0].size if infos else None

    def _download(
        self, path: str, said: dict[str, Any]
    ) -> tuple[bytearray, list[buffers.Place]] | None:
        """Return what is there, None if that is not what the job has said."""
        layout = tuple(said["layout"])
        sizes = layout[1::2]
        front = bytearray(said["size"] - sum(sizes))
        places = [buffers.Place(*one) for one in zip(layout[::2], sizes, strict=True)]
        digest = hashlib.sha256()
        with ScratchFolder("value") as folder:
            file = folder / "value"
            with hub_errors(_BUCKET, "read"):
                self._open().download_bucket_files(
                    self._id, [(path, file)], raise_on_missing_files=True, token=self.token
                )
            with file.open("rb") as opened:
                for view in (memoryview(front), *(place.view for place in places)):
                    if opened.readinto(view) != len(view):
                        return None
                    digest.update(view)
                whole = not opened.read(1)
        return (front, places) if whole and digest.hexdigest() == said["digest"] else None

    # --- the end -----------------------------------------------------------------------------

    def remove(self, paths: list[str]) -> None:
        """Remove files that nobody needs; what stays goes with the run."""
        try:
            with hub_errors(_BUCKET, "remove a file from"):
                self._open().batch_bucket_files(self._id, delete=paths, token=self.token)
        except HubExecutorError as error:
            logger.debug("%s", error)

    def clear(self) -> None:
        """Remove all that the run has there.

        Raises:
            HubError: Some of it is still there.
        """
        api = self._open()
        with self._lock:
            self._cleared = True
        with hub_errors(_BUCKET, "remove this run's files from"):
            prefix = value_path(self._nonce, "")
            tree = api.list_bucket_tree(self._id, prefix, recursive=True, token=self.token)
            paths = [entry.path for entry in tree if entry.path.startswith(prefix)]
            if paths:
                api.batch_bucket_files(self._id, delete=paths, token=self.token)


def _bytes_of(buffer: Buffer) -> bytes:
    """Return what huggingface_hub takes: a copy, unless its owner is just that."""
    owner = buffer.data.obj
    return owner if type(owner) is bytes and len(owner) == buffer.size else bytes(buffer.data)
