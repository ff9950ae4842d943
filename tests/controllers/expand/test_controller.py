"""Claims that grow, on the in-process API server."""

from __future__ import annotations

from typing import Any

from controllers.harness import World, run
from sampan.api.resources import EVENTS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from sampan.controllers.expand.controller import ExpandController


def test_the_resizer_is_named_when_a_bound_claim_grows() -> None:
    async def scenario(world: World) -> None:
        # given a claim that is bound to a volume
        await world.make(STORAGE_CLASSES, {"metadata": {"name": "fast"}, "provisioner": "disk.example.com", "allowVolumeExpansion": True})
        claim = await world.make(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "data"}, "spec": {
            "storageClassName": "fast", "volumeName": "v", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
        reference = {"kind": "PersistentVolumeClaim", "namespace": "default", "name": "data", "uid": claim.metadata.uid}
        await world.make(PERSISTENT_VOLUMES, {"metadata": {"name": "v"}, "spec": {
            "storageClassName": "fast", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "claimRef": reference,
            "csi": {"driver": "disk.example.com", "volumeHandle": "h"}}})
        bound = {"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}}
        await world.patch(PERSISTENT_VOLUME_CLAIMS, "data", bound, subresource="status")
        await world.settle()
        assert await world.all(EVENTS) == []
        # when
        await world.patch(PERSISTENT_VOLUME_CLAIMS, "data", {"spec": {"resources": {"requests": {"storage": "2Gi"}}}})
        await world.settle()
        # then
        [event] = await world.all(EVENTS)
        assert (event.type, event.reason, event.message) == ("Warning", "ExternalExpanding", "waiting for an external controller to expand this PVC")
        assert event.source.component == "volume_expand"

    def build(world: World) -> list[Any]:
        return [ExpandController(world.context)]

    run(build, scenario)
