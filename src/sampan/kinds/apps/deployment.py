"""Deployment: pods of one template, replaced step by step when it changes.

Source: kubernetes `pkg/apis/apps/{validation/validation.go,v1/defaults.go}`, `pkg/registry/apps/deployment/strategy.go`,
`pkg/controller/deployment/util`.
"""

from __future__ import annotations

from sampan.api import field, selectors
from sampan.api.apps.v1 import Deployment, DeploymentSpec, DeploymentStatus, DeploymentStrategy, RollingUpdateDeployment
from sampan.api.resources import DEPLOYMENTS
from sampan.kinds import checks, meta
from sampan.kinds.apps import workload
from sampan.kinds.checks import Findings
from sampan.kinds.core.pod_spec import default_pod_template
from sampan.kinds.kind import Column, Kind, ScalePaths, SubKind
from sampan.kinds.printing import age

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
NO_DEADLINE = 2**31 - 1
COUNTS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")


def replicas(obj: Deployment) -> int:
    """How many pods are wanted."""
    return 1 if obj.spec.replicas is None else obj.spec.replicas


def is_rolling(obj: Deployment) -> bool:
    return obj.spec.strategy.type == "RollingUpdate"


def fenceposts(max_surge: int | str, max_unavailable: int | str, desired: int) -> tuple[int, int]:
    """Surge rounded up and unavailable rounded down; when both come to nothing, one may be unavailable.

    Raises:
        ValueError: One is text and no percentage.
    """
    surge = checks.scaled(max_surge, desired, round_up=True)
    unavailable = checks.scaled(max_unavailable, desired, round_up=False)
    return surge, 1 if surge == 0 and unavailable == 0 else unavailable


def _rolling(obj: Deployment) -> tuple[int, int]:
    rolling = obj.spec.strategy.rollingUpdate or RollingUpdateDeployment()
    return fenceposts(rolling.maxSurge if rolling.maxSurge is not None else 0,
                      rolling.maxUnavailable if rolling.maxUnavailable is not None else 0, replicas(obj))


def max_surge(obj: Deployment) -> int:
    """How many pods beyond `replicas` a rollout may have; 0 unless it rolls."""
    return _rolling(obj)[0] if is_rolling(obj) else 0


def max_unavailable(obj: Deployment) -> int:
    """How many of `replicas` a rollout may miss; 0 unless it rolls, never more than `replicas`."""
    if not is_rolling(obj) or replicas(obj) == 0:
        return 0
    return min(_rolling(obj)[1], replicas(obj))


def min_available(obj: Deployment) -> int:
    """How many pods a rollout keeps available; 0 unless it rolls."""
    return replicas(obj) - max_unavailable(obj) if is_rolling(obj) else 0


def has_deadline(obj: Deployment) -> bool:
    """Whether a rollout without progress is reported."""
    return obj.spec.progressDeadlineSeconds not in (None, NO_DEADLINE)


def default(obj: Deployment) -> None:
    spec = obj.spec
    default_pod_template(spec.template)
    if spec.replicas is None:
        spec.replicas = 1
    spec.strategy.type = spec.strategy.type or "RollingUpdate"
    if spec.strategy.type == "RollingUpdate":
        if spec.strategy.rollingUpdate is None:
            spec.strategy.rollingUpdate = RollingUpdateDeployment()
        rolling = spec.strategy.rollingUpdate
        rolling.maxUnavailable = "25%" if rolling.maxUnavailable is None else rolling.maxUnavailable
        rolling.maxSurge = "25%" if rolling.maxSurge is None else rolling.maxSurge
    if spec.revisionHistoryLimit is None:
        spec.revisionHistoryLimit = 10
    if spec.progressDeadlineSeconds is None:
        spec.progressDeadlineSeconds = 600


def prepare_create(obj: Deployment) -> None:
    obj.status = DeploymentStatus()
    obj.metadata.generation = 1


