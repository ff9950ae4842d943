from __future__ import annotations

from typing import Any

import pytest

from apiserver.admitting import admit, ask, container, pod, refusal
from apiserver.readers import MemoryReaders
from sampan.api import codec
from sampan.api.resources import LIMIT_RANGES, PERSISTENT_VOLUME_CLAIMS, PODS
from sampan.apiserver.admission.limit_ranger import LimitRanger

CONTAINER = {"type": "Container", "default": {"cpu": "500m", "memory": "256Mi"}, "defaultRequest": {"cpu": "100m", "memory": "256Mi"},
             "max": {"cpu": "2", "memory": "1Gi"}, "min": {"cpu": "50m"}, "maxLimitRequestRatio": {"cpu": "10"}}


def _plugin(*limits: dict[str, Any]) -> LimitRanger:
    readers = MemoryReaders()
    readers.put(LIMIT_RANGES, {"metadata": {"name": "l"}, "spec": {"limits": list(limits)}}, "a")
    return LimitRanger(readers)


def test_containers_get_what_they_leave_out() -> None:
    request = admit(_plugin(CONTAINER), ask("CREATE", PODS, pod(initContainers=[{"name": "i"}])))
    found = codec.to_builtins(request.object)
    wanted = {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}}
    assert found["spec"]["containers"][0]["resources"] == wanted
    assert found["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c; "
        "cpu, memory request for init container i; cpu, memory limit for init container i")


def test_what_is_said_stays() -> None:
    request = admit(_plugin(CONTAINER), ask("CREATE", PODS, pod(**container(resources={
        "limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "200m", "memory": "1Mi"}}))))
    assert request.object.spec.containers[0].resources.requests == {"cpu": "200m", "memory": "1Mi"}
    assert request.object.metadata.annotations == {}


@pytest.mark.parametrize(("resources", "why"), [
    ({"limits": {"cpu": "4"}, "requests": {"cpu": "4"}}, "maximum cpu usage per Container is 2, but limit is 4"),
    ({"limits": {"cpu": "1"}, "requests": {"cpu": "60m"}},
     "cpu max limit to request ratio per Container is 10, but provided ratio is 16.666667"),
    ({"limits": {"memory": "2Gi"}, "requests": {"cpu": "10m"}},
     "[minimum cpu usage per Container is 50m, but request is 10m, maximum memory usage per Container is 1Gi, but limit is 2Gi, "
     "cpu max limit to request ratio per Container is 10, but provided ratio is 50.000000]"),
])
def test_what_is_out_of_bounds_is_refused(resources: dict[str, Any], why: str) -> None:
    assert refusal(_plugin(CONTAINER), ask("CREATE", PODS, pod(**container(resources=resources)))) == f'pods "web" is forbidden: {why}'


def test_a_whole_pod_is_bounded_too() -> None:
    plugin = _plugin({"type": "Pod", "max": {"cpu": "1"}, "min": {"memory": "1Mi"}})
    half = {"limits": {"cpu": "600m", "memory": "5Mi"}, "requests": {"cpu": "600m", "memory": "5Mi"}}
    two = [{"name": "c", "resources": half}, {"name": "d", "resources": half}]
    admit(plugin, ask("CREATE", PODS, pod(containers=two[:1])))
    assert refusal(plugin, ask("CREATE", PODS, pod(containers=two))) == (
        'pods "web" is forbidden: maximum cpu usage per Pod is 1, but limit is 1200m')
    assert "minimum memory usage per Pod is 1Mi.  No request is specified" in refusal(plugin, ask("CREATE", PODS, pod()))


def test_claims_are_bounded_by_their_request() -> None:
    plugin = _plugin({"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}})

    def claim(size: str) -> Any:
        return ask("CREATE", PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "c"}, "spec": {"resources": {"requests": {"storage": size}}}})

    admit(plugin, claim("1Gi"))
    assert refusal(plugin, claim("3Gi")) == (
        'persistentvolumeclaims "c" is forbidden: maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi')
    assert refusal(plugin, claim("1Mi")).endswith("minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi")


def test_other_namespaces_are_free() -> None:
    admit(_plugin(CONTAINER), ask("CREATE", PODS, pod(**container(resources={"limits": {"cpu": "4"}})), namespace="b"))


def test_the_overhead_of_a_pod_is_not_bounded_and_what_it_says_as_a_whole_is() -> None:
    plugin = _plugin({"type": "Pod", "max": {"cpu": "1"}})
    own = container(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "1"}})
    admit(plugin, ask("CREATE", PODS, pod(**own, overhead={"cpu": "1"})))
    assert refusal(plugin, ask("CREATE", PODS, pod(**own, resources={"limits": {"cpu": "2"}}))).endswith(
        "maximum cpu usage per Pod is 1, but limit is 2")


def test_what_is_being_deleted_is_free() -> None:
    old = pod()
    old["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    admit(_plugin(CONTAINER), ask("UPDATE", PODS, pod(**container(resources={"limits": {"cpu": "4"}})), old, subresource="resize"))
