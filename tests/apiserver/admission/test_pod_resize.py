from __future__ import annotations

from typing import Any

import pytest

from apiserver.admitting import admit, ask, refusal
from apiserver.readers import MemoryReaders
from sampan.api.errors import Forbidden
from sampan.api.resources import NODES, PODS
from sampan.apiserver.admission.pod_resize import PodResizeValidator


@pytest.fixture
def plugin() -> PodResizeValidator:
    readers = MemoryReaders()
    for name, system in (("linux", "linux"), ("windows", "windows")):
        readers.put(NODES, {"metadata": {"name": name, "labels": {"kubernetes.io/os": system}}, "status": {"allocatable": {"cpu": "2", "memory": "1Gi"}}})
    readers.put(NODES, {"metadata": {"name": "plain"}, "status": {"allocatable": {"cpu": "2", "memory": "1Gi"}}})
    return PodResizeValidator(readers)


def resize(cpu: str, memory: str = "1Mi", *, node: str = "linux", generation: int = 2) -> Any:
    def pod(cpu: str, memory: str, generation: int) -> dict[str, Any]:
        status = {"containerStatuses": [{"name": "c", "image": "x", "imageID": "", "resources": {"requests": {"cpu": "5"}}}]}
        return {"metadata": {"name": "p", "generation": generation}, "status": status, "spec": {"nodeName": node, "containers": [
            {"name": "c", "image": "x", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]}}

    return ask("UPDATE", PODS, pod(cpu, memory, generation), pod("1", "1Mi", 1), subresource="resize")


def test_what_fits_is_let_through(plugin: PodResizeValidator) -> None:
    admit(plugin, resize("2", "1Gi"))
    admit(plugin, resize("2", "1Gi", node="plain"))
    admit(plugin, resize("9", node=""))
    admit(plugin, resize("9", generation=1))


@pytest.mark.parametrize(("request_", "why", "reason"), [
    (resize("2500m"), "Node didn't have enough allocatable resources: cpu, requested: 2500, allocatable: 2000", "NodeCapacity"),
    (resize("3", "2Gi"), "cpu, requested: 3000, allocatable: 2000; memory, requested: 2147483648, allocatable: 1073741824", "NodeCapacity"),
    (resize("3", node="windows"), 'pod resize is only supported on linux nodes, node "windows" is "windows"', "UnsupportedPlatform"),
    (resize("1", node="windows"), 'pod resize is only supported on linux nodes, node "windows" is "windows"', "UnsupportedPlatform"),
    (resize("1", node="gone"), 'node "gone" not found', ""),
])
def test_what_a_node_can_not_have_is_refused(plugin: PodResizeValidator, request_: Any, why: str, reason: str) -> None:
    with pytest.raises(Forbidden) as caught:
        admit(plugin, request_)
    assert caught.value.message.startswith('pods "p" is forbidden: ')
    assert caught.value.message.endswith(why)
    assert [cause["reason"] for cause in caught.value.details.get("causes", ())] == ([reason] if reason else [])
    assert why in refusal(plugin, request_)
