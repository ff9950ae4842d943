"""Pure questions about pods that several control loops ask, and pods made from templates.

Source: kube-controller-manager `controller_utils.go`, `k8s.io/kubernetes/pkg/api/v1/pod`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cmp_to_key
from typing import Any

from msgspec.structs import replace

from sampan.api import codec
from sampan.api.core.v1 import Pod, PodCondition, PodTemplateSpec
from sampan.api.meta.v1 import ObjectMeta, OwnerReference
from sampan.api.resourceinfo import Resource
from sampan.api.scalars import Time
from sampan.control.numbers import number_of

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
LONGEST_NAME = 253
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def ready_condition(pod: Pod) -> PodCondition | None:
    """The pod's Ready condition."""
    for one in pod.status.conditions:
        if one.type == "Ready":
            return one
    return None


def is_ready(pod: Pod) -> bool:
    """Whether the Ready condition is True."""
    found = ready_condition(pod)
    return found is not None and found.status == "True"


def available_in(pod: Pod, min_ready_seconds: int, now: datetime) -> float | None:
    """Seconds until the pod is available (0: it is); None: it is not ready."""
    found = ready_condition(pod)
    if found is None or found.status != "True":
        return None
    if min_ready_seconds == 0:
        return 0.0
    if found.lastTransitionTime is None:
        return None
    due = found.lastTransitionTime.moment() + timedelta(seconds=min_ready_seconds)
    return max(0.0, (due - now).total_seconds())


def is_available(pod: Pod, min_ready_seconds: int, now: datetime) -> bool:
    """Ready for at least `min_ready_seconds`."""
    return available_in(pod, min_ready_seconds, now) == 0.0


def is_terminal(pod: Pod) -> bool:
    """It succeeded or failed: it never runs again."""
    return pod.status.phase in ("Succeeded", "Failed")


def is_terminating(pod: Pod) -> bool:
    """It is being deleted."""
    return pod.metadata.deletionTimestamp is not None


def is_active(pod: Pod) -> bool:
    """Neither over nor being deleted."""
    return not is_terminal(pod) and not is_terminating(pod)


def owner_reference(resource: Resource[Any], owner: Any) -> OwnerReference:
    """The reference that makes `owner` the managing owner."""
    return OwnerReference(apiVersion=resource.group_version, kind=resource.kind, name=owner.metadata.name,
                          uid=owner.metadata.uid, controller=True, blockOwnerDeletion=True)


def pod_from_template(template: PodTemplateSpec, resource: Resource[Any], owner: Any, *, name: str = "",
                      labels: Mapping[str, str] | None = None) -> Pod:
    """A new pod of `owner`; its name is generated from the owner's unless given. The spec is a copy."""
    prefix = f"{owner.metadata.name}-"
    if len(prefix) > LONGEST_NAME:
        prefix = owner.metadata.name
    meta = ObjectMeta(
        name=name, generateName=prefix, namespace=owner.metadata.namespace,
        labels={**template.metadata.labels, **(labels or {})}, annotations=dict(template.metadata.annotations),
        finalizers=list(template.metadata.finalizers), ownerReferences=[owner_reference(resource, owner)],
    )
    return Pod(kind="Pod", apiVersion="v1", metadata=meta, spec=codec.clone(template.spec))


def deletion_cost(pod: Pod) -> int:
    """The annotation's number; 0 without one or when it is no 32-bit number."""
    text = pod.metadata.annotations.get(DELETION_COST, "")
    if len(text) > 1 and text.removeprefix("-").startswith("0"):
        return 0  # validation refuses those
    return number_of(text) or 0


def restarts(pod: Pod) -> tuple[int, int]:
    """The highest restart counts of its containers and of its sidecars."""
    sidecars = {one.name for one in pod.spec.initContainers if one.restartPolicy == "Always"}
    return (max((status.restartCount for status in pod.status.containerStatuses), default=0),
            max((status.restartCount for status in pod.status.initContainerStatuses if status.name in sidecars), default=0))


def _age_rank(since: Time | None, now: datetime) -> int:
    """The age on a logarithmic scale, so that among pods of about one age the choice spreads out."""
    seconds = (now - since.moment()).total_seconds() if since else 0.0
    return -1 if seconds <= 0 else int(math.log2(seconds * 1e9))


def victims_first(pods: Sequence[Pod], ranks: Sequence[int], now: datetime) -> list[Pod]:
    """Pods in the order in which they are deleted when there are too many.

    `ranks`: for each pod, how many related pods share its node. Source: `ActivePodsWithRanks.Less`.
    """
    def compare(left: tuple[Pod, int], right: tuple[Pod, int]) -> int:
        (a, rank_a), (b, rank_b) = left, right
        assigned = bool(a.spec.nodeName) - bool(b.spec.nodeName)
        phase = _PHASES.get(a.status.phase, 0) - _PHASES.get(b.status.phase, 0)
        ready_a, ready_b = is_ready(a), is_ready(b)
        first = assigned or phase or ready_a - ready_b or deletion_cost(a) - deletion_cost(b) or rank_b - rank_a
        if first:
            return first
        if ready_a and ready_b:
            by_time = _younger_first(_ready_since(a), _ready_since(b), a, b, now)
            if by_time:
                return by_time
        (restarts_a, sidecars_a), (restarts_b, sidecars_b) = restarts(a), restarts(b)
        return restarts_b - restarts_a or sidecars_b - sidecars_a or _younger_first(
            a.metadata.creationTimestamp, b.metadata.creationTimestamp, a, b, now)

    ordered = sorted(zip(pods, ranks, strict=True), key=cmp_to_key(compare))
    return [pod for pod, _ in ordered]


def _ready_since(pod: Pod) -> Time | None:
    found = ready_condition(pod)
    return found.lastTransitionTime if found else None


def _younger_first(since_a: Time | None, since_b: Time | None, a: Pod, b: Pod, now: datetime) -> int:
    if since_a == since_b:
        return 0
    ranks = _age_rank(since_a, now) - _age_rank(since_b, now)
    return ranks or (-1 if a.metadata.uid < b.metadata.uid else 1)


def with_labels(template: PodTemplateSpec, labels: Mapping[str, str]) -> PodTemplateSpec:
    """A template that shares everything with `template` but has more labels."""
    meta = replace(template.metadata, labels={**template.metadata.labels, **labels})
    return replace(template, metadata=meta)
