"""Whether a pod must leave its node, and when. Pure.

Source: kube-controller-manager `tainteviction/taint_eviction.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from sampan.api.core.v1 import Pod, PodCondition, Taint
from sampan.api.resources import PODS
from sampan.api.scalars import Time
from sampan.kinds.core.pod import toleration_matches
from sampan.kinds.meta import with_condition
from sampan.kinds.plan import Delete, EventRecord, Plan, Update

REASON = "DeletionByTaintManager"
MESSAGE = "Taint manager: deleting due to NoExecute taint"


def execute_taints(taints: Sequence[Taint]) -> list[Taint]:
    """Those that drive pods away."""
    return [taint for taint in taints if taint.effect == "NoExecute"]


def leaves_in(pod: Pod, taints: Sequence[Taint], since: datetime, now: datetime) -> float | None:
    """Seconds until the pod must go; None: it may stay. `since`: when the taints were first seen."""
    if not taints or pod.metadata.deletionTimestamp is not None:
        return None
    least: float | None = None
    for taint in taints:
        # of several that match one taint the first one counts
        used = next((one for one in pod.spec.tolerations if toleration_matches(one, taint)), None)
        if used is None:
            return 0.0
        if used.tolerationSeconds is not None:
            least = min(least if least is not None else float("inf"), max(0.0, float(used.tolerationSeconds)))
    if least is None:
        return None
    return max(0.0, (since + timedelta(seconds=least) - now).total_seconds())


def evict(pod: Pod, now: datetime) -> Plan:
    """Say why, then delete."""
    name = f"{pod.metadata.namespace}/{pod.metadata.name}"
    why = PodCondition(type="DisruptionTarget", status="True", reason=REASON, message=MESSAGE, lastTransitionTime=Time.of(now),
                       observedGeneration=pod.metadata.generation)
    status = replace(pod.status, conditions=with_condition(pod.status.conditions, why))
    writes = (Update(PODS, replace(pod, status=status), "status"),
              Delete(PODS, pod.metadata.namespace, pod.metadata.name, pod.metadata.uid))
    return Plan(writes, None, (EventRecord(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {name}"),))


def cancelled(pod: Pod) -> EventRecord:
    """The pod may stay after all."""
    name = f"{pod.metadata.namespace}/{pod.metadata.name}"
    return EventRecord(pod, "Normal", "TaintManagerEviction", f"Cancelling deletion of Pod {name}")
