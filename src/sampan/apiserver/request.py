"""What a request is about: parsed once from method, path and query, then carried through the whole pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec


@dataclass(frozen=True)
class User:
    """Who is asking. Source: `k8s.io/apiserver/pkg/authentication/user`."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


ANONYMOUS = User("system:anonymous", groups=("system:unauthenticated",))
ADMIN = User("kubernetes-admin", groups=("system:masters", "system:authenticated"))


class Attributes(msgspec.Struct, frozen=True):
    """What authorization is asked about. `path` and `verb` alone (lower-case method) for non-resource requests.

    Source: `k8s.io/apiserver/pkg/authorization/authorizer`, `Attributes`.
    """

    user: User
    verb: str
    path: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    label_selector: str = ""
    field_selector: str = ""


class RequestInfo(msgspec.Struct, eq=False):
    """A parsed request. `verb` is the API verb (get, list, watch, create, update, patch, delete,
    deletecollection, or connect's get/create), the lower-case method for non-resource requests.
    """

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]  # lower-case names
    verb: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    subpath: str = ""  # what follows a proxy subresource
    namespace: str = ""
    name: str = ""
    peer_certificate: bytes = b""  # DER, verified against the client CA during the handshake
    remote_address: str = ""
    trusted_user: User | None = None  # set by the in-process client only, never from the network
    selected_name: str = ""  # the one name that a list's or watch's field selector asks for: what authorization judges
    user: User = ANONYMOUS
    authenticated: User | None = None  # who really asks, where `user` is one that is impersonated
    custom: bool = False  # the resource is a custom one, which has no protobuf
    warnings: list[str] = []
    audit_annotations: dict[str, str] = {}
    flow_headers: list[tuple[bytes, bytes]] | None = None  # which flow schema and priority level it was given
    begun: Callable[[], None] | None = None  # a watch's: its first events are out; who takes it over calls it

    def attributes(self) -> Attributes:
        """What the authorizer is asked."""
        return Attributes(
            user=self.user, verb=self.verb, path=self.path, is_resource=self.is_resource, group=self.group,
            version=self.version, resource=self.resource, subresource=self.subresource, namespace=self.namespace,
            name=self.name or self.selected_name, label_selector="".join(self.query.get("labelSelector", [])[:1]),
            field_selector="".join(self.query.get("fieldSelector", [])[:1]),
        )
