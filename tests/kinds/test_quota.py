from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sampan.api import codec
from sampan.api.core.v1 import ResourceQuota
from sampan.api.resources import CONFIG_MAPS, DEPLOYMENTS, PERSISTENT_VOLUME_CLAIMS, PODS, SERVICES
from sampan.kinds import quota

NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)


def _usage(resource: Any, body: dict[str, Any]) -> dict[str, str]:
    return dict(quota.usage(resource, codec.convert(resource.wire, {"metadata": {"name": "x"}} | body), NOW))


POD: dict[str, Any] = {"spec": {"containers": [{"name": "c", "resources": {
    "requests": {"cpu": "100m", "memory": "1Mi", "hugepages-2Mi": "4Mi", "a.b/gpu": "2"}, "limits": {"cpu": "1", "a.b/gpu": "2"}}}],
    "overhead": {"cpu": "50m"}}}


def test_a_pod_counts_what_it_asks_for_and_itself() -> None:
    assert _usage(PODS, POD) == {
        "count/pods": "1", "pods": "1", "cpu": "150m", "requests.cpu": "150m", "memory": "1Mi", "requests.memory": "1Mi",
        "hugepages-2Mi": "4Mi", "requests.hugepages-2Mi": "4Mi", "requests.a.b/gpu": "2", "limits.cpu": "1050m"}


@pytest.mark.parametrize("body", [
    POD | {"status": {"phase": "Succeeded"}},
    POD | {"metadata": {"name": "x", "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30}},
])
def test_a_pod_that_has_ended_is_only_an_object(body: dict[str, Any]) -> None:
    assert _usage(PODS, body) == {"count/pods": "1"}


@pytest.mark.parametrize(("resource", "body", "wanted"), [
    (CONFIG_MAPS, {}, {"count/configmaps": "1", "configmaps": "1"}),
    (DEPLOYMENTS, {"spec": {"selector": {}, "template": {}}}, {"count/deployments.apps": "1"}),
    (SERVICES, {"spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "ports": [{"port": 1, "nodePort": 30000}, {"port": 2}]}},
     {"count/services": "1", "services": "1", "services.loadbalancers": "1", "services.nodeports": "1"}),
    (PERSISTENT_VOLUME_CLAIMS, {"spec": {"storageClassName": "f", "resources": {"requests": {"storage": "1Gi"}}}},
     {"count/persistentvolumeclaims": "1", "persistentvolumeclaims": "1", "requests.storage": "1Gi",
      "f.storageclass.storage.k8s.io/requests.storage": "1Gi", "f.storageclass.storage.k8s.io/persistentvolumeclaims": "1"}),
])
def test_other_kinds(resource: Any, body: dict[str, Any], wanted: dict[str, str]) -> None:
    assert _usage(resource, body) == wanted


def _quota(hard: dict[str, str], used: dict[str, str], **spec: Any) -> ResourceQuota:
    return codec.convert(ResourceQuota, {"metadata": {"name": "q"}, "spec": spec, "status": {"hard": hard, "used": used}})


def test_a_charge_adds_only_what_the_quota_counts() -> None:
    one = _quota({"pods": "2", "cpu": "1"}, {"pods": "1", "cpu": "900m"})
    delta = quota.usage(PODS, codec.convert(PODS.wire, {"metadata": {}} | POD), NOW)
    used, why = quota.charge(one, delta)
    assert why == "exceeded quota: q, requested: cpu=150m, used: cpu=900m, limited: cpu=1"
    assert used == {"pods": "2", "cpu": "1050m"}
    assert one.status.used == {"pods": "1", "cpu": "900m"}


def test_a_quota_matches_what_it_counts_within_its_scopes() -> None:
    pod = codec.convert(PODS.wire, {"metadata": {}} | POD)
    assert quota.matches(_quota({"requests.a.b/gpu": "1"}, {}), PODS, pod)
    assert not quota.matches(_quota({"services": "1"}, {}), PODS, pod)
    assert not quota.matches(_quota({"pods": "1"}, {}, scopes=["BestEffort"]), PODS, pod)
    assert not quota.matches(_quota({"configmaps": "1"}, {}, scopes=["BestEffort"]), CONFIG_MAPS, codec.convert(CONFIG_MAPS.wire, {}))
    high = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}
    assert not quota.matches(_quota({"pods": "1"}, {}, scopeSelector=high), PODS, pod)
    pod.spec.priorityClassName = "high"
    assert quota.matches(_quota({"pods": "1"}, {}, scopeSelector=high), PODS, pod)


def _resizing(reason: str = "") -> dict[str, Any]:
    """A pod that wants one CPU, has two and was promised half a one."""
    conditions = [{"type": "PodResizePending", "status": "True", "reason": reason}] if reason else []
    return {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1", "memory": "3Gi"}, "limits": {"cpu": "1"}}}]},
            "status": {"phase": "Running", "conditions": conditions, "containerStatuses": [
                {"name": "c", "allocatedResources": {"cpu": "500m", "memory": "1Gi"},
                 "resources": {"requests": {"cpu": "2", "memory": "2Gi"}, "limits": {"cpu": "2"}}}]}}


def test_a_pod_that_is_being_resized_counts_for_the_most_of_what_it_wants_has_and_is_promised() -> None:
    # given
    found = _usage(PODS, _resizing())
    # then
    assert (found["requests.cpu"], found["requests.memory"], found["limits.cpu"]) == ("2", "3Gi", "2")


def test_what_its_node_can_never_give_does_not_count() -> None:
    # given
    found = _usage(PODS, _resizing("Infeasible"))
    # then
    assert (found["requests.cpu"], found["requests.memory"], found["limits.cpu"]) == ("2", "2Gi", "2")
