"""The status of a Deployment: counts, Available, Progressing, ReplicaFailure, when to look again. Pure.

Source: kube-controller-manager `deployment/progress.go`, `sync.go` (calculateStatus).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from sampan.api.apps.v1 import Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet
from sampan.api.scalars import Time
from sampan.controllers.deployment.replicasets import max_unavailable, size, wanted
from sampan.kinds.meta import condition, without_condition

NO_DEADLINE = 2**31 - 1
AVAILABLE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"


def make(type: str, status: str, reason: str, message: str, now: datetime) -> DeploymentCondition:
    """A condition as of now."""
    return DeploymentCondition(type=type, status=status, reason=reason, message=message, lastUpdateTime=Time.of(now),
                               lastTransitionTime=Time.of(now))


def set_condition(conditions: Sequence[DeploymentCondition], new: DeploymentCondition) -> list[DeploymentCondition]:
    """With `new` at the end in place of its type's; unchanged if status and reason are the same."""
    old = condition(conditions, new.type)
    if old is not None and (old.status, old.reason) == (new.status, new.reason):
        return list(conditions)
    if old is not None and old.status == new.status:
        new = replace(new, lastTransitionTime=old.lastTransitionTime)
    return [*without_condition(conditions, new.type), new]


def has_deadline(deployment: Deployment) -> bool:
    deadline = deployment.spec.progressDeadlineSeconds
    return deadline is not None and deadline != NO_DEADLINE


def calculate(deployment: Deployment, sets: Sequence[ReplicaSet], new: ReplicaSet | None, now: datetime) -> DeploymentStatus:
    """Counts and the Available condition, the other conditions as they were."""
    available = sum(rs.status.availableReplicas for rs in sets)
    terminating = [0 if rs.status.terminatingReplicas is None and rs.status.observedGeneration == 0 else rs.status.terminatingReplicas
                   for rs in sets]
    status = replace(
        deployment.status, observedGeneration=deployment.metadata.generation,
        replicas=sum(rs.status.replicas for rs in sets), updatedReplicas=new.status.replicas if new else 0,
        readyReplicas=sum(rs.status.readyReplicas for rs in sets), availableReplicas=available,
        unavailableReplicas=max(0, sum(map(size, sets)) - available),
        terminatingReplicas=None if None in terminating else sum(count or 0 for count in terminating),
    )
    if available >= wanted(deployment) - max_unavailable(deployment):
        found = make("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
    else:
        found = make("Available", "False", "MinimumReplicasUnavailable",
                     "Deployment does not have minimum availability.", now)
    status.conditions = set_condition(deployment.status.conditions, found)
    return status


def is_complete(deployment: Deployment, status: DeploymentStatus) -> bool:
    """All wanted pods are new and available, no old one is left."""
    replicas = wanted(deployment)
    return (status.updatedReplicas == replicas and status.replicas == replicas and status.availableReplicas == replicas
            and status.observedGeneration >= deployment.metadata.generation)


def _is_progressing(old: DeploymentStatus, new: DeploymentStatus) -> bool:
    return (new.updatedReplicas > old.updatedReplicas
            or new.replicas - new.updatedReplicas < old.replicas - old.updatedReplicas
            or new.readyReplicas > old.readyReplicas or new.availableReplicas > old.availableReplicas)


def _is_late(deployment: Deployment, status: DeploymentStatus, now: datetime) -> bool:
    found = condition(status.conditions, "Progressing")
    if found is None or found.reason == AVAILABLE or found.lastUpdateTime is None:
        return False
    if found.reason == TIMED_OUT:
        return True
    deadline = timedelta(seconds=deployment.spec.progressDeadlineSeconds or 0)
    return found.lastUpdateTime.moment() + deadline < now


def rollout(deployment: Deployment, sets: Sequence[ReplicaSet], new: ReplicaSet | None, now: datetime) -> DeploymentStatus:
    """`calculate`, with Progressing and ReplicaFailure brought up to date."""
    status = calculate(deployment, sets, new, now)
    if not has_deadline(deployment):
        status.conditions = without_condition(status.conditions, "Progressing")
    current = condition(deployment.status.conditions, "Progressing")
    done = status.replicas == status.updatedReplicas and current is not None and current.reason == AVAILABLE
    if has_deadline(deployment) and not done:
        name = f'ReplicaSet "{new.metadata.name}"' if new else f'Deployment "{deployment.metadata.name}"'
        if is_complete(deployment, status):
            found = make("Progressing", "True", AVAILABLE, f"{name} has successfully progressed.", now)
            status.conditions = set_condition(status.conditions, found)
        elif _is_progressing(deployment.status, status):
            found = make("Progressing", "True", "ReplicaSetUpdated", f"{name} is progressing.", now)
            if current is not None and current.status == "True":
                found.lastTransitionTime = current.lastTransitionTime
            # taken out first: the time of the update shall move with every step
            status.conditions = [*without_condition(status.conditions, "Progressing"), found]
        elif _is_late(deployment, status, now):
            found = make("Progressing", "False", TIMED_OUT, f"{name} has timed out progressing.", now)
            status.conditions = set_condition(status.conditions, found)
    status.conditions = _with_failure(status.conditions, sets, new)
    return status


def _with_failure(conditions: list[DeploymentCondition], sets: Sequence[ReplicaSet], new: ReplicaSet | None) -> list[DeploymentCondition]:
    for rs in ([new] if new else []) + [rs for rs in sets if rs is not new]:
        found = condition(rs.status.conditions, "ReplicaFailure")
        if found is not None:
            failure = DeploymentCondition(type="ReplicaFailure", status=found.status, reason=found.reason, message=found.message,
                                          lastTransitionTime=found.lastTransitionTime, lastUpdateTime=found.lastTransitionTime)
            return set_condition(conditions, failure)
    return without_condition(conditions, "ReplicaFailure")


def look_again_in(deployment: Deployment, status: DeploymentStatus, now: datetime) -> float | None:
    """Seconds until the progress deadline may have passed; None: nothing is waited for."""
    found = condition(status.conditions, "Progressing")
    if found is None or not has_deadline(deployment) or found.lastUpdateTime is None:
        return None
    if is_complete(deployment, status) or found.reason in (TIMED_OUT, AVAILABLE):
        return None
    due = found.lastUpdateTime.moment() + timedelta(seconds=deployment.spec.progressDeadlineSeconds or 0)
    return max(0.0, (due - now).total_seconds()) + 1
