"""Extended resources that devices stand behind: a pod asks for `example.com/gpu: 2` and a device class answers to that name.

On a node that has such a resource of its own (a device plugin's) nothing changes; elsewhere the scheduler makes a claim
for the pod's sake, with a request a container and resource, gives it devices and tells the pod's status which request
serves what. Pure. Source: KEP-5004; `plugins/dynamicresources/extendeddynamicresources.go`, dynamic-resource-allocation
`deviceclass/extendedresourcecache`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from sampan.api import quantity
from sampan.api.cel.errors import CelError
from sampan.api.core.v1 import ContainerExtendedResourceRequest, Pod
from sampan.api.meta.v1 import ObjectMeta, OwnerReference
from sampan.api.resource.v1 import DeviceClaim, DeviceRequest, ExactDeviceRequest, ResourceClaim, ResourceClaimSpec
from sampan.api.resources import DEVICE_CLASSES, RESOURCE_CLAIMS
from sampan.kinds.core.pod import is_sidecar
from sampan.scheduler.dra.devices import inventory, taken
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Int64, Mask, Rows, Snapshot
from sampan.scheduler.world import World

ANNOTATION = "resource.kubernetes.io/extended-resource-claim"
IN_MEMORY = "<extended-resources>"
"""The name of a claim that is not made yet: no name of an object, so that none can have it."""
LEFT_OVER = "cannot schedule extended resource claim"


class Wish(NamedTuple):
    """One request: which container asks, for which resource, of which class, under which name in the claim."""

    container: str
    resource: str
    device_class: str
    amount: int
    request: str


class Served(NamedTuple):
    """Which request serves a resource of a container; there may be several."""

    container: str
    resource: str
    request: str


def by_devices(pod: Shape, snapshot: Snapshot) -> tuple[Wish, ...]:
    """What the pod asks for that a device class answers to, in the order of the requests' names."""
    return _needs(pod, snapshot)[0] if pod.extended else ()


def _needs(pod: Shape, snapshot: Snapshot) -> tuple[tuple[Wish, ...], tuple[Served, ...]]:
    classes = snapshot.world.device_class_of
    known = pod.cache.get("extended")
    if known is None or known[0] is not classes:
        wishes: list[Wish] = []
        served: list[Served] = []
        asked = sorted({one.resource for one in _asked(pod.pod, classes)})
        for resource in asked:
            _share_out([one for one in _asked(pod.pod, classes) if one.resource == resource], _short_lived(pod.pod), wishes, served)
        known = pod.cache["extended"] = (classes, (tuple(sorted(wishes, key=lambda one: one.request)), tuple(served)))
    found: tuple[tuple[Wish, ...], tuple[Served, ...]] = known[1]
    return found


def _short_lived(pod: Pod) -> frozenset[str]:
    """Init containers that end before those after them begin, so that they use what is meant for those."""
    return frozenset(one.name for one in pod.spec.initContainers if not is_sidecar(one))


def _share_out(asked: Sequence[Wish], short_lived: frozenset[str], wishes: list[Wish], served: list[Served]) -> None:
    """The requests for one resource: what later containers have serves the init containers before them; what one of those needs
    beyond that serves the others as well.
    """
    lasting = [one for one in asked if one.container not in short_lived]
    served += [Served(one.container, one.resource, one.request) for one in lasting]
    more: list[Wish] = []
    borrowed: list[Served] = []
    for place, one in enumerate(asked):
        if one.container not in short_lived:
            continue
        missing = one.amount
        for later in asked[place:]:
            if later in lasting and missing > 0:
                missing -= later.amount
                borrowed.append(Served(one.container, one.resource, later.request))
        if missing > 0:
            more.append(one._replace(amount=missing))
            borrowed.append(Served(one.container, one.resource, one.request))
    if more:
        most = max(more, key=lambda one: one.amount)  # the first of them
        others = {one.request for one in more}
        borrowed = [one._replace(request=most.request) if one.request in others else one for one in borrowed]
        wishes.append(most)
    wishes += lasting
    served += borrowed


def wants_devices(pod: Shape, snapshot: Snapshot) -> bool:
    """Whether the pod needs a claim, its own or one that is made for it."""
    return bool(pod.resource_claims or by_devices(pod, snapshot))


def _asked(pod: Pod, classes: Mapping[str, str]) -> Iterator[Wish]:
    for index, container in enumerate((*pod.spec.initContainers, *(pod.spec.containers or ()))):
        for place, (name, amount) in enumerate(sorted(container.resources.requests.items())):
            if name in classes and (count := quantity.integer(amount)):
                yield Wish(container.name, name, classes[name], count, f"container-{index}-request-{place}")


