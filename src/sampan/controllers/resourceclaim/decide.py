"""What a pod is missing of its resource claims, and what a claim is still held for. Pure.

Source: kube-controller-manager `resourceclaim/controller.go`; KEP-3063, KEP-4381.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from sampan.api.core.v1 import Pod, PodResourceClaim
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resource.v1 import (
    ResourceClaim,
    ResourceClaimConsumerReference,
    ResourceClaimStatus,
    ResourceClaimTemplate,
)
from sampan.api.resources import PODS, RESOURCE_CLAIMS
from sampan.control.devices import claim_name, is_done, is_owned_by, is_reserved_for, owning_pod
from sampan.control.pods import owner_reference
from sampan.kinds.plan import Delete, EventRecord, Plan, Update

POD_CLAIM = "resource.kubernetes.io/pod-claim-name"
FINALIZER = "resource.kubernetes.io/delete-protection"
MOST_CONSUMERS = 256
LONGEST_PREFIX = 57  # of 63 characters: a hyphen and five random ones follow


@dataclass(frozen=True)
class Missing:
    """An entry of the pod's `resourceClaims` that has no claim: one that was made for it but not told, or the template of one."""

    wanted: PodResourceClaim
    found: ResourceClaim | None = None
    template: ResourceClaimTemplate | None = None


@dataclass(frozen=True)
class Lookup:
    """How to find a pod's claims by name, those that it owns, and templates by name."""

    claim: Callable[[str], ResourceClaim | None]
    owned: Sequence[ResourceClaim]
    template: Callable[[str], ResourceClaimTemplate | None]


def missing(pod: Pod, look: Lookup) -> list[Missing]:
    """What must be made, or only told in the pod's status, in order."""
    out = []
    for wanted in pod.spec.resourceClaims:
        template, name = wanted.resourceClaimTemplateName, claim_name(pod, wanted)
        if template is None or name == "":
            continue
        if name is not None and (found := look.claim(name)) is not None and is_owned_by(found, pod):
            continue
        made = next((one for one in look.owned if one.metadata.annotations.get(POD_CLAIM) == wanted.name), None)
        out.append(Missing(wanted, made, look.template(template)))
    return out


def no_template(pod: Pod, entry: Missing) -> str:
    """What is wrong with an entry whose template there is not."""
    name = entry.wanted.resourceClaimTemplateName
    return problem_text(entry, f'resource claim template "{name}": resourceclaimtemplate.resource.k8s.io "{name}" not found')


def problem_text(entry: Missing, why: str) -> str:
    """What the event says."""
    return f"PodResourceClaim {entry.wanted.name}: {why}"


def problem(pod: Pod, text: str) -> EventRecord:
    """A claim could not be made."""
    return EventRecord(pod, "Warning", "FailedResourceClaimCreation", text)


def from_template(pod: Pod, entry: Missing) -> ResourceClaim:
    """The claim of an entry, named after the pod and the entry."""
    template = entry.template
    assert template is not None
    inner, pod_name, name = template.spec.metadata, pod.metadata.name, entry.wanted.name
    prefix = f"{pod_name}-{name}-"
    if len(prefix) > LONGEST_PREFIX:
        # both are cut, in proportion: the server would cut all of the second
        prefix = f"{pod_name[:len(pod_name) * LONGEST_PREFIX // len(prefix)]}-{name[:len(name) * LONGEST_PREFIX // len(prefix)]}"
    meta = ObjectMeta(generateName=prefix, namespace=pod.metadata.namespace, labels=inner.labels,
                      annotations={**inner.annotations, POD_CLAIM: name},
                      ownerReferences=[replace(owner_reference(PODS, pod), blockOwnerDeletion=None)])
    return ResourceClaim(apiVersion="resource.k8s.io/v1", kind="ResourceClaim", metadata=meta, spec=template.spec.spec)


def statuses(pod: Pod, names: dict[str, str]) -> list[dict[str, Any]]:
    """The pod's `resourceClaimStatuses` with new names in place, in the order of its spec."""
    known = {one.name: one.resourceClaimName for one in pod.status.resourceClaimStatuses} | names
    return [{"name": one.name, **({"resourceClaimName": known[one.name]} if known[one.name] else {})}
            for one in pod.spec.resourceClaims if one.name in known]


