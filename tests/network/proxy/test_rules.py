"""Which endpoints a Service's traffic goes to on a node."""

from __future__ import annotations

from typing import Any

from sampan.api.core.v1 import Service, ServicePort, ServiceSpec
from sampan.api.discovery.v1 import Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForZone
from sampan.api.meta.v1 import ObjectMeta
from sampan.network.proxy.rules import Rule, compute


def service(**spec: Any) -> Service:
    ports = spec.pop("ports", [ServicePort(name="http", port=80, nodePort=30080)])
    return Service(metadata=ObjectMeta(name="web", namespace="default"),
                   spec=ServiceSpec(clusterIP="10.96.0.5", clusterIPs=["10.96.0.5"], ports=ports, **spec))


def endpoint(ip: str, node: str = "here", *, ready: bool = True, serving: bool | None = None, terminating: bool = False,
             zone: str = "") -> Endpoint:
    return Endpoint(addresses=[ip], nodeName=node, hints=EndpointHints(forZones=[ForZone(name=zone)]) if zone else None,
                    conditions=EndpointConditions(ready=ready, serving=ready if serving is None else serving, terminating=terminating))


def rule(svc: Service, *endpoints: Endpoint, zone: str = "") -> Rule:
    entry = EndpointSlice(addressType="IPv4", endpoints=list(endpoints), ports=[EndpointPort(name="http", port=8080, protocol="TCP")])
    (only,) = compute(svc, [entry], node="here", zone=zone)
    return only


def ips(targets: Any) -> list[str]:
    return [target.ip for target in targets]


def test_ready_endpoints_serve_inside_and_outside() -> None:
    found = rule(service(type="NodePort"), endpoint("10.244.0.2"), endpoint("10.244.1.3", "there"), endpoint("10.244.0.9", ready=False))
    assert ips(found.cluster) == ips(found.external) == ["10.244.0.2", "10.244.1.3"]
    assert found.node_port == 30080


def test_terminating_endpoints_serve_when_nobody_else_does() -> None:
    leaving = endpoint("10.244.0.2", ready=False, serving=True, terminating=True)
    assert ips(rule(service(), leaving).cluster) == ["10.244.0.2"]
    assert ips(rule(service(), leaving, endpoint("10.244.0.3")).cluster) == ["10.244.0.3"]


def test_local_policies_keep_to_the_node_and_drop_what_others_could_serve() -> None:
    remote = endpoint("10.244.1.3", "there")
    local = rule(service(type="NodePort", externalTrafficPolicy="Local"), remote)
    assert (ips(local.cluster), ips(local.external), local.drop_external) == (["10.244.1.3"], [], True)
    inside = rule(service(internalTrafficPolicy="Local"), remote)
    assert (ips(inside.cluster), inside.drop_internal) == ([], True)


def test_zones_are_preferred_only_when_every_endpoint_has_a_hint() -> None:
    hinted = (endpoint("10.244.0.2", zone="a"), endpoint("10.244.1.3", "there", zone="b"))
    assert ips(rule(service(), *hinted, zone="b").cluster) == ["10.244.1.3"]
    assert ips(rule(service(), *hinted, endpoint("10.244.0.4"), zone="b").cluster) == ["10.244.0.2", "10.244.0.4", "10.244.1.3"]


def test_headless_and_external_names_have_no_rules() -> None:
    headless = service()
    headless.spec.clusterIP = "None"
    assert compute(headless, [], node="here") == ()
    assert compute(service(type="ExternalName"), [], node="here") == ()


def test_affinity_defaults_to_three_hours() -> None:
    assert rule(service(sessionAffinity="ClientIP"), endpoint("10.244.0.2")).affinity_seconds == 10800
