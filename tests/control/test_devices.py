"""Questions about resource claims and pods."""

from __future__ import annotations

from sampan.api import codec
from sampan.api.core.v1 import Pod
from sampan.api.resource.v1 import ResourceClaim
from sampan.control.devices import by_resource_claim, claim_name, is_done, is_owned_by, is_reserved_for
from sampan.control.key import Key


def a_pod(**status: object) -> Pod:
    claims = [{"name": "own", "resourceClaimName": "mine"}, {"name": "made", "resourceClaimTemplateName": "t"}]
    return codec.convert(Pod, {"metadata": {"name": "web", "namespace": "ns", "uid": "u"}, "spec": {"resourceClaims": claims}, "status": status})


def test_a_claim_has_the_name_that_the_pod_or_its_status_says() -> None:
    pod = a_pod()
    own, made = pod.spec.resourceClaims
    assert claim_name(pod, own) == "mine"
    assert claim_name(pod, made) is None
    assert claim_name(a_pod(resourceClaimStatuses=[{"name": "made", "resourceClaimName": "web-made-x"}]), made) == "web-made-x"
    assert claim_name(a_pod(resourceClaimStatuses=[{"name": "made"}]), made) == ""


def test_pods_are_found_by_the_claims_that_have_been_made() -> None:
    assert by_resource_claim(a_pod()) == [Key("ns", "mine")]
    assert by_resource_claim(a_pod(resourceClaimStatuses=[{"name": "made", "resourceClaimName": "x"}])) == [Key("ns", "mine"), Key("ns", "x")]


def test_ownership_and_reservation_are_by_uid() -> None:
    refs = [{"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "u", "controller": True}]
    body = {"metadata": {"name": "c", "namespace": "ns", "ownerReferences": refs},
            "status": {"reservedFor": [{"resource": "pods", "name": "web", "uid": "before"}]}}
    claim = codec.convert(ResourceClaim, body)
    assert is_owned_by(claim, a_pod())
    assert not is_reserved_for(claim, a_pod())


def test_a_pod_that_is_deleted_before_it_had_a_node_is_done() -> None:
    pod = a_pod(phase="Pending")
    assert not is_done(pod)
    pod.metadata.deletionTimestamp = codec.convert(Pod, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}).metadata.deletionTimestamp
    assert is_done(pod)
    pod.spec.nodeName = "n"
    assert not is_done(pod)
