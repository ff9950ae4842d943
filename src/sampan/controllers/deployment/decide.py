"""One step of a Deployment: create the new ReplicaSet, scale some, clean up, tell the status. Pure.

Each call plans what can be done from one look; the writes make the next look. Source: kube-controller-manager
`deployment/deployment_controller.go` (syncDeployment), `sync.go`, `rolling.go`, `recreate.go`, `rollback.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace

from sampan.api.apps.v1 import Deployment, DeploymentStatus, ReplicaSet
from sampan.api.core.v1 import Pod
from sampan.api.resources import DEPLOYMENTS, REPLICA_SETS
from sampan.api.selectors import of_label_selector
from sampan.control.numbers import number_of
from sampan.control.pods import is_terminal
from sampan.controllers.deployment import status as statuses
from sampan.controllers.deployment.replicasets import (
    DESIRED,
    MOST,
    NOT_COPIED,
    REVISION,
    ROLLBACK_TO,
    find_new,
    is_rolling,
    last_revision,
    make_new,
    max_surge,
    max_unavailable,
    new_annotations,
    next_revision,
    oldest_first,
    plain_template,
    replica_annotations,
    revision,
    rollback_to,
    same_template,
    size,
    wanted,
)
from sampan.kinds.meta import condition
from sampan.kinds.plan import Create, Delete, EventRecord, Plan, Update, Write


@dataclass
class _Step:
    """What is being planned: sizes and annotations of ReplicaSets by name, and what follows from them."""

    deployment: Deployment
    new: ReplicaSet | None
    old: list[ReplicaSet]
    now: datetime
    sizes: dict[str, int] = field(default_factory=dict)
    annotations: dict[str, dict[str, str]] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    events: list[EventRecord] = field(default_factory=list)

    @property
    def all(self) -> list[ReplicaSet]:
        return [*self.old, *([self.new] if self.new else [])]

    def size(self, rs: ReplicaSet) -> int:
        return self.sizes.get(rs.metadata.name, size(rs))

    def total(self) -> int:
        return sum(map(self.size, self.all))

    def active(self, sets: Sequence[ReplicaSet]) -> list[ReplicaSet]:
        return [rs for rs in sets if self.size(rs) > 0]

    def scale(self, rs: ReplicaSet, to: int, *, always: bool = False) -> bool:
        """Plan a size and the annotations that go with it (those `always`, or else with another size only); whether the size changes."""
        before, name = self.size(rs), rs.metadata.name
        if before == to and not always:
            return False
        annotations = self.annotations.get(name, rs.metadata.annotations)
        self.sizes[name], self.annotations[name] = to, {**annotations, **replica_annotations(self.deployment)}
        if before != to:
            word = "up" if before < to else "down"
            self.tell(f"Scaled {word} replica set {name} from {before} to {to}")
        return before != to

    def tell(self, message: str, reason: str = "ScalingReplicaSet") -> None:
        self.events.append(EventRecord(self.deployment, "Normal", reason, message))

    def finish(self, status: DeploymentStatus, requeue: float | None = None) -> Plan:
        """The plan: ReplicaSets first, then the Deployment's revision annotation and status in one write."""
        for rs in self.all:
            name = rs.metadata.name
            minimum = self.deployment.spec.minReadySeconds if rs is self.new else rs.spec.minReadySeconds
            meta = replace(rs.metadata, annotations=self.annotations.get(name, rs.metadata.annotations))
            spec = replace(rs.spec, replicas=self.size(rs), minReadySeconds=minimum)
            if (size(rs), rs.spec.minReadySeconds) != (self.size(rs), minimum) or meta != rs.metadata:
                self.writes.append(Update(REPLICA_SETS, replace(rs, metadata=meta, spec=spec)))
        annotations = dict(self.deployment.metadata.annotations)
        if self.new is not None:
            now = self.annotations.get(self.new.metadata.name, self.new.metadata.annotations)
            if REVISION in now:
                annotations[REVISION] = now[REVISION]
        if annotations != self.deployment.metadata.annotations or status != self.deployment.status:
            meta = replace(self.deployment.metadata, annotations=annotations)
            self.writes.append(Update(DEPLOYMENTS, replace(self.deployment, metadata=meta, status=status), "status"))
        return Plan(tuple(self.writes), requeue, tuple(self.events))

    def rollout_finish(self) -> Plan:
        status = statuses.rollout(self.deployment, self.all, self.new, self.now)
        return self.finish(status, statuses.look_again_in(self.deployment, status, self.now))


