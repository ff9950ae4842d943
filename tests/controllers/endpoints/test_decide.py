"""More addresses than Endpoints hold."""

from __future__ import annotations

from sampan.api.core.v1 import Container, ContainerPort, Endpoints, Pod, PodCondition, PodIP, Service, ServicePort
from sampan.api.meta.v1 import ObjectMeta
from sampan.controllers.endpoints.decide import OVER_CAPACITY, decide
from sampan.kinds.plan import Create


def pods(number: int, port: int, *, ready: bool, first: int = 0) -> list[Pod]:
    found = []
    for index in range(first, first + number):
        ip = f"10.1.{index // 250}.{index % 250}"
        pod = Pod(metadata=ObjectMeta(name=f"p{index}", namespace="default", uid=f"u{index:05}"))
        pod.spec.nodeName = "n"
        pod.spec.containers = [Container(name="c", ports=[ContainerPort(name="http", containerPort=port, protocol="TCP")])]
        pod.status.podIP, pod.status.podIPs, pod.status.phase = ip, [PodIP(ip=ip)], "Running"
        pod.status.conditions = [PodCondition(type="Ready", status=str(ready))]
        found.append(pod)
    return found


def made(*groups: list[Pod]) -> Endpoints:
    service = Service(metadata=ObjectMeta(name="web", namespace="default"))
    service.spec.ipFamilies, service.spec.clusterIP = ["IPv4"], "10.0.0.1"
    service.spec.ports = [ServicePort(name="", port=80, protocol="TCP", targetPort="http")]
    (write,) = decide(service, [pod for group in groups for pod in group], None).writes
    assert isinstance(write, Create)
    found: Endpoints = write.object
    return found


def sizes(one: Endpoints) -> list[tuple[int, int]]:
    return [(len(subset.addresses), len(subset.notReadyAddresses)) for subset in one.subsets]


def test_a_thousand_addresses_are_whole() -> None:
    # given
    one = made(pods(1000, 80, ready=True))
    # then
    assert sizes(one) == [(1000, 0)]
    assert OVER_CAPACITY not in one.metadata.annotations


def test_every_subset_is_cut_by_its_share() -> None:
    # given two subsets, one twice as large as the other
    one = made(pods(1000, 80, ready=True), pods(500, 81, ready=True, first=1000), pods(7, 81, ready=False, first=1500))
    # then ready addresses are kept in proportion, others not at all
    assert sizes(one) == [(667, 0), (333, 0)]
    assert one.metadata.annotations[OVER_CAPACITY] == "truncated"


def test_ready_addresses_come_first() -> None:
    # given
    one = made(pods(900, 80, ready=True), pods(300, 80, ready=False, first=900))
    # then
    assert sizes(one) == [(900, 100)]
