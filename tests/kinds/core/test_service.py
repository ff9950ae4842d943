"""Services: defaults, what an update carries over and drops, columns, warnings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kinds.core.making import changed, created, findings
from sampan.api.core.v1 import LoadBalancerIngress, Service
from sampan.api.resources import SERVICES
from sampan.kinds.core import service as services

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def service(**spec: Any) -> Service:
    """A Service as it is stored: with an address when its type has one."""
    made: Service = created(SERVICES, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]} | spec})
    if services.needs_cluster_ip(made) and not made.spec.clusterIP:
        made.spec.clusterIP, made.spec.clusterIPs = "10.96.0.9", ["10.96.0.9"]
        made.spec.ipFamilies, made.spec.ipFamilyPolicy = ["IPv4"], "SingleStack"
    return made


def test_a_service_is_a_cluster_address_for_tcp_unless_it_says_otherwise() -> None:
    spec = service().spec
    assert (spec.type, spec.sessionAffinity, spec.internalTrafficPolicy, spec.externalTrafficPolicy) == ("ClusterIP", "None", "Cluster", "")
    assert [(port.protocol, port.targetPort) for port in spec.ports] == [("TCP", 80)]


def test_a_load_balancer_has_node_ports_and_sends_everywhere() -> None:
    spec = service(type="LoadBalancer").spec
    assert (spec.allocateLoadBalancerNodePorts, spec.externalTrafficPolicy) == (True, "Cluster")


def test_sticky_sessions_last_three_hours() -> None:
    config = service(sessionAffinity="ClientIP").spec.sessionAffinityConfig
    assert config is not None
    assert config.clientIP is not None
    assert config.clientIP.timeoutSeconds == 10800


@pytest.mark.parametrize(("spec", "wanted"), [
    ({}, ["spec.ports: Required value"]),
    ({"clusterIP": "None"}, []),
    ({"type": "ExternalName"}, ["spec.externalName: Required value"]),
    ({"type": "Strange", "ports": [{"port": 80}]},
     ['spec.type: Unsupported value: "Strange": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"']),
    ({"ports": [{"port": 80, "nodePort": 30500}]}, ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]),
    ({"ports": [{"port": 80}], "externalTrafficPolicy": "Local"},
     ['spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services']),
    ({"ports": [{"port": 80}], "externalIPs": ["127.0.0.1"]},
     ['spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)']),
    ({"ports": [{"port": 80}], "clusterIPs": ["10.0.0.1"]},
     ['spec.clusterIPs: Invalid value: ["10.0.0.1"]: must be empty when `clusterIP` is not specified']),
    ({"ports": [{"port": 80}], "loadBalancerClass": "a/b"},
     ["spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"]),
    ({"ports": [{"port": 80}], "trafficDistribution": "Near"},
     ['spec.trafficDistribution: Unsupported value: "Near": supported values: "PreferClose", "PreferSameZone", "PreferSameNode"']),
])
def test_a_mistake_is_found_in_upstreams_words(spec: dict[str, Any], wanted: list[str]) -> None:
    assert findings(SERVICES, {"metadata": {"name": "s"}, "spec": spec}) == wanted


def test_an_update_that_leaves_addresses_and_ports_out_keeps_them() -> None:
    old = service(type="NodePort")
    old.spec.ports[0].nodePort = 30001
    new, errors = changed(SERVICES, old, {"spec": {"clusterIP": None, "clusterIPs": None, "ports": [{"port": 80}]}})
    assert errors == []
    assert (new.spec.clusterIP, new.spec.clusterIPs, new.spec.ports[0].nodePort) == ("10.96.0.9", ["10.96.0.9"], 30001)


def test_what_the_new_type_lacks_goes() -> None:
    old = service(type="LoadBalancer")
    old.spec.ports[0].nodePort = 30001
    new, errors = changed(SERVICES, old, {"spec": {"type": "ClusterIP"}})
    assert errors == []
    assert (new.spec.ports[0].nodePort, new.spec.allocateLoadBalancerNodePorts, new.spec.externalTrafficPolicy) == (0, None, "")
    name, errors = changed(SERVICES, new, {"spec": {"type": "ExternalName", "externalName": "x.example.com"}})
    assert errors == []
    assert (name.spec.clusterIP, name.spec.clusterIPs, name.spec.ipFamilies, name.spec.internalTrafficPolicy) == ("", [], [], None)


def test_an_address_does_not_change() -> None:
    _, errors = changed(SERVICES, service(), {"spec": {"clusterIP": "10.96.0.10"}})
    assert errors == ['spec.clusterIPs[0]: Invalid value: ["10.96.0.10"]: may not change once set']


def test_the_second_address_is_let_go_with_single_stack() -> None:
    old = service()
    old.spec.clusterIPs, old.spec.ipFamilies, old.spec.ipFamilyPolicy = ["10.96.0.9", "fd00::9"], ["IPv4", "IPv6"], "PreferDualStack"
    new, errors = changed(SERVICES, old, {"spec": {"ipFamilyPolicy": "SingleStack"}})
    assert (errors, new.spec.clusterIPs, new.spec.ipFamilies) == ([], ["10.96.0.9"], ["IPv4"])


@pytest.mark.parametrize(("spec", "texts"), [
    ({"externalIPs": ["192.0.2.1"]}, ["spec.externalIPs is deprecated and may no longer be implemented in some clusters"]),
    ({"externalName": "x"}, ['spec.externalName is ignored when spec.type is not "ExternalName"']),
    ({"clusterIP": "None", "loadBalancerIP": "192.0.2.1"}, ["spec.loadBalancerIP is ignored for headless services"]),
    ({"trafficDistribution": "PreferClose"}, ['spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"']),
])
def test_fields_that_do_nothing_are_told_of(spec: dict[str, Any], texts: list[str]) -> None:
    assert services.warnings(service(**spec), None) == texts


def test_ports_and_outer_addresses_are_printed() -> None:
    made = service(type="LoadBalancer", externalIPs=["192.0.2.1"])
    made.spec.ports[0].nodePort = 30001
    cells = {column.name: column.value for column in services.KIND.columns}
    assert cells["Port(s)"](made, NOW) == "80:30001/TCP"
    assert cells["External-IP"](made, NOW) == "192.0.2.1"
    made.status.loadBalancer.ingress = [LoadBalancerIngress(ip="198.51.100.1")]
    assert cells["External-IP"](made, NOW) == "198.51.100.1,192.0.2.1"
    assert cells["External-IP"](service(type="LoadBalancer"), NOW) == "<pending>"


def test_status_is_for_load_balancers() -> None:
    ingress = {"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.1"}]}}}
    assert changed(SERVICES, service(type="LoadBalancer"), ingress, "status")[1] == []
    assert changed(SERVICES, service(), ingress, "status")[1] != []


def test_the_class_of_a_balancer_is_looked_at_twice_on_an_update() -> None:
    words = ("spec.loadBalancerClass: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must "
             "start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
             "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')")
    assert changed(SERVICES, service(type="LoadBalancer"), {"spec": {"loadBalancerClass": "a b"}})[1] == [
        'spec.loadBalancerClass: Invalid value: "a b": may not change once set', words, words]


def test_ranges_in_the_old_annotation_are_looked_at_when_they_change() -> None:
    old = service(type="LoadBalancer")
    old.metadata.annotations = {"service.beta.kubernetes.io/load-balancer-source-ranges": "x"}
    assert changed(SERVICES, old, {"spec": {"selector": {"a": "b"}}})[1] == []


def test_node_ports_that_the_client_named_anew_stay_and_are_refused() -> None:
    old = service(type="NodePort", ports=[{"port": 80, "name": "a"}, {"port": 81, "name": "b"}])
    old.spec.ports[0].nodePort, old.spec.ports[1].nodePort = 30001, 30002
    ports = [{"port": 80, "name": "a", "nodePort": 30001}]
    new, errors = changed(SERVICES, old, {"spec": {"type": "ClusterIP", "ports": ports}})
    assert ([port.nodePort for port in new.spec.ports], errors) == ([0], [])
    ports = [{"port": 80, "name": "a", "nodePort": 30003}]
    assert changed(SERVICES, old, {"spec": {"type": "ClusterIP", "ports": ports}})[1] == [
        "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]
