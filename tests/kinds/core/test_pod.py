"""Pods: the questions asked about them."""

from __future__ import annotations

import pytest

from kinds.core.making import changed, pod
from sampan.api.core.v1 import ContainerStatus, PodCondition, ResourceRequirements, Taint
from sampan.api.resources import PODS
from sampan.api.scalars import Quantity, Time
from sampan.kinds.core import pod as questions

GI = 1 << 30


def asking(name: str, cpu: str, memory: str = "0", **more: str) -> dict:
    return {"name": name, "image": "x", "resources": {"requests": {"cpu": cpu, "memory": memory}}} | more


def test_containers_ask_together_and_init_containers_one_after_another() -> None:
    made = pod({"containers": [asking("a", "500m", "1Gi"), asking("b", "1", "1Gi")],
                "initContainers": [asking("i", "2", "1Gi"), asking("j", "1", "3Gi")]})
    assert questions.requests(made) == {"cpu": 2000, "memory": 3 * GI}


def test_sidecars_run_beside_what_starts_after_them() -> None:
    # given a sidecar between two init containers
    made = pod({"containers": [asking("a", "1")], "initContainers": [
        asking("first", "3"), asking("side", "500m", restartPolicy="Always"), asking("second", "2800m")]})
    # then the second runs beside it, and so do the regular containers
    assert questions.requests(made)["cpu"] == 3300


def test_overhead_and_the_pods_own_requests_count() -> None:
    made = pod({"containers": [asking("a", "1", "1Gi")], "overhead": {"cpu": "250m"}, "resources": {"requests": {"cpu": "2"}}})
    assert questions.requests(made) == {"cpu": 2250, "memory": GI}


def test_the_larger_of_old_and_new_counts_while_a_pod_is_resized() -> None:
    made = pod({"containers": [asking("a", "1", "1Gi")]})
    made.status.containerStatuses = [ContainerStatus(
        name="a", allocatedResources={"cpu": Quantity("2")}, resources=ResourceRequirements(requests={"cpu": Quantity("1500m")}))]
    assert questions.requests(made) == {"cpu": 2000, "memory": GI}
    made.status.conditions = [PodCondition(type="PodResizePending", status="True", reason="Infeasible")]
    made.spec.containers[0].resources.requests["cpu"] = Quantity("99")  # type: ignore[index]
    assert questions.requests(made)["cpu"] == 2000


def test_the_larger_of_old_and_new_counts_while_a_pod_is_resized_as_a_whole() -> None:
    # given a pod that asks for one CPU as a whole, and still has two
    made = pod({"containers": [asking("a", "100m", "1Gi")], "resources": {"requests": {"cpu": "1"}}})
    made.status.resources = ResourceRequirements(requests={"cpu": Quantity("1500m")})
    made.status.allocatedResources = {"cpu": Quantity("2")}
    assert questions.requests(made) == {"cpu": 2000, "memory": GI}
    # then what its containers ask for is another question
    assert questions.requests(made, whole=False) == {"cpu": 100, "memory": GI}
    # and what cannot be had is not counted
    made.spec.resources.requests["cpu"] = Quantity("99")  # type: ignore[union-attr]
    made.status.conditions = [PodCondition(type="PodResizePending", status="True", reason="Infeasible")]
    assert questions.requests(made)["cpu"] == 2000


def test_what_a_container_does_not_ask_for_may_be_assumed() -> None:
    assert questions.requests(pod(), missing={"cpu": 100, "memory": 200}) == {"cpu": 100, "memory": 200}


@pytest.mark.parametrize(("resources", "qos"), [
    ({}, "BestEffort"),
    ({"requests": {"cpu": "1"}}, "Burstable"),
    ({"limits": {"cpu": "1", "memory": "1"}}, "Guaranteed"),
    ({"limits": {"cpu": "1"}}, "Burstable"),
    ({"limits": {"cpu": "1", "memory": "2"}, "requests": {"memory": "1"}}, "Burstable"),
    ({"requests": {"ephemeral-storage": "1"}}, "BestEffort"),
])
def test_the_class_of_service_follows_from_cpu_and_memory(resources: dict, qos: str) -> None:
    assert pod({"containers": [{"name": "c", "image": "x", "resources": resources}]}).status.qosClass == qos


