"""What has to be right before a job is launched, checked one thing after the other, for nothing."""

from __future__ import annotations

import email.utils
import importlib.metadata
import importlib.util
import os
import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import httpx
from pydantic import TypeAdapter, ValidationError

from hfexecutor import __version__
from hfexecutor.environment import default_image
from hfexecutor.errors import AuthenticationError
from hfexecutor.hub.credentials import Credentials
from hfexecutor.hub.failures import NAMESPACE, Answer, error_for
from hfexecutor.hub.models import Hardware, Job, Usage
from hfexecutor.hub.network import Network
from hfexecutor.hub.ratelimit import parse_window
from hfexecutor.hub.settings import LOCAL, resolve_endpoint, resolve_token
from hfexecutor.labels import OURS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

__all__ = ["Check", "checks"]

Verdict = Literal["ok", "warning", "failed"]

_TIMEOUT: Final = httpx.Timeout(10, connect=5)
_LIMITS: Final = httpx.Limits(max_connections=5)
_ROUNDING: Final = 2.0  # seconds: the Hub says whole ones
_SKEW: Final = 30.0  # seconds; times of jobs are shown, and costs reckoned, by both clocks
_HARDWARE: Final = TypeAdapter(list[Hardware])
_SUCCESS: Final = 200


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, what was found, and what to do about it.

    Attributes:
        name: One word.
        verdict: "failed" where no job can be launched, "warning" where something may go wrong.
        found: What was found.
        advice: What to do, empty where nothing is to be done.
    """

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


async def checks(
    endpoint: str | None, token: str | None, namespace: str | None
) -> AsyncIterator[Check]:
    """Yield what each check has found; what depends on one that has failed is left out.

    Args:
        endpoint: The Hub, None as ``HubExecutor`` finds it.
        token: Likewise.
        namespace: Whose jobs, None for the token's owner.
    """
    yield _versions()
    try:
        address = resolve_endpoint(endpoint)
    except ValueError as error:
        yield Check("endpoint", "failed", str(error))
        return
    yield Check("endpoint", "ok", f"{address}, {_endpoint_from(endpoint)}")
    if address == LOCAL:
        yield _extra()
        return
    try:
        shown = resolve_token(token)
    except AuthenticationError as error:
        yield Check("token", "failed", str(error))
        return
    credentials = Credentials(shown)
    network = Network(address, credentials)
    async with network.open(_TIMEOUT, _LIMITS) as http:
        try:
            async for check in _Hub(http, address).checks(namespace, _token_from(token)):
                yield check
        except httpx.HTTPError as error:
            words = f"{type(error).__name__}: {error}".rstrip(": ")
            advice = "Check the network, the endpoint, HTTPS_PROXY and SSL_CERT_FILE."
            yield Check("reachable", "failed", f"{credentials.redact(words)}.", advice)
            return
    yield _extra()


class _Hub:
    """The checks that ask the Hub."""

    def __init__(self, http: httpx.AsyncClient, endpoint: str) -> None:
        self._http = http
        self._endpoint = endpoint

    async def checks(self, namespace: str | None, token_from: str) -> AsyncIterator[Check]:
        """Yield them."""
        begun, asked = time.monotonic(), time.time()
        answer = await self._send("GET", "api/whoami-v2")
        seconds = time.monotonic() - begun
        yield Check("reachable", "ok", f"answers within {1000 * seconds:.0f} ms")
        yield _clock(answer.headers, asked + seconds / 2)
        if answer.status_code != _SUCCESS:
            yield Check("token", "failed", self._refusal(answer, "find out whose token it is"))
            return
        who = _json(answer)
        name = str(who.get("name") or "?")
        yield Check("token", "ok", f"of {name}, {_role(who)}, {token_from}")
        payer = namespace or name
        answer = await self._send("POST", f"api/jobs/{payer}/auth-check/write")
        if answer.status_code != _SUCCESS:
            why = self._refusal(answer, f"run jobs in {payer}", {404: NAMESPACE})
            yield Check("rights", "failed", why)
            return
        yield Check("rights", "ok", f"may run jobs in {payer}")
        yield await self._credits(who, payer)
        yield await self._prices()
        yield await self._jobs(payer)
        yield _budget(answer)

    async def _credits(self, who: dict[str, Any], payer: str) -> Check:
        account = _account(who, payer)
        mode = account.get("billingMode") or "unknown"
        spent = ""
        answer = await self._send("GET", "api/settings/billing/usage/jobs")
        if answer.status_code == _SUCCESS and payer == who.get("name"):
            try:
                usage = Usage.model_validate(answer.json())
            except (ValueError, ValidationError):
                pass
            else:
                total = sum(bill.micro_usd for bill in usage.bills) / 1e6
                spent = f", ${total:.2f} spent on jobs in this period"
        if account.get("canPay") is False:
            return Check(
                "credits",
                "warning",
                f"{payer} has no way to pay{spent}.",
                "Jobs need pre-paid credits or a subscription: "
                "https://huggingface.co/settings/billing",
            )
        return Check(
            "credits", "ok", f"{payer} can pay ({mode}){spent}; the Hub does not tell what is left"
        )

    async def _prices(self) -> Check:
        answer = await self._send("GET", "api/jobs/hardware")
        try:
            flavors = _HARDWARE.validate_python(answer.json())
        except (ValueError, ValidationError):
            return Check(
                "prices", "warning", "no price list that can be read; max_cost cannot be kept"
            )
        priced = sorted((item.hourly, item.name) for item in flavors if item.hourly)
        if not priced:
            return Check("prices", "warning", "no prices are listed; max_cost cannot be kept")
        (least, cheap), (most, dear) = priced[0], priced[-1]
        return Check(
            "prices", "ok",
            f"{len(flavors)} flavors, {cheap} at ${least:.2f}/h to {dear} at ${most:.2f}/h",
        )  # fmt: skip

    async def _jobs(self, payer: str) -> Check:
        ((key, value),) = OURS.items()
        answer = await self._send("GET", f"api/jobs/{payer}", {"label": f"{key}={value}"})
        if answer.status_code != _SUCCESS:
            return Check("jobs", "warning", self._refusal(answer, f"list the jobs of {payer}"))
        try:
            jobs = [Job.parse(raw, self._endpoint) for raw in answer.json()]
        except (TypeError, ValueError) as error:
            return Check("jobs", "warning", f"their list cannot be read: {type(error).__name__}")
        running = sum(not job.finished for job in jobs)
        advice = "`hfexecutor runs --running` lists their runs." if running else ""
        return Check("jobs", "ok", f"{running} of ours may be running.", advice)

    async def _send(
        self, method: str, path: str, params: dict[str, str] | None = None
    ) -> httpx.Response:
        return await self._http.request(method, f"{self._endpoint}/{path}", params=params)

    def _refusal(
        self, answer: httpx.Response, doing: str, advice: Mapping[int, str] | None = None
    ) -> str:
        return str(error_for(Answer.of(answer), doing, advice=advice))


def _versions() -> Check:
    hub = importlib.metadata.version("huggingface_hub")
    found = f"hfexecutor {__version__}, Python {platform.python_version()}, huggingface_hub {hub}"
    return Check("versions", "ok", f"{found}; jobs use {default_image()}")


def _endpoint_from(endpoint: str | None) -> str:
    if endpoint:
        return "as given"
    for name in ("HFEXECUTOR_ENDPOINT", "HF_ENDPOINT"):
        if os.environ.get(name):
            return f"from {name}"
    return "huggingface_hub's default"


def _token_from(token: str | None) -> str:
    if token:
        return "as given"
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if os.environ.get(name):
            return f"from {name}"
    return "as huggingface_hub keeps it"


def _clock(headers: httpx.Headers, asked: float) -> Check:
    try:
        theirs = email.utils.parsedate_to_datetime(headers["date"]).timestamp() + 0.5
    except (KeyError, ValueError):
        return Check("clock", "ok", "the Hub does not say what time it is")
    skew = asked - theirs
    if abs(skew) <= _SKEW:
        rough = "" if abs(skew) <= _ROUNDING else f" but for {abs(skew):.0f} s"
        return Check("clock", "ok", f"agrees with the Hub's{rough}")
    here = f"{datetime.fromtimestamp(asked, UTC):%Y-%m-%d %H:%M} UTC"
    return Check(
        "clock",
        "warning",
        f"this machine's says {here}, {skew:+.0f} s from the Hub's.",
        "Set the clock: ages and costs of jobs are reckoned by it.",
    )


def _role(who: dict[str, Any]) -> str:
    auth = who.get("auth")
    auth = auth if isinstance(auth, dict) else {}
    token = auth.get("accessToken")
    token = token if isinstance(token, dict) else {}
    role = token.get("role") or auth.get("type") or "of an unknown kind"
    until = f" until {auth['expiresAt']}" if auth.get("expiresAt") else ""
    return f"{role}{until}"


def _account(who: dict[str, Any], payer: str) -> dict[str, Any]:
    if payer == who.get("name"):
        return who
    orgs = who.get("orgs")
    for org in orgs if isinstance(orgs, list) else ():
        if isinstance(org, dict) and org.get("name") == payer:
            return org
    return {}


def _budget(answer: httpx.Response) -> Check:
    window = parse_window({key.lower(): value for key, value in answer.headers.items()})
    if window is None:
        return Check("requests", "ok", "the Hub names no limit")
    left = f"{window.remaining:.0f} left for the next {window.reset:.0f} s"
    return Check("requests", "ok" if window.remaining > 0 else "warning", left)


def _extra() -> Check:
    names = ("starlette", "uvicorn", "uv", "hf_xet")
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        return Check(
            "embedded", "warning", f"the embedded Hub lacks {', '.join(missing)}.",
            'If you want it: pip install "hfexecutor[local]"',
        )  # fmt: skip
    return Check("embedded", "ok", "the embedded Hub is installed")


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
