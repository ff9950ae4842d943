"""NetworkPolicies, IPAddresses and ServiceCIDRs."""

from __future__ import annotations

import pytest

from kinds.core.making import changed, created, findings
from sampan.api.resources import IP_ADDRESSES, NETWORK_POLICIES, SERVICE_CIDRS
from sampan.kinds.networking import ip_address


def test_a_policy_is_about_egress_too_when_it_has_such_rules() -> None:
    assert created(NETWORK_POLICIES, {"spec": {"podSelector": {}}}).spec.policyTypes == ["Ingress"]
    assert created(NETWORK_POLICIES, {"spec": {"egress": [{}]}}).spec.policyTypes == ["Ingress", "Egress"]


def test_peers_and_ports_say_what_is_wrong_with_them() -> None:
    peers = [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}, {"ipBlock": {"cidr": "10.1.2.3/8"}}, {},
             {"ipBlock": {"cidr": "1.0.0.0/8"}, "podSelector": {}}]
    ports = [{"port": 0}, {"port": "x", "endPort": 5}, {"port": 9, "endPort": 5}, {"endPort": 7}, {"protocol": "X"}]
    assert findings(NETWORK_POLICIES, {"spec": {"ingress": [{"from": peers, "ports": ports}]}}) == [
        "spec.ingress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        "spec.ingress[0].ports[1].endPort: Invalid value: 5: may not be specified when `port` is non-numeric",
        "spec.ingress[0].ports[2].endPort: Invalid value: 9: must be greater than or equal to `port`",
        "spec.ingress[0].ports[3].endPort: Invalid value: 7: may not be specified when `port` is not specified",
        'spec.ingress[0].ports[4].protocol: Unsupported value: "X": supported values: "TCP", "UDP", "SCTP"',
        'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`',
        'spec.ingress[0].from[1].ipBlock.cidr: Invalid value: "10.1.2.3/8": must not have bits set beyond the prefix length',
        "spec.ingress[0].from[2]: Required value: must specify a peer",
        "spec.ingress[0].from[3]: Forbidden: may not specify both ipBlock and another peer"]


@pytest.mark.parametrize(("name", "good"), [("10.0.0.1", True), ("2001:db8::1", True), ("10.0.0.01", False), ("x", False)])
def test_an_address_is_named_after_itself(name: str, *, good: bool) -> None:
    assert (not ip_address.name_check(name)) is good


def test_an_address_belongs_to_somebody() -> None:
    assert findings(IP_ADDRESSES, {"metadata": {"name": "10.0.0.1"}, "spec": {}}) == ["spec.parentRef: Required value"]


def test_a_range_may_get_a_second_family_and_else_stays() -> None:
    old = created(SERVICE_CIDRS, {"spec": {"cidrs": ["10.0.0.0/16"]}})
    assert changed(SERVICE_CIDRS, old, {"spec": {"cidrs": ["10.0.0.0/16", "fd00::/112"]}})[1] == []
    assert changed(SERVICE_CIDRS, old, {"spec": {"cidrs": ["10.1.0.0/16"]}})[1] == [
        'spec.cidrs[0]: Invalid value: "10.1.0.0/16": field is immutable']
    assert findings(SERVICE_CIDRS, {"spec": {"cidrs": ["10.0.0.0/16", "10.1.0.0/16"]}}) == [
        'spec.cidrs: Invalid value: ["10.0.0.0/16","10.1.0.0/16"]: may specify no more than one IP for each IP family, i.e '
        "192.168.0.0/24 and 2001:db8::/64"]


def test_ranges_of_addresses_stay_but_may_gain_a_family() -> None:
    old = created(SERVICE_CIDRS, {"metadata": {"name": "s"}, "spec": {"cidrs": ["192.168.0.0/24"]}})
    assert changed(SERVICE_CIDRS, old, {"spec": {"cidrs": ["192.168.0.0/24", "fd00::/112"]}})[1] == []
    for cidrs, wrong in (
        (["x"], ['spec.cidrs[0]: Invalid value: "x": field is immutable']),
        ([], ["spec.cidrs: Invalid value: null: field is immutable"]),
        (["y", "z", "z"], ['spec.cidrs: Invalid value: ["y","z","z"]: field is immutable']),
        (["192.168.0.0/24", "10.0.0.0/8"], ['spec.cidrs: Invalid value: ["192.168.0.0/24","10.0.0.0/8"]: may specify no more than '
                                            "one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"]),
    ):
        assert changed(SERVICE_CIDRS, old, {"spec": {"cidrs": cidrs}})[1] == wrong


def test_a_status_write_changes_no_metadata_of_a_range() -> None:
    old = created(SERVICE_CIDRS, {"metadata": {"name": "s"}, "spec": {"cidrs": ["192.168.0.0/24"]}})
    new, _ = changed(SERVICE_CIDRS, old, {"metadata": {"labels": {"a": "b"}}, "spec": {"cidrs": ["10.0.0.0/8"]}}, "status")
    assert (new.metadata.labels, new.spec.cidrs) == ({}, ["192.168.0.0/24"])


def test_the_owner_of_an_address_stays_and_is_shown_as_upstream_holds_it() -> None:
    old = created(IP_ADDRESSES, {"metadata": {"name": "10.0.0.1"}, "spec": {"parentRef": {"resource": "services", "name": "s"}}})
    assert changed(IP_ADDRESSES, old, {"spec": {"parentRef": {"name": "t"}}})[1] == [
        'spec.parentRef: Invalid value: {"Group":"","Resource":"services","Namespace":"","Name":"t"}: field is immutable']