def decide(deployment: Deployment, sets: Sequence[ReplicaSet], pods: Mapping[str, Sequence[Pod]], now: datetime) -> Plan:
    """The next step.

    Args:
        deployment: As the server has it.
        sets: The ReplicaSets that it owns.
        pods: By the uid of their ReplicaSet; needed for strategy Recreate only.
        now: The time.
    """
    if of_label_selector(deployment.spec.selector).empty:
        return _selects_all(deployment)
    new, leaving = find_new(deployment, sets), deployment.metadata.deletionTimestamp is not None
    step = _Step(deployment, new, [rs for rs in oldest_first(sets) if rs is not new], now)
    if not leaving and (paused := _pause_condition(deployment, now)) is not None:
        return paused
    if new is not None:
        annotations = new_annotations(deployment, new, next_revision(step.old))
        if annotations != new.metadata.annotations:
            step.annotations[new.metadata.name] = annotations
        elif (found := _found_condition(step, new)) is not None:
            return found
    if leaving:
        return step.finish(statuses.calculate(deployment, step.all, new, now))
    if (target := rollback_to(deployment)) is not None and not deployment.spec.paused:
        return _create_new(step) if new is None else _roll_back(step, target)
    if deployment.spec.paused or _was_resized(step):
        return _resize(step)
    return _roll(step) if is_rolling(deployment) else _recreate(step, pods)


def _selects_all(deployment: Deployment) -> Plan:
    event = EventRecord(deployment, "Warning", "SelectingAll",
                        "This deployment is selecting all pods. A non-empty selector is required.")
    if deployment.status.observedGeneration >= deployment.metadata.generation:
        return Plan(events=(event,))
    status = replace(deployment.status, observedGeneration=deployment.metadata.generation)
    return Plan((Update(DEPLOYMENTS, replace(deployment, status=status), "status"),), None, (event,))


