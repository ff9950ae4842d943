"""ReplicaSet: so many pods of one template.

Source: kubernetes `pkg/apis/apps/{validation/validation.go,v1/defaults.go}`, `pkg/registry/apps/replicaset/strategy.go`.
"""

from __future__ import annotations

from sampan.api import field, selectors
from sampan.api.apps.v1 import ReplicaSet, ReplicaSetStatus
from sampan.api.resources import REPLICA_SETS
from sampan.kinds import checks, meta
from sampan.kinds.apps import workload
from sampan.kinds.checks import Findings
from sampan.kinds.core.pod_spec import default_pod_template
from sampan.kinds.kind import Column, Kind, ScalePaths, SubKind
from sampan.kinds.printing import age

COUNTS = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration",
          "terminatingReplicas")


def replicas(obj: ReplicaSet) -> int:
    """How many pods are wanted."""
    return 1 if obj.spec.replicas is None else obj.spec.replicas


def default(obj: ReplicaSet) -> None:
    default_pod_template(obj.spec.template)
    if obj.spec.replicas is None:
        obj.spec.replicas = 1


def prepare_create(obj: ReplicaSet) -> None:
    obj.status = ReplicaSetStatus()
    obj.metadata.generation = 1


def validate(obj: ReplicaSet) -> Findings:
    out = checks.all_nonnegative(obj.spec, "spec", "replicas", "minReadySeconds")
    return out + workload.validate_selector_and_template(obj.spec.selector, obj.spec.template, "deployment")


def validate_update(new: ReplicaSet, old: ReplicaSet) -> Findings:
    return field.immutable(new.spec.selector, old.spec.selector, "spec.selector")


def validate_status(new: ReplicaSet, old: ReplicaSet) -> Findings:
    status = new.status
    out = checks.all_nonnegative(status, "status", *COUNTS)
    out += workload.at_most(status, "fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    return out + workload.at_most(status, "availableReplicas", bigger="readyReplicas", shown="readyReplicas")


def warnings(new: ReplicaSet, old: ReplicaSet | None) -> list[str]:
    out = workload.name_warnings(new.metadata.name) if old is None else []
    return out + workload.changed_template_warnings(new, old)


def _set_replicas(obj: ReplicaSet, count: int) -> None:
    obj.spec.replicas = count


KIND: Kind[ReplicaSet] = Kind(
    resource=REPLICA_SETS,
    default=default,
    prepare_create=prepare_create,
    prepare_update=meta.change_spec,
    validate=validate,
    validate_update=validate_update,
    subkinds=(SubKind("status", meta.keep_spec, validate_status),),
    scale=ScalePaths(replicas, _set_replicas, lambda obj: obj.status.replicas,
                     lambda obj: selectors.format_selector(obj.spec.selector)),
    columns=(
        workload.NAME_COLUMN,
        Column("Desired", lambda obj, _: replicas(obj), type="integer"),
        Column("Current", lambda obj, _: obj.status.replicas, type="integer"),
        Column("Ready", lambda obj, _: obj.status.readyReplicas, type="integer"),
        Column("Age", age),
        *workload.CONTAINER_COLUMNS,
        workload.SELECTOR_COLUMN,
    ),
    fields={"status.replicas": lambda obj: str(obj.status.replicas)},
    warnings=warnings,
)
