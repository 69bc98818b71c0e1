"""Start a job: one ``run_uv_job``, one POST, and a plain word for how that went.

``huggingface_hub`` sends the POST without a timeout and without a retry, and there is no
idempotency key. So the question after a failure is always whether the job may exist all the same,
and that is the axis of the :class:`LaunchError` family.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hfexecutor.errors import HubRequestError
from hfexecutor.hub.failures import LAUNCH_ADVICE, Answer, error_for, may_pass, redact
from hfexecutor.hub.hosts import is_loopback, split
from hfexecutor.hub.models import Job
from hfexecutor.hub.ratelimit import parse_retry_after
from hfexecutor.hub.unlogged import unlogged
from hfexecutor.loading import uncollected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from huggingface_hub import HfApi, JobInfo

    from hfexecutor.errors import HubError

__all__ = [
    "JobSpec",
    "LaunchAmbiguousError",
    "LaunchError",
    "LaunchLimitedError",
    "LaunchRefusedError",
    "LaunchUndeliveredError",
    "launch",
    "load_api",
]

_INTERPRETERS: Final = ("python", "python3")
_UPLOADED: Final = frozenset({".py", ".sh", ".yaml", ".yml", ".toml"})
_LONGEST_ARGUMENT: Final = 255  # bytes: run_uv_job asks the file system about each argument
_TOO_MANY: Final = 429
_DEFAULT_HOLD: Final = 60.0  # a 429 that names no time
# Class names of httpx and httpx2 alike (httpx2 is not ours to import): nothing was sent.
_BEFORE_SENDING: Final = frozenset(
    {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"}
)
# No JSON at all comes from something in between, which may be gone at the next try.
_ON_THE_WAY: Final = frozenset({"TransportError", "OSError", "JSONDecodeError"})


class LaunchError(Exception):
    """A launch did not return a job; between us and the pool alone."""


class LaunchRefusedError(LaunchError):
    """There is no job, and asking again is of no use; `error` is what to tell the user."""

    def __init__(self, error: HubError) -> None:
        super().__init__(str(error))
        self.error = error


class LaunchLimitedError(LaunchError):
    """There is no job yet: the Hub asks to wait for `seconds`."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class LaunchUndeliveredError(LaunchError):
    """There is no job: the request never reached the Hub. It may be sent again as it is."""


class LaunchAmbiguousError(LaunchError):
    """There may or may not be a job: look it up by its label before anything else.

    `again` tells whether sending it once more can help, should the look-up find none.
    """

    def __init__(self, message: str, *, again: bool = True) -> None:
        super().__init__(message)
        self.again = again


@dataclass(frozen=True, slots=True)
class JobSpec:
    """All that one launch is.

    Attributes:
        command: The arguments that the job's Python gets; each at most 255 bytes.
        image: The Docker image, with ``uv`` in it.
        python: The version that ``uv run --python`` asks for; None takes the image's.
        dependencies: Packages that ``uv run --with`` installs first.
        env: Environment variables, readable by everybody who may read the job.
        secrets: Environment variables that the Hub never shows again.
        flavor: The hardware; None takes the Hub's default.
        timeout: Seconds after which the Hub kills the job; None takes the Hub's 30 minutes.
        labels: What the job can be found by.
        volumes: ``huggingface_hub.Volume`` objects to mount.
        expose: Ports that become doors.
    """

    command: tuple[str, ...]
    image: str | None = None
    python: str | None = None
    dependencies: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    flavor: str | None = None
    timeout: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[Any, ...] = ()
    expose: tuple[int, ...] = ()


def load_api(endpoint: str) -> HfApi:
    """Return huggingface_hub's client; the first call imports it, which takes half a second."""
    with uncollected():
        from huggingface_hub import get_session  # noqa: PLC0415

        # Made now: some versions make one for each thread that asks first, and leak it. And before
        # the rest is imported: other threads, which are at work by then, have the time that it
        # takes to read the certificates.
        get_session()
        from huggingface_hub import HfApi  # noqa: PLC0415

    api = HfApi(endpoint=endpoint, token=False, library_name="hfexecutor")  # each launch has one
    if is_loopback(split(endpoint).host):
        # To describe itself in its User-Agent, huggingface_hub asks huggingface.co for a list of
        # tools that may be at work; nothing about a Hub on this machine may leave it.
        api._build_hf_headers = _plain_headers  # type: ignore[method-assign]  # noqa: SLF001
    return api


def _plain_headers(token: str | bool | None = None, *_: object, **__: object) -> dict[str, str]:
    return {"authorization": f"Bearer {token}", "user-agent": "hfexecutor"}


