"""The routes of the Hub's bucket API, as far as Hugging Face's own client uses it."""

from __future__ import annotations

import base64
import re
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response

from hfexecutor.local import requests, streams
from hfexecutor.local.errors import ApiError
from hfexecutor.local.schema import read

from . import content, replies, schema, tree
from .feed import Feed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Scope

    from hfexecutor.local.identity import Identity
    from hfexecutor.local.injection.injector import Injector
    from hfexecutor.local.settings import Settings

    from .access import Access
    from .bucket import Bucket
    from .store import Buckets
    from .xet import Xet

    Handler = Callable[[Request], Awaitable[ASGIApp]]

_BUCKETS, _BUCKET = "/api/buckets/{namespace}", "/api/buckets/{namespace}/{repo}"
_RESOLVE = "/buckets/{namespace}/{repo}/resolve/{path:path}"
# Of a public bucket these tell everybody, as the Hub does.
PUBLIC = {
    _BUCKET,
    _RESOLVE,
    f"{_BUCKET}/tree",
    f"{_BUCKET}/tree/{{path:path}}",
    f"{_BUCKET}/paths-info",
    f"{_BUCKET}/xet-read-token",
    f"{_BUCKET}/events",
}
_ME = "me"  # what the API calls the namespace of the token's owner
_TREE_PAGE = 1000
_MAX_BATCH = 64 << 20
_NAME = re.compile(schema.NAME)


