"""Where a verb looks: the Hub, the token and the namespace, as options or the environment say."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from hfexecutor.cli.exit_codes import ExitCode, VerbError
from hfexecutor.errors import AuthenticationError, HubError, HubUnavailableError, RateLimitedError
from hfexecutor.hub.client import HubClient
from hfexecutor.hub.settings import LOCAL, check_user, resolve_endpoint, resolve_token

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["Place", "at_a_place", "verb_error"]

_PATIENCE: Final = 30.0  # seconds for which the Hub may answer nothing

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """A Hub, as one user sees it.

    Attributes:
        endpoint: Its address.
        token: Checked for its form alone; in no repr.
        namespace: Whose runs, None for those of the token's owner.
        named_token: The token if the user has named it, None if it was found, and may be renewed.
    """

    endpoint: str
    token: str
    namespace: str | None
    named_token: str | None = None

    def __repr__(self) -> str:
        return f"<Place {self.endpoint} {self.namespace or ''}>"

    @property
    def as_options(self) -> dict[str, str | None]:
        """What functions of this package that look for runs take."""
        return {"endpoint": self.endpoint, "token": self.named_token, "namespace": self.namespace}

    def ask(
        self, question: Callable[[HubClient], Coroutine[Any, Any, T]], patience: float = _PATIENCE
    ) -> T:
        """Return what a question to the Hub is answered with.

        Raises:
            VerbError: It refuses it, or cannot be reached.
        """

        async def answer() -> T:
            async with HubClient(
                endpoint=self.endpoint,
                token=self.token,
                namespace=self.namespace,
                give_up_after=patience,
            ) as hub:
                return await question(hub)

        try:
            return asyncio.run(answer())
        except HubError as error:
            raise verb_error(error) from error


def at_a_place(function: Callable[..., int]) -> Callable[..., int]:
    """Give a verb the options that say where to look; it gets a :class:`Place` as `place`."""

    @click.option("--endpoint", metavar="URL", help="The Hub. Default: as HubExecutor finds it.")
    @click.option("--token", help="Others see it in the list of processes: better set HF_TOKEN.")
    @click.option("--namespace", metavar="NAME", help="Whose runs. Default: the token's owner.")
    def with_place(
        endpoint: str | None, token: str | None, namespace: str | None, **rest: Any
    ) -> int:
        return function(place=find_place(endpoint, token, namespace), **rest)

    with_place.__doc__ = function.__doc__
    with_place.__name__ = function.__name__
    parameters = getattr(function, "__click_params__", [])
    with_place.__click_params__ = [*parameters, *with_place.__click_params__]  # type: ignore[attr-defined]
    return with_place


def find_place(endpoint: str | None, token: str | None, namespace: str | None) -> Place:
    """Find Hub and token.

    Raises:
        VerbError: There is no token, or something has the wrong form.
    """
    try:
        check_user(token, None, namespace)
        address = resolve_endpoint(endpoint)
        found = "" if address == LOCAL else resolve_token(token)
    except (ValueError, AuthenticationError) as error:
        raise verb_error(error) from error
    if address == LOCAL:
        raise VerbError(
            'the endpoint "local" is a Hub that lasts as long as its executor: nothing can be '
            "found there. Start one that lasts with `hfexecutor hub`",
            ExitCode.USAGE,
        )
    return Place(address, found, namespace, token)


def verb_error(error: Exception) -> VerbError:
    """Return what to end with for an error of the library."""
    code = ExitCode.USAGE
    if isinstance(error, AuthenticationError):
        code = ExitCode.NO_RIGHTS
    elif isinstance(error, HubUnavailableError | RateLimitedError):
        code = ExitCode.UNREACHABLE
    elif isinstance(error, HubError):
        code = ExitCode.REFUSED
    return VerbError(str(error), code)
