"""What may change in a pod."""

from __future__ import annotations

from typing import Any

import pytest

from kinds.core.making import changed, pod
from sampan.api.core.v1 import ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStatus
from sampan.api.resources import PODS
from sampan.kinds.core.pod import validate

FORBIDDEN = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
C = {"name": "c", "image": "nginx:1.27"}


@pytest.mark.parametrize("change", [
    {"containers": [C | {"image": "nginx:2"}]}, {"activeDeadlineSeconds": 50}, {"tolerations": [{"key": "a", "operator": "Exists"}, {"key": "b"}]},
])
def test_images_a_shorter_deadline_and_more_tolerations_are_allowed(change: dict[str, Any]) -> None:
    old = pod({"activeDeadlineSeconds": 100, "tolerations": [{"key": "a", "operator": "Exists"}]})
    assert changed(PODS, old, {"spec": change})[1] == []


@pytest.mark.parametrize(("change", "finding"), [
    ({"activeDeadlineSeconds": 200}, "spec.activeDeadlineSeconds: Invalid value: 200: must be less than or equal to previous value"),
    ({"activeDeadlineSeconds": None}, "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value"),
    ({"tolerations": []}, "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"),
    ({"containers": [C, {"name": "d", "image": "x"}]}, "spec.containers: Forbidden: pod updates may not add or remove containers"),
    ({"schedulingGates": [{"name": "g"}]}, "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'g'"),
])
def test_other_changes_of_these_fields_are_refused(change: dict[str, Any], finding: str) -> None:
    old = pod({"activeDeadlineSeconds": 100, "tolerations": [{"key": "a", "operator": "Exists"}]})
    assert changed(PODS, old, {"spec": change})[1] == [finding]


def test_every_other_field_stays_and_the_difference_is_shown() -> None:
    _, errors = changed(PODS, pod(), {"spec": {"nodeName": "n"}})
    assert len(errors) == 1
    assert errors[0].startswith(FORBIDDEN)
    assert '\n- "NodeName": "",\n+ "NodeName": "n",\n' in errors[0]


