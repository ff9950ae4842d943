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
        'endpoints[0].addresses[1]: Invalid value: "::1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
        'endpoints[0].addresses: Invalid value: "::1": must be an IPv4 address',
        "endpoints[1].addresses: Required value: must contain at least 1 address"]


def test_the_kind_of_addresses_stays() -> None:
    old = created(ENDPOINT_SLICES, {"addressType": "IPv4"})
    new, wrong = changed(ENDPOINT_SLICES, old, {"addressType": "IPv6"})
    assert wrong == ['addressType: Invalid value: "IPv6": field is immutable']
    assert new.metadata.generation == 2
    assert changed(ENDPOINT_SLICES, old, {"metadata": {"annotations": {"a": "b"}}})[0].metadata.generation == 1
