from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apiserver.admitting import At, admit, ask, container, pod, refusal
from apiserver.readers import MemoryReaders
from sampan.api.core.v1 import ResourceQuota as Quota
from sampan.api.resources import (
    CONFIG_MAPS,
    EVENTS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    RESOURCE_CLAIMS,
    RESOURCE_QUOTAS,
    SERVICES,
)
from sampan.apiserver.admission.resource_quota import ResourceQuota


class Writer:
    """Swaps in memory."""

    def __init__(self, readers: MemoryReaders) -> None:
        self._readers = readers

    async def swap(self, namespace: str, name: str, produce: Callable[[Quota], Quota]) -> None:
        entry = self._readers.of(RESOURCE_QUOTAS).get(namespace, name)
        assert entry is not None
        self._readers.put(RESOURCE_QUOTAS, produce(entry.object))


class World:
    def __init__(self, hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> None:
        self.readers = MemoryReaders()
        used = used if used is not None else dict.fromkeys(hard, "0")
        self.readers.put(RESOURCE_QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": hard, **spec},
                                           "status": {"hard": hard, "used": used}}, "a")
        self.plugin = ResourceQuota(self.readers, At(), Writer(self.readers))

    @property
    def used(self) -> dict[str, str]:
        entry = self.readers.of(RESOURCE_QUOTAS).get("a", "q")
        assert entry is not None
        return dict(entry.object.status.used)

    def make(self, resource: Any, body: dict[str, Any], **values: Any) -> None:
        admit(self.plugin, ask("CREATE", resource, body, **values))

    def refused(self, resource: Any, body: dict[str, Any], **values: Any) -> str:
        return refusal(self.plugin, ask("CREATE", resource, body, **values))


def _cpu(amount: str, name: str = "web") -> dict[str, Any]:
    return pod(name, **container(resources={"requests": {"cpu": amount}}))


def test_pods_are_charged_until_the_quota_is_used_up() -> None:
    world = World({"pods": "2", "requests.cpu": "1"})
    world.make(PODS, _cpu("600m"))
    assert world.used == {"pods": "1", "requests.cpu": "600m"}
    assert world.refused(PODS, _cpu("600m", "b")) == (
        'pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1')
    world.make(PODS, _cpu("100m"))
    assert world.refused(PODS, _cpu("1m")).endswith("exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2")
    assert world.used == {"pods": "2", "requests.cpu": "700m"}


def test_what_a_quota_counts_must_be_said() -> None:
    world = World({"requests.cpu": "1", "limits.memory": "1Gi"})
    assert world.refused(PODS, pod()) == (
        'pods "web" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c')


def test_a_quota_that_nobody_has_counted_yet_holds_everything_up() -> None:
    assert World({"pods": "1"}, {}).refused(PODS, pod()) == (
        'pods "web" is forbidden: status unknown for quota: q, resources: pods')


def test_a_dry_run_is_judged_and_not_charged() -> None:
    world = World({"pods": "1"})
    world.make(PODS, pod(), dry_run=True)
    assert world.used == {"pods": "0"}
    assert "exceeded quota" in World({"pods": "0"}).refused(PODS, pod(), dry_run=True)


