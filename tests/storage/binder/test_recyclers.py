"""What pods that empty volumes say, and that they are missed, on the in-process API server."""

from __future__ import annotations

from controllers.harness import World, run
from sampan.api.resources import EVENTS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from sampan.storage.binder.controller import VolumeBinder

SPEC = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}


def test_what_a_recycler_says_is_said_of_its_volume_and_its_loss_is_a_failure() -> None:
    async def scenario(world: World) -> None:
        # given a volume that is being emptied
        await world.make(PERSISTENT_VOLUMES, {"metadata": {"name": "v"}, "spec": {
            **SPEC, "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/tmp/x"}, "persistentVolumeReclaimPolicy": "Recycle"}})
        await world.make(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "data"}, "spec": {
            **SPEC, "resources": {"requests": {"storage": "1Gi"}}}})
        await world.settle()
        await world.patch(PERSISTENT_VOLUME_CLAIMS, "data", {"metadata": {"finalizers": None}})
        await world.delete(PERSISTENT_VOLUME_CLAIMS, "data")
        await world.settle()
        # when its pod, and another, have something to say
        for number, name in enumerate(("recycler-for-v", "web")):
            await world.make(EVENTS, {"metadata": {"name": f"e{number}"}, "involvedObject": {"kind": "Pod", "namespace": "default", "name": name},
                                      "type": "Warning", "reason": "Failed", "message": f"no image for {name}"})
        await world.settle()
        # then
        told = [(one.type, one.reason, one.message) for one in await world.all(EVENTS) if one.involvedObject.kind == "PersistentVolume"]
        assert told == [("Warning", "RecyclerPod", "Recycler pod: no image for recycler-for-v")]
        # when somebody deletes the pod
        await world.delete(PODS, "recycler-for-v")
        await world.settle()
        # then the volume says so, and another pod tries
        assert (await world.get(PERSISTENT_VOLUMES, "v")).status.message == "Recycle failed: failed to recycle volume: recycler pod was deleted"
        assert (await world.get(PODS, "recycler-for-v")).metadata.deletionTimestamp is None

    run(lambda world: [VolumeBinder(world.context)], scenario)
