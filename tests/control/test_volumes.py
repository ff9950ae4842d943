"""Questions about claims, volumes and pods."""

from __future__ import annotations

import pytest

from sampan.api import codec
from sampan.api.core.v1 import PersistentVolumeClaim, Pod
from sampan.control.key import Key
from sampan.control.volumes import by_claim, driver_of, has_ended, is_kept_for, is_made_for
from storage.worlds import claim, volume


def a_pod(**body: object) -> Pod:
    return codec.convert(Pod, {"metadata": {"name": "web", "namespace": "ns", "uid": "web-uid", **body.pop("metadata", {})}, **body})  # type: ignore[dict-item]


def test_pods_are_found_by_their_claims_those_made_for_them_included() -> None:
    volumes = [{"name": "a", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "b", "ephemeral": {}}, {"name": "c", "emptyDir": {}}]
    assert by_claim(a_pod(spec={"volumes": volumes})) == [Key("ns", "data"), Key("ns", "web-b")]


@pytest.mark.parametrize(("status", "leaving", "ended"), [
    ({"phase": "Succeeded"}, False, True),
    ({"phase": "Running"}, False, False),
    ({"phase": "Running"}, True, True),  # being deleted, and no container is known
    ({"phase": "Running", "containerStatuses": [{"name": "c", "state": {"running": {}}}]}, True, False),
    ({"phase": "Running", "containerStatuses": [{"name": "c", "state": {"terminated": {}}}]}, True, True),
    ({"phase": "Running", "containerStatuses": [{"name": "c", "state": {"terminated": {}}}]}, False, False),
])
def test_a_pod_has_ended_when_nothing_of_it_can_run(status: dict[str, object], leaving: bool, ended: bool) -> None:
    meta = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if leaving else {}
    assert has_ended(a_pod(metadata=meta, status=status)) is ended


@pytest.mark.parametrize(("text", "kept"), [("v claim=ns/a", True), ("v claim=ns/a/a-uid", True), ("v claim=ns/a/before", False), ("v claim=ns/b", False), ("v", False)])
def test_a_volume_is_kept_by_name_until_it_is_bound_by_uid(text: str, kept: bool) -> None:
    assert is_kept_for(volume(text), claim("a")) is kept


def test_an_ephemeral_claim_is_the_pods_that_controls_it() -> None:
    def owned(uid: str, *, controller: bool = True) -> PersistentVolumeClaim:
        reference = {"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": uid, "controller": controller}
        return codec.convert(PersistentVolumeClaim, {"metadata": {"name": "web-b", "ownerReferences": [reference]}})

    assert is_made_for(a_pod(), owned("web-uid"))
    assert not is_made_for(a_pod(), owned("before"))
    assert not is_made_for(a_pod(), owned("web-uid", controller=False))


def test_csi_drivers_do_the_work_of_cloud_plugins() -> None:
    assert driver_of("kubernetes.io/aws-ebs") == "ebs.csi.aws.com"
    assert driver_of("kubernetes.io/nfs") == ""
