"""The feed of a bucket's changes, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hfexecutor.local import faults
from hfexecutor.local.errors import ApiError
from hfexecutor.local.replies import stamp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from hfexecutor.local.injection.injector import Injector

    from .bucket import Bucket, Change, Changes


class Feed:
    """One follower's feed.

    Args:
        bucket: whose changes.
        query: of the request: where to begin.
        injector: the faults.

    Raises:
        ApiError: 400, that is no place to begin at.
    """

    def __init__(self, bucket: Bucket, query: Mapping[str, str], injector: Injector) -> None:
        self._bucket = bucket
        self._injector = injector
        self._number = self._begin(query)

    def _begin(self, query: Mapping[str, str]) -> int | None:
        """Return the number of the last batch that is not to be told; None: it is forgotten."""
        if "cursor" in query:
            key, _, number = query["cursor"].partition("-")
            if key != self._bucket.key or not (number.isascii() and number.isdigit()):
                raise ApiError(400, "Invalid cursor")
            if int(number[:16]) > self._bucket.total:
                raise ApiError(400, "Invalid cursor")
            return int(number)
        if "since" not in query:
            return self._bucket.total
        try:
            moment = datetime.fromisoformat(query["since"])
        except ValueError:
            raise ApiError(400, "Invalid datetime at since") from None
        return self._bucket.number_at(moment if moment.tzinfo else moment.replace(tzinfo=UTC))

    async def events(self) -> AsyncIterator[list[bytes]]:
        """Yield what is replayed, `ready`, and then what happens, until the bucket is no more."""
        news = asyncio.Event()
        stop = self._bucket.listen(news.set)
        ready = False
        try:
            while True:
                news.clear()
                batches = None if self._number is None else self._bucket.since(self._number)
                if batches is None:
                    yield [_event("reset", {"reason": "the resume point is too old"})]
                    return
                for one in batches:
                    self._number = one.number
                    yield [_event("changes", self._to_json(one))]
                    for fault in self._injector.strike((faults.ResetFeed, faults.EndFeed)):
                        yield [self._ending(fault)]
                        return
                if not ready:
                    ready = True
                    yield [_event("ready", self._cursor())]
                if self._bucket.gone:
                    return
                await news.wait()
        finally:
            stop()

    def _cursor(self) -> dict[str, Any]:
        # Clients expect none as long as there has been no change.
        return {"cursor": f"{self._bucket.key}-{self._number}"} if self._number else {}

    def _to_json(self, changes: Changes) -> dict[str, Any]:
        return {**self._cursor(), "changes": [_to_json(one) for one in changes.items]}

    def _ending(self, fault: faults.Fault) -> bytes:
        if isinstance(fault, faults.ResetFeed):
            return _event("reset", {"reason": "the resume point is too old"})
        return _event("reconnect", self._cursor())


def _to_json(change: Change) -> dict[str, Any]:
    shown: dict[str, Any] = {"path": change.path, "op": change.op}
    if change.file is not None:
        shown |= {
            "size": change.file.size,
            "xetHash": change.file.xet_hash,
            "uploadedAt": stamp(change.file.uploaded),
        }
        if change.file.mtime is not None:
            shown["mtime"] = stamp(change.file.mtime)
    return shown


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
