"""Who serves which group and version, and in which order groups are shown. Pure.

Source: kube-aggregator `pkg/apis/apiregistration/v1/helper/helpers.go`, `pkg/apiserver/handler_proxy.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sampan.api.apiregistration.v1 import APIService
from sampan.kinds import meta

AVAILABLE = "Available"
DEFAULT_PORT = 443


class Target(NamedTuple):
    """The Service behind which a server is."""

    namespace: str
    name: str
    port: int

    @property
    def host(self) -> str:
        """The name that its certificate has."""
        return f"{self.name}.{self.namespace}.svc"


@dataclass(frozen=True)
class Remote:
    """A version of a group that another server serves."""

    name: str
    group: str
    version: str
    target: Target
    ca_bundle: bytes = b""
    insecure: bool = False
    available: bool = False

    @property
    def path(self) -> str:
        """Where its resources are told of."""
        return f"/apis/{self.group}/{self.version}"


class Priority(NamedTuple):
    """What an APIService says about its place: higher comes first."""

    group: int
    version: int


@dataclass(frozen=True)
class Table:
    """Everything that the APIServices say. Keys are (group, version)."""

    remotes: Mapping[tuple[str, str], Remote] = field(default_factory=dict)
    priorities: Mapping[tuple[str, str], Priority] = field(default_factory=dict)


def remote_of(service: APIService) -> Remote | None:
    """The other server, None where it is this one."""
    spec = service.spec
    if spec.service is None or not spec.group:
        return None
    target = Target(spec.service.namespace or "", spec.service.name or "", spec.service.port or DEFAULT_PORT)
    return Remote(service.metadata.name, spec.group, spec.version or "", target, bytes(spec.caBundle or b""), bool(spec.insecureSkipTLSVerify),
                  meta.is_true(service.status.conditions or (), AVAILABLE))


def table_of(services: Iterable[Any]) -> Table:
    """Read the APIServices."""
    remotes: dict[tuple[str, str], Remote] = {}
    priorities: dict[tuple[str, str], Priority] = {}
    for service in services:
        key = (service.spec.group or "", service.spec.version or "")
        priorities[key] = Priority(service.spec.groupPriorityMinimum, service.spec.versionPriority)
        if (remote := remote_of(service)) is not None:
            remotes[key] = remote
    return Table(remotes, priorities)
