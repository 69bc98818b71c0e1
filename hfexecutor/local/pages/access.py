"""Who may see the pages: whoever has shown their key once, in the address that the hub tells."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from hfexecutor.local.errors import ApiError

if TYPE_CHECKING:
    from starlette.requests import Request

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": with that a browser hides where a form comes from, which is asked for here.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_NO_KEY = (
    "This browser has not shown the key of the hub yet. Open the address that the hub has told: "
    "“hfexecutor hub” prints it, LocalHub.page has it, and an executor with endpoint='local' logs "
    "it at INFO. It ends in a key, and opens all other pages too."
)


class Access:
    """Asks for the key, which a browser keeps as a cookie from then on.

    Args:
        key: the key.
        base_url: of the hub.
    """

    def __init__(self, key: str, base_url: str) -> None:
        self._key = key.encode()
        # Cookies know no ports: the name keeps those of several hubs apart.
        self._cookie = f"localhub-{base_url.rpartition(':')[2]}"

    def enter(self, request: Request) -> RedirectResponse | None:
        """Let a request pass (None), or send it on to the same address without the key.

        Raises:
            ApiError: 401, no key or another one.
        """
        given = request.query_params.get("key")
        if given is None:
            self._compare(request.cookies.get(self._cookie, ""))
            return None
        self._compare(given)
        url = request.url.remove_query_params("key")
        reply = RedirectResponse(f"{url.path}?{url.query}" if url.query else url.path, 303)
        # Not "strict": a link in a notebook leads here too. What changes something asks for more.
        reply.set_cookie(self._cookie, self._key.decode(), httponly=True, samesite="lax")
        return reply

    def _compare(self, given: str) -> None:
        if not hmac.compare_digest(given.encode(errors="replace"), self._key):
            raise ApiError(401, _NO_KEY)


def check_origin(request: Request) -> None:
    """Refuse what no page of ours has sent; that an origin, if told, is ours was seen before.

    Raises:
        ApiError: 403.
    """
    if "origin" not in request.headers:
        raise ApiError(403, "Only a page of this hub can do that")
