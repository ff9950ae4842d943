"""The status of a PodDisruptionBudget, and conditions of pods that were not disrupted after all. Pure.

Leaves the arithmetic to `sampan.kinds.policy.evict`. Source: kube-controller-manager `disruption/disruption.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from sampan.api.core.v1 import Pod, PodCondition
from sampan.api.meta.v1 import Condition
from sampan.api.policy.v1 import PodDisruptionBudget
from sampan.api.resources import POD_DISRUPTION_BUDGETS, PODS
from sampan.api.scalars import Time
from sampan.api.selectors import format_go
from sampan.control.pods import is_ready, is_terminal, is_terminating
from sampan.kinds.meta import condition, with_condition
from sampan.kinds.plan import EventRecord, Plan, Update
from sampan.kinds.policy.evict import DELETION_TIMEOUT, allowance, disruption_over, tell_whether_allowed, wanted_healthy

STALE_AFTER = timedelta(minutes=2)


def decide(pdb: PodDisruptionBudget, pods: Sequence[Pod], scale: int, unmanaged: Sequence[Pod], now: datetime) -> Plan:
    """Bring the status up to date.

    Args:
        pdb: The budget.
        pods: All that it selects.
        scale: The sum of the scales of their controllers.
        unmanaged: Those that have no controller and should have one.
        now: The time.

    Raises:
        ValueError: A percentage can't be read.
    """
    events = [] if pods else [EventRecord(pdb, "Normal", "NoPods", "No matching pods found")]
    if unmanaged:
        events.append(EventRecord(pdb, "Warning", "UnmanagedPods", (
            f"Pods selected by this PodDisruptionBudget (selector: {format_go(pdb.spec.selector)}) were found to be unmanaged. As a "
            "result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for "
            'these pods please set ".spec.minAvailable" field of the PDB to an integer value.')))
    disrupted: dict[str, Time] = {}
    later: float | None = None
    for pod in pods:
        since = pdb.status.disruptedPods.get(pod.metadata.name)
        if since is None or is_terminating(pod):
            continue
        if disruption_over(since, now):
            owner = f"{pdb.metadata.namespace}/{pdb.metadata.namespace}"  # the namespace twice: upstream's words
            events.append(EventRecord(pod, "Warning", "NotDeleted", f"Pod was expected by PDB {owner} to be deleted but it wasn't"))
            continue
        disrupted[pod.metadata.name] = since
        left = max(0.0, (since.moment() + DELETION_TIMEOUT - now).total_seconds()) + 0.001
        later = min(later, left) if later is not None else left
    healthy = sum(is_ready(pod) and not is_terminating(pod) and pod.metadata.name not in disrupted for pod in pods)
    expected, desired = wanted_healthy(pdb, len(pods), scale)
    found = allowance(expected, desired, healthy)
    status = replace(
        pdb.status, observedGeneration=pdb.metadata.generation, disruptedPods=disrupted, currentHealthy=healthy,
        desiredHealthy=desired, expectedPods=expected, disruptionsAllowed=found.disruptions_allowed)
    return _written(pdb, replace(pdb, status=status), now, events, later)


def _written(pdb: PodDisruptionBudget, new: PodDisruptionBudget, now: datetime, events: Sequence[EventRecord],
             later: float | None) -> Plan:
    tell_whether_allowed(new, now)
    writes = (Update(POD_DISRUPTION_BUDGETS, new, "status"),) if new.status != pdb.status else ()
    return Plan(writes, later, tuple(events))


def fail_safe(pdb: PodDisruptionBudget, message: str, now: datetime) -> Plan:
    """Nothing may be disrupted while the budget can't be computed."""
    failed = Condition(type="DisruptionAllowed", status="False", reason="SyncFailed", message=message,
                       lastTransitionTime=Time.of(now), observedGeneration=pdb.status.observedGeneration)
    status = replace(pdb.status, disruptionsAllowed=0, conditions=with_condition(pdb.status.conditions, failed))
    event = EventRecord(pdb, "Warning", "CalculateExpectedPodCountFailed",
                        f"Failed to calculate the number of expected pods: {message}")
    if status == pdb.status:
        return Plan((), None, (event,))
    return Plan((Update(POD_DISRUPTION_BUDGETS, replace(pdb, status=status), "status"),), None, (event,))


def torn(pod: Pod, budgets: Sequence[PodDisruptionBudget]) -> EventRecord:
    """What is said of a pod that several budgets select."""
    meta = pod.metadata
    return EventRecord(pod, "Warning", "MultiplePodDisruptionBudgets", (
        f'Pod "{meta.namespace}"/"{meta.name}" matches multiple PodDisruptionBudgets.  Chose "{budgets[0].metadata.name}" arbitrarily.'))


def stale_in(pod: Pod, now: datetime) -> float | None:
    """Seconds until a disruption that was announced and did not happen is taken back; None: there is none."""
    found = condition(pod.status.conditions, "DisruptionTarget")
    if found is None or found.status != "True" or found.reason == "TerminationByKubelet" or is_terminating(pod) or is_terminal(pod):
        return None
    since = found.lastTransitionTime.moment() if found.lastTransitionTime is not None else now
    return max(0.0, (since + STALE_AFTER - now).total_seconds())


def take_back(pod: Pod, now: datetime) -> Update:
    """The write that takes an announced disruption back."""
    found = condition(pod.status.conditions, "DisruptionTarget")
    assert found is not None
    new = PodCondition(type=found.type, status="False", lastTransitionTime=Time.of(now), observedGeneration=pod.metadata.generation)
    conditions = [new if one is found else one for one in pod.status.conditions]
    return Update(PODS, replace(pod, status=replace(pod.status, conditions=conditions)), "status")
