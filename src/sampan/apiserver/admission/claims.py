"""Claims: devices for administrators only where the namespace says so, and who may write which part of a claim's status.

Upstream does this in the storage of claims and their templates, behind mutating admission and before validation: that is
the end of the mutating round. Leaves what is a valid claim to `sampan.kinds.resource`.
Source: kubernetes `pkg/registry/resource/utils.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sampan.api import field, names
from sampan.api.errors import FieldError, Invalid
from sampan.api.resource.v1 import AllocatedDeviceStatus, AllocationResult, ResourceClaim, ResourceClaimStatus
from sampan.api.resources import NAMESPACES
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.auth.authorizers import Authorizers
from sampan.apiserver.auth.denial import denial
from sampan.apiserver.auth.serviceaccounts import split_username
from sampan.apiserver.request import Attributes, User
from sampan.apiserver.watchcache import Readers
from sampan.kinds.resource import resource_claim, resource_claim_template

GROUP = "resource.k8s.io"
ADMIN_LABEL = "resource.kubernetes.io/admin-access"
NODE_KEY = "authentication.kubernetes.io/node-name"


class ResourceClaims:
    """No upstream plugin; always on."""

    name = "ResourceClaims"

    def __init__(self, readers: Readers, authorizers: Authorizers) -> None:
        self._namespaces = readers.of(NAMESPACES)
        self._authorizers = authorizers

    def handles(self, request: AdmissionRequest) -> bool:
        """New claims and templates, and writes of claims' status."""
        if request.resource.group != GROUP or request.resource.plural not in ("resourceclaims", "resourceclaimtemplates"):
            return False
        return request.operation == "CREATE" or (request.operation == "UPDATE" and request.subresource == "status")

    async def admit(self, request: AdmissionRequest) -> None:
        """Refuse who may not; what else is wrong with the object is told with it.

        Raises:
            Invalid: The namespace has no administrators, or the user may not write this.
        """
        new = request.object
        if request.subresource == "status":
            if found := self._status(request):
                found += resource_claim.validate_status(new, request.old)
        elif found := self._creation(request):
            found += (resource_claim if request.resource.plural == "resourceclaims" else resource_claim_template).validate(new)
        if found:
            raise Invalid.of(request.resource.kind, GROUP, new.metadata.name, found)

    def _creation(self, request: AdmissionRequest) -> list[FieldError]:
        claim = request.object.spec.spec if request.resource.plural == "resourceclaimtemplates" else request.object.spec
        asked = (one.exactly is not None and one.exactly.adminAccess for one in claim.devices.requests or ())
        return self._administrators(request.namespace, asked, "spec.devices.requests")  # templates' too

    def _administrators(self, namespace: str, asked: Iterable[bool | None], at: str) -> list[FieldError]:
        index = next((index for index, one in enumerate(asked) if one), None)
        if index is None:
            return []
        entry = self._namespaces.get("", namespace)
        if entry is not None and entry.labels.get(ADMIN_LABEL) == "true":
            return []
        return [field.forbidden(f"{at}[{index}].adminAccess", "admin access to devices requires the "
                                f"`{ADMIN_LABEL}: true` label on the containing namespace")]

    def _status(self, request: AdmissionRequest) -> list[FieldError]:
        claim: ResourceClaim = request.object
        new: ResourceClaimStatus = claim.status
        old: ResourceClaimStatus = request.old.status
        out: list[FieldError] = []
        if not any(_admin_results(old)):
            out += self._administrators(request.namespace, _admin_results(new), "status.allocation.devices.results")
        verb = "patch" if request.options.get("kind") == "PatchOptions" else "update"
        if (new.allocation, new.reservedFor) != (old.allocation, old.reservedFor) and (why := self._denied(request.user, [verb], "binding")):
            out.append(field.forbidden("status.allocation", 'changing status.allocation or status.reservedFor requires '
                                       f'resource="resourceclaims/binding", verb="{verb}" permission: {why}'))
        if new.allocation is None:
            return out
        own = _own_node(request.user, new.allocation)
        verbs = [*([f"associated-node:{verb}"] if own else []), f"arbitrary-node:{verb}"]
        for driver in sorted(_changed_drivers(new, old)):
            if why := self._denied(request.user, verbs, "driver", request.namespace, driver):
                out.append(field.forbidden("status.devices", 'changing status.devices requires resource="resourceclaims/driver", '
                                           f'verb="[{" ".join(verbs)}]" permission: {why}'))
        return out

    def _denied(self, user: User, verbs: Sequence[str], subresource: str, namespace: str = "", name: str = "") -> str:
        """Why none of the verbs is allowed, told of the first; empty when one is."""
        first = ""
        for verb in verbs:
            asked = Attributes(user=user, verb=verb, path="", is_resource=True, group=GROUP, version="v1", resource="resourceclaims",
                               subresource=subresource, namespace=namespace, name=name)
            decision = self._authorizers.authorize(asked)
            if decision.allowed:
                return ""
            reason = ": ".join(one for one in (decision.error, decision.reason) if one)
            first = first or denial(asked, reason).message
        return first


def _admin_results(status: ResourceClaimStatus) -> list[bool]:
    return [bool(one.adminAccess) for one in status.allocation.devices.results] if status.allocation is not None else []


def _changed_drivers(new: ResourceClaimStatus, old: ResourceClaimStatus) -> set[str]:
    """Drivers whose devices' status came, went or changed."""
    before, after = _told(old), _told(new)
    return {key[0] for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def _told(status: ResourceClaimStatus) -> dict[tuple[str, ...], AllocatedDeviceStatus]:
    return {(one.driver, one.pool, one.device, one.shareID or ""): one for one in status.devices}


def _own_node(user: User, allocation: AllocationResult) -> bool:
    """Whether a service account runs on the one node that the devices are allocated on."""
    terms: list[Any] = list(allocation.nodeSelector.nodeSelectorTerms or ()) if allocation.nodeSelector is not None else []
    if len(terms) != 1 or terms[0].matchExpressions or len(terms[0].matchFields) != 1:
        return False
    where = terms[0].matchFields[0]
    nodes = user.extra.get(NODE_KEY, ())
    return (where.key == "metadata.name" and where.operator == "In" and len(where.values) == 1 and tuple(nodes) == tuple(where.values)
            and split_username(user.name) is not None and not names.dns1123_subdomain(nodes[0]))