def _pause_condition(deployment: Deployment, now: datetime) -> Plan | None:
    """Pausing and resuming stop the progress deadline's clock."""
    if not statuses.has_deadline(deployment):
        return None
    found = condition(deployment.status.conditions, "Progressing")
    if found is not None and found.reason == statuses.TIMED_OUT:
        return None
    is_paused = found is not None and found.reason == "DeploymentPaused"
    if deployment.spec.paused and not is_paused:
        new = statuses.make("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now)
    elif not deployment.spec.paused and is_paused:
        new = statuses.make("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", now)
    else:
        return None
    status = replace(deployment.status, conditions=statuses.set_condition(deployment.status.conditions, new))
    return Plan((Update(DEPLOYMENTS, replace(deployment, status=status), "status"),), 0.0)


def _found_condition(step: _Step, new: ReplicaSet) -> Plan | None:
    """A Deployment that begins to care about its progress: the deadline's clock starts with the ReplicaSet that is there."""
    deployment = step.deployment
    if not statuses.has_deadline(deployment) or condition(deployment.status.conditions, "Progressing") is not None \
            or new.spec.minReadySeconds != deployment.spec.minReadySeconds:
        return None
    found = statuses.make("Progressing", "True", "FoundNewReplicaSet", f'Found new replica set "{new.metadata.name}"', step.now)
    return step.finish(replace(deployment.status, conditions=statuses.set_condition(deployment.status.conditions, found)), 0.0)


def _roll_back(step: _Step, target: int) -> Plan:
    """Back to the template of revision `target` (0: of the last but one), with the annotations that the Deployment had then."""
    deployment = step.deployment
    target = target or last_revision(step.all)
    annotations = {key: value for key, value in deployment.metadata.annotations.items() if key != ROLLBACK_TO}
    found = next((rs for rs in step.all if target and revision(rs) == target), None)
    template = deployment.spec.template
    if found is None:
        event = EventRecord(deployment, "Warning", "DeploymentRollbackRevisionNotFound",
                            "Unable to find last revision." if not target else "Unable to find the revision to rollback to.")
    elif same_template(found.spec.template, template):
        event = EventRecord(deployment, "Warning", "DeploymentRollbackTemplateUnchanged",
                            f'The rollback revision contains the same template as current deployment "{deployment.metadata.name}"')
    else:
        template = plain_template(found)
        annotations = {key: value for key, value in annotations.items() if key in NOT_COPIED}
        annotations |= {key: value for key, value in found.metadata.annotations.items() if key not in NOT_COPIED}
        event = EventRecord(deployment, "Normal", "DeploymentRollback",
                            f'Rolled back deployment "{deployment.metadata.name}" to revision {target}')
    changed = replace(deployment, metadata=replace(deployment.metadata, annotations=annotations),
                      spec=replace(deployment.spec, template=template))
    return Plan((Update(DEPLOYMENTS, changed),), None, (event,))


def creation_failed(deployment: Deployment, name: str, error: str, now: datetime) -> Plan:
    """What is told where the new ReplicaSet can't be made; it is tried again."""
    message = f'Failed to create new replica set "{name}": {error}'
    event = EventRecord(deployment, "Warning", "ReplicaSetCreateError", message)
    if not statuses.has_deadline(deployment):
        return Plan(events=(event,))
    failed = statuses.make("Progressing", "False", "ReplicaSetCreateError", message, now)
    status = replace(deployment.status, conditions=statuses.set_condition(deployment.status.conditions, failed))
    writes = (Update(DEPLOYMENTS, replace(deployment, status=status), "status"),) if status != deployment.status else ()
    return Plan(writes, None, (event,))


def _was_resized(step: _Step) -> bool:
    for rs in step.active(step.all):
        before = number_of(rs.metadata.annotations.get(DESIRED, ""))
        if before is not None and before != wanted(step.deployment):
            return True
    return False


def _resize(step: _Step) -> Plan:
    """Scale without rolling out; a paused Deployment also cleans up."""
    _scale(step)
    if step.deployment.spec.paused and rollback_to(step.deployment) is None:
        _clean_up(step)
    return step.finish(statuses.calculate(step.deployment, step.all, step.new, step.now))


def _scale(step: _Step) -> None:
    replicas = wanted(step.deployment)
    active = step.active(step.all)
    if len(active) <= 1:
        latest = step.old[-1:] if step.new is None else [step.new]
        for rs in active or latest:
            step.scale(rs, replicas)
        return
    if step.new is not None and _is_saturated(step.new, replicas):
        for rs in step.active(step.old):
            step.scale(rs, 0)
    elif is_rolling(step.deployment):
        _scale_proportionally(step, active)


def _is_saturated(new: ReplicaSet, replicas: int) -> bool:
    return (size(new) == replicas and new.metadata.annotations.get(DESIRED) == str(replicas)
            and new.status.availableReplicas == replicas)


def _scale_proportionally(step: _Step, active: list[ReplicaSet]) -> None:
    """Share what is to be added or taken over the ReplicaSets by their size; the biggest gets the rest."""
    replicas = wanted(step.deployment)
    allowed = replicas + max_surge(step.deployment) if replicas > 0 else 0
    to_add = allowed - sum(map(step.size, active))
    ordered = oldest_first(active)
    if to_add > 0:
        ordered.reverse()
    ordered.sort(key=step.size, reverse=True)
    added, sizes = 0, []
    for rs in ordered:
        share = _proportion(step, rs, to_add, added) if to_add else 0
        added += share
        sizes.append(step.size(rs) + share)
    if sizes and to_add:
        sizes[0] = max(0, sizes[0] + to_add - added)
    for rs, to in zip(ordered, sizes, strict=True):
        step.scale(rs, to, always=True)


def _proportion(step: _Step, rs: ReplicaSet, to_add: int, added: int) -> int:
    now, replicas = step.size(rs), wanted(step.deployment)
    if now == 0 or to_add == added:
        return 0
    if replicas == 0:
        fraction = -now
    else:
        base = number_of(rs.metadata.annotations.get(MOST, "")) or step.deployment.status.replicas
        grown = now * (replicas + max_surge(step.deployment)) / base if base else now
        fraction = int(grown + 0.5) - now
    return min(fraction, to_add - added) if to_add > 0 else max(fraction, to_add - added)


def _room_for_new(step: _Step, new: ReplicaSet) -> int:
    """The size that the new ReplicaSet may have now."""
    replicas = wanted(step.deployment)
    if not is_rolling(step.deployment):
        return replicas
    most, total = replicas + max_surge(step.deployment), sum(map(step.size, step.old)) + step.size(new)
    if total >= most:
        return step.size(new)
    return step.size(new) + min(most - total, replicas - step.size(new))


def _create_new(step: _Step) -> Plan:
    new = make_new(step.deployment, step.old)
    new.spec.replicas = count = _room_for_new(step, new)
    status = statuses.rollout(step.deployment, step.all, None, step.now)
    if statuses.has_deadline(step.deployment):
        made = statuses.make("Progressing", "True", "NewReplicaSetCreated",
                             f'Created new replica set "{new.metadata.name}"', step.now)
        status.conditions = statuses.set_condition(step.deployment.status.conditions, made)
    if count > 0:
        step.tell(f"Scaled up replica set {new.metadata.name} from 0 to {count}")
    step.writes.append(Create(REPLICA_SETS, new))
    plan = step.finish(status)
    annotations = {**step.deployment.metadata.annotations, REVISION: new.metadata.annotations[REVISION]}
    meta = replace(step.deployment.metadata, annotations=annotations)
    last = Update(DEPLOYMENTS, replace(step.deployment, metadata=meta, status=status), "status")
    writes = tuple(write for write in plan.writes if not (isinstance(write, Update) and write.resource is DEPLOYMENTS))
    return replace_plan(plan, (*writes, last))


def replace_plan(plan: Plan, writes: tuple[Write, ...]) -> Plan:
    """The plan with other writes."""
    return Plan(writes, plan.requeue_after_seconds, plan.events)


def _roll(step: _Step) -> Plan:
    new, replicas = step.new, wanted(step.deployment)
    if new is None:
        return _create_new(step)
    if step.size(new) != replicas:
        to = replicas if step.size(new) > replicas else _room_for_new(step, new)
        if step.scale(new, to):
            return step.rollout_finish()
    if _shrink_old(step, new):
        return step.rollout_finish()
    if statuses.is_complete(step.deployment, step.deployment.status):
        _clean_up(step)
    return step.rollout_finish()


def _shrink_old(step: _Step, new: ReplicaSet) -> bool:
    """Take old pods away: those that serve nothing first, then as many as availability allows."""
    active = step.active(step.old)
    if not active:
        return False
    least = wanted(step.deployment) - max_unavailable(step.deployment)
    spare = step.total() - least - (step.size(new) - new.status.availableReplicas)
    if spare <= 0:
        return False
    changed = False
    for rs in active:
        if spare <= 0:
            break
        unhealthy = min(spare, step.size(rs) - rs.status.availableReplicas)
        if unhealthy < 0:
            return changed  # its status is older than its size: wait for it
        spare -= unhealthy
        changed |= step.scale(rs, step.size(rs) - unhealthy)
    # what is left of a ReplicaSet that is to be empty is going: it serves nobody for long
    spare = sum(rs.status.availableReplicas for rs in (*active, new)) - least
    for rs in active:
        taken = min(spare, step.size(rs))
        if taken > 0:
            spare -= taken
            changed |= step.scale(rs, step.size(rs) - taken)
    return changed


def _recreate(step: _Step, pods: Mapping[str, Sequence[Pod]]) -> Plan:
    scaled_down = [rs for rs in step.active(step.old) if step.scale(rs, 0)]
    if scaled_down or _old_pods_run(step, pods):
        return step.rollout_finish()
    if step.new is None:
        return _create_new(step)
    step.scale(step.new, wanted(step.deployment))
    if statuses.is_complete(step.deployment, step.deployment.status):
        _clean_up(step)
    return step.rollout_finish()


def _old_pods_run(step: _Step, pods: Mapping[str, Sequence[Pod]]) -> bool:
    if sum(rs.status.replicas for rs in step.old) > 0:
        return True
    new = step.new.metadata.uid if step.new else ""
    return any(not is_terminal(pod) for uid, owned in pods.items() if uid != new for pod in owned)


def _clean_up(step: _Step) -> None:
    """Delete the oldest empty ReplicaSets over the history's limit."""
    limit = step.deployment.spec.revisionHistoryLimit
    if limit is None or limit == statuses.NO_DEADLINE:
        return
    alive = [rs for rs in step.old if rs.metadata.deletionTimestamp is None]
    surplus = max(0, len(alive) - limit)
    for rs in sorted(alive, key=lambda rs: (revision(rs), rs.metadata.creationTimestamp or ""))[:surplus]:
        if rs.status.replicas == 0 and step.size(rs) == 0 and rs.metadata.generation <= rs.status.observedGeneration:
            meta = rs.metadata
            step.writes.append(Delete(REPLICA_SETS, meta.namespace, meta.name, meta.uid))
