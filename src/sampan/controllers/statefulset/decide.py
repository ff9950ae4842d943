"""The next step of a StatefulSet: make, replace, remove or update a pod (or, in parallel, several). Pure.

Source: kube-controller-manager `statefulset/stateful_set_control.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace

from sampan.api.apps.v1 import ControllerRevision, StatefulSet, StatefulSetStatus
from sampan.api.core.v1 import PersistentVolumeClaim, Pod
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from sampan.control.history import template_of
from sampan.control.numbers import scaled
from sampan.control.pods import available_in, is_terminating
from sampan.controllers.statefulset.pods import (
    claim_names,
    claim_owners,
    claims_of,
    has_identity,
    is_healthy,
    is_running_and_available,
    is_running_and_ready,
    make_claims,
    make_pod,
    ordinal,
    revision_of,
    start,
    to_look_at,
    wanted,
    with_identity,
)
from sampan.kinds.plan import Create, Delete, EventRecord, Plan, Update, Write


@dataclass
class Step:
    """A StatefulSet, its revisions, pods and claims at one moment, and what is being planned."""

    sts: StatefulSet
    current: ControllerRevision
    update: ControllerRevision
    pods: Sequence[Pod]
    claims: Mapping[str, PersistentVolumeClaim]
    now: datetime
    writes: list[Write] = field(default_factory=list)
    events: list[EventRecord] = field(default_factory=list)

    @property
    def monotonic(self) -> bool:
        """One pod after another."""
        return self.sts.spec.podManagementPolicy != "Parallel"

    def plan(self) -> Plan:
        return Plan(tuple(self.writes), None, tuple(self.events))


def decide(step: Step) -> Plan:
    """What to do now; the writes make the next look."""
    sts = step.sts
    if sts.metadata.deletionTimestamp is not None:
        return Plan()
    by_number = {number: pod for pod in step.pods if (number := ordinal(sts, pod)) is not None}
    numbers = to_look_at(sts, by_number)
    for number in numbers:
        if _process(step, number, by_number.get(number)):
            return step.plan()
    replicas = [by_number[number] for number in numbers if number in by_number]
    condemned = [by_number[number] for number in sorted(by_number.keys() - {*numbers}, reverse=True)]
    for pod in condemned:
        _own_claims(step, pod, condemned=True)
    if _condemn(step, condemned, replicas):
        return step.plan()
    if sts.spec.updateStrategy.type != "OnDelete" and len(replicas) == wanted(sts):
        _update(step, replicas)
    return step.plan()


def _process(step: Step, number: int, pod: Pod | None) -> bool:
    """Bring one ordinal forward; whether the others have to wait."""
    sts = step.sts
    if pod is None:
        return _create(step, number)
    name, owner = pod.metadata.name, f"{sts.metadata.namespace}/{sts.metadata.name}"
    if pod.status.phase in ("Failed", "Succeeded"):
        if not is_terminating(pod):
            if pod.status.phase == "Failed":
                step.events.append(EventRecord(sts, "Warning", "RecreatingFailedPod", f"StatefulSet {owner} is recreating failed Pod {name}"))
            else:
                step.events.append(EventRecord(sts, "Normal", "RecreatingTerminatedPod", f"StatefulSet {owner} is recreating terminated Pod {name}"))
            _delete(step, pod)
        return True
    if pod.status.phase == "Pending" and not is_terminating(pod):
        _make_claims(step, number)
    if step.monotonic and (is_terminating(pod) or not is_running_and_ready(pod)
                           or not is_running_and_available(sts, pod, step.now)):
        return True
    _own_claims(step, pod, condemned=False)
    if not is_terminating(pod) and not has_identity(sts, pod, number):
        step.writes.append(Update(PODS, with_identity(sts, pod, number)))
        return step.monotonic
    return False


def _create(step: Step, number: int) -> bool:
    names = claim_names(step.sts, number).values()
    if any(step.claims[name].metadata.deletionTimestamp is not None for name in names if name in step.claims):
        return True  # it would be bound to a claim that is going away
    _make_claims(step, number)
    needs_current = _needs_current(step, number)
    revision = step.current if needs_current else step.update
    template = step.sts.spec.template if revision is step.update else template_of(revision)
    step.writes.append(Create(PODS, make_pod(step.sts, template, revision.metadata.name, number)))
    return step.monotonic


def _needs_current(step: Step, number: int) -> bool:
    """Below the partition pods stay as they were."""
    strategy = step.sts.spec.updateStrategy
    if strategy.type != "RollingUpdate":
        return False
    if strategy.rollingUpdate is None:
        return number < start(step.sts) + step.sts.status.currentReplicas
    return number < start(step.sts) + (strategy.rollingUpdate.partition or 0)


def _make_claims(step: Step, number: int) -> None:
    for claim in make_claims(step.sts, number):
        if claim.metadata.name not in step.claims:
            claim.metadata.ownerReferences = claim_owners(step.sts, claim, None, condemned=False)
            step.writes.append(Create(PERSISTENT_VOLUME_CLAIMS, claim))


def _own_claims(step: Step, pod: Pod, *, condemned: bool) -> None:
    number = ordinal(step.sts, pod)
    for claim in claims_of(step.sts, number or 0, step.claims) if step.sts.spec.volumeClaimTemplates else ():
        owners = claim_owners(step.sts, claim, pod, condemned=condemned)
        if owners != claim.metadata.ownerReferences:
            meta = replace(claim.metadata, ownerReferences=owners)
            step.writes.append(Update(PERSISTENT_VOLUME_CLAIMS, replace(claim, metadata=meta)))


def _delete(step: Step, pod: Pod) -> None:
    step.writes.append(Delete(PODS, pod.metadata.namespace, pod.metadata.name, pod.metadata.uid))


def _condemn(step: Step, condemned: Sequence[Pod], replicas: Sequence[Pod]) -> bool:
    """Remove pods beyond the wanted ones, from the highest down; whether to wait."""
    lowest = min((pod for pod in (*replicas, *condemned) if not is_healthy(pod)), default=None,
                 key=lambda pod: ordinal(step.sts, pod) or 0)
    for pod in condemned:
        if is_terminating(pod):
            if step.monotonic:
                return True
            continue
        unwell = not is_running_and_ready(pod) or not is_running_and_available(step.sts, pod, step.now)
        if unwell and step.monotonic and pod is not lowest:
            return True
        _delete(step, pod)
        if step.monotonic:
            return True
    return False


def _update(step: Step, replicas: Sequence[Pod]) -> None:
    """Delete pods of old revisions from the highest ordinal down to the partition: one, or so many as may be unavailable."""
    rolling = step.sts.spec.updateStrategy.rollingUpdate
    partition = max(0, (rolling.partition or 0) if rolling is not None else 0)
    if rolling is None or rolling.maxUnavailable is None:
        _update_one(step, replicas[partition:])
        return
    most = max(1, scaled(rolling.maxUnavailable, wanted(step.sts), round_up=False))
    room = max(0, most - sum(_is_unavailable(step, pod) for pod in replicas))
    old = [pod for pod in reversed(replicas[partition:]) if _is_old(step, pod)]
    for pod in old[:room]:
        _delete(step, pod)


def _update_one(step: Step, replicas: Sequence[Pod]) -> None:
    """The highest pod that is old goes, well or not; one above it that has been updated and is not available yet is waited for."""
    for pod in reversed(replicas):
        if _is_old(step, pod):
            _delete(step, pod)
            return
        if _is_unavailable(step, pod):
            return


def _is_old(step: Step, pod: Pod) -> bool:
    return revision_of(pod) != step.update.metadata.name and not is_terminating(pod)


def _is_unavailable(step: Step, pod: Pod) -> bool:
    return not is_healthy(pod) or not is_running_and_available(step.sts, pod, step.now)


def status(step: Step, collisions: int) -> Plan:
    """The status write, if anything changed, and when a pod becomes available by waiting."""
    sts, current, update = step.sts, step.current.metadata.name, step.update.metadata.name
    created = [pod for pod in step.pods if pod.status.phase]
    steady = [pod for pod in created if not is_terminating(pod)]
    new: StatefulSetStatus = replace(
        sts.status, observedGeneration=sts.metadata.generation, currentRevision=current, updateRevision=update,
        collisionCount=collisions, replicas=len(created), readyReplicas=sum(map(is_running_and_ready, created)),
        availableReplicas=sum(is_running_and_available(sts, pod, step.now) for pod in created),
        currentReplicas=sum(revision_of(pod) == current for pod in steady),
        updatedReplicas=sum(revision_of(pod) == update for pod in steady))
    if sts.spec.updateStrategy.type == "RollingUpdate" and new.updatedReplicas == new.replicas == new.readyReplicas == wanted(sts):
        new.currentReplicas, new.currentRevision = new.updatedReplicas, update
    waits = [available_in(pod, sts.spec.minReadySeconds, step.now) for pod in created]
    later = min((wait for wait in waits if wait), default=None)
    return Plan((Update(STATEFUL_SETS, replace(sts, status=new), "status"),) if new != sts.status else (), later)
