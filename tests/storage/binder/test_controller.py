"""Claims and volumes on the in-process API server: who gets what, what a crash leaves, what is reclaimed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from controllers.harness import World, run
from controllers.late import with_lag
from sampan.api.errors import InternalError
from sampan.api.resources import EVENTS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES
from sampan.control.volumes import IN_TREE_FINALIZER, PROVISIONER
from sampan.controllers.volumeprotection.controller import ClaimProtectionController, VolumeProtectionController
from sampan.storage.binder.controller import VolumeBinder
from sampan.storage.provision.hostpath import HostPath


async def at_once(call: Callable[..., None], *args: Any, **more: Any) -> None:
    """In virtual time no thread is waited for."""
    call(*args, **more)


def binder(world: World) -> list[Any]:
    return [VolumeBinder(world.context, resync_seconds=15)]


def protected(world: World) -> list[Any]:
    return [*binder(world), ClaimProtectionController(world.context), VolumeProtectionController(world.context)]


def a_volume(name: str, size: str = "1Gi", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"],
                                                "hostPath": {"path": "/tmp/x"}, **spec}}


def a_claim(name: str, size: str = "1Gi", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"resources": {"requests": {"storage": size}}, "accessModes": ["ReadWriteOnce"],
                                                "storageClassName": "", **spec}}


async def claim_of(world: World, name: str) -> Any:
    return await world.get(PERSISTENT_VOLUME_CLAIMS, name)


async def volume_of(world: World, name: str) -> Any:
    return await world.get(PERSISTENT_VOLUMES, name)


async def reasons(world: World) -> list[str]:
    return [event.reason for event in await world.all(EVENTS)]


def test_each_claim_gets_a_volume_of_its_own_and_nothing_conflicts() -> None:
    async def scenario(world: World) -> None:
        # given more claims than volumes, all at once
        for number in range(12):
            await world.make(PERSISTENT_VOLUMES, a_volume(f"v{number}", f"{number + 1}Gi"))
        for number in range(15):
            await world.make(PERSISTENT_VOLUME_CLAIMS, a_claim(f"c{number}"))
        # when
        await world.settle()
        # then
        claims, volumes = await world.all(PERSISTENT_VOLUME_CLAIMS), await world.all(PERSISTENT_VOLUMES)
        bound = {claim.spec.volumeName: claim.metadata.uid for claim in claims if claim.status.phase == "Bound"}
        assert bound == {volume.metadata.name: volume.spec.claimRef.uid for volume in volumes}
        assert sorted(claim.status.phase for claim in claims) == ["Bound"] * 12 + ["Pending"] * 3
        assert all(volume.status.phase == "Bound" for volume in volumes)
        # four writes a binding, one a volume to become available: no write was in vain
        writes = [call for call in world.client.calls if call[1] != "events"]
        assert len(writes) == 12 + 4 * 12

    run(binder, scenario)


def test_a_cache_that_lags_makes_no_write_in_vain() -> None:
    lagging_ones, lates = with_lag(binder)

    async def scenario(world: World) -> None:
        # given two volumes, and two claims that come while nothing is heard of volumes
        [late] = lates
        for name in ("v0", "v1"):
            await world.make(PERSISTENT_VOLUMES, a_volume(name))
        await world.settle()
        late.held.add("persistentvolumes")
        for name in ("c0", "c1"):
            await world.make(PERSISTENT_VOLUME_CLAIMS, a_claim(name))
            await world.settle()
        # when
        await late.let_go()
        await world.settle()
        # then
        assert [(await claim_of(world, name)).spec.volumeName for name in ("c0", "c1")] == ["v0", "v1"]
        assert len([call for call in world.client.calls if call[1] != "events"]) == 2 + 4 * 2

    run(lagging_ones, scenario)


def test_a_claim_younger_than_the_cache_keeps_its_volume() -> None:
    lagging_ones, lates = with_lag(binder)

    async def scenario(world: World) -> None:
        # given a claim that the cache does not know
        [late] = lates
        late.held.add("persistentvolumeclaims")
        claim = await world.make(PERSISTENT_VOLUME_CLAIMS, a_claim("data"))
        # when somebody else binds a volume to it
        reference = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": "default", "name": "data", "uid": claim.metadata.uid}
        await world.make(PERSISTENT_VOLUMES, a_volume("v", claimRef=reference, persistentVolumeReclaimPolicy="Delete"))
        await world.settle()
        # then it is not released
        assert (await volume_of(world, "v")).status.phase == "Pending"
        # when
        await late.let_go()
        await world.settle()
        # then
        assert (await claim_of(world, "data")).spec.volumeName == "v"

    run(lagging_ones, scenario)


def test_a_volume_that_comes_later_is_taken_at_once() -> None:
    async def scenario(world: World) -> None:
        # given
        await world.make(PERSISTENT_VOLUME_CLAIMS, a_claim("data", "2Gi"))
        await world.settle()
        assert await reasons(world) == ["FailedBinding"]
        # when
        await world.make(PERSISTENT_VOLUMES, a_volume("small", "1Gi"))
        await world.make(PERSISTENT_VOLUMES, a_volume("large", "3Gi"))
        await world.settle()
        # then
        assert (await claim_of(world, "data")).spec.volumeName == "large"

    run(binder, scenario)


def test_what_waits_is_looked_at_every_period() -> None:
    async def scenario(world: World) -> None:
        # given
        await world.make(PERSISTENT_VOLUME_CLAIMS, a_claim("data"))
        await world.settle()
        # when
        await world.clock.advance(31)
        await world.settle()
        # then
        assert [event.count for event in await world.all(EVENTS)] == [3]

    run(binder, scenario)


def test_a_binding_that_fails_halfway_is_finished() -> None:
    async def scenario(world: World) -> None:
        # given writes to claims that fail three times
        left = [3]

        def fail(verb: str, resource: Any, _: Any) -> Any:
            if verb == "update" and resource is PERSISTENT_VOLUME_CLAIMS and left[0]:
                left[0] -= 1
                return InternalError("no luck")
            return None

        world.client.fail = fail
        # when
        await world.make(PERSISTENT_VOLUMES, a_volume("v"))
        await world.make(PERSISTENT_VOLUME_CLAIMS, a_claim("data"))
        await world.settle()
        await world.clock.advance(1)
        await world.settle()
        # then
        claim, volume = await claim_of(world, "data"), await volume_of(world, "v")
        assert (claim.status.phase, claim.spec.volumeName, volume.status.phase) == ("Bound", "v", "Bound")
        assert claim.status.capacity == {"storage": "1Gi"}

    run(binder, scenario)


def test_a_lost_reference_is_restored_and_a_lost_volume_is_told() -> None:
    async def scenario(world: World) -> None:
        # given
        await world.make(PERSISTENT_VOLUMES, a_volume("v"))
        await world.make(PERSISTENT_VOLUME_CLAIMS, a_claim("data"))
        await world.settle()
        # when somebody takes the reference away
        await world.patch(PERSISTENT_VOLUMES, "v", {"spec": {"claimRef": None}})
        await world.settle()
        # then
        assert (await volume_of(world, "v")).spec.claimRef.name == "data"
        # when the volume is gone, by force
        await world.delete(PERSISTENT_VOLUMES, "v")
        await world.patch(PERSISTENT_VOLUMES, "v", {"metadata": {"finalizers": None}})
        await world.settle()
        # then
        assert (await claim_of(world, "data")).status.phase == "Lost"
        assert await reasons(world) == ["ClaimLost"]
        # when it is back
        await world.make(PERSISTENT_VOLUMES, a_volume("v"))
        await world.settle()
        # then
        assert (await claim_of(world, "data")).status.phase == "Bound"

    run(binder, scenario)


def test_a_kept_volume_is_released_and_free_once_its_reference_is_taken_away() -> None:
    async def scenario(world: World) -> None:
        # given
        await world.make(PERSISTENT_VOLUMES, a_volume("v"))
        await world.make(PERSISTENT_VOLUME_CLAIMS, a_claim("data"))
        await world.settle()
        # when the claim is replaced by one of its name
        await world.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        await world.settle()
        await world.make(PERSISTENT_VOLUME_CLAIMS, a_claim("data"))
        await world.settle()
        # then
        assert (await volume_of(world, "v")).status.phase == "Released"
        assert (await claim_of(world, "data")).status.phase == "Pending"
        # when
        await world.patch(PERSISTENT_VOLUMES, "v", {"spec": {"claimRef": None}})
        await world.settle()
        # then
        assert (await claim_of(world, "data")).status.phase == "Bound"

    run(protected, scenario)


def test_an_external_provisioners_volume_is_bound_and_its_deletion_is_left_to_it() -> None:
    async def scenario(world: World) -> None:
        # given
        await world.make(STORAGE_CLASSES, {"metadata": {"name": "fast"}, "provisioner": "disk.example.com"})
        claim = await world.make(PERSISTENT_VOLUME_CLAIMS, a_claim("data", storageClassName="fast"))
        await world.settle()
        assert (await claim_of(world, "data")).metadata.annotations[PROVISIONER] == "disk.example.com"
        # when the provisioner makes it
        reference = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": "default", "name": "data", "uid": claim.metadata.uid}
        made = a_volume("pvc-1", storageClassName="fast", claimRef=reference, persistentVolumeReclaimPolicy="Delete")
        made["metadata"]["annotations"] = {"pv.kubernetes.io/provisioned-by": "disk.example.com"}
        await world.make(PERSISTENT_VOLUMES, made)
        await world.settle()
        # then
        assert (await claim_of(world, "data")).spec.volumeName == "pvc-1"
        assert (await volume_of(world, "pvc-1")).status.phase == "Bound"
        # when
        await world.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        await world.settle()
        # then
        assert (await volume_of(world, "pvc-1")).status.phase == "Released"

    run(protected, scenario)


def test_a_default_class_that_comes_late_is_given() -> None:
    async def scenario(world: World) -> None:
        # given
        body = a_claim("data")
        del body["spec"]["storageClassName"]
        await world.make(PERSISTENT_VOLUME_CLAIMS, body)
        await world.settle()
        # when
        default = {"storageclass.kubernetes.io/is-default-class": "true"}
        await world.make(STORAGE_CLASSES, {"metadata": {"name": "standard", "annotations": default}, "provisioner": "disk.example.com"})
        await world.settle()
        # then
        assert (await claim_of(world, "data")).spec.storageClassName == "standard"

    run(binder, scenario)


def test_a_volume_is_emptied_by_a_pod_and_used_again() -> None:
    async def scenario(world: World) -> None:
        # given
        await world.make(PERSISTENT_VOLUMES, a_volume("v", persistentVolumeReclaimPolicy="Recycle"))
        await world.make(PERSISTENT_VOLUME_CLAIMS, a_claim("data"))
        await world.settle()
        # when
        await world.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        await world.settle()
        # then
        pod = await world.get(PODS, "recycler-for-v")
        assert pod.spec.volumes[0].hostPath.path == "/tmp/x"
        assert pod.spec.activeDeadlineSeconds == 60
        assert (await volume_of(world, "v")).status.phase == "Released"
        # when it fails, the volume says so and another pod tries
        await world.patch(PODS, "recycler-for-v", {"status": {"phase": "Failed", "message": "no room"}}, subresource="status")
        await world.settle()
        assert (await volume_of(world, "v")).status.message == "Recycle failed: failed to recycle volume: no room"
        # when it succeeds
        await world.patch(PODS, "recycler-for-v", {"status": {"phase": "Succeeded"}}, subresource="status")
        await world.settle()
        # then
        assert (await volume_of(world, "v")).status.phase == "Available"
        assert await world.get(PODS, "recycler-for-v") is None
        assert sorted(await reasons(world)) == ["VolumeFailedRecycle", "VolumeRecycled"]

    run(protected, scenario)


def test_no_directory_is_made_for_a_node_that_there_is_not() -> None:
    def build(world: World) -> list[Any]:
        return [VolumeBinder(world.context, host_path=HostPath(enabled=True, base="/tmp/never", off_loop=at_once))]

    async def scenario(world: World) -> None:
        await world.make(STORAGE_CLASSES, {"metadata": {"name": "dir"}, "provisioner": "kubernetes.io/host-path"})
        await world.make(PERSISTENT_VOLUME_CLAIMS, {**a_claim("data", storageClassName="dir"), "metadata": {
            "name": "data", "annotations": {"volume.kubernetes.io/selected-node": "gone"}}})
        await world.settle()
        [event] = await world.all(EVENTS)
        assert (event.reason, event.message) == ("ProvisioningFailed", 'Failed to get target node: node "gone" not found')
        assert await world.all(PERSISTENT_VOLUMES) == []

    run(build, scenario)


def test_directories_are_made_and_removed_where_that_is_allowed() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as base:  # the plugin removes nothing elsewhere
        plugin = HostPath(enabled=True, base=base, off_loop=at_once)

        def build(world: World) -> list[Any]:
            return [VolumeBinder(world.context, host_path=plugin), ClaimProtectionController(world.context),
                    VolumeProtectionController(world.context)]

        async def scenario(world: World) -> None:
            # given
            await world.make(STORAGE_CLASSES, {"metadata": {"name": "dir"}, "provisioner": "kubernetes.io/host-path"})
            await world.make(PERSISTENT_VOLUME_CLAIMS, a_claim("data", storageClassName="dir"))
            await world.settle()
            # then
            claim = await claim_of(world, "data")
            assert claim.status.phase == "Bound"
            volume = await volume_of(world, claim.spec.volumeName)
            assert volume.metadata.name == f"pvc-{claim.metadata.uid}"
            assert IN_TREE_FINALIZER in volume.metadata.finalizers
            assert Path(volume.spec.hostPath.path).is_dir()
            assert await reasons(world) == ["ProvisioningSucceeded"]
            # when
            await world.delete(PERSISTENT_VOLUME_CLAIMS, "data")
            await world.settle()
            # then
            assert await world.all(PERSISTENT_VOLUMES) == []
            assert list(Path(base).iterdir()) == []

        run(build, scenario)


def test_a_directory_elsewhere_is_never_removed() -> None:
    async def scenario(world: World) -> None:
        # given
        await world.make(PERSISTENT_VOLUMES, a_volume("v", persistentVolumeReclaimPolicy="Delete", hostPath={"path": "/srv/data"}))
        await world.make(PERSISTENT_VOLUME_CLAIMS, a_claim("data"))
        await world.settle()
        # when
        await world.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        await world.settle()
        # then
        volume = await volume_of(world, "v")
        assert volume.status.phase == "Failed"
        assert volume.status.message == "host_path deleter only supports /tmp/.+ but received provided /srv/data"
        assert await reasons(world) == ["VolumeFailedDelete"]

    run(protected, scenario)


def test_nothing_is_destroyed_on_the_word_of_a_cache_that_lags() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as base:
        data = Path(base) / "data"
        data.mkdir()

        def build(world: World) -> list[Any]:
            return [VolumeBinder(world.context, host_path=HostPath(enabled=True, base=base, off_loop=at_once)), ClaimProtectionController(world.context),
                    VolumeProtectionController(world.context)]

        lagging_ones, lates = with_lag(build)

        async def scenario(world: World) -> None:
            # given a released volume, kept for now
            [late] = lates
            await world.make(PERSISTENT_VOLUMES, a_volume("v", hostPath={"path": str(data)}))
            await world.make(PERSISTENT_VOLUME_CLAIMS, a_claim("data"))
            await world.settle()
            await world.delete(PERSISTENT_VOLUME_CLAIMS, "data")
            await world.settle()
            # when it is to be deleted, and taken back at once by somebody who wants to keep it
            late.held.add("persistentvolumes")
            await world.patch(PERSISTENT_VOLUMES, "v", {"spec": {"persistentVolumeReclaimPolicy": "Delete"}})
            await world.patch(PERSISTENT_VOLUMES, "v", {"spec": {"persistentVolumeReclaimPolicy": "Retain"}})
            await late.let_one_go("persistentvolumes")
            await world.settle()
            # then
            assert data.is_dir()

        run(lagging_ones, scenario)