def reservations(pod: Pod, find: Callable[[str], ResourceClaim | None]) -> Plan:
    """A pod that was put on a node by hand needs its allocated claims reserved: the scheduler does it for the others."""
    if not pod.spec.nodeName:
        return Plan()
    writes = []
    for wanted in pod.spec.resourceClaims:
        name = claim_name(pod, wanted)
        claim = find(name) if name else None
        if claim is None or (wanted.resourceClaimTemplateName is not None and not is_owned_by(claim, pod)):
            continue
        if claim.status.allocation is not None and not is_reserved_for(claim, pod) and len(claim.status.reservedFor) < MOST_CONSUMERS:
            consumer = ResourceClaimConsumerReference(resource="pods", name=pod.metadata.name, uid=pod.metadata.uid)
            status = replace(claim.status, reservedFor=[*claim.status.reservedFor, consumer])
            writes.append(Update(RESOURCE_CLAIMS, replace(claim, status=status), "status"))
    return Plan(tuple(writes))


def needs_nothing(pod: Pod) -> bool:
    """It is over or on its way out: a claim that goes with it must not be made again."""
    return is_done(pod) or pod.metadata.deletionTimestamp is not None


def needs_work(pod: Pod, find: Callable[[str], ResourceClaim | None]) -> bool:
    """Claims of a pod that will run are missing, or not reserved though it has a node."""
    if needs_nothing(pod):
        return False
    for wanted in pod.spec.resourceClaims:
        name = claim_name(pod, wanted)
        if name is None or (name and find(name) is None and wanted.resourceClaimTemplateName is not None):
            return True
    return bool(reservations(pod, find).writes)


# claims


@dataclass(frozen=True)
class Holders:
    """Who a claim is reserved for: those who may still use it, and those of kinds that are not known here."""

    valid: Sequence[ResourceClaimConsumerReference]


def freed(claim: ResourceClaim, holders: Holders) -> Update | None:
    """The next write towards a claim that is held by nobody who is gone; None: it is so.

    With its last user a claim loses its allocation, and only then the finalizer that kept both.
    """
    status, meta = claim.status, claim.metadata
    unused = not holders.valid
    if len(holders.valid) < len(status.reservedFor):
        allocation = None if unused and FINALIZER in meta.finalizers else status.allocation
        return _with_status(claim, replace(status, reservedFor=list(holders.valid), allocation=allocation))
    if unused and FINALIZER in meta.finalizers:
        if meta.deletionTimestamp is not None and status.allocation is not None:
            return _with_status(claim, replace(status, allocation=None))
        if status.allocation is None and meta.deletionTimestamp is not None:
            return without_finalizer(claim)
    return None


def without_finalizer(claim: ResourceClaim) -> Update | None:
    """A claim that has no allocation needs no protection; None: it has none."""
    meta = claim.metadata
    if FINALIZER not in meta.finalizers or claim.status.allocation is not None:
        return None
    finalizers = [one for one in meta.finalizers if one != FINALIZER]
    return Update(RESOURCE_CLAIMS, replace(claim, metadata=replace(meta, finalizers=finalizers)))


def _with_status(claim: ResourceClaim, status: ResourceClaimStatus) -> Update:
    if status.allocation is None:
        status = replace(status, devices=[])  # what drivers say of devices that are not its any more
    return Update(RESOURCE_CLAIMS, replace(claim, status=status), "status")


def surplus(claim: ResourceClaim, holders: Holders, find: Callable[[str], Pod | None],
            claims: Callable[[str], ResourceClaim | None]) -> Plan:
    """Delete a claim that was made for a pod which will never run, or twice; of a pod that is unknown the garbage collector knows."""
    owner = owning_pod(claim)
    if holders.valid or owner is None or claim.metadata.deletionTimestamp is not None:
        return Plan()
    pod = find(owner[0])
    if pod is None or (pod.metadata.uid == owner[1] and not is_done(pod) and not _is_double(claim, pod, claims)):
        return Plan()
    return Plan((Delete(RESOURCE_CLAIMS, claim.metadata.namespace, claim.metadata.name, claim.metadata.uid),))


def _is_double(claim: ResourceClaim, pod: Pod, claims: Callable[[str], ResourceClaim | None]) -> bool:
    """The pod has, and names, another claim for the same entry: the answer to the first creation was lost, and it was done again."""
    entry = claim.metadata.annotations.get(POD_CLAIM)
    told = next((one.resourceClaimName for one in pod.status.resourceClaimStatuses if one.name == entry), None)
    other = claims(told) if told and told != claim.metadata.name else None
    return other is not None and is_owned_by(other, pod)
