"""What a request asks a job to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Spec:
    """What a request asked for. Secrets are kept out of the repr and of every reply."""

    flavor: str
    image: str | None = None
    space: str | None = None
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    public_ports: tuple[int, ...] = ()
    attempts: int = 1
    timeout: float | None = None
    volumes: tuple[Mapping[str, Any], ...] = ()
    arch: str | None = None
    resource_group: str | None = None
    ssh: bool = False

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Spec:
        """Read the (validated) body of a request that starts a job."""
        expose = body.get("expose", {})
        return cls(
            flavor=body["flavor"],
            image=body.get("dockerImage"),
            space=body.get("spaceId"),
            command=tuple(body.get("command", ())),
            arguments=tuple(body.get("arguments", ())),
            environment=body.get("environment", {}),
            secrets=body.get("secrets", {}),
            labels=body.get("labels", {}),
            ports=tuple(dict.fromkeys(expose.get("ports", ()))),
            public_ports=tuple(dict.fromkeys(expose.get("portsPublic", ()))),
            attempts=int(body.get("attempts", 1)),
            timeout=body.get("timeoutSeconds"),
            volumes=tuple(body.get("volumes", ())),
            arch=body.get("arch"),
            resource_group=body.get("resourceGroupId"),
            ssh=body.get("ssh", {}).get("enabled", False),
        )
