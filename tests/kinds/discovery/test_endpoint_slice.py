"""EndpointSlices."""

from __future__ import annotations

from kinds.core.making import changed, created, findings
from sampan.api.discovery.v1 import EndpointConditions
from sampan.api.resources import ENDPOINT_SLICES
from sampan.kinds.discovery import endpoint_slice


def test_unknown_conditions_count_as_ready_and_serving() -> None:
    unknown = EndpointConditions()
    assert endpoint_slice.is_ready(unknown)
    assert endpoint_slice.is_serving(unknown)
    assert not endpoint_slice.is_terminating(unknown)
    assert not endpoint_slice.is_serving(EndpointConditions(ready=False))
    assert endpoint_slice.is_serving(EndpointConditions(ready=False, serving=True))


def test_ports_get_a_name_and_a_protocol() -> None:
    made = created(ENDPOINT_SLICES, {"addressType": "IPv4", "endpoints": [], "ports": [{}]})
    assert (made.endpoints, made.ports[0].name, made.ports[0].protocol) == (None, "", "TCP")


def test_addresses_are_of_their_kind_and_reachable() -> None:
    endpoints = [{"addresses": ["x", "::1"]}, {"addresses": []}]
    assert findings(ENDPOINT_SLICES, {"addressType": "IPv4", "endpoints": endpoints}) == [
        'endpoints[0].addresses[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        'endpoints[0].addresses: Invalid value: "::1": must be an IPv4 address',
        'endpoints[0].addresses[1]: Invalid value: "::1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
        "endpoints[1].addresses: Required value: must contain at least 1 address"]


def test_the_kind_of_addresses_stays() -> None:
    old = created(ENDPOINT_SLICES, {"addressType": "IPv4"})
    new, wrong = changed(ENDPOINT_SLICES, old, {"addressType": "IPv6"})
    assert wrong == ['addressType: Invalid value: "IPv6": field is immutable']
    assert new.metadata.generation == 2
    assert changed(ENDPOINT_SLICES, old, {"metadata": {"annotations": {"a": "b"}}})[0].metadata.generation == 1


def test_old_topology_is_not_written_but_names_a_node_that_it_named() -> None:
    endpoint = {"addresses": ["10.1.2.3"], "deprecatedTopology": {"kubernetes.io/hostname": "node-a"}}
    made = created(ENDPOINT_SLICES, {"addressType": "IPv4", "endpoints": [endpoint]})
    assert (made.endpoints[0].deprecatedTopology, made.endpoints[0].nodeName) == ({}, None)
    # given one that was stored with its topology
    made.endpoints[0].deprecatedTopology = {"kubernetes.io/hostname": "node-a"}
    # when its endpoints change
    new, _ = changed(ENDPOINT_SLICES, made, {"endpoints": [endpoint, {"addresses": ["10.1.2.4"]}]})
    # then the node stays known
    assert (new.endpoints[0].deprecatedTopology, new.endpoints[0].nodeName) == ({}, "node-a")


def test_warnings_are_about_what_users_write() -> None:
    body = {"metadata": {"labels": {}}, "addressType": "FQDN", "endpoints": [{"addresses": ["a.b"]}]}
    made = created(ENDPOINT_SLICES, body)
    assert endpoint_slice.KIND.warnings(made, None) == ["spec.addressType: FQDN endpoints are deprecated"]
    assert endpoint_slice.KIND.warnings(made, made) == []
    odd = created(ENDPOINT_SLICES, {"addressType": "IPv6", "endpoints": [{"addresses": ["FD00::1"]}]})
    assert endpoint_slice.KIND.warnings(odd, odd) == [
        'endpoints[0].addresses[0]: IPv6 address "FD00::1" should be in RFC 5952 canonical format ("fd00::1")']
    odd.metadata.labels = {endpoint_slice.MANAGED_BY: "endpointslice-controller.k8s.io"}
    assert endpoint_slice.KIND.warnings(odd, odd) == []
