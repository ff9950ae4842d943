"""What may not go while somebody uses it, on the in-process API server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controllers.harness import World, run
from controllers.play import play
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTRIBUTES_CLASSES
from sampan.controllers.volumeprotection.controller import (
    AttributesClassProtectionController,
    ClaimProtectionController,
    VolumeProtectionController,
)
from sampan.controllers.volumeprotection.decide import VAC_FINALIZER
from sampan.testing.datadriven import transcripts


def build(world: World) -> list[Any]:
    return [one(world.context) for one in (ClaimProtectionController, VolumeProtectionController, AttributesClassProtectionController)]


CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def test_an_attributes_class_stays_as_long_as_a_claim_or_a_volume_names_it() -> None:
    async def scenario(world: World) -> None:
        # given
        await world.make(VOLUME_ATTRIBUTES_CLASSES, {"metadata": {"name": "gold"}, "driverName": "disk.example.com", "parameters": {"iops": "9"}})
        await world.make(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "data"}, "spec": {**CLAIM, "volumeAttributesClassName": "gold"}})
        await world.make(PERSISTENT_VOLUMES, {"metadata": {"name": "v"}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "volumeAttributesClassName": "gold",
            "csi": {"driver": "disk.example.com", "volumeHandle": "h"}}})
        await world.settle()
        assert (await world.get(VOLUME_ATTRIBUTES_CLASSES, "gold")).metadata.finalizers == [VAC_FINALIZER]
        # when
        await world.delete(VOLUME_ATTRIBUTES_CLASSES, "gold")
        await world.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        await world.settle()
        # then
        assert (await world.get(VOLUME_ATTRIBUTES_CLASSES, "gold")).metadata.deletionTimestamp is not None
        # when
        await world.delete(PERSISTENT_VOLUMES, "v")
        await world.settle()
        # then
        assert await world.get(VOLUME_ATTRIBUTES_CLASSES, "gold") is None

    run(build, scenario)


def test_a_claim_outlives_its_deletion_and_the_end_of_its_pod_until_that_is_deleted() -> None:
    async def scenario(world: World) -> None:
        # given
        await world.make(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "data"}, "spec": CLAIM})
        await world.make(PODS, {"metadata": {"name": "web"}, "spec": {
            "nodeName": "n", "containers": [{"name": "c", "image": "i"}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}})
        await world.settle()
        # when
        await world.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        await world.settle()
        assert await world.get(PERSISTENT_VOLUME_CLAIMS, "data") is not None
        await world.patch(PODS, "web", {"status": {"phase": "Succeeded"}}, subresource="status")
        await world.settle()
        assert await world.get(PERSISTENT_VOLUME_CLAIMS, "data") is not None
        await world.delete(PODS, "web", grace_period_seconds=0)
        await world.settle()
        # then
        assert await world.get(PERSISTENT_VOLUME_CLAIMS, "data") is None

    run(build, scenario)


def test_a_volume_goes_when_it_is_bound_to_nothing() -> None:
    async def scenario(world: World) -> None:
        # given
        await world.make(PERSISTENT_VOLUMES, {"metadata": {"name": "v"}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}})
        await world.patch(PERSISTENT_VOLUMES, "v", {"status": {"phase": "Bound"}}, subresource="status")
        await world.settle()
        # when
        await world.delete(PERSISTENT_VOLUMES, "v")
        await world.settle()
        assert await world.get(PERSISTENT_VOLUMES, "v") is not None
        await world.patch(PERSISTENT_VOLUMES, "v", {"status": {"phase": "Released"}}, subresource="status")
        await world.settle()
        # then
        assert await world.get(PERSISTENT_VOLUMES, "v") is None

    run(build, scenario)


def test_a_claim_stays_as_long_as_a_pod_uses_it() -> None:
    async def scenario(world: World) -> None:
        spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "x", "resources": {"requests": {"storage": "1Gi"}}}
        await world.make(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "c"}, "spec": spec})
        volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
        await world.make(PODS, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}], "nodeName": "n1", "volumes": volumes}})
        await world.settle()
        await world.delete(PERSISTENT_VOLUME_CLAIMS, "c")
        await world.settle()
        assert (await world.get(PERSISTENT_VOLUME_CLAIMS, "c")).metadata.deletionTimestamp is not None
        await world.delete(PODS, "p", grace_period_seconds=0)
        await world.settle()
        assert await world.get(PERSISTENT_VOLUME_CLAIMS, "c") is None

    run(lambda world: [ClaimProtectionController(world.context)], scenario)


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda world: [ClaimProtectionController(world.context), VolumeProtectionController(world.context),
                              AttributesClassProtectionController(world.context)])