@pytest.mark.parametrize(("resource", "body", "hard"), [
    (CONFIG_MAPS, {"metadata": {"name": "m"}}, "count/configmaps"), (CONFIG_MAPS, {"metadata": {"name": "m"}}, "configmaps"),
    (SERVICES, {"metadata": {"name": "s"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 1}]}}, "services.loadbalancers"),
    (SERVICES, {"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{"port": 1}]}}, "services.nodeports"),
    (PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "c"}, "spec": {"storageClassName": "fast", "resources": {
        "requests": {"storage": "1Gi"}}}}, "fast.storageclass.storage.k8s.io/requests.storage"),
    (PODS, pod(**container(resources={"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "1"}})),
     "requests.example.com/gpu"),
])
def test_everything_can_be_counted(resource: Any, body: dict[str, Any], hard: str) -> None:
    name = body["metadata"]["name"]
    world = World({hard: "100Gi" if "storage" in hard.rpartition("/")[2] else "1"})
    world.make(resource, body)
    assert world.used[hard] in ("1", "1Gi")
    assert f'{resource.plural} "{name}" is forbidden: exceeded quota: q' in World({hard: "0"}).refused(resource, body)


def test_an_update_is_charged_by_its_difference() -> None:
    world = World({"services.nodeports": "2"}, {"services.nodeports": "1"})

    def service(ports: int) -> dict[str, Any]:
        return {"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{"port": n} for n in range(ports)]}}

    admit(world.plugin, ask("UPDATE", SERVICES, service(2), service(1)))
    assert world.used == {"services.nodeports": "2"}
    assert "exceeded quota" in refusal(world.plugin, ask("UPDATE", SERVICES, service(3), service(2)))
    admit(world.plugin, ask("UPDATE", SERVICES, service(1), service(2)))
    assert world.used == {"services.nodeports": "2"}  # the controller counts what was let go


def test_a_deadline_brings_a_pod_into_another_quota() -> None:
    world = World({"pods": "0"}, scopes=["Terminating"])
    assert "exceeded quota" in refusal(world.plugin, ask("UPDATE", PODS, pod(activeDeadlineSeconds=5), pod()))
    admit(world.plugin, ask("UPDATE", PODS, pod(activeDeadlineSeconds=5), pod(activeDeadlineSeconds=6)))
    admit(world.plugin, ask("UPDATE", PODS, pod(), pod(activeDeadlineSeconds=6)))


def test_devices_are_counted_by_their_class_at_the_most_that_they_may_come_to() -> None:
    either = [{"name": name, "deviceClassName": "gpu", "allocationMode": "ExactCount", "count": count} for name, count in (("a", 2), ("b", 3))]
    claim = {"metadata": {"name": "c"}, "spec": {"devices": {"requests": [
        {"name": "one", "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1}},
        {"name": "two", "firstAvailable": either}]}}}
    assert World({"gpu.deviceclass.resource.k8s.io/devices": "3"}).refused(RESOURCE_CLAIMS, claim).endswith(
        "exceeded quota: q, requested: gpu.deviceclass.resource.k8s.io/devices=4, used: gpu.deviceclass.resource.k8s.io/devices=0, "
        "limited: gpu.deviceclass.resource.k8s.io/devices=3")


def test_events_are_free() -> None:
    World({"count/events": "0"}).make(EVENTS, {"metadata": {"name": "e"}, "involvedObject": {}})


def test_a_pod_that_says_as_a_whole_what_it_needs_need_not_say_it_container_by_container() -> None:
    World({"requests.cpu": "1", "limits.memory": "1Gi"}).make(PODS, pod(resources={"limits": {"cpu": "1"}}))


def test_what_a_claim_was_given_is_charged_and_never_refused() -> None:
    world = World({"requests.storage": "2Gi"}, {"requests.storage": "1Gi"})

    def claim(given: str) -> dict[str, Any]:
        return {"metadata": {"name": "c"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}},
                "status": {"allocatedResources": {"storage": given}}}

    admit(world.plugin, ask("UPDATE", PERSISTENT_VOLUME_CLAIMS, claim("4Gi"), claim("1Gi"), subresource="status"))
    assert world.used == {"requests.storage": "4Gi"}


@pytest.mark.parametrize(("scope", "spec", "counts"), [
    ("BestEffort", {}, True), ("NotBestEffort", {}, False), ("Terminating", {"activeDeadlineSeconds": 5}, True),
    ("NotTerminating", {"activeDeadlineSeconds": 5}, False), ("PriorityClass", {}, False), ("PriorityClass", {"priorityClassName": "x"}, True),
])
def test_scopes_choose_pods(scope: str, spec: dict[str, Any], counts: bool) -> None:
    world = World({"pods": "0"}, scopes=[scope])
    if counts:
        assert "exceeded quota" in world.refused(PODS, pod(**spec))
    else:
        world.make(PODS, pod(**spec))


def test_other_namespaces_and_other_kinds_are_free() -> None:
    world = World({"pods": "0"})
    world.make(PODS, pod(), namespace="b")
    world.make(CONFIG_MAPS, {"metadata": {"name": "m"}})
