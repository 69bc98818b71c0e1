"""Which handler gets a request, and what is asked of the request before that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.routing import Route, Router

from .errors import ApiError
from .middleware import is_page

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Collection, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from .api import Handler
    from .identity import Identity
    from .injection.routes import RouteFaults
    from .middleware import Budget

_KEYED = "/xet/"  # what asks for a key of its own, as pages do, and is no part of the Hub's API
# Who handles these says what is wrong with one.
_ANY_NAMESPACE = ("/api/buckets/", "/buckets/", "/jobs/")
_TOO_MANY = "We had to rate limit you. Please slow down."


class Routes(NamedTuple):
    """What is answered, and by whom.

    Attributes:
        handlers: (method, template, handler); the first that matches gets the request.
        public: templates of those that ask for no token.
    """

    handlers: list[tuple[str, str, Handler]]
    public: Collection[str]


class Later(NamedTuple):
    """Routes that are not loaded before the first request for one of them.

    Attributes:
        wanted: says whether a path may be one of theirs.
        load: returns them; asked once.
    """

    wanted: Callable[[str], bool]
    load: Callable[[], Routes]


class Entrance(NamedTuple):
    """What all routes have in common.

    Attributes:
        identity: whose token is asked for.
        budget: is charged with each request.
        requests: counts them by route.
        faults: those of routes.
    """

    identity: Identity
    budget: Budget
    requests: Counter[str]
    faults: RouteFaults


@dataclass(slots=True, eq=False, repr=False)
class _Endpoint:
    """Answers the requests of one route."""

    entrance: Entrance
    method: str
    template: str
    handler: Handler
    public: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        entrance = self.entrance
        scope["template"] = f"{self.method} {self.template}"
        entrance.requests[scope["template"]] += 1
        if not is_page(self.template) and not self.template.startswith(_KEYED):
            given = Headers(scope=scope).get("authorization")
            entrance.identity.check_token(given, needed=not self.public)
            if not entrance.budget.spend():
                raise ApiError(429, _TOO_MANY)
        named = "namespace" in scope["path_params"]
        if named and not self.template.startswith(_ANY_NAMESPACE):
            entrance.identity.check_namespace(scope["path_params"]["namespace"])
        answer = await entrance.faults.around(self.handler, Request(scope, receive))
        await answer(scope, receive, send)


def router(routes: Routes, entrance: Entrance, *, more: Sequence[Later]) -> Router:
    """Return the ASGI application of all routes.

    Args:
        routes: those that are asked first.
        entrance: what they have in common.
        more: further ones, for requests that none of the first matches.
    """
    loaded: dict[int, Router] = {}

    async def others(scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = _nowhere
        for place, later in enumerate(more):
            if later.wanted(scope["path"]):
                if place not in loaded:
                    loaded[place] = _router(later.load(), entrance, _nowhere)
                app = loaded[place]
                break
        await app(scope, receive, send)

    return _router(routes, entrance, others)


def _router(routes: Routes, entrance: Entrance, default: ASGIApp) -> Router:
    return Router(
        [
            Route(
                template,
                _Endpoint(entrance, method, template, handler, template in routes.public),
                methods=[method],
            )
            for method, template, handler in routes.handlers
        ],
        redirect_slashes=False,
        default=default,
    )


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
    if scope["path"].startswith("/api/scheduled-jobs/"):
        raise ApiError(501, "LocalHub has no scheduled jobs")
    raise ApiError(
        404, "LocalHub has jobs and buckets, and of their APIs what is published or used by clients"
    )
