"""What a node's silence and its conditions mean: conditions set Unknown, taints, pods not ready, zones. Pure.

Source: kube-controller-manager `nodelifecycle/node_lifecycle_controller.go`, `util/node/controller_utils.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from sampan.api import codec
from sampan.api.core.v1 import Node, NodeCondition, Pod, PodCondition, Taint
from sampan.api.resources import NODES, PODS
from sampan.api.scalars import Time
from sampan.control.pods import ready_condition
from sampan.kinds.meta import condition
from sampan.kinds.plan import Patch, Update

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
# condition → status → key of the taint
TAINTS = {
    "Ready": {"False": NOT_READY, "Unknown": UNREACHABLE},
    "MemoryPressure": {"True": "node.kubernetes.io/memory-pressure"},
    "DiskPressure": {"True": "node.kubernetes.io/disk-pressure"},
    "NetworkUnavailable": {"True": "node.kubernetes.io/network-unavailable"},
    "PIDPressure": {"True": "node.kubernetes.io/pid-pressure"},
}
OURS = frozenset({key for found in TAINTS.values() for key in found.values()} | {UNSCHEDULABLE})
WATCHED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
EXCLUDED = "node.kubernetes.io/exclude-disruption"
# the stable label, and the older one that says the same
LABELS = (("kubernetes.io/os", "beta.kubernetes.io/os"), ("kubernetes.io/arch", "beta.kubernetes.io/arch"))
ZoneState = Literal["Normal", "PartialDisruption", "FullDisruption"]


def zone_of(node: Node) -> str:
    """Region and zone of a node, as one word."""
    labels = node.metadata.labels
    region, zone = labels.get("topology.kubernetes.io/region", ""), labels.get("topology.kubernetes.io/zone", "")
    return f"{region}:\0:{zone}" if region or zone else ""


def zone_state(ready: int, not_ready: int, threshold: float) -> ZoneState:
    """How bad it is in a zone."""
    if ready == 0 and not_ready > 0:
        return "FullDisruption"
    if not_ready > 2 and not_ready / (ready + not_ready) >= threshold:
        return "PartialDisruption"
    return "Normal"


def readiness(node: Node) -> str:
    """The status of the Ready condition; empty: the kubelet has never reported."""
    found = condition(node.status.conditions, "Ready")
    return found.status if found is not None else ""


def heartbeat(node: Node) -> Time | None:
    """When the kubelet says to have looked at readiness last."""
    found = condition(node.status.conditions, "Ready")
    return found.lastHeartbeatTime if found is not None else None


def relabelled(node: Node) -> dict[str, str]:
    """The older labels of the platform that are missing, or do not say what the stable ones do."""
    labels = node.metadata.labels
    return {old: labels[stable] for stable, old in LABELS if stable in labels and labels.get(old) != labels[stable]}


def silenced(node: Node, now: datetime) -> Update | None:
    """The write that makes all that the kubelet reports Unknown; None: its readiness is already."""
    if readiness(node) == "Unknown":
        return None
    result = list(node.status.conditions)
    for type_ in WATCHED:
        old = condition(result, type_)
        if old is None:
            result.append(NodeCondition(
                type=type_, status="Unknown", reason="NodeStatusNeverUpdated", message="Kubelet never posted node status.",
                lastHeartbeatTime=node.metadata.creationTimestamp, lastTransitionTime=Time.of(now)))
        elif old.status != "Unknown":
            result[result.index(old)] = replace(
                old, status="Unknown", reason="NodeStatusUnknown", message="Kubelet stopped posting node status.",
                lastTransitionTime=Time.of(now))
    return Update(NODES, replace(node, status=replace(node.status, conditions=result)), "status")


def execute_key(node: Node) -> str:
    """The key of the NoExecute taint that the node should have; empty: none."""
    return TAINTS["Ready"].get(readiness(node), "")


def opposite(key: str) -> str:
    """The other one of the two keys: a node has only one of them that drives pods away."""
    return UNREACHABLE if key == NOT_READY else NOT_READY


def has_taint(node: Node, key: str, effect: str) -> bool:
    """Whether the node has the taint."""
    return any(taint.key == key and taint.effect == effect for taint in node.spec.taints)


def retainted(node: Node, execute: str | None, now: datetime) -> Patch | None:
    """The write that brings the node's taints in line with its conditions, and its older labels with the stable ones; None: they are.

    `execute`: the key of the NoExecute taint to have now, empty for none; None leaves NoExecute taints as they are.
    """
    wanted: set[tuple[str, str]] = {
        (key, "NoSchedule") for one in node.status.conditions if (key := TAINTS.get(one.type, {}).get(one.status))}
    if node.spec.unschedulable:
        wanted.add((UNSCHEDULABLE, "NoSchedule"))
    if execute:
        wanted.add((execute, "NoExecute"))
    kept: list[Taint] = []
    for taint in node.spec.taints:
        ours = (taint.effect == "NoSchedule" and taint.key in OURS) or (
            execute is not None and taint.effect == "NoExecute" and taint.key in (NOT_READY, UNREACHABLE))
        if not ours or (taint.key, taint.effect) in wanted:
            kept.append(taint)
            wanted.discard((taint.key, taint.effect))
    taints = kept + [Taint(key=key, effect=effect, timeAdded=Time.of(now)) for key, effect in sorted(wanted, key=_order)]
    labels = relabelled(node)
    if taints == node.spec.taints:
        return Patch(NODES, "", node.metadata.name, {"metadata": {"labels": labels}}) if labels else None
    metadata = {"resourceVersion": node.metadata.resourceVersion} | ({"labels": labels} if labels else {})
    return Patch(NODES, "", node.metadata.name, {"metadata": metadata, "spec": {"taints": codec.to_builtins(taints) or None}})


def _order(taint: tuple[str, str]) -> tuple[bool, str]:
    """What keeps pods away stands before what drives them away."""
    return taint[1] == "NoExecute", taint[0]


def unready(pods: Sequence[Pod], now: datetime) -> list[Update]:
    """The writes that take pods of a node out of service."""
    writes = []
    for pod in pods:
        ready = ready_condition(pod)
        if ready is None or ready.status == "False":
            continue
        new: PodCondition = replace(ready, status="False", lastTransitionTime=Time.of(now))
        conditions = [new if one is ready else one for one in pod.status.conditions]
        writes.append(Update(PODS, replace(pod, status=replace(pod.status, conditions=conditions)), "status"))
    return writes
