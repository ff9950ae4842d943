"""The arithmetic of disruption budgets: how many pods may go.

Owns pure questions of the disruption controller (`allowance`, `wanted_healthy`). Leaves finding the pods of a budget and writing
its status to that, and whether one pod may go now to the eviction subresource (`sampan.apiserver.handlers.eviction`).
Source: kubernetes `pkg/controller/disruption/disruption.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sampan.api.meta.v1 import Condition
from sampan.api.policy.v1 import PodDisruptionBudget
from sampan.api.scalars import Time
from sampan.kinds import checks, meta

DELETION_TIMEOUT = timedelta(minutes=2)


@dataclass(frozen=True)
class Allowance:
    """What the disruption controller writes into a budget's status."""

    expected_pods: int
    desired_healthy: int
    current_healthy: int
    disruptions_allowed: int


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
