"""Whether a job that was found by a label is the one that we launched. Pure.

A label is a claim: whoever may start jobs in the namespace can give theirs the labels of ours, and
would then be shown a token at the door of "our" job. Only what the Hub itself notes about a job is
proof: who started it, who owns it, and the image, flavor and command that it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from hfexecutor.hub.launch import JobSpec
    from hfexecutor.hub.models import Job

__all__ = ["claim_of_run_problem", "claim_problem", "is_proof"]

_PEOPLE: Final = frozenset({"user", "org"})
_INTERPRETERS: Final = frozenset({"python", "python3"})
_DOCKER: Final = ("docker.io/", "index.docker.io/", "library/")
_SPACES: Final = ("https://", "huggingface.co/spaces/", "hf.co/spaces/")


def is_proof(job: Job) -> bool:
    """Tell whether the Hub has said all that :func:`claim_problem` wants to know.

    A reply about one job has it all; a list may leave fields out.
    """
    return None not in (_starter(job), job.image, job.command) and bool(job.owner and job.flavor)


def claim_problem(
    job: Job,
    spec: JobSpec,
    *,
    namespace: str,
    initiator: str | None,
    flavors: Collection[str] = (),
) -> str | None:
    """Say why `job` is not the one that was launched with `spec`, None if it is.

    Checked always: that somebody is named who started it, and that it is us. A copy of our job
    (``POST .../duplicate``) is none, whoever made it: the Hub names the job that it was made from.
    Checked where the Hub says it: the namespace that pays, image, flavor and command; that it left
    one of these out of a list proves nothing, so ask for the job itself first unless
    :func:`is_proof`. Not checked here: the addresses of its ports, see
    :func:`hfexecutor.hub.hosts.door_problem`, and its labels, by which it was found.

    Args:
        job: What was found.
        spec: What was launched.
        namespace: Whose jobs ours are.
        initiator: The Hub's id of the token's owner; None where nobody has told it, and then no
            job can be shown to be ours.
        flavors: Those of our jobs; none, the default, for that of `spec`.
    """
    if not flavors and spec.flavor is not None:
        flavors = (spec.flavor,)
    return (
        _starter_problem(job, initiator)
        or _owner_problem(job, namespace)
        or _machine_problem(job, spec, flavors)
    )


def claim_of_run_problem(
    job: Job, command: tuple[str, ...], *, namespace: str, initiator: str | None
) -> str | None:
    """Say why `job` is none of a run of ours, of which nothing is known but its labels.

    As :func:`claim_problem`, but for what only that run's options tell: image, flavor and packages.
    What else it might be, keys decide: it has none unless it was launched with our token.

    Args:
        job: What was found.
        command: What all jobs of all runs run.
        namespace: Whose jobs ours are.
        initiator: The Hub's id of the token's owner.
    """
    problem = _starter_problem(job, initiator) or _owner_problem(job, namespace)
    if problem is not None or job.command is None:
        return problem
    words = (*job.command, *job.arguments)
    end = len(words) - len(command)
    options = words[2 : end - 1]
    ours = (
        words[:2] == ("uv", "run")
        and words[end:] == command
        and _INTERPRETERS.issuperset(words[end - 1 : end])
        and len(options) % 2 == 0
        and {"--with", "--python"}.issuperset(options[::2])
    )
    return None if ours else "it runs another command"


def _starter_problem(job: Job, initiator: str | None) -> str | None:
    if job.initiator_type is not None and job.initiator_type not in _PEOPLE:
        return f"it was started by a {job.initiator_type}"
    starter = _starter(job)
    if starter is None:
        return "the Hub does not say who started it"
    return None if starter == initiator else "somebody else has started it"


def _owner_problem(job: Job, namespace: str) -> str | None:
    if job.owner and job.owner.casefold() != namespace.casefold():
        return f"it belongs to {job.owner!r}"
    return None


def _machine_problem(job: Job, spec: JobSpec, flavors: Collection[str]) -> str | None:
    if job.flavor and flavors and job.flavor not in flavors:
        return f"it runs on {job.flavor!r}"
    if job.image is not None and spec.image is not None and _bare(job.image) != _bare(spec.image):
        return f"it runs the image {job.image!r}"
    if job.command is not None and not _is_command(job, spec):
        return "it runs another command"
    return None


def _starter(job: Job) -> str | None:
    return job.initiator or job.created_by


def _bare(image: str) -> str:
    """Return an image without what the Hub may add or take away."""
    bare = image.strip().lower()
    for prefix in (*_SPACES, *_DOCKER):
        bare = bare.removeprefix(prefix)
    return bare


def _is_command(job: Job, spec: JobSpec) -> bool:
    """Compare; ``run_uv_job`` chooses the order of uv's options, and they are each of them ours."""
    assert job.command is not None
    command = (*job.command, *job.arguments)
    end = len(command) - len(spec.command)
    uv, options, python = command[:2], command[2 : end - 1], command[end - 1 : end]
    wanted = [word for name in spec.dependencies for word in ("--with", name)]
    wanted += ["--python", spec.python] if spec.python else []
    return (
        uv == ("uv", "run")
        and sorted(options) == sorted(wanted)
        and _INTERPRETERS.issuperset(python)
        and command[end:] == spec.command
    )