class BucketApi:
    """Handlers of all routes; `routes` is what a router needs."""

    def __init__(
        self,
        buckets: Buckets,
        access: Access,
        xet: Xet,
        *,
        identity: Identity,
        settings: Settings,
        injector: Injector,
        abort: Callable[[Scope], None],
    ) -> None:
        self._buckets = buckets
        self._access = access
        self._xet = xet
        self._me = identity
        self._settings = settings
        self._injector = injector
        self._abort = abort

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Return (method, route, handler), the more specific routes first."""
        return [
            ("GET", _BUCKETS, self.page),
            ("POST", _BUCKET, self.create),
            ("GET", _BUCKET, self.info),
            ("DELETE", _BUCKET, self.delete),
            ("PUT", f"{_BUCKET}/settings", self.configure),
            ("POST", "/api/repos/move", self.move),
            ("GET", f"{_BUCKET}/tree", self.tree),
            ("GET", f"{_BUCKET}/tree/{{path:path}}", self.tree),
            ("POST", f"{_BUCKET}/paths-info", self.paths),
            ("POST", f"{_BUCKET}/batch", self.batch),
            ("GET", f"{_BUCKET}/xet-read-token", self.token),
            ("GET", f"{_BUCKET}/xet-write-token", self.token),
            ("GET", f"{_BUCKET}/events", self.events),
            ("HEAD", _RESOLVE, self.resolve),
            ("GET", _RESOLVE, self.resolve),
        ]

    # ------------------------------------------------------------------ buckets

    async def page(self, request: Request) -> ASGIApp:
        """List buckets, a page at a time."""
        if self._namespace(request) != self._me.name:
            return JSONResponse([])  # what others let everybody see: there are no others
        wanted, after = request.query_params.get("search", ""), _cursor(request)
        found = (
            (f"{one.created.isoformat()} {one.key}", replies.bucket(one))
            for one in self._buckets
            if wanted in one.name
        )
        shown = islice(((at, one) for at, one in found if at > after), self._settings.page_size + 1)
        return self._pages(request, shown, self._settings.page_size)

    async def create(self, request: Request) -> ASGIApp:
        """Make a bucket."""
        wanted = read(schema.Create, await requests.body(request) or b"{}")
        namespace, name = self._namespace(request), request.path_params["repo"]
        self._check_owner(namespace)
        _check_name(name)
        bucket = self._buckets.create(namespace, name, private=wanted.is_private)
        told = {
            "id": f"{namespace}/{name}",
            "url": f"{self._me.base_url}/buckets/{namespace}/{name}",
        }
        if bucket is None:
            # Clients that do not mind go on with the address in this reply.
            message = "You already created this bucket"
            headers = {"X-Error-Message": message}
            return JSONResponse({"error": message, **told}, 409, headers)
        return JSONResponse(told)

    async def info(self, request: Request) -> ASGIApp:
        """Tell what is known of a bucket."""
        return JSONResponse(replies.bucket(self._bucket(request)))

    async def delete(self, request: Request) -> ASGIApp:
        """Delete a bucket and all that is in it."""
        await self._buckets.delete(self._bucket(request))
        return Response(None, 204)

    async def configure(self, request: Request) -> ASGIApp:
        """Make a bucket private or public."""
        bucket = self._bucket(request)
        bucket.private = read(schema.Settings, await requests.body(request)).private
        return JSONResponse({"private": bucket.private})

    async def move(self, request: Request) -> ASGIApp:
        """Rename a bucket."""
        wanted = read(schema.Move, await requests.body(request))
        if wanted.type != "bucket":
            raise ApiError(501, "LocalHub has buckets, and no repositories of another type")
        bucket = self._buckets.get(*_split(wanted.source))
        namespace, name = _split(wanted.target)
        self._check_owner(namespace)
        _check_name(name)
        self._buckets.move(bucket, name)
        return JSONResponse({"url": f"{self._me.base_url}/buckets/{bucket.id}"})

    # ------------------------------------------------------------------ files

    async def tree(self, request: Request) -> ASGIApp:
        """List files and folders, a page at a time."""
        bucket, prefix = self._bucket(request), request.path_params.get("path", "")
        recursive = request.query_params.get("recursive", "").lower() == "true"
        found = tree.listed(bucket, prefix, _cursor(request), recursive=recursive)
        shown = ((place, replies.entry(one)) for place, one in islice(found, _TREE_PAGE + 1))
        return self._pages(request, shown, _TREE_PAGE)

    async def paths(self, request: Request) -> ASGIApp:
        """Tell what is known of some files; what does not exist is left out."""
        bucket = self._bucket(request)
        wanted = read(schema.Paths, await requests.body(request)).paths
        files = (bucket.get(path) for path in wanted)
        return JSONResponse([replies.entry(file) for file in files if file is not None])

    async def batch(self, request: Request) -> ASGIApp:
        """Take files in and out."""
        bucket = self._bucket(request)
        operations = schema.operations(await requests.body(request, _MAX_BATCH))
        report = self._buckets.apply(bucket, operations)
        status = 422 if report.failed and len(report.failed) == report.processed else 200
        return JSONResponse(replies.report(report), status)

    async def token(self, request: Request) -> ASGIApp:
        """Say where the bytes are, and how to be let in there."""
        write = request.url.path.endswith("/xet-write-token")
        endpoint = self._access.to(self._bucket(request), write=write)
        headers = {
            "X-Xet-Cas-Url": endpoint.url,
            "X-Xet-Access-Token": endpoint.token,
            "X-Xet-Token-Expiration": str(endpoint.expires),
        }
        body = {"casUrl": endpoint.url, "accessToken": endpoint.token, "exp": endpoint.expires}
        return JSONResponse(body, headers=headers)

    async def resolve(self, request: Request) -> ASGIApp:
        """Tell what is known of a file, and send its bytes, or a range of them."""
        bucket = self._bucket(request)
        file = bucket.get(request.path_params["path"])
        if file is None:
            raise ApiError(404, "Entry not found", "EntryNotFound")
        headers = {
            "X-Xet-Hash": file.xet_hash,
            "X-Xet-Refresh-Route": f"{self._me.base_url}/api/buckets/{bucket.id}/xet-read-token",
            "X-Linked-Size": str(file.size),
        }
        read = partial(self._xet.read, bucket, file)
        asked, body = request.headers.get("range"), request.method == "GET"
        in_thread = self._xet.in_thread
        return content.response(file, read, asked, headers, body=body, in_thread=in_thread)

    async def events(self, request: Request) -> ASGIApp:
        """Stream the changes of a bucket."""
        feed = Feed(self._bucket(request), request.query_params, self._injector)
        return streams.EventStream(feed.events(), self._settings.timings.keep_alive, self._abort)

    # ------------------------------------------------------------------ helpers

    def _namespace(self, request: Request) -> str:
        name: str = request.path_params["namespace"]
        return self._me.name if name == _ME and "authorization" in request.headers else name

    def _bucket(self, request: Request) -> Bucket:
        """Return the bucket that a request is about.

        Raises:
            ApiError: it is not there for whoever asks. The Hub words that for repositories so, and
                is taken to do so for buckets, since clients look for this code.
        """
        known = "authorization" in request.headers
        try:
            bucket = self._buckets.get(self._namespace(request), request.path_params["repo"])
        except ApiError:
            if known:
                raise
        else:
            if known or not bucket.private:
                return bucket
        raise ApiError(401, "Invalid username or password.", "RepoNotFound")

    def _check_owner(self, namespace: str) -> None:
        if namespace != self._me.name:
            text = (
                f'You don\'t have the rights to create a bucket under the namespace "{namespace}"'
            )
            raise ApiError(403, text)

    def _pages(
        self, request: Request, found: Iterable[tuple[str, dict[str, object]]], size: int
    ) -> ASGIApp:
        """Return one page of at most so many of what is found, and the way to the next one."""
        shown = list(found)
        headers = {}
        if len(shown) > size:
            cursor = base64.urlsafe_b64encode(shown[size - 1][0].encode()).decode()
            query = {**request.query_params, "cursor": cursor}
            path = request.scope["raw_path"].decode()
            headers["Link"] = f'<{self._me.base_url}{path}?{urlencode(query)}>; rel="next"'
        return JSONResponse([one for _, one in shown[:size]], headers=headers)


def _cursor(request: Request) -> str:
    try:
        text = request.query_params.get("cursor", "")
        return base64.b64decode(text, altchars=b"-_", validate=True).decode()
    except ValueError:
        raise ApiError(400, "Invalid cursor") from None


def _split(name: str) -> tuple[str, str]:
    namespace, _, repo = name.partition("/")
    return namespace, repo


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ApiError(400, "Invalid bucket name: letters, digits, '-', '_' and '.', up to 96")
