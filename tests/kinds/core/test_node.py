"""Nodes."""

from __future__ import annotations

from datetime import UTC, datetime

from kinds.core.making import changed, created, findings
from sampan.api.resources import NODES
from sampan.kinds.core import node as nodes

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BODY = {"metadata": {"name": "n", "labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "edge"}},
        "spec": {"podCIDR": "10.0.0.0/24", "unschedulable": True, "taints": [{"key": "a", "effect": "NoSchedule"}]},
        "status": {"capacity": {"cpu": "2", "memory": "1Gi", "pods": "110"},
                   "conditions": [{"type": "Ready", "status": "True"}],
                   "addresses": [{"type": "InternalIP", "address": "10.1.0.1"}],
                   "nodeInfo": {"kernelVersion": "6.1", "architecture": "amd64"}}}


def test_what_is_not_said_to_be_allocatable_all_is() -> None:
    node = created(NODES, BODY)
    assert nodes.allocatable(node) == {"cpu": 2000, "memory": 1 << 30, "pods": 110}
    assert node.spec.podCIDRs == ["10.0.0.0/24"]


def test_a_node_is_printed_with_its_state_roles_and_kernel() -> None:
    cells = {column.name: column.value(created(NODES, BODY), NOW) for column in nodes.KIND.columns}
    assert cells["Status"] == "Ready,SchedulingDisabled"
    assert cells["Roles"] == "control-plane,edge"
    assert (cells["Kernel-Version"], cells["Internal-IP"], cells["External-IP"], cells["OS-Image"]) == (
        "6.1 (amd64)", "10.1.0.1", "<none>", "<unknown>")


def test_a_kernel_that_is_not_known_is_printed_with_what_it_runs_on() -> None:
    made = created(NODES, {"metadata": {"name": "n"}, "status": {"nodeInfo": {"architecture": "arm64"}}})
    cells = {column.name: column.value(made, NOW) for column in nodes.KIND.columns}
    assert cells["Kernel-Version"] == "<unknown> (arm64)"


def test_taints_are_unique_by_key_and_effect() -> None:
    twice = BODY | {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}] * 2}}
    assert findings(NODES, twice) == [
        'metadata.taints[1]: Duplicate value: {"Key":"a","Value":"","Effect":"NoSchedule","TimeAdded":null}: '
        "taints must be unique by key and effect pair"]


def test_the_pod_range_is_given_once() -> None:
    old = created(NODES, BODY)
    assert changed(NODES, old, {"spec": {"podCIDR": "10.9.0.0/24", "podCIDRs": ["10.9.0.0/24"]}})[1] == [
        'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid']
    fresh = created(NODES, {"metadata": {"name": "n"}})
    assert changed(NODES, fresh, {"spec": {"podCIDR": "10.9.0.0/24"}})[1] == []


def test_status_and_spec_have_their_own_doors() -> None:
    old = created(NODES, BODY)
    new, _ = changed(NODES, old, {"spec": {"unschedulable": None}, "status": {"conditions": []}})
    assert (new.spec.unschedulable, nodes.is_ready(new)) == (False, True)
    new, _ = changed(NODES, old, {"spec": {"unschedulable": None}, "status": {"conditions": []}}, "status")
    assert (new.spec.unschedulable, nodes.is_ready(new)) == (True, False)


def test_questions_about_a_node() -> None:
    node = created(NODES, BODY)
    assert [taint.key for taint in nodes.taints(node, "NoSchedule")] == ["a"]
    assert nodes.taints(node, "NoExecute") == []
    assert nodes.address(node, "Hostname") == ""
