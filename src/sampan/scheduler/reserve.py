"""Volumes and devices for a pod on the node that was chosen: taken in memory first, then written, or given back.

`reserve` is pure but for what it lays over the world; `commit` writes and waits until volumes are bound; where the pod is not
bound after all, `revert` gives back in memory, `give_back` deletes the claim that was made for the pod's sake.
Source: `plugins/volumebinding/binder.go` (AssumePodVolumes, BindPodVolumes), `plugins/dynamicresources` (Reserve, PreBind).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sampan.aio.clock import AsyncClock
from sampan.api import codec, goprint
from sampan.api.core.v1 import (
    ContainerExtendedResourceRequest,
    ObjectReference,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    PodExtendedResourceClaimStatus,
)
from sampan.api.errors import Conflict, NotFound
from sampan.api.resource.v1 import ResourceClaim, ResourceClaimConsumerReference, ResourceClaimStatus
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, RESOURCE_CLAIMS
from sampan.client.base import STRATEGIC_PATCH, Client, DeleteOptions
from sampan.control.key import key_of
from sampan.lib.errors import SampanError
from sampan.scheduler.cycle import Waits
from sampan.scheduler.dra.allocate import allocate
from sampan.scheduler.dra.devices import taken
from sampan.scheduler.dra.extended import claim_on, mappings
from sampan.scheduler.plugins.dynamic_resources import claims_of
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Snapshot
from sampan.scheduler.volumes import SELECTED_NODE, is_bound, plan_for
from sampan.scheduler.world import World

BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
FINALIZER = "resource.kubernetes.io/delete-protection"
LOOK_SECONDS = 0.2
TRIES = 5


class ReserveError(SampanError):
    """What was chosen for a pod could not be had after all."""


@dataclass
class Reserved:
    """Objects as they are to be written."""

    volumes: list[PersistentVolume] = field(default_factory=list)
    provisioned: list[PersistentVolumeClaim] = field(default_factory=list)
    awaited: list[str] = field(default_factory=list)  # names of claims
    claims: list[ResourceClaim] = field(default_factory=list)
    extended: ResourceClaim | None = None
    """The claim for extended resources: in memory, from its creation on as the API server has it."""
    mappings: list[ContainerExtendedResourceRequest] = field(default_factory=list)

    waits: Waits = Waits()

    def __bool__(self) -> bool:
        return bool(self.volumes or self.provisioned or self.claims or self.extended)


def reserve(pod: Pod, shape: Shape, snapshot: Snapshot, row: int, now: datetime) -> Reserved:
    """Take what the pod needs on a row that the filters found to have it.

    Raises:
        ReserveError: It is not there any more; nothing is taken.
    """
    out, world = Reserved(), snapshot.world
    if shape.claims:
        _reserve_volumes(shape, snapshot, row, out)
    if shape.resource_claims or shape.extended:
        _reserve_devices(pod, shape, snapshot, row, out, now)
    for volume in out.volumes:
        world.assume(PERSISTENT_VOLUMES, volume)
    for claim in out.provisioned:
        world.assume(PERSISTENT_VOLUME_CLAIMS, claim)
    for resource_claim in (*out.claims, *((out.extended,) if out.extended is not None else ())):
        world.assume(RESOURCE_CLAIMS, resource_claim)
    return out


def _reserve_volumes(shape: Shape, snapshot: Snapshot, row: int, out: Reserved) -> None:
    found = plan_for(shape, snapshot)
    if any(rows[row] for rows in (found.absent, found.conflict, found.none, found.full)):
        raise ReserveError("the volumes that were found are not to be had any more")
    for claim, volume, takers in found.static:
        if row in takers:
            chosen, meta = codec.clone(volume), claim.metadata
            chosen.spec.claimRef = ObjectReference(kind="PersistentVolumeClaim", apiVersion="v1", namespace=meta.namespace, name=meta.name,
                                                   uid=meta.uid, resourceVersion=meta.resourceVersion)
            if volume.spec.claimRef is None:
                chosen.metadata.annotations = {**chosen.metadata.annotations, BOUND_BY_CONTROLLER: "yes"}
            out.volumes.append(chosen)
            out.awaited.append(meta.name)
    for claim, rows in found.provisioned:
        if rows[row]:
            wanted = codec.clone(claim)
            wanted.metadata.annotations = {**wanted.metadata.annotations, SELECTED_NODE: snapshot.node(row).metadata.name}
            out.provisioned.append(wanted)
            out.awaited.append(claim.metadata.name)


def _reserve_devices(pod: Pod, shape: Shape, snapshot: Snapshot, row: int, out: Reserved, now: datetime) -> None:
    claims = claims_of(shape, snapshot)
    extended = claim_on(pod, shape, snapshot, row)
    waiting = [one for one in (*claims, extended) if one is not None and one.status.allocation is None]
    found = allocate(waiting, snapshot, row, taken(snapshot), now) if waiting else []
    if found is None:
        raise ReserveError("the devices that were found are not to be had any more")
    results = iter(found)
    consumer = ResourceClaimConsumerReference(resource="pods", name=pod.metadata.name, uid=pod.metadata.uid)
    for claim in claims:
        new = codec.clone(claim)
        if claim.status.allocation is None:
            new.status.allocation = next(results)
            new.metadata.finalizers = [*{*new.metadata.finalizers, FINALIZER}]
        if all(one.uid != consumer.uid for one in new.status.reservedFor):
            new.status.reservedFor = [*new.status.reservedFor, consumer]
            out.claims.append(new)
    if extended is not None:
        extended.metadata.finalizers = [FINALIZER]
        extended.status.allocation, extended.status.reservedFor = next(results), [consumer]
        out.extended, out.mappings = extended, mappings(shape, snapshot, extended)


def revert(reserved: Reserved, world: World) -> None:
    """Give back in memory what was not used; what was written stays, and is found again at the next try."""
    for volume in reserved.volumes:
        world.restore(PERSISTENT_VOLUMES, key_of(volume))
    for claim in reserved.provisioned:
        world.restore(PERSISTENT_VOLUME_CLAIMS, key_of(claim))
    for resource_claim in (*reserved.claims, *((reserved.extended,) if reserved.extended is not None else ())):
        world.restore(RESOURCE_CLAIMS, key_of(resource_claim))


async def commit_devices(reserved: Reserved, pod: Pod, client: Client, clock: AsyncClock, world: World) -> None:
    """Write which devices claims have, and wait until those that want it are bound.

    Raises:
        ApiError: The API server refused.
        ReserveError: A claim changed meanwhile, or a device was not bound.
    """
    for claim in reserved.claims:
        await _write_claim(claim, pod, client)
    if reserved.extended is not None:
        await _make_claim(reserved, reserved.extended, pod, client, world)
    await _devices_bound(reserved, pod, client, clock, world)


async def commit_volumes(reserved: Reserved, pod: Pod, node: str, client: Client, clock: AsyncClock, world: World) -> None:
    """Write which volumes claims have or are to get, and wait for them.

    Raises:
        ApiError: The API server refused.
        ReserveError: A volume was not bound in time, or not to be had on this node after all.
    """
    for volume in reserved.volumes:
        await client.update(PERSISTENT_VOLUMES, volume)
    for wanted in reserved.provisioned:
        await client.update(PERSISTENT_VOLUME_CLAIMS, wanted)
    until = clock.monotonic() + reserved.waits.volume_seconds
    while not all(_bound(name, pod.metadata.namespace, node, world) for name in reserved.awaited):
        if clock.monotonic() >= until:
            raise ReserveError("binding volumes: context deadline exceeded")
        await clock.sleep(LOOK_SECONDS)


async def _devices_bound(reserved: Reserved, pod: Pod, client: Client, clock: AsyncClock, world: World) -> None:
    """Wait until drivers have bound the devices that want it; give all of a claim back where one failed."""
    until = clock.monotonic() + reserved.waits.device_seconds
    for claim in reserved.claims:
        meta = claim.metadata
        try:
            while not devices_ready(world.get(RESOURCE_CLAIMS, meta.name, meta.namespace) or claim):
                if clock.monotonic() >= until:
                    raise ReserveError(f"device binding timeout: claim={meta.name}")
                await clock.sleep(LOOK_SECONDS)
        except ReserveError:
            await deallocate(claim, pod, client)
            raise


def devices_ready(claim: ResourceClaim) -> bool:
    """Whether all binding conditions of a claim's devices hold.

    Raises:
        ReserveError: One of the conditions that stand for a failure does.
    """
    if claim.status.allocation is None:
        return True
    said = {(one.driver, one.pool, one.device, one.shareID): {found.type: found for found in one.conditions or ()} for one in claim.status.devices}
    ready = True
    for one in claim.status.allocation.devices.results:
        conditions = said.get((one.driver, one.pool, one.device, one.shareID), {})
        for name in one.bindingFailureConditions:
            if (found := conditions.get(name)) is not None and found.status == "True":
                raise ReserveError(f'device binding failed: claim={claim.metadata.name}, reason={found.reason}, message={goprint.quote(found.message)}')
        ready = ready and all(name in conditions and conditions[name].status == "True" for name in one.bindingConditions)
    return ready


async def deallocate(claim: ResourceClaim, pod: Pod, client: Client) -> None:
    """Other devices may do: the claim gets none of these, if nobody else uses it."""
    meta = claim.metadata
    for _ in range(TRIES):
        new = codec.clone(await client.get(RESOURCE_CLAIMS, meta.name, meta.namespace))
        new.status.reservedFor = [one for one in new.status.reservedFor if one.uid != pod.metadata.uid]
        if not new.status.reservedFor:
            new.status.allocation, new.status.devices = None, []
        try:
            await client.update(RESOURCE_CLAIMS, new, subresource="status")
            return
        except Conflict:
            continue


def _bound(name: str, namespace: str, node: str, world: World) -> bool:
    claim = world.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
    if claim is None:
        raise ReserveError(f'binding volumes: persistentvolumeclaim "{name}" not found')
    if is_bound(claim):
        return world.get(PERSISTENT_VOLUMES, claim.spec.volumeName) is not None
    selected = claim.metadata.annotations.get(SELECTED_NODE)
    if selected and selected != node:
        raise ReserveError(f'binding volumes: provisioning failed for PVC "{name}"')
    return False


async def _write_claim(wanted: ResourceClaim, pod: Pod, client: Client) -> None:
    """Finalizer first, so that an allocated claim never vanishes; then the allocation and the reservation at once."""
    meta = wanted.metadata
    found = wanted
    for attempt in range(TRIES):
        try:
            if FINALIZER not in found.metadata.finalizers or attempt == 0:
                found = await client.update(RESOURCE_CLAIMS, wanted if attempt == 0 else _with_finalizer(found))
            new = codec.clone(found)
            if new.status.allocation is None:
                new.status.allocation = wanted.status.allocation
            elif new.status.allocation != wanted.status.allocation:
                raise ReserveError(f"claim {meta.name} got allocated elsewhere in the meantime")
            if all(one.uid != pod.metadata.uid for one in new.status.reservedFor):
                new.status.reservedFor = [*new.status.reservedFor, *(one for one in wanted.status.reservedFor if one.uid == pod.metadata.uid)]
            await client.update(RESOURCE_CLAIMS, new, subresource="status")
            return
        except Conflict:
            found = await client.get(RESOURCE_CLAIMS, meta.name, meta.namespace)
            if found.metadata.uid != meta.uid or found.metadata.deletionTimestamp is not None:
                raise ReserveError(f"claim {meta.name} got deleted in the meantime") from None
    raise ReserveError(f"claim {meta.name} keeps changing")


async def _make_claim(reserved: Reserved, wanted: ResourceClaim, pod: Pod, client: Client, world: World) -> None:
    """The claim for extended resources: make it, give it its devices, and tell the pod which request serves what."""
    meta = pod.metadata
    body = codec.clone(wanted)
    body.metadata.name, body.metadata.uid, body.status = "", "", ResourceClaimStatus()
    made: ResourceClaim = await client.create(RESOURCE_CLAIMS, body)
    _replace(reserved, made, wanted, world)
    for attempt in range(TRIES):
        new = codec.clone(made)
        new.status.allocation, new.status.reservedFor = wanted.status.allocation, wanted.status.reservedFor
        try:
            _replace(reserved, await client.update(RESOURCE_CLAIMS, new, subresource="status"), wanted, world)
            break
        except Conflict:
            if attempt == TRIES - 1:
                raise
            made = await client.get(RESOURCE_CLAIMS, made.metadata.name, meta.namespace)
    assert reserved.extended is not None
    status = PodExtendedResourceClaimStatus(requestMappings=reserved.mappings, resourceClaimName=reserved.extended.metadata.name)
    await client.patch(PODS, meta.name, meta.namespace, {"metadata": {"uid": meta.uid}, "status": {"extendedResourceClaimStatus": status}},
                       type=STRATEGIC_PATCH, subresource="status")


def _replace(reserved: Reserved, now: ResourceClaim, wanted: ResourceClaim, world: World) -> None:
    """From now on the claim is what the API server has, with the devices that are meant for it; they are taken all the time."""
    assert reserved.extended is not None
    shown = codec.clone(now)
    shown.status.allocation = wanted.status.allocation
    world.assume(RESOURCE_CLAIMS, shown)
    if key_of(reserved.extended) != key_of(shown):
        world.restore(RESOURCE_CLAIMS, key_of(reserved.extended))
    reserved.extended = shown


async def give_back(claim: ResourceClaim, client: Client) -> None:
    """Delete a claim that was made for a pod's extended resources, and with it what keeps it.

    Raises:
        ApiError: The API server refused; the claim is found again when the pod is tried again.
    """
    meta = claim.metadata
    try:
        await client.patch(RESOURCE_CLAIMS, meta.name, meta.namespace, {"metadata": {"uid": meta.uid, "finalizers": None}})
        await client.delete(RESOURCE_CLAIMS, meta.name, meta.namespace, DeleteOptions(uid=meta.uid))
    except (NotFound, Conflict):
        return  # gone already, or another claim of that name


def _with_finalizer(claim: ResourceClaim) -> ResourceClaim:
    new = codec.clone(claim)
    new.metadata.finalizers = [*new.metadata.finalizers, FINALIZER]
    return new
