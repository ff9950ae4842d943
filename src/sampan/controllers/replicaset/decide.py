"""Which pods a ReplicaSet (or ReplicationController) creates and deletes, and what its status says. Pure.

Source: kube-controller-manager `replicaset/replica_set.go`, `replica_set_utils.go`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from sampan.api.apps.v1 import ReplicaSetCondition
from sampan.api.core.v1 import Pod, ReplicationControllerCondition
from sampan.api.resourceinfo import Resource
from sampan.api.resources import PODS, REPLICA_SETS, REPLICATION_CONTROLLERS
from sampan.api.scalars import Time
from sampan.api.selectors import NOTHING, Match, of_label_selector, of_set
from sampan.control.pods import (
    available_in,
    is_active,
    is_ready,
    is_terminating,
    pod_from_template,
    victims_first,
)
from sampan.kinds.meta import condition, without_condition
from sampan.kinds.plan import Create, Delete, Plan, Update

BURST = 500


@dataclass(frozen=True)
class Family:
    """What differs between the two kinds."""

    resource: Resource[Any]
    condition: type[Any]
    counts_terminating: bool

    def matcher(self, owner: Any) -> Match:
        """The owner's selector as a function over labels; an empty one matches nothing."""
        selector = owner.spec.selector
        parsed = of_set(selector) if isinstance(selector, dict) else of_label_selector(selector)
        return NOTHING.matches if parsed.empty else parsed.matches

    def matches(self, owner: Any, labels: Any) -> bool:
        """Whether the owner's selector matches."""
        return self.matcher(owner)(labels)


REPLICA_SET = Family(REPLICA_SETS, ReplicaSetCondition, counts_terminating=True)
REPLICATION_CONTROLLER = Family(REPLICATION_CONTROLLERS, ReplicationControllerCondition, counts_terminating=False)


def decide(family: Family, owner: Any, pods: Sequence[Pod], related: Sequence[Pod], now: datetime) -> Plan:
    """Bring the active ones of the owned `pods` to `spec.replicas`.

    Args:
        family: Which of the two kinds.
        owner: The ReplicaSet or ReplicationController; nothing is done for one that is being deleted.
        pods: All pods it owns.
        related: Active pods of all ReplicaSets of the same Deployment, for telling crowded nodes; may be empty.
        now: The time, for ages.
    """
    if owner.metadata.deletionTimestamp is not None:
        return Plan()
    active = [pod for pod in pods if is_active(pod)]
    wanted = owner.spec.replicas if owner.spec.replicas is not None else 1
    surplus = len(active) - wanted
    if surplus < 0:
        pod = pod_from_template(owner.spec.template, family.resource, owner)
        return Plan((Create(PODS, pod),) * min(-surplus, BURST))
    if surplus > 0:
        surplus = min(surplus, BURST)
        chosen = victims_first(active, _ranks(active, related), now)[:surplus] if surplus < len(active) else active
        return Plan(tuple(Delete(PODS, pod.metadata.namespace, pod.metadata.name, pod.metadata.uid) for pod in chosen))
    return Plan()


def _ranks(pods: Sequence[Pod], related: Sequence[Pod]) -> list[int]:
    crowd = Counter(pod.spec.nodeName for pod in related)
    return [crowd[pod.spec.nodeName] for pod in pods]


def status(family: Family, owner: Any, pods: Sequence[Pod], failure: tuple[str, str] | None, now: datetime) -> Plan:
    """The status write, if anything changed, and when a pod becomes available by waiting.

    `failure`: ("FailedCreate" or "FailedDelete", message) of what `decide` wanted and could not be done.
    """
    active = [pod for pod in pods if is_active(pod)]
    ready = [pod for pod in active if is_ready(pod)]
    patience = owner.spec.minReadySeconds
    waits = [available_in(pod, patience, now) for pod in ready] if patience else []
    new = replace(
        owner.status, replicas=len(active), readyReplicas=len(ready), availableReplicas=waits.count(0.0) if patience else len(ready),
        fullyLabeledReplicas=sum(map(_has(owner), active)),
        observedGeneration=owner.metadata.generation, conditions=_conditions(family, owner, failure, now),
    )
    if family.counts_terminating:
        new.terminatingReplicas = sum(is_terminating(pod) and pod.status.phase not in ("Succeeded", "Failed") for pod in pods)
    later = min((wait for wait in waits if wait), default=None)
    if new == owner.status:
        return Plan(requeue_after_seconds=later)
    return Plan((Update(family.resource, replace(owner, status=new), "status"),), later)


def _has(owner: Any) -> Callable[[Pod], bool]:
    labels = owner.spec.template.metadata.labels.items() if owner.spec.template else {}.items()
    return lambda pod: bool(labels <= pod.metadata.labels.items())


def _conditions(family: Family, owner: Any, failure: tuple[str, str] | None, now: datetime) -> list[Any]:
    old = owner.status.conditions
    there = condition(old, "ReplicaFailure") is not None
    if failure is not None and not there:
        new = family.condition(type="ReplicaFailure", status="True", reason=failure[0], message=failure[1],
                               lastTransitionTime=Time.of(now))
        return [*old, new]
    return without_condition(old, "ReplicaFailure") if failure is None and there else old
