"""The arithmetic of disruption budgets: how many pods may go, and whether this one may go now.

Owns pure questions for the eviction subresource (`may_evict`) and the disruption controller (`allowance`,
`wanted_healthy`). Leaves finding the budgets of a pod and writing their status to those two.
Source: kubernetes `pkg/controller/disruption/disruption.go`, `pkg/registry/core/pod/storage/eviction.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sampan.api.core.v1 import Pod
from sampan.api.meta.v1 import Condition
from sampan.api.policy.v1 import PodDisruptionBudget
from sampan.api.scalars import Time
from sampan.kinds import checks, meta

MAX_DISRUPTED_PODS = 2000
DELETION_TIMEOUT = timedelta(minutes=2)


@dataclass(frozen=True)
class Verdict:
    """Whether a pod may be evicted. `disrupts`: the budget counts it, so its status must be written first."""

    allowed: bool
    disrupts: bool = False
    message: str = ""
    cause: str = ""  # what stands in the Status as DisruptionBudget cause
    retry_after_seconds: int = 0
    forbidden: bool = False  # 403: the status can't be trusted


@dataclass(frozen=True)
class Allowance:
    """What the disruption controller writes into a budget's status."""

    expected_pods: int
    desired_healthy: int
    current_healthy: int
    disruptions_allowed: int


def ignores_budgets(pod: Pod) -> bool:
    """Pods that are over, or not running yet, or already going: no budget protects those (`canIgnorePDB`)."""
    return pod.status.phase in ("Succeeded", "Failed", "Pending") or pod.metadata.deletionTimestamp is not None


def may_evict(pod: Pod, pdb: PodDisruptionBudget) -> Verdict:
    """Whether the one budget that selects `pod` lets it go; call only when `ignores_budgets` says no."""
    ready = meta.is_true(pod.status.conditions, "Ready")
    policy, status, spec = pdb.spec.unhealthyPodEvictionPolicy or "IfHealthyBudget", pdb.status, pdb.spec
    if not ready:
        if policy == "AlwaysAllow":
            return Verdict(allowed=True)
        if status.currentHealthy >= status.desiredHealthy and status.desiredHealthy > 0:
            return Verdict(allowed=True)
    return _take_one(pdb, blocked_by_zero=spec.maxUnavailable in (0, "0%"))


def _take_one(pdb: PodDisruptionBudget, *, blocked_by_zero: bool) -> Verdict:
    status, name = pdb.status, pdb.metadata.name
    too_many = "Cannot evict pod as it would violate the pod's disruption budget."
    if status.observedGeneration < pdb.metadata.generation:
        return Verdict(allowed=False, message=too_many, retry_after_seconds=10,
                       cause=f"The disruption budget {name} is still being processed by the server.")
    if status.disruptionsAllowed < 0:
        return Verdict(allowed=False, forbidden=True, message="pdb disruptions allowed is negative")
    if len(status.disruptedPods) > MAX_DISRUPTED_PODS:
        return Verdict(allowed=False, forbidden=True,
                       message="DisruptedPods map too big - too many evictions not confirmed by PDB controller")
    if status.disruptionsAllowed == 0:
        if not blocked_by_zero and (condition := meta.condition(status.conditions, "DisruptionAllowed")) is not None \
                and condition.status == "False" and condition.reason == "SyncFailed":
            return Verdict(allowed=False, message=too_many,
                           cause=f"The disruption budget {name} does not allow evicting pods currently because it failed "
                                 f"sync: {condition.message}")
        return Verdict(allowed=False, message=too_many,
                       cause=f"The disruption budget {name} needs {status.desiredHealthy} healthy pods and has "
                             f"{status.currentHealthy} currently")
    return Verdict(allowed=True, disrupts=True)


def record(pdb: PodDisruptionBudget, pod_name: str, now: datetime) -> None:
    """Count an eviction in the status of `pdb`, in place, so that a second one sees it before the controller does."""
    assert pdb.status.disruptionsAllowed > 0
    pdb.status.disruptionsAllowed -= 1
    pdb.status.disruptedPods = {**pdb.status.disruptedPods, pod_name: Time.of(now)}
    tell_whether_allowed(pdb, now)


def tell_whether_allowed(pdb: PodDisruptionBudget, now: datetime) -> None:
    """Set the condition DisruptionAllowed in place, as `disruptionsAllowed` says."""
    enough = pdb.status.disruptionsAllowed > 0
    condition = Condition(
        type="DisruptionAllowed", status="True" if enough else "False", observedGeneration=pdb.status.observedGeneration,
        reason="SufficientPods" if enough else "InsufficientPods", lastTransitionTime=Time.of(now),
    )
    pdb.status.conditions = meta.with_condition(pdb.status.conditions, condition)


def wanted_healthy(pdb: PodDisruptionBudget, pods: int, scale: int) -> tuple[int, int]:
    """How many pods are expected and how many must stay healthy.

    Args:
        pdb: The budget.
        pods: How many pods the budget selects.
        scale: The sum of the scales of those pods' controllers; counts unless minAvailable is a number.

    Raises:
        ValueError: minAvailable or maxUnavailable is text and no percentage.
    """
    spec = pdb.spec
    if spec.maxUnavailable is not None:
        return scale, max(0, scale - checks.scaled(spec.maxUnavailable, scale, round_up=True))
    if isinstance(spec.minAvailable, str):
        return scale, checks.scaled(spec.minAvailable, scale, round_up=True)
    return pods, spec.minAvailable or 0


def needs_scale(pdb: PodDisruptionBudget) -> bool:
    """Whether the controllers of the pods must be asked (a percentage, or maxUnavailable)."""
    return pdb.spec.maxUnavailable is not None or isinstance(pdb.spec.minAvailable, str)


def allowance(expected: int, desired: int, healthy: int) -> Allowance:
    """How many of `healthy` may go so that `desired` stay; none when no pods are expected."""
    allowed = healthy - desired
    return Allowance(expected, desired, healthy, 0 if expected <= 0 or allowed <= 0 else allowed)


def disruption_over(started: Time, now: datetime) -> bool:
    """An eviction that did not lead to a deletion within two minutes no longer counts."""
    return started.moment() + DELETION_TIMEOUT < now
