"""Whether a pod must leave its node, and when. Pure.

Source: kube-controller-manager `tainteviction/taint_eviction.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from sampan.api.core.v1 import Pod, PodCondition, Taint, Toleration
from sampan.api.resources import PODS
from sampan.api.scalars import Time
from sampan.kinds.core.pod import toleration_matches
from sampan.kinds.meta import with_condition
from sampan.kinds.plan import Delete, EventRecord, Plan, Update

REASON = "DeletionByTaintManager"
MESSAGE = "Taint manager: deleting due to NoExecute taint"
MOST_SECONDS = 10.0**9


def execute_taints(taints: Sequence[Taint]) -> list[Taint]:
    """Those that drive pods away."""
    return [taint for taint in taints if taint.effect == "NoExecute"]


@dataclass(frozen=True)
class Step:
    """What becomes of a pod now: it goes, or its going is planned for `due`; `cancelled`: what was planned is not any more."""

    due: datetime | None = None
    evict: bool = False
    cancelled: bool = False


def tolerated_seconds(pod: Pod, taints: Sequence[Taint]) -> float | None:
    """How long the pod may stay; None: for good, or one taint is not tolerated at all (`tolerates`)."""
    used = [_used(pod, taint) for taint in taints]
    ends = [float(one.tolerationSeconds) for one in used if one is not None and one.tolerationSeconds is not None]
    return max(0.0, min(ends)) if ends else None


def tolerates(pod: Pod, taints: Sequence[Taint]) -> bool:
    """Whether each taint has a toleration."""
    return all(_used(pod, taint) is not None for taint in taints)


def _used(pod: Pod, taint: Taint) -> Toleration | None:
    """Of several that match one taint the first one counts."""
    return next((one for one in pod.spec.tolerations if toleration_matches(one, taint)), None)


def step(pod: Pod, taints: Sequence[Taint] | None, due: datetime | None, now: datetime) -> Step:
    """Decide on a pod.

    What was planned stays as it was planned while the pod may stay for a time, however long that would be by now.

    Args:
        pod: The pod, going or not.
        taints: Those of its node that drive away; None: there is no such node.
        due: When it was planned to go.
        now: The time.
    """
    if taints is None:
        return _at(due, now)
    if not taints:
        return Step(cancelled=due is not None)
    if not tolerates(pod, taints):
        return Step(evict=True, cancelled=due is not None)
    seconds = tolerated_seconds(pod, taints)
    if seconds is None:
        return Step(cancelled=due is not None)
    return _at(due if due is not None else now + timedelta(seconds=min(seconds, MOST_SECONDS)), now)


def _at(due: datetime | None, now: datetime) -> Step:
    return Step(due) if due is None or due > now else Step(evict=True)


def evict(pod: Pod, now: datetime) -> Plan:
    """Say why, then delete."""
    name = f"{pod.metadata.namespace}/{pod.metadata.name}"
    why = PodCondition(type="DisruptionTarget", status="True", reason=REASON, message=MESSAGE, lastTransitionTime=Time.of(now),
                       observedGeneration=pod.metadata.generation)
    status = replace(pod.status, conditions=with_condition(pod.status.conditions, why))
    said = (Update(PODS, replace(pod, status=status), "status"),) if status != pod.status else ()
    writes = (*said, Delete(PODS, pod.metadata.namespace, pod.metadata.name, pod.metadata.uid))
    return Plan(writes, None, (EventRecord(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {name}"),))


def cancelled(pod: Pod) -> EventRecord:
    """The pod may stay after all."""
    name = f"{pod.metadata.namespace}/{pod.metadata.name}"
    return EventRecord(pod, "Normal", "TaintManagerEviction", f"Cancelling deletion of Pod {name}")
