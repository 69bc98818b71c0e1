"""Requests to the Hub's API: admitted by the limiter, repeated while that helps, read with care."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urljoin

import httpx

from hfexecutor.errors import HubUnavailableError, RateLimitedError
from hfexecutor.hub.failures import SLOWER, Answer, error_for, may_pass
from hfexecutor.hub.hosts import split
from hfexecutor.hub.ratelimit import Limiter, parse_retry_after
from hfexecutor.hub.retry import TransientError, persist
from hfexecutor.hub.settings import TRY_LOCAL

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from hfexecutor.hub.clock import Clock
    from hfexecutor.hub.credentials import Credentials
    from hfexecutor.hub.network import Network

__all__ = ["Api", "read"]

_LOG: Final = logging.getLogger("hfexecutor.hub")
_TIMEOUT: Final = httpx.Timeout(10, connect=5)
_LIMITS: Final = httpx.Limits(max_connections=20, max_keepalive_connections=20)
_UNKNOWN_HOLD: Final = 5.0  # seconds, after a 429 that names none
_NO_HUB: Final = (301, 302, 303, 307, 308, 404, 405, 410)  # what other servers say
_ODD_ANSWERS: Final = 3  # a gateway's page in place of an answer may pass, a login page does not

T = TypeVar("T")


class Api:
    """The Hub's API as one user sees it.

    Args:
        endpoint: The Hub's address, without a slash at the end.
        credentials: What requests show; they are in no message and no repr.
        clock: Time and sleep.
        give_up_after: Seconds for which a request is repeated.
        network: Makes HTTP clients.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Credentials,
        *,
        clock: Clock,
        give_up_after: float,
        network: Network,
    ) -> None:
        self.endpoint = endpoint
        self.limiter = Limiter(clock)
        self.admitted = 0  # requests so far
        self._met = False  # it has been shown that there is a Hub at this endpoint
        self._credentials = credentials
        self._clock = clock
        self._give_up_after = give_up_after
        self._http = network.open(_TIMEOUT, _LIMITS)

    def __repr__(self) -> str:
        return f"<Api {self.endpoint} {self.limiter!r}>"

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    def url(self, path: str) -> str:
        """Return the address of `path`, which has no slash at its start."""
        return f"{self.endpoint}/{path}"

    async def request(
        self,
        method: str,
        url: str,
        doing: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        urgent: bool = False,
        advice: Mapping[int, str] | None = None,
    ) -> httpx.Response:
        """Send a request that may safely be repeated, until it succeeds.

        An answer that is no JSON is not believed at first.

        Args:
            method: GET, PUT, or POST where doing it twice is doing it once.
            url: Where to, at the endpoint.
            doing: What it is for, as it reads after "could not".
            params: The query.
            body: What is sent, as JSON; nothing by default.
            urgent: Whether it goes before all others (cancels do).
            advice: What to do about a status, where that is not the same for every request.

        Raises:
            HubRequestError, AuthenticationError: The Hub refuses it.
            HubUnavailableError, RateLimitedError: No success within `give_up_after` seconds.
        """
        odd = 0

        async def admit(seconds: float) -> None:
            await self.admit(doing, urgent=urgent, within=seconds)

        async def attempt() -> httpx.Response:
            nonlocal odd
            try:
                response = await self._http.request(method, url, params=params or None, json=body)
            except httpx.TransportError as error:
                raise TransientError(self._credentials.redact(_describe(error))) from error
            self.check(Answer.of(response), doing, advice)
            if not _is_json(response) and (odd := odd + 1) <= _ODD_ANSWERS:
                raise TransientError("an answer that is no JSON")
            self._met = True
            return response

        return await persist(
            attempt,
            doing,
            admit=admit,
            clock=self._clock,
            give_up_after=self._give_up_after,
            advice=self._advice,
        )

    def _advice(self) -> str:
        if self._met:
            return "Check the network, or see https://status.huggingface.co."
        return (
            f"Check the network and the endpoint {self.endpoint}, or see "
            f"https://status.huggingface.co. {TRY_LOCAL}"
        )

    async def pages(
        self,
        path: str,
        doing: str,
        params: Mapping[str, Any],
        *,
        advice: Mapping[int, str] | None = None,
    ) -> AsyncGenerator[httpx.Response, None]:
        """Yield the pages of a list, each of them requested as :meth:`request` does."""
        page = await self.request("GET", self.url(path), doing, params=params, advice=advice)
        yield page
        seen = {str(page.url)}
        while (following := self._next_page(page)) and following not in seen:
            seen.add(following)
            page = await self.request("GET", following, doing)
            yield page

    async def admit(self, doing: str, *, urgent: bool = False, within: float | None = None) -> None:
        """Wait until the rate limit lets another request through.

        Args:
            doing: What it is for, as it reads after "could not".
            urgent: Whether it goes before all others.
            within: Seconds that it may take; None: `give_up_after`.

        Raises:
            RateLimitedError: At once, when that would take longer.
        """
        seconds = self._give_up_after if within is None else within
        if not await self.limiter.admit(self._clock.now() + seconds, urgent=urgent):
            raise RateLimitedError(
                f"Could not {doing}: the Hub asks to wait for longer than is left of "
                f"{self._give_up_after:g} s. {SLOWER}"
            )
        self.admitted += 1

    def check(self, answer: Answer, doing: str, advice: Mapping[int, str] | None = None) -> None:
        """Learn from the answer's headers, and raise unless it is a success.

        Raises:
            TransientError: The same request may succeed later.
            HubError: It never will; the message says what to do.
        """
        self.limiter.observe(answer.headers)
        if 200 <= answer.status < 300:  # noqa: PLR2004  (the range of HTTP's successes)
            return
        if not may_pass(answer.status):
            # Before the first success even a "not found" is not about what was asked for, unless it
            # is put into words as the Hub does, and there is something that may not be found.
            if not self._met and not (answer.words and answer.status in (advice or {})):
                wrong = f"Is {self.endpoint} the address of a Hub? {TRY_LOCAL}"
                advice = dict.fromkeys(_NO_HUB, wrong)
            raise error_for(answer, doing, redact=self._credentials.redact, advice=advice)
        limited = answer.status == 429  # noqa: PLR2004
        wait = parse_retry_after(answer.headers)
        if limited:
            self.limiter.hold(_UNKNOWN_HOLD if wait is None else wait)
        said = f": {self._credentials.redact(answer.words)}" if answer.words else ""
        raise TransientError(f"HTTP {answer.status}{said}", limited=limited, wait=wait or 0.0)

    def _next_page(self, page: httpx.Response) -> str | None:
        """Return the next page's URL; one at another origin is none, for the token's sake."""
        target = page.links.get("next", {}).get("url")
        if not target:
            return None
        try:
            url = urljoin(str(page.url), target)
            if split(url) == split(self.endpoint):
                return url
        except ValueError:
            pass
        _LOG.warning(
            "The Hub's list goes on at a place that is not followed: %s",
            self._credentials.redact(target),
        )
        return None


def read(parse: Callable[[Any], T], response: httpx.Response) -> T:
    """Return what `parse` makes of the answer's JSON.

    Raises:
        HubUnavailableError: It is no JSON, or none that `parse` understands.
    """
    try:
        return parse(response.json())
    except (TypeError, ValueError, RecursionError) as error:  # a ValidationError is a ValueError
        asked = f"{response.request.method} {response.request.url.path}"
        raise HubUnavailableError(
            f"The answer to {asked} is not what the Hub's published API says "
            f"({type(error).__name__}). Is there a proxy or a login page in between?"
        ) from error


def _is_json(response: httpx.Response) -> bool:
    try:
        response.json()
    except (ValueError, RecursionError):
        return False
    return True


def _describe(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"no answer in time ({type(error).__name__})"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