def test_a_gated_pod_may_be_told_more_about_its_nodes() -> None:
    old = pod({"schedulingGates": [{"name": "g"}], "nodeSelector": {"a": "1"}})
    assert changed(PODS, old, {"spec": {"nodeSelector": {"b": "2"}, "schedulingGates": []}})[1] == []
    assert changed(PODS, old, {"spec": {"nodeSelector": {"a": "2"}}})[1] == [
        'spec.nodeSelector: Invalid value: {"a":"2"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)']
    assert changed(PODS, old, {"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "x", "operator": "Exists"}]}]}}}}})[1] == []


def test_ephemeral_containers_are_not_changed_or_removed() -> None:
    old, _ = changed(PODS, pod(), {"spec": {"ephemeralContainers": [{"name": "d", "image": "x:1"}]}}, "ephemeralcontainers")
    gone = changed(PODS, old, {"spec": {"ephemeralContainers": []}}, "ephemeralcontainers")[1]
    other = changed(PODS, old, {"spec": {"ephemeralContainers": [{"name": "d", "image": "y:1"}]}}, "ephemeralcontainers")[1]
    assert gone == ['spec.ephemeralContainers: Forbidden: existing ephemeral containers "d" may not be removed\n']
    assert len(other) == 1
    assert '"d" may not be changed\n' in other[0]


@pytest.mark.parametrize(("resources", "finding"), [
    ({"requests": {"memory": "1"}}, "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"),
    ({"requests": {"cpu": "1", "memory": "1", "ephemeral-storage": "1"}}, "spec: Forbidden: only cpu and memory resources are mutable"),
    ({"requests": {"cpu": "1", "memory": "1"}, "limits": {"cpu": "1", "memory": "1"}},
     'spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing'),
])
def test_a_resize_keeps_the_rest(resources: dict[str, Any], finding: str) -> None:
    old = pod({"containers": [C | {"resources": {"requests": {"cpu": "1", "memory": "1"}}}]})
    assert finding in changed(PODS, old, {"spec": {"containers": [C | {"resources": resources}]}}, "resize")[1]


def test_a_container_that_ended_for_good_stays_ended() -> None:
    old = pod({"restartPolicy": "Never"})
    old.status.containerStatuses = [ContainerStatus(name="c", state=ContainerState(terminated=ContainerStateTerminated(exitCode=0)))]
    running = {"containerStatuses": [{"name": "c", "state": {"running": {}}, "ready": True, "restartCount": 1, "image": "x", "imageID": ""}]}
    assert changed(PODS, old, {"status": running}, "status")[1] == [
        "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"]
    old.status.containerStatuses[0].state = ContainerState(running=ContainerStateRunning())
    assert changed(PODS, old, {"status": running}, "status")[1] == []


@pytest.mark.parametrize(("own", "said"), [
    ({"restartPolicy": "OnFailure"}, False), ({"restartPolicy": "Always"}, True),
    ({"restartPolicy": "Never", "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [0]}}]}, True),
    ({"restartPolicy": "Never", "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "NotIn", "values": [0]}}]}, False),
    ({"restartPolicy": "Never", "restartPolicyRules": [
        {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [9]}}]}, True),
])
def test_a_container_that_ended_well_comes_back_where_its_own_rules_say_so(own: dict[str, Any], *, said: bool) -> None:
    old = pod({"restartPolicy": "Never", "containers": [C | own]})
    old.status.containerStatuses = [ContainerStatus(name="c", state=ContainerState(terminated=ContainerStateTerminated(exitCode=0)))]
    running = {"containerStatuses": [{"name": "c", "state": {"running": {}}, "ready": True, "restartCount": 1, "image": "x", "imageID": ""}]}
    assert (changed(PODS, old, {"status": running}, "status")[1] == []) is said


def test_a_status_is_held_to_the_rules() -> None:
    old = pod({"nodeName": "n"})
    wrong = {"conditions": [{"type": "-", "status": "True", "observedGeneration": -1}], "nominatedNodeName": "m",
             "observedGeneration": -2, "podIPs": [{"ip": "1.1.1.1"}, {"ip": "1.1.1.1"}], "podIP": "1.1.1.1"}
    found = changed(PODS, old, {"status": wrong}, "status")[1]
    assert [one.partition(" ")[0] for one in found] == [
        "status.conditions[0].observedGeneration:", "status.conditions[0].Type:", "status.nominatedNodeName:",
        "status.observedGeneration:", "status.podIPs:"]
    assert found[2] == "status.nominatedNodeName: Forbidden: may not be set on pods that are already bound to a node"


def test_changes_of_node_affinity_are_shown_under_gos_names() -> None:
    def terms(*keys: str) -> dict[str, Any]:
        expressions = [{"key": key, "operator": "Exists"} for key in keys]
        return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": expressions}]}}}}

    old = pod({"schedulingGates": [{"name": "g"}]} | terms("a"))
    assert changed(PODS, old, {"spec": terms("b")})[1] == [
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]: Invalid value: "
        '{"MatchExpressions":[{"Key":"b","Operator":"Exists","Values":null}],"MatchFields":null}: only additions are allowed '
        "(no mutations or deletions)"]


def test_the_mirror_annotation_is_set_at_birth_or_never() -> None:
    assert "metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not add mirror pod annotation" in changed(
        PODS, pod({"nodeName": "n"}), {"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}})[1]


def test_a_pod_that_has_a_policy_for_selinux_may_have_any() -> None:
    old, new = pod({"securityContext": {"seLinuxChangePolicy": "Recursive"}}), pod({"securityContext": {"seLinuxChangePolicy": "Odd"}})
    [finding] = [str(one) for one in validate(new, old) if "seLinux" in str(one)]
    assert finding.endswith('supported values: "MountOption", "Recursive"')
    [finding] = [str(one) for one in validate(new, pod()) if "seLinux" in str(one)]
    assert finding.endswith('supported values: "Recursive"')


def test_what_is_no_address_belongs_to_no_family() -> None:
    found = changed(PODS, pod(), {"status": {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "x"}]}}, "status")[1]
    assert "status.podIPs: Internal error: failed to check for dual stack with error:invalid IP[1]: x" in found


def test_the_name_of_a_claim_is_found_wrong_where_it_is() -> None:
    old = pod({"resourceClaims": [{"name": "gpu", "resourceClaimName": "x"}]})
    [found] = changed(PODS, old, {"status": {"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "A"}]}}, "status")[1]
    assert found.startswith('status.resourceClaimStatuses[0].resourceClaimName: Invalid value: "A": a lowercase RFC 1123 subdomain')
