"""Which addresses may see a token."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

__all__ = ["PORTS_DOMAIN", "Door", "Origin", "door_problem", "is_loopback", "split"]

_PORTS: Final = {"http": 80, "https": 443}
_HUB: Final = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
_HUB_DOMAIN: Final = "hf.jobs"
PORTS_DOMAIN: Final = "HFEXECUTOR_PORTS_DOMAIN"
"""The environment variable that names the domain of another Hub's ports."""

# Checked because addresses are built of them: an id with a slash in it would move the host.
_JOB_ID: Final = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*", re.ASCII)
_DOMAIN: Final = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*", re.ASCII)
_HERE: Final = re.compile(
    r"https?://(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?/?", re.ASCII
)


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


class Door(NamedTuple):
    """One port of one job that we launched, and the address that the Hub tells for it.

    Attributes:
        url: The address, as the Hub says it.
        job_id: The job whose port it is to be.
        port: The port that the job was launched with.
    """

    url: str
    job_id: str
    port: int


def door_problem(door: Door, endpoint: str) -> str | None:
    """Say why no token may be sent to `door`, None if one may.

    An address is trusted when it is, letter by letter, ``https://{job id}--{port}.`` and the domain
    of the Hub's ports; so whatever the Hub answers, a token goes to the job that we launched, or
    nowhere. That domain is

    - what ``HFEXECUTOR_PORTS_DOMAIN`` says, for any Hub, and nothing else if it says something;
    - ``hf.jobs`` for huggingface.co;
    - for another endpoint (a mirror, a Hub of a company) ``hf.jobs``, the endpoint's own host, or a
      domain within it. Such a Hub may have its ports elsewhere, and only its users know where:
      names that merely resemble the endpoint's are nobody's proof.

    An endpoint on this machine may also have its doors on this machine: at any port, since the
    embedded Hub listens for each of them at one that was free.
    """
    if _JOB_ID.fullmatch(door.job_id) is None:
        return f"{door.job_id!r} is no id of a job"
    try:
        home = split(endpoint).host
    except ValueError as error:
        return str(error)
    if is_loopback(home) and _HERE.fullmatch(door.url):
        return _port_problem(door.url)
    name = f"https://{door.job_id}--{door.port}.".lower()
    # The same text, not the same host in some parser's eyes: parsers disagree about odd addresses.
    domain = door.url.lower().removesuffix("/").removesuffix(":443").removeprefix(name)
    if not door.url.isascii() or not door.url.lower().startswith(name):
        return f"it does not begin with {name}"
    if _DOMAIN.fullmatch(domain) is None or not _is_ports_domain(domain, home):
        return (
            f"{domain!r} is not where this Hub is known to have the ports of its jobs (set "
            f"{PORTS_DOMAIN} if it is)"
        )
    return None


def _is_ports_domain(domain: str, home: str) -> bool:
    if named := os.environ.get(PORTS_DOMAIN, "").strip().lower().strip("."):
        return domain == named
    if domain == _HUB_DOMAIN:
        return True
    return home not in _HUB and (domain == home or domain.endswith(f".{home}"))


def _port_problem(url: str) -> str | None:
    try:
        split(url)
    except ValueError as error:
        return str(error)
    return None
