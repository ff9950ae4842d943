"""Claims that grow, on the in-process API server."""

from __future__ import annotations

from typing import Any

from controllers.harness import World, run
from sampan.api.resources import EVENTS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from sampan.controllers.expand.controller import ExpandController


def build(world: World) -> list[Any]:
    return [ExpandController(world.context)]


async def bound(world: World, source: dict[str, Any], **spec: Any) -> None:
    """A claim of 1Gi that is bound to such a volume."""
    await world.make(STORAGE_CLASSES, {"metadata": {"name": "fast"}, "provisioner": "disk.example.com", "allowVolumeExpansion": True})
    claim = await world.make(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "data"}, "spec": {
        "storageClassName": "fast", "volumeName": "v", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}})
    reference = {"kind": "PersistentVolumeClaim", "namespace": "default", "name": "data", "uid": claim.metadata.uid}
    await world.make(PERSISTENT_VOLUMES, {"metadata": {"name": "v"}, "spec": {
        "storageClassName": "fast", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "claimRef": reference, **source, **spec}})
    status = {"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}}
    await world.patch(PERSISTENT_VOLUME_CLAIMS, "data", status, subresource="status")
    await world.settle()
    assert await world.all(EVENTS) == []


MORE = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
FLEX = {"flexVolume": {"driver": "example.com/lvm"}}


def test_the_resizer_is_named_when_a_bound_claim_grows() -> None:
    async def scenario(world: World) -> None:
        # given a claim that is bound to a volume
        await bound(world, {"csi": {"driver": "disk.example.com", "volumeHandle": "h"}})
        # when
        await world.patch(PERSISTENT_VOLUME_CLAIMS, "data", MORE)
        await world.settle()
        # then
        [event] = await world.all(EVENTS)
        assert (event.type, event.reason, event.message) == ("Normal", "ExternalExpanding", "waiting for an external controller to expand this PVC")
        assert event.source.component == "volume_expand"

    run(build, scenario)


def test_a_flex_volume_grows_at_once_and_its_file_system_on_the_node() -> None:
    async def scenario(world: World) -> None:
        # given
        await bound(world, FLEX)
        # when
        await world.patch(PERSISTENT_VOLUME_CLAIMS, "data", MORE)
        await world.settle()
        # then
        claim, volume = await world.get(PERSISTENT_VOLUME_CLAIMS, "data"), await world.get(PERSISTENT_VOLUMES, "v")
        assert volume.spec.capacity == {"storage": "2Gi"}
        assert volume.metadata.annotations == {"volume.alpha.kubernetes.io/pre-resize-capacity": "1Gi"}
        assert claim.metadata.annotations == {"volume.kubernetes.io/storage-resizer": "example.com/lvm"}
        assert claim.status.capacity == {"storage": "1Gi"}
        assert claim.status.allocatedResources == {"storage": "2Gi"}
        assert claim.status.allocatedResourceStatuses == {"storage": "NodeResizePending"}
        assert {one.type: one.message for one in claim.status.conditions} == {
            "Resizing": "", "FileSystemResizePending": "Waiting for user to (re-)start a pod to finish file system resize of volume on node."}
        # when the node is done
        await world.patch(PERSISTENT_VOLUME_CLAIMS, "data", {"status": {"capacity": {"storage": "2Gi"}, "conditions": None,
                                                                        "allocatedResourceStatuses": None}}, subresource="status")
        await world.settle()
        # then
        assert (await world.get(PERSISTENT_VOLUMES, "v")).metadata.annotations == {}
        assert await world.all(EVENTS) == []

    run(build, scenario)


def test_a_flex_volume_without_a_file_system_is_done_at_once() -> None:
    async def scenario(world: World) -> None:
        await bound(world, FLEX, volumeMode="Block")
        await world.patch(PERSISTENT_VOLUME_CLAIMS, "data", MORE)
        await world.settle()
        claim = await world.get(PERSISTENT_VOLUME_CLAIMS, "data")
        assert (claim.status.capacity, claim.status.conditions, claim.status.allocatedResourceStatuses) == ({"storage": "2Gi"}, [], {})
        assert [(one.type, one.reason, one.message) for one in await world.all(EVENTS)] == [
            ("Normal", "VolumeResizeSuccessful", "ExpandVolume succeeded for volume default/data")]

    run(build, scenario)
