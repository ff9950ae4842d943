"""Which pods are collected, and how. Pure. Source: kube-controller-manager `podgc/gc_controller.go`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from sampan.api.core.v1 import Node, Pod, PodCondition
from sampan.api.resources import PODS
from sampan.api.scalars import Time
from sampan.control.pods import is_terminal
from sampan.kinds.meta import with_condition
from sampan.kinds.plan import Delete, Plan, Update, Write

QUARANTINE_SECONDS = 40.0
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


def surplus(finished: Sequence[Pod], threshold: int) -> list[Pod]:
    """The oldest finished pods over the threshold, evicted ones first; none for a threshold of 0."""
    if threshold <= 0:
        return []
    ordered = sorted(finished, key=lambda pod: (pod.status.reason != "Evicted", pod.metadata.creationTimestamp or "", pod.metadata.name))
    return ordered[:max(0, len(ordered) - threshold)]


def orphaned(pod: Pod, now: datetime) -> Plan:
    """A pod whose node is gone: failed and deleted, saying why."""
    return _collect(pod, PodCondition(type="DisruptionTarget", status="True", reason="DeletionByPodGC",
                                      message="PodGC: node no longer exists", observedGeneration=pod.metadata.generation), now)


def is_out_of_service(node: Node) -> bool:
    """A node that was given up: it is marked so, and not ready."""
    marked = any(taint.key == OUT_OF_SERVICE for taint in node.spec.taints)
    return marked and all(one.status != "True" for one in node.status.conditions if one.type == "Ready")


def plain(pod: Pod, now: datetime) -> Plan:
    """A pod that is collected without a word: never scheduled, going on a node that was given up, or finished long ago."""
    return _collect(pod, None, now)


def _collect(pod: Pod, why: PodCondition | None, now: datetime) -> Plan:
    writes: list[Write] = []
    if not is_terminal(pod):
        status = replace(pod.status, phase="Failed")
        if why is not None:
            status.conditions = with_condition(pod.status.conditions, replace(why, lastTransitionTime=Time.of(now)))
        status.observedGeneration = pod.metadata.generation
        writes.append(Update(PODS, replace(pod, status=status), "status"))
    return Plan((*writes, Delete(PODS, pod.metadata.namespace, pod.metadata.name, pod.metadata.uid, grace_period_seconds=0)))