def launch(
    api: HfApi, spec: JobSpec, namespace: str, token: str, redact: Callable[[str], str] = redact
) -> Job:
    """Start a job with exactly one POST, and wait for the Hub's answer (without any timeout).

    Args:
        api: Hugging Face's client.
        spec: What to start.
        namespace: Whose job it is to be.
        token: What the request shows.
        redact: Takes tokens out of messages.

    Raises:
        LaunchRefusedError: The Hub, or this function, refuses it for good.
        LaunchLimitedError: The Hub is too busy with us.
        LaunchUndeliveredError: Nobody heard it.
        LaunchAmbiguousError: Anything else: the job may exist.
    """
    interpreter = _interpreter(spec.command)
    try:
        with unlogged():
            info = _run_uv_job(api)(
                interpreter,
                script_args=list(spec.command),
                dependencies=list(spec.dependencies) or None,
                python=spec.python,
                image=spec.image,
                env=dict(spec.env),
                secrets=dict(spec.secrets),
                flavor=spec.flavor,
                timeout=None if spec.timeout is None else max(1, math.ceil(spec.timeout)),
                # Newer versions would derive a name from the command line, which says nothing here.
                labels={"name": "hfexecutor", **spec.labels},
                volumes=list(spec.volumes) or None,
                expose=list(spec.expose) or None,
                namespace=namespace,
                token=token,
            )
        return _job(info, api.endpoint)
    except Exception as error:  # every way to fail has its place in the family
        cause = error
    failure = _sort(cause, f"launch a job in {namespace}", redact)
    # The text of the cause is not ours to redact, so where a token is in it nobody gets to see it.
    raise failure from (None if token in f"{cause} {cause!r}" else cause)


def _interpreter(command: tuple[str, ...]) -> str:
    """Return a name for Python that ``run_uv_job`` does not take for a file to upload."""
    for argument in command:
        if problem := _argument_problem(argument):
            raise LaunchRefusedError(HubRequestError(f"Cannot launch a job: {problem}."))
    for name in _INTERPRETERS:
        if not Path(name).is_file():
            return name
    raise LaunchRefusedError(
        HubRequestError(
            f"Cannot launch a job: files named 'python' and 'python3' in {Path.cwd()}, the current "
            "directory, would be uploaded in place of the job's interpreter. Run from elsewhere."
        )
    )


def _argument_problem(argument: str) -> str | None:
    if not argument or "\0" in argument or len(argument.encode()) > _LONGEST_ARGUMENT:
        return f"an argument of its command is empty, has a NUL or is too long ({len(argument)})"
    if Path(argument).suffix in _UPLOADED:
        return f"{argument!r} in its command would be taken for a file"
    if Path(argument).is_file():
        return (
            f"a file named {argument!r} in the current directory ({Path.cwd()}) would be uploaded "
            "in place of an argument of its command; run from elsewhere"
        )
    return None


def _run_uv_job(api: HfApi) -> Callable[..., JobInfo]:
    """Return ``api.run_uv_job`` without the warning that it is experimental.

    Taking the decorator off is narrower than a warning filter, which is the whole process's.
    """
    method = api.run_uv_job
    code = getattr(method, "__code__", None)
    if code is not None and Path(code.co_filename).name == "_experimental.py":
        return functools.partial(method.__wrapped__, api)  # type: ignore[attr-defined]
    return method


def _job(info: JobInfo, endpoint: str) -> Job:
    """Translate what huggingface_hub read of the Hub's reply back into the Hub's words."""
    status, initiator = info.status, info.initiator
    raw = {
        "id": info.id,
        "status": {
            "stage": _word(status.stage),
            "message": status.message,
            "exposeUrls": status.expose_urls,
        },
        "labels": info.labels,
        "flavor": _word(info.flavor),
        "dockerImage": info.docker_image or info.space_id,
        "command": info.command,
        "arguments": info.arguments or (),
        "owner": {"name": info.owner.name},
        "initiator": initiator and {"id": initiator.id, "type": initiator.type},
    }
    return Job.parse(raw, endpoint)


def _word(value: object) -> object:
    """Return the word that a member of an enumeration stands for."""
    return getattr(value, "value", value)


def _sort(error: Exception, doing: str, redact: Callable[[str], str]) -> LaunchError:
    response = getattr(error, "response", None)
    if response is not None:
        return _sort_answer(Answer.of(response), doing, redact)
    names = {cls.__name__ for cls in type(error).__mro__}
    text = redact(f"Could not {doing}: {type(error).__name__}: {error}")
    if "OfflineModeIsEnabled" in names:
        return LaunchRefusedError(HubRequestError(f"{text}. Unset HF_HUB_OFFLINE."))
    if names & _BEFORE_SENDING or isinstance(error, ConnectionRefusedError):
        return LaunchUndeliveredError(text)
    # What is not the network's fault will happen again: a bug, or a reply of an unknown shape.
    return LaunchAmbiguousError(text, again=bool(names & _ON_THE_WAY))


def _sort_answer(answer: Answer, doing: str, redact: Callable[[str], str]) -> LaunchError:
    error = error_for(answer, doing, redact=redact, advice=LAUNCH_ADVICE)
    if answer.status == _TOO_MANY:
        named = parse_retry_after(answer.headers)
        return LaunchLimitedError(str(error), _DEFAULT_HOLD if named is None else named)
    if may_pass(answer.status):
        return LaunchAmbiguousError(str(error))
    return LaunchRefusedError(error)
