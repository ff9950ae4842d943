"""Volumes: bound ones, those to be found or made, limits, zones, and claims that one pod may use."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.scheduler.small import HOST, ZONE, cluster, node, place, pod

from sampan.api import codec
from sampan.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from sampan.api.resources import (
    CSI_DRIVERS,
    CSI_NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
)
from sampan.api.storage.v1 import CSIDriver, CSINode, StorageClass, VolumeAttachment
from sampan.scheduler.plugins.node_volume_limits import NodeVolumeLimits
from sampan.scheduler.snapshot import Snapshot
from sampan.scheduler.volumes import plan, sort_claims


def volume(name: str, size: str = "1Gi", *, on: str = "", **more: Any) -> PersistentVolume:
    spec: dict[str, Any] = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "late", **more}
    if on:
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": HOST, "operator": "In", "values": [on]}]}]}}
    return codec.convert(PersistentVolume, {"metadata": {"name": name}, "spec": spec, "status": {"phase": "Available"}})


def claim(name: str, size: str = "1Gi", *, bound: str = "", **more: Any) -> PersistentVolumeClaim:
    annotations = {"pv.kubernetes.io/bind-completed": "yes"} if bound else {}
    return codec.convert(PersistentVolumeClaim, {
        "metadata": {"name": name, "namespace": "default", "uid": name, "annotations": annotations},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, "storageClassName": "late", "volumeName": bound, **more}})


def stored(*objects: Any, provisioner: str = "kubernetes.io/no-provisioner", **more: Any) -> Snapshot:
    snapshot = cluster(node("a", labels={ZONE: "1"}), node("b", labels={ZONE: "2"}))
    snapshot.world.put(STORAGE_CLASSES, codec.convert(StorageClass, {"metadata": {"name": "late"}, "provisioner": provisioner,
                                                                     "volumeBindingMode": "WaitForFirstConsumer", **more}))
    for one in objects:
        snapshot.world.put(PERSISTENT_VOLUMES if isinstance(one, PersistentVolume) else PERSISTENT_VOLUME_CLAIMS, one)
    return snapshot


def using(*claims: str, name: str = "p", **more: Any) -> Any:
    return pod(name, volumes=[{"name": one, "persistentVolumeClaim": {"claimName": one}} for one in claims], **more)


def test_two_claims_do_not_take_one_volume() -> None:
    snapshot = stored(volume("v1", on="a"), volume("v2", on="b"), volume("v3", on="b"), claim("c"), claim("d"))
    assert place(snapshot, using("c", "d")) == "b"
    found = plan(sort_claims(snapshot.shape(using("c", "d")), snapshot), snapshot)
    row = snapshot.rows["b"]
    assert sorted((one.metadata.name, v.metadata.name) for one, v, rows in found.static if row in rows) == [("c", "v2"), ("d", "v3")]


def test_the_smallest_that_is_large_enough_is_taken() -> None:
    snapshot = stored(volume("big", "9Gi"), volume("small", "1Gi"), volume("fitting", "3Gi"), claim("c", "2Gi"))
    found = plan(sort_claims(snapshot.shape(using("c")), snapshot), snapshot)
    assert [v.metadata.name for _, v, _ in found.static] == ["fitting"]


def test_allowed_topologies_say_where_one_can_be_made() -> None:
    only = [{"matchLabelExpressions": [{"key": ZONE, "values": ["2"]}]}]
    assert place(stored(claim("c"), provisioner="csi.example.com", allowedTopologies=only), using("c")) == "b"
    assert "2 node(s) didn't find available persistent volumes to bind" in place(stored(claim("c")), using("c"))


def test_what_is_not_there_is_named() -> None:
    assert place(stored(), using("c")) == '0/2 nodes are available: persistentvolumeclaim "c" not found. not found'
    assert place(stored(claim("c", bound="v")), using("c")) == '0/2 nodes are available: persistentvolume "v" not found. not found'
    early = claim("c", storageClassName="now")
    assert place(stored(early), using("c")) == "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"


def test_a_claim_that_is_made_for_a_pod_is_waited_for_and_has_to_be_its_own() -> None:
    # given a pod with a volume of its own
    snapshot = stored()
    wanted = pod("p", volumes=[{"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}}])
    # then its claim is waited for
    assert place(snapshot, wanted) == (
        '0/2 nodes are available: waiting for ephemeral volume controller to create the persistentvolumeclaim "p-v". not found')
    # and one of that name that somebody else has made will not do
    snapshot.world.put(PERSISTENT_VOLUME_CLAIMS, claim("p-v"))
    assert place(snapshot, wanted) == "0/2 nodes are available: PVC default/p-v was not created for pod default/p (pod is not owner). not found"


def test_a_node_is_given_up_at_the_first_volume_that_it_cannot_have() -> None:
    # given two claims: no node can make the smaller one's volume, and for the other one there is no space
    snapshot = stored(claim("c"), claim("d", "9Gi", storageClassName="full"))
    snapshot.world.put(STORAGE_CLASSES, codec.convert(StorageClass, {"metadata": {"name": "full"}, "provisioner": "driver", "volumeBindingMode": "WaitForFirstConsumer"}))
    snapshot.world.put(CSI_DRIVERS, codec.convert(CSIDriver, {"metadata": {"name": "driver"}, "spec": {"storageCapacity": True}}))
    # then only the first is told of
    assert place(snapshot, using("c", "d")).startswith("0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind. ")
    assert place(snapshot, using("d")).startswith("0/2 nodes are available: 2 node(s) did not have enough free storage. ")


def test_a_bound_volume_and_its_zone_pin_the_pod() -> None:
    assert place(stored(volume("v", on="b"), claim("c", bound="v")), using("c")) == "b"
    zoned = volume("v")
    zoned.metadata.labels = {"failure-domain.beta.kubernetes.io/zone": "2__3"}
    snapshot = stored(zoned, claim("c", bound="v"))
    snapshot.put_node(node("b", labels={"failure-domain.beta.kubernetes.io/zone": "2"}))
    assert place(snapshot, using("c")) == "b"
    assert "1 node(s) had no available volume zone" in place(snapshot, using("c", nodeSelector={ZONE: "1"}))


def test_a_claim_for_one_pod_is_used_by_one_pod() -> None:
    snapshot = stored(volume("v"), claim("c", bound="v", accessModes=["ReadWriteOncePod"]))
    assert place(snapshot, using("c")) in ("a", "b")
    snapshot.put_pod(using("c", name="x", on="a"))
    assert "2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode" in place(snapshot, using("c"))
    assert place(snapshot, using("c", priority=5)).endswith("-> a: x")


def test_no_more_volumes_of_a_driver_than_it_said() -> None:
    csi = {name: {"csi": {"driver": "csi.example.com", "volumeHandle": name}} for name in ("v", "w")}
    snapshot = stored(volume("v", **csi["v"]), volume("w", **csi["w"]), claim("c", bound="v"), claim("d", bound="w"))
    for name in "ab":
        snapshot.world.put(CSI_NODES, codec.convert(CSINode, {"metadata": {"name": name}, "spec": {"drivers": [
            {"name": "csi.example.com", "nodeID": name, "topologyKeys": [], "allocatable": {"count": 1}}]}}))
    snapshot.put_pod(using("c", name="x", on="a"))
    assert place(snapshot, using("d")) == "b"
    assert place(snapshot, using("c", nodeSelector={HOST: "a"})) == "a"  # it is there already
    snapshot.put_pod(using("d", name="y", on="b"))
    assert "1 node(s) exceed max volume count" in place(snapshot, using("d", nodeSelector={HOST: "a"}))


def test_disks_that_may_be_used_once() -> None:
    disk = [{"name": "d", "gcePersistentDisk": {"pdName": "x"}}]
    reading = [{"name": "d", "gcePersistentDisk": {"pdName": "x", "readOnly": True}}]
    snapshot = stored()
    snapshot.put_pod(pod("x", on="a", volumes=disk))
    assert place(snapshot, pod("p", volumes=reading)) == "b"
    snapshot.put_pod(pod("y", on="b", volumes=reading))
    assert place(snapshot, pod("p", volumes=reading)) == "b"
    assert "2 node(s) had no available disk" in place(snapshot, pod("p", volumes=disk))


DRIVERS, NAMES = ("x.example.com", "y.example.com"), [f"v{i}" for i in range(6)]
USES = st.lists(st.tuples(st.sampled_from("abc"), st.sets(st.sampled_from(NAMES), max_size=4)), max_size=5)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from(DRIVERS)), st.integers(0, 4)), USES, USES,
       st.sets(st.sampled_from(NAMES), min_size=1, max_size=4), st.integers(0, 4))
def test_limits_of_all_nodes_at_once_are_those_of_each(limits: dict[tuple[str, str], int], running: list[tuple[str, set[str]]],
                                                       attached: list[tuple[str, set[str]]], wanted: set[str], gone: int) -> None:
    # given volumes of two drivers, pods that use them, attachments, and limits of some nodes
    snapshot = cluster(*(node(one) for one in "abc"))

    def driver(name: str) -> str:
        return DRIVERS[NAMES.index(name) % 2]

    for name in NAMES:
        snapshot.world.put(PERSISTENT_VOLUMES, volume(name, csi={"driver": driver(name), "volumeHandle": name}))
        snapshot.world.put(PERSISTENT_VOLUME_CLAIMS, claim(name, bound=name))
    for one in "abc":
        said = [{"name": each, "nodeID": one, "allocatable": {"count": count}} for (where, each), count in limits.items() if where == one]
        snapshot.world.put(CSI_NODES, codec.convert(CSINode, {"metadata": {"name": one}, "spec": {"drivers": said}}))
    for number, (where, names) in enumerate(attached):
        for name in names:
            snapshot.world.put(VOLUME_ATTACHMENTS, codec.convert(VolumeAttachment, {"metadata": {"name": f"{number}-{name}"}, "spec": {
                "attacher": driver(name), "nodeName": where, "source": {"persistentVolumeName": name}}}))
    for number, (where, names) in enumerate(running):
        snapshot.put_pod(using(*names, name=f"p{number}", on=where))
    pods = dict(enumerate(running))
    asked = snapshot.shape(using(*wanted))
    for step in range(2):
        if step and gone in pods:  # and once more after a pod has gone
            snapshot.remove_pod(f"p{gone}")
            del pods[gone]
        # when
        verdict = NodeVolumeLimits().filter(asked, snapshot)
        # then every node is what a count of its volumes says
        for where in "abc":
            there = {name for on, names in (*pods.values(), *attached) if on == where for name in names}
            full = any(len({one for one in there | wanted if driver(one) == each}) > count and any(driver(one) == each for one in wanted - there)
                       for (on, each), count in limits.items() if on == where)
            assert (verdict is None or bool(verdict.fits[snapshot.rows[where]])) is not full