def prepare_update(new: Deployment, old: Deployment) -> None:
    """Annotations count as a change of what is wanted: they are copied to replica sets."""
    meta.keep_status(new, old)
    changed = new.spec != old.spec or new.metadata.annotations != old.metadata.annotations
    new.metadata.generation = old.metadata.generation + changed


def prepare_status(new: Deployment, old: Deployment) -> None:
    meta.keep_spec(new, old)
    new.metadata.labels = old.metadata.labels


def validate(obj: Deployment) -> Findings:
    spec = obj.spec
    out = checks.nonnegative(spec.replicas, "spec.replicas")
    out += workload.validate_selector_and_template(spec.selector, spec.template, "deployment")
    out += _strategy(spec.strategy, "spec.strategy")
    out += checks.all_nonnegative(spec, "spec", "minReadySeconds", "revisionHistoryLimit")
    return out + _deadline(spec)


def _deadline(spec: DeploymentSpec) -> Findings:
    seconds, at = spec.progressDeadlineSeconds, "spec.progressDeadlineSeconds"
    if seconds is None:
        return []
    out = checks.nonnegative(seconds, at)
    if seconds <= spec.minReadySeconds:
        out.append(field.invalid(at, seconds, "must be greater than minReadySeconds"))
    return out


def _strategy(strategy: DeploymentStrategy, at: str) -> Findings:
    rolling = strategy.rollingUpdate
    if strategy.type == "Recreate":
        if rolling is not None:
            return [field.forbidden(f"{at}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")]
        return []
    if strategy.type != "RollingUpdate":
        return [field.not_supported(at, workload.shown_strategy(strategy), ("Recreate", "RollingUpdate"))]
    if rolling is None:
        return [field.required(f"{at}.rollingUpdate", "this should be defaulted and never be nil")]
    unavailable, surge, where = rolling.maxUnavailable, rolling.maxSurge, f"{at}.rollingUpdate"
    out = checks.positive_int_or_percent(unavailable, f"{where}.maxUnavailable")
    out += checks.positive_int_or_percent(surge, f"{where}.maxSurge")
    if checks.int_or_percent_value(unavailable) == 0 and checks.int_or_percent_value(surge) == 0:
        out.append(field.invalid(f"{where}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0"))
    return out + checks.at_most_100_percent(unavailable, f"{where}.maxUnavailable")


def validate_update(new: Deployment, old: Deployment) -> Findings:
    return field.immutable(new.spec.selector, old.spec.selector, "spec.selector")


def validate_status(new: Deployment, old: Deployment) -> Findings:
    status = new.status
    out = checks.all_nonnegative(status, "status", "observedGeneration", *COUNTS, "terminatingReplicas", "collisionCount")
    out += workload.at_most(status, "updatedReplicas", "readyReplicas", "availableReplicas")
    out += workload.at_most(status, "availableReplicas", bigger="readyReplicas", shown="readyReplicas")
    return out + workload.collisions_only_grow(new, old)


def warnings(new: Deployment, old: Deployment | None) -> list[str]:
    out = workload.name_warnings(new.metadata.name) if old is None else []
    return out + workload.changed_template_warnings(new, old)


def _set_replicas(obj: Deployment, count: int) -> None:
    obj.spec.replicas = count


KIND: Kind[Deployment] = Kind(
    resource=DEPLOYMENTS,
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    subkinds=(SubKind("status", prepare_status, validate_status),),
    scale=ScalePaths(replicas, _set_replicas, lambda obj: obj.status.replicas,
                     lambda obj: selectors.format_selector(obj.spec.selector)),
    columns=(
        workload.NAME_COLUMN,
        Column("Ready", lambda obj, _: f"{obj.status.readyReplicas}/{replicas(obj)}"),
        Column("Up-to-date", lambda obj, _: obj.status.updatedReplicas),
        Column("Available", lambda obj, _: obj.status.availableReplicas),
        Column("Age", age),
        *workload.CONTAINER_COLUMNS,
        workload.SELECTOR_COLUMN,
    ),
    warnings=warnings,
)
