"""The next step of a StatefulSet: make, replace, remove or update a pod (or, in parallel, several). Pure.

Source: kube-controller-manager `statefulset/stateful_set_control.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from sampan.api.apps.v1 import ControllerRevision, StatefulSet, StatefulSetStatus
from sampan.api.core.v1 import PersistentVolumeClaim, Pod
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from sampan.control.history import template_of
from sampan.control.numbers import scaled
from sampan.control.pods import available_in, is_available, is_terminating
from sampan.controllers.statefulset.claims import (
    claim_owners,
    claims_of,
    goes_when_scaled,
    has_other_controller,
    is_of_another,
    make_claims,
)
from sampan.controllers.statefulset.pods import (
    has_identity,
    has_storage,
    is_running_and_ready,
    is_unavailable,
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
    deleted: set[str] = field(default_factory=set)
    postponed: str = ""
    """What is in the way, so that all is to be tried again after a while."""

    @property
    def monotonic(self) -> bool:
        """One pod after another."""
        return self.sts.spec.podManagementPolicy != "Parallel"

    def tell(self, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        self.events.append(EventRecord(self.sts, kind, reason, message))

    def plan(self) -> Plan:
        return Plan(tuple(self.writes), None, tuple(self.events))


def decide(step: Step) -> Plan:
    """What to do now; the writes make the next look."""
    sts = step.sts
    if sts.metadata.deletionTimestamp is not None:
        return Plan()
    by_number = {number: pod for pod in step.pods if (number := ordinal(sts, pod)) is not None}
    numbers = to_look_at(sts, by_number)
    for batch in _batches(numbers, 1 if step.monotonic else len(numbers)):
        # in parallel none holds back the others, but what fails stops those of the batches after its own
        stopped = [_process(step, number, by_number.get(number)) for number in batch]
        if step.postponed or (step.monotonic and any(stopped)):
            return step.plan()
    condemned = [by_number[number] for number in sorted(by_number.keys() - {*numbers}, reverse=True)]
    for pod in condemned:
        _own_claims(step, pod.metadata.name, ordinal(sts, pod) or 0, pod, condemned=True)
    if _condemn(step, condemned, [by_number[number] for number in numbers if number in by_number]):
        return step.plan()
    if sts.spec.updateStrategy.type != "OnDelete" and len(numbers) == wanted(sts):
        _update(step, [by_number.get(number) for number in numbers])
    return step.plan()


def _batches(numbers: Sequence[int], most: int) -> Iterator[Sequence[int]]:
    """1, 2, 4, … of them."""
    begin, size = 0, 1
    while begin < len(numbers):
        yield numbers[begin:begin + size]
        begin, size = begin + size, min(2 * size, most)


def _process(step: Step, number: int, pod: Pod | None) -> bool:
    """Bring one ordinal forward; whether the others have to wait."""
    sts = step.sts
    if pod is None:
        return _create(step, number)
    if pod.status.phase in ("Failed", "Succeeded"):
        if not is_terminating(pod):
            _delete(step, pod)
        return True
    if pod.status.phase == "Pending":
        if failed := _make_claims(step, number):
            step.postponed = step.postponed or failed
            return True
        _own_claims(step, pod.metadata.name, number, pod, always=True)
    if step.monotonic and (is_unavailable(sts, pod, step.now) or not is_running_and_ready(pod)):
        return True
    _keep_identity(step, number, pod)
    return False


def _keep_identity(step: Step, number: int, pod: Pod) -> None:
    """Labels and claims as they should be; that claims have been given other owners is told as an update of the pod."""
    identity, storage = has_identity(pod), has_storage(step.sts, pod, number)
    if not storage and (failed := _make_claims(step, number)):
        step.postponed = step.postponed or failed
        step.tell("Warning", "FailedUpdate", f"Update Pod {pod.metadata.name} in StatefulSet {step.sts.metadata.name} failed error: {failed}")
        return
    owned = pod.status.phase != "Pending" and _own_claims(step, pod.metadata.name, number, pod)
    if not identity or not storage:
        step.writes.append(Update(PODS, with_identity(step.sts, pod, number)))
    elif owned:
        step.tell("Normal", "SuccessfulUpdate", f"Update Pod {pod.metadata.name} in StatefulSet {step.sts.metadata.name} successful")


def _create(step: Step, number: int) -> bool:
    sts, name = step.sts, f"{step.sts.metadata.name}-{number}"
    if goes_when_scaled(sts) and any(is_of_another(claim, name, "") for claim in claims_of(sts, number, step.claims)):
        return True  # it would be bound to a claim that is going away
    if failed := _make_claims(step, number):
        step.postponed = step.postponed or failed
        step.tell("Warning", "FailedCreate", f"Create Pod {name} in StatefulSet {sts.metadata.name} failed error: {failed}")
        return True
    revision = step.current if _needs_current(step, number) else step.update
    template = sts.spec.template if revision is step.update else template_of(revision)
    step.writes.append(Create(PODS, make_pod(sts, template, revision.metadata.name, number)))
    _own_claims(step, name, number, None, always=True)
    return True


def _needs_current(step: Step, number: int) -> bool:
    """Below the partition pods stay as they were."""
    strategy = step.sts.spec.updateStrategy
    if strategy.type != "RollingUpdate":
        return False
    if strategy.rollingUpdate is None:
        return number < start(step.sts) + step.sts.status.currentReplicas
    return number < start(step.sts) + (strategy.rollingUpdate.partition or 0)


def _make_claims(step: Step, number: int) -> str:
    """Make those claims of an ordinal that are missing; what is in the way, if one that there is is being deleted."""
    name, leaving = f"{step.sts.metadata.name}-{number}", []
    for claim in make_claims(step.sts, number):
        found = step.claims.get(claim.metadata.name)
        if found is None:
            claim.metadata.ownerReferences = claim_owners(step.sts, claim, name, "", condemned=False)
            step.writes.append(Create(PERSISTENT_VOLUME_CLAIMS, claim))
        elif found.metadata.deletionTimestamp is not None:
            leaving.append(f"pvc {claim.metadata.name} is being deleted")
    return leaving[0] if len(leaving) == 1 else f"[{', '.join(leaving)}]" if leaving else ""


def _own_claims(step: Step, name: str, number: int, pod: Pod | None, *, condemned: bool = False, always: bool = False) -> bool:
    """Give the claims of an ordinal the owners that the retention policy wants; whether any changes.

    That one can't follow it is told when another changes, or `always`.
    """
    uid, claims = pod.metadata.uid if pod is not None else "", claims_of(step.sts, number, step.claims)
    owners = [claim_owners(step.sts, claim, name, uid, condemned=condemned) for claim in claims]
    changed = any(wanted_now != claim.metadata.ownerReferences for claim, wanted_now in zip(claims, owners, strict=True))
    for claim, wanted_now in zip(claims, owners, strict=True) if changed or always else ():
        if has_other_controller(step.sts, claim, name, uid):
            step.tell("Warning", "ConflictingController",
                      f"PersistentVolumeClaim {claim.metadata.name} has a conflicting OwnerReference that acts as a manging controller, "
                      "the retention policy is ignored for this claim")  # upstream's spelling
        if wanted_now != claim.metadata.ownerReferences:
            meta = replace(claim.metadata, ownerReferences=wanted_now)
            step.writes.append(Update(PERSISTENT_VOLUME_CLAIMS, replace(claim, metadata=meta)))
    return changed


def _delete(step: Step, pod: Pod) -> None:
    step.deleted.add(pod.metadata.name)
    step.writes.append(Delete(PODS, pod.metadata.namespace, pod.metadata.name, pod.metadata.uid))


def _condemn(step: Step, condemned: Sequence[Pod], replicas: Sequence[Pod]) -> bool:
    """Remove pods beyond the wanted ones, from the highest down; whether to wait."""
    first = next((pod for pod in (*replicas, *reversed(condemned)) if is_unavailable(step.sts, pod, step.now)), None)
    for pod in condemned:
        if is_terminating(pod):
            if step.monotonic:
                return True
            continue
        unwell = not is_running_and_ready(pod) or is_unavailable(step.sts, pod, step.now)
        if unwell and step.monotonic and pod is not first:
            return True
        _delete(step, pod)
        if step.monotonic:
            return True
    return False


def _update(step: Step, replicas: Sequence[Pod | None]) -> None:
    """Delete pods of old revisions from the highest ordinal down to the partition: one, or so many as may be unavailable.

    `replicas`: by their ordinals; None for those that are just being made.
    """
    rolling = step.sts.spec.updateStrategy.rollingUpdate
    partition = max(0, (rolling.partition or 0) if rolling is not None else 0)
    if rolling is None or rolling.maxUnavailable is None:
        _update_one(step, replicas[partition:])
        return
    most = max(1, scaled(rolling.maxUnavailable, wanted(step.sts), round_up=False))
    room = max(0, most - sum(pod is None or is_unavailable(step.sts, pod, step.now) for pod in replicas))
    old = [pod for pod in reversed(replicas[partition:]) if pod is not None and _is_old(step, pod)]
    for pod in old[:room]:
        _delete(step, pod)


def _update_one(step: Step, replicas: Sequence[Pod | None]) -> None:
    """The highest pod that is old goes, well or not; one above it that has been updated and is not available yet is waited for."""
    for pod in reversed(replicas):
        if pod is not None and _is_old(step, pod):
            _delete(step, pod)
            return
        if pod is None or pod.metadata.name in step.deleted or is_unavailable(step.sts, pod, step.now):
            return


def _is_old(step: Step, pod: Pod) -> bool:
    return revision_of(pod) != step.update.metadata.name and not is_terminating(pod) and pod.metadata.name not in step.deleted


def status(step: Step, collisions: int) -> Plan:
    """The status write, if anything changed, and when a pod becomes available by waiting."""
    sts, current, update = step.sts, step.current.metadata.name, step.update.metadata.name
    created = [pod for pod in step.pods if pod.status.phase]
    steady = [pod for pod in created if not is_terminating(pod)]
    ready = [pod for pod in created if is_running_and_ready(pod)]
    new = StatefulSetStatus(
        observedGeneration=sts.metadata.generation, currentRevision=current, updateRevision=update,
        collisionCount=collisions, replicas=len(created), readyReplicas=len(ready),
        availableReplicas=sum(is_available(pod, sts.spec.minReadySeconds, step.now) for pod in ready),
        currentReplicas=sum(revision_of(pod) == current for pod in steady),
        updatedReplicas=sum(revision_of(pod) == update for pod in steady))
    if sts.spec.updateStrategy.type == "RollingUpdate" and new.updatedReplicas == new.replicas == new.readyReplicas == wanted(sts):
        new.currentReplicas, new.currentRevision = new.updatedReplicas, update
    waits = [available_in(pod, sts.spec.minReadySeconds, step.now) for pod in ready]
    later = min((wait for wait in waits if wait), default=None)
    # what others have put into the status goes with the next write, but is no reason for one
    if replace(new, collisionCount=sts.status.collisionCount, conditions=sts.status.conditions) == sts.status:
        return Plan(requeue_after_seconds=later)
    return Plan((Update(STATEFUL_SETS, replace(sts, status=new), "status"),), later)
