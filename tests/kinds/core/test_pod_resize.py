"""What a resize of a pod may change: tables of a change and what is said about it."""

from __future__ import annotations

from typing import Any

import pytest

from kinds.core.making import changed, pod
from sampan.api.core.v1 import ContainerState, ContainerStateRunning, ContainerStatus
from sampan.api.resources import PODS

SMALL = {"requests": {"cpu": "1", "memory": "1Mi"}}
LARGE = {"requests": {"cpu": "2", "memory": "1Mi"}}


def container(name: str, resources: dict[str, Any] = SMALL, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "i:1", "resources": resources} | more


CASES: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({}, {"containers": [container("a", LARGE), container("b")]}, []),
    ({}, {"containers": [container("b"), container("a")]}, [
        "spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize",
        "spec.containers[1].name: Forbidden: containers may not be renamed or reordered on resize"]),
    ({}, {"containers": [container("a", LARGE)]}, [
        "spec.containers: Forbidden: containers may not be added or removed on resize"]),
    ({"initContainers": [container("i")]}, {"initContainers": [container("i"), container("j")]}, [
        "spec.initContainers: Forbidden: initContainers may not be added or removed on resize"]),
    ({"initContainers": [container("i")]}, {"initContainers": [container("i", LARGE)]}, []),
    ({"initContainers": [container("i")]},
     {"initContainers": [container("i", {"requests": SMALL["requests"] | {"ephemeral-storage": "1"}})]}, [
        "spec.initContainers[0]: Forbidden: only cpu and memory resources for init or sidecar containers are mutable"]),
    ({"initContainers": [container("i", resizePolicy=[{"resourceName": "cpu", "restartPolicy": "RestartContainer"}])]},
     {"initContainers": [container("i", LARGE, resizePolicy=[{"resourceName": "cpu", "restartPolicy": "RestartContainer"}])]}, [
        "spec.initContainers[0].resizePolicy[0].restartPolicy: Invalid value: \"RestartContainer\": must not be set to "
        "'RestartContainer' for non-sidecar initContainers",
        "spec.initContainers[0]: Forbidden: non-sidecar init containers with a resize policy of RestartContainer cannot be "
        "resized"]),
    ({}, {"containers": [container("a", {"requests": {"cpu": "1"}}), container("b")]}, [
        "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"]),
    ({"resources": {"requests": {"cpu": "2", "memory": "4Mi"}}}, {"resources": {"requests": {"cpu": "3", "memory": "4Mi"}}}, []),
    ({"resources": {"requests": {"cpu": "2", "memory": "4Mi"}, "limits": {"memory": "8Mi"}}},
     {"resources": {"limits": {"memory": None}}}, [
        "spec.resources.limits: Forbidden: pod-level resource limits cannot be removed"]),
]


@pytest.mark.parametrize(("before", "after", "said"), CASES)
def test_a_resize_is_held_to_the_rules(before: dict[str, Any], after: dict[str, Any], said: list[str]) -> None:
    old = pod({"containers": [container("a"), container("b")]} | before)
    assert changed(PODS, old, {"spec": after}, "resize")[1] == said


def test_a_pod_on_a_node_that_tells_nothing_of_resources_is_not_resized() -> None:
    old = pod({"containers": [container("a")]})
    old.status.containerStatuses = [ContainerStatus(name="x"), ContainerStatus(
        name="a", state=ContainerState(running=ContainerStateRunning()))]
    assert changed(PODS, old, {"spec": {"containers": [container("a", LARGE)]}}, "resize")[1] == [
        "spec: Forbidden: Pod running on node without support for resize"]


def test_a_static_pod_is_refused_without_more() -> None:
    old = pod({"containers": [container("a")]}, annotations={"kubernetes.io/config.mirror": "x"})
    assert changed(PODS, old, {"spec": {"containers": []}}, "resize")[1] == ["[]: Forbidden: static pods cannot be resized"]
