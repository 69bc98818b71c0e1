"""Which addresses may see the token."""

from __future__ import annotations

import ipaddress
from typing import Final, NamedTuple
from urllib.parse import urlsplit

__all__ = ["Origin", "door_problem", "is_loopback", "split"]

_PORTS: Final = {"http": 80, "https": 443}
_JOBS_DOMAIN: Final = "hf.jobs"


class Origin(NamedTuple):
    """Scheme, host and port of a URL; equal origins may share a token."""

    scheme: str
    host: str
    port: int


def split(url: str) -> Origin:
    """Return the origin of `url`.

    Raises:
        ValueError: There is none that we could talk to.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"not an http(s) URL: {url!r}")
    return Origin(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme])


def is_loopback(host: str) -> bool:
    """Tell whether `host` is this machine, without asking any name server."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def door_problem(url: str, endpoint: str) -> str | None:
    """Say why the token must not be sent to the door at `url`, None if it may.

    A door is trusted over https in the domain of the Hub's jobs or of the endpoint itself, and on
    this machine when the endpoint is on this machine, too.
    """
    try:
        door, home = split(url), split(endpoint)
    except ValueError as error:
        return str(error)
    if urlsplit(url).username is not None or not url.isprintable() or "\\" in url:
        # Parsers disagree about such URLs, and ours may not be the last one to read it.
        return "a door's URL with a user name or odd characters hides which host it leads to"
    if is_loopback(door.host):
        return (
            None if is_loopback(home.host) else "a door on this machine, but the Hub is elsewhere"
        )
    if door.scheme != "https":
        return "a door that is not https would show the token to everybody on the way"
    if any(_within(door.host, domain) for domain in (_JOBS_DOMAIN, home.host)):
        return None
    return f"{door.host} belongs neither to {_JOBS_DOMAIN} nor to the endpoint {home.host}"


def _within(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")