@pytest.mark.parametrize(("toleration", "tolerated"), [
    ({"operator": "Exists"}, True),
    ({"key": "k", "operator": "Exists"}, True),
    ({"key": "k", "value": "v"}, True),
    ({"key": "k", "value": "w"}, False),
    ({"key": "k", "value": "v", "effect": "NoExecute"}, False),
    ({"key": "other", "operator": "Exists"}, False),
])
def test_a_toleration_matches_key_value_and_effect(toleration: dict, tolerated: bool) -> None:
    assert questions.tolerates(pod({"tolerations": [toleration]}), Taint(key="k", value="v", effect="NoSchedule")) is tolerated


def test_the_first_taint_in_the_way_is_told() -> None:
    taints = [Taint(key="a", effect="PreferNoSchedule"), Taint(key="b", effect="NoSchedule")]
    assert questions.tolerates_all(pod(), taints, "NoSchedule", "NoExecute") is taints[1]
    assert questions.tolerates_all(pod({"tolerations": [{"operator": "Exists"}]}), taints) is None


def test_only_running_containers_hold_ports_of_the_node() -> None:
    made = pod({"containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 1, "hostPort": 80, "hostIP": "0.0.0.0"}]}],
                "initContainers": [{"name": "i", "image": "x", "ports": [{"containerPort": 1, "hostPort": 81}]}]})
    assert questions.host_ports(made) == {("TCP", "", 80)}


@pytest.mark.parametrize(("policy", "code", "again"), [
    ("Always", 0, True), ("OnFailure", 0, False), ("OnFailure", 1, True), ("Never", 1, False), ("OnFailure", None, True)])
def test_the_restart_policy_says_whether_a_container_starts_again(policy: str, code: int | None, again: bool) -> None:
    made = pod({"restartPolicy": policy})
    assert questions.restarts(made, made.spec.containers[0], code) is again  # type: ignore[index]


def test_a_containers_own_rules_come_before_the_pods_policy() -> None:
    made = pod({"restartPolicy": "Never", "containers": [{
        "name": "c", "image": "x", "restartPolicy": "Never",
        "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]}]})
    container = made.spec.containers[0]  # type: ignore[index]
    assert (questions.restarts(made, container, 42), questions.restarts(made, container, 1)) == (True, False)


def test_an_init_container_is_repeated_only_when_it_failed() -> None:
    made = pod({"initContainers": [{"name": "i", "image": "x"}, {"name": "s", "image": "x", "restartPolicy": "Always"}]})
    init, sidecar = made.spec.initContainers
    assert [questions.restarts(made, init, code) for code in (0, 1)] == [False, True]
    assert questions.restarts(made, sidecar, 0)


def test_a_pod_that_does_not_run_is_deleted_at_once() -> None:
    made = pod({"terminationGracePeriodSeconds": 20})
    assert questions.grace_seconds(made, None) == 0
    made.spec.nodeName = "n"
    assert [questions.grace_seconds(made, asked) for asked in (None, 5, -1)] == [20, 5, 1]
    made.status.phase = "Failed"
    assert questions.grace_seconds(made, None) == 0


def test_a_pod_is_ready_active_ended_or_leaving() -> None:
    made = pod()
    assert (questions.is_active(made), questions.is_ready(made)) == (True, False)
    made.status.conditions = [PodCondition(type="Ready", status="True")]
    made.metadata.deletionTimestamp = Time("2026-01-01T00:00:00Z")
    assert (questions.is_active(made), questions.is_ready(made), questions.is_terminating(made)) == (False, True, True)
    made.status.phase = "Succeeded"
    assert questions.is_terminal(made)


def test_an_update_judges_a_spec_that_changed_and_leaves_alone_what_was_judged_when_it_was_written() -> None:
    # given a pod that was stored when more was allowed
    old = pod()
    old.spec.dnsPolicy = "Any"
    # then its labels may change, its spec may not without being judged whole
    assert changed(PODS, old, {"metadata": {"labels": {"a": "b"}}})[1] == []
    _, found = changed(PODS, old, {"spec": {"activeDeadlineSeconds": 5}})
    assert [one for one in found if one.startswith("spec.dnsPolicy")] != []
    # and what is said in annotations is judged every time
    assert changed(PODS, old, {"metadata": {"annotations": {"container.apparmor.security.beta.kubernetes.io/none": "unconfined"}}})[1] != []