def elsewhere(wish: Wish, snapshot: Snapshot) -> Mask:
    """bool[N] of the nodes that do not have the resource themselves, so that devices have to serve it."""
    index = snapshot.column(wish.resource)
    mask: Mask = snapshot.allocatable[index] == 0
    return mask


def stand_ins(resource: str, snapshot: Snapshot) -> tuple[Int64, Int64] | None:
    """(those in use, all) of the devices that stand behind a resource, int64[N] each, as nodes are compared; None: no class answers to it.

    Where the class has no answer for a device, what it can be used on counts none.
    """
    found = snapshot.world.get(DEVICE_CLASSES, snapshot.world.device_class_of.get(resource, ""))
    if found is None:
        return None
    used, there = np.zeros(len(snapshot.alive), np.int64), np.zeros(len(snapshot.alive), np.int64)
    unknown = np.zeros(len(snapshot.alive), np.bool_)
    known, in_use = inventory(snapshot), taken(snapshot)
    for place, offer in enumerate(known.offers):
        if offer.rows is None and offer.row < 0:
            continue
        rows: Mask | int = offer.rows if offer.rows is not None else offer.row
        try:
            if not all(known.holds(one.cel.expression, place) for one in found.spec.selectors if one.cel is not None):
                continue
        except CelError:
            unknown[rows] = True
            continue
        there[rows] += 1
        used[rows] += offer.id in in_use.devices or offer.id in in_use.shares
    return np.where(unknown, 0, used), np.where(unknown, 0, there)


def shares_now(snapshot: Snapshot, resource: str, rows: Rows = slice(None)) -> tuple[Int64, Int64]:
    """(used, capacity) of a resource on these rows, not to be changed; where a node has none of its own, devices that stand behind it count."""
    index = snapshot.column(resource)
    used, capacity = snapshot.requested[index, rows], snapshot.allocatable[index, rows]
    devices = stand_ins(resource, snapshot)
    if devices is None:
        return used, capacity
    theirs = (capacity == 0) & (devices[1][rows] > 0)
    return np.where(theirs, devices[0][rows], used), np.where(theirs, devices[1][rows], capacity)


def variants(pod: Shape, snapshot: Snapshot, rows: Mask) -> list[tuple[Mask, ResourceClaim | None]]:
    """The claim that each of the rows would need (None: no devices), rows that need the same together."""
    groups: list[tuple[Mask, list[Wish]]] = [(rows, [])]
    for wish in by_devices(pod, snapshot):
        here = elsewhere(wish, snapshot)
        split = [(mask & side, [*wishes, wish] if takes else wishes) for mask, wishes in groups for side, takes in ((here, True), (~here, False))]
        groups = [(mask, wishes) for mask, wishes in split if mask.any()]
    return [(mask, _claim(pod.pod, wishes) if wishes else None) for mask, wishes in groups]


def claim_on(pod: Pod, shape: Shape, snapshot: Snapshot, row: int) -> ResourceClaim | None:
    """The claim that this very pod needs on a row, not made yet; None: it needs none there."""
    wishes = [wish for wish in by_devices(shape, snapshot) if elsewhere(wish, snapshot)[row]]
    return _claim(pod, wishes) if wishes else None


def _claim(pod: Pod, wishes: Sequence[Wish]) -> ResourceClaim:
    meta = pod.metadata
    requests = [DeviceRequest(name=one.request, exactly=ExactDeviceRequest(deviceClassName=one.device_class, allocationMode="ExactCount", count=one.amount))
                for one in wishes]
    owner = OwnerReference(apiVersion="v1", kind="Pod", name=meta.name, uid=meta.uid, controller=True)
    return ResourceClaim(
        metadata=ObjectMeta(name=f"{IN_MEMORY}-{meta.uid}", generateName=f"{meta.name}-extended-resources-", namespace=meta.namespace, uid=meta.uid,
                            annotations={ANNOTATION: "true"}, ownerReferences=[owner]),
        spec=ResourceClaimSpec(devices=DeviceClaim(requests=requests)))


def mappings(pod: Shape, snapshot: Snapshot, claim: ResourceClaim) -> list[ContainerExtendedResourceRequest]:
    """Which request of the claim serves which resource of which container, for the pod's status."""
    named = {one.name for one in claim.spec.devices.requests or ()}
    return [ContainerExtendedResourceRequest(containerName=one.container, resourceName=one.resource, requestName=one.request)
            for one in _needs(pod, snapshot)[1] if one.request in named]


def left_over(pod: Pod, world: World) -> ResourceClaim | None:
    """The claim that an attempt to bind this pod has left: its devices may not be the right ones any more."""
    for claim in world.of_namespace(RESOURCE_CLAIMS, pod.metadata.namespace):
        meta = claim.metadata
        if meta.annotations.get(ANNOTATION) == "true" and any(one.uid == pod.metadata.uid and one.controller for one in meta.ownerReferences):
            return claim
    return None
