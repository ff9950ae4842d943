"""StatefulSet: pods with names, an order and volumes of their own.

Source: kubernetes `pkg/apis/apps/{validation/validation.go,v1/defaults.go}`, `pkg/registry/apps/statefulset/strategy.go`.
"""

from __future__ import annotations

from sampan.api import field, names, selectors
from sampan.api.apps.v1 import (
    RollingUpdateStatefulSetStrategy,
    StatefulSet,
    StatefulSetPersistentVolumeClaimRetentionPolicy,
    StatefulSetSpec,
    StatefulSetStatus,
)
from sampan.api.codec import clone
from sampan.api.core.v1 import PersistentVolumeClaimVolumeSource, PodTemplateSpec, Volume
from sampan.api.resources import STATEFUL_SETS
from sampan.kinds import checks, meta
from sampan.kinds.apps import workload
from sampan.kinds.checks import Findings
from sampan.kinds.core.pod_spec import (
    default_claim_spec,
    default_pod_template,
    validate_claim_spec,
    validate_pod_template,
    validate_template_marks,
)
from sampan.kinds.core.pod_spec.warn import claim_warnings
from sampan.kinds.kind import Column, Kind, ScalePaths, SubKind
from sampan.kinds.printing import age

POD_NAME_LABEL = "statefulset.kubernetes.io/pod-name"
POD_INDEX_LABEL = "apps.kubernetes.io/pod-index"
REVISION_LABEL = "controller-revision-hash"
COUNTS = ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas", "observedGeneration",
          "collisionCount")
CHANGEABLE = ("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
              "persistentVolumeClaimRetentionPolicy", "minReadySeconds")


def replicas(obj: StatefulSet) -> int:
    """How many pods are wanted."""
    return 1 if obj.spec.replicas is None else obj.spec.replicas


def first_ordinal(obj: StatefulSet) -> int:
    return 0 if obj.spec.ordinals is None else obj.spec.ordinals.start


def partition(obj: StatefulSet) -> int:
    """Pods below this ordinal keep the old revision."""
    rolling = obj.spec.updateStrategy.rollingUpdate
    return 0 if rolling is None else rolling.partition or 0


def is_parallel(obj: StatefulSet) -> bool:
    """Whether pods are made and removed without waiting for one another."""
    return obj.spec.podManagementPolicy == "Parallel"


def default(obj: StatefulSet) -> None:
    spec = obj.spec
    default_pod_template(spec.template)
    for claim in spec.volumeClaimTemplates:
        claim.kind, claim.apiVersion = "PersistentVolumeClaim", "v1"  # whatever else was said
        claim.status.phase = claim.status.phase or "Pending"
        default_claim_spec(claim.spec)
    spec.podManagementPolicy = spec.podManagementPolicy or "OrderedReady"
    strategy = spec.updateStrategy
    if not strategy.type:
        strategy.type = "RollingUpdate"
        if strategy.rollingUpdate is None:
            strategy.rollingUpdate = RollingUpdateStatefulSetStrategy(partition=0)
    if strategy.type == "RollingUpdate" and strategy.rollingUpdate is not None and strategy.rollingUpdate.partition is None:
        strategy.rollingUpdate.partition = 0
    if spec.persistentVolumeClaimRetentionPolicy is None:
        spec.persistentVolumeClaimRetentionPolicy = StatefulSetPersistentVolumeClaimRetentionPolicy()
    policy = spec.persistentVolumeClaimRetentionPolicy
    policy.whenDeleted = policy.whenDeleted or "Retain"
    policy.whenScaled = policy.whenScaled or "Retain"
    if spec.replicas is None:
        spec.replicas = 1
    if spec.revisionHistoryLimit is None:
        spec.revisionHistoryLimit = 10


def prepare_create(obj: StatefulSet) -> None:
    obj.status = StatefulSetStatus()
    obj.metadata.generation = 1
    _without_max_unavailable(obj)


def _without_max_unavailable(obj: StatefulSet) -> None:
    """The gate MaxUnavailableStatefulSet is off in 1.36."""
    if obj.spec.updateStrategy.rollingUpdate is not None:
        obj.spec.updateStrategy.rollingUpdate.maxUnavailable = None


def prepare_update(new: StatefulSet, old: StatefulSet) -> None:
    rolling = old.spec.updateStrategy.rollingUpdate
    if rolling is None or rolling.maxUnavailable is None:
        _without_max_unavailable(new)
    meta.keep_status(new, old)
    meta.bump_generation(new, old)


def validate_create(obj: StatefulSet) -> Findings:
    """All findings, also about what never changes afterwards: claim templates, the name of the service."""
    return _spec(obj.spec, fixed=True, template=True)


def _spec(spec: StatefulSetSpec, *, fixed: bool, template: bool) -> Findings:
    """Findings about the spec; what is `fixed` and the pods' part of the `template` may be left out."""
    out = _policies(spec)
    for index, claim in enumerate(spec.volumeClaimTemplates if fixed else ()):
        out += validate_claim_spec(claim.spec, f"spec.volumeClaimTemplates[{index}].spec")
    out += _numbers(spec)
    if fixed and spec.serviceName:
        out += checks.named(spec.serviceName, names.dns1123_label, "spec.serviceName")
    out += workload.required_selector(spec.selector, "statefulset")
    try:
        out += _template(spec, selectors.of_label_selector(spec.selector), whole=template)
    except selectors.SelectorError:
        out.append(field.invalid("spec.selector", spec.selector))
    return out + workload.never_ending(spec.template, "StatefulSet")


def _numbers(spec: StatefulSetSpec) -> Findings:
    out = checks.all_nonnegative(spec, "spec", "replicas", "minReadySeconds")
    if spec.ordinals is not None:
        out += checks.nonnegative(spec.ordinals.start, "spec.ordinals.start")
    return out


def _template(spec: StatefulSetSpec, selector: selectors.Selector, *, whole: bool) -> Findings:
    """Labels and annotations are looked at twice where the `whole` template is."""
    template = _as_pods_have_it(spec)
    out = workload.mismatch(selector, template)
    if whole:
        out += validate_pod_template(template, "spec.template")
    return out + validate_template_marks(template, "spec.template")


def _as_pods_have_it(spec: StatefulSetSpec) -> PodTemplateSpec:
    """The template as its pods get it: named by the controller, with a volume for each claim template, which containers may mount."""
    claims = dict.fromkeys(claim.metadata.name for claim in spec.volumeClaimTemplates)
    if not claims and not spec.template.spec.subdomain and not spec.template.spec.hostname:
        return spec.template
    template = clone(spec.template)
    template.spec.subdomain = template.spec.hostname = ""
    template.spec.volumes = [
        Volume(name=name, persistentVolumeClaim=PersistentVolumeClaimVolumeSource(claimName=name)) for name in claims
    ] + [one for one in template.spec.volumes if one.name not in claims]
    return template


def _policies(spec: StatefulSetSpec) -> Findings:
    out: Findings = []
    if not spec.podManagementPolicy:
        out.append(field.required("spec.podManagementPolicy"))
    elif spec.podManagementPolicy not in ("OrderedReady", "Parallel"):
        out.append(field.invalid("spec.podManagementPolicy", spec.podManagementPolicy,
                                 "must be 'OrderedReady' or 'Parallel'"))
    strategy, at = spec.updateStrategy, "spec.updateStrategy"
    if not strategy.type:
        out.append(field.required(at))
    elif strategy.type == "OnDelete":
        if strategy.rollingUpdate is not None:
            out.append(field.invalid(f"{at}.rollingUpdate", _shown(strategy.rollingUpdate),
                                     "only allowed for updateStrategy 'RollingUpdate'"))
    elif strategy.type != "RollingUpdate":
        out.append(field.invalid(at, {"Type": strategy.type, "RollingUpdate": _shown(strategy.rollingUpdate)},
                                 "must be 'RollingUpdate' or 'OnDelete'"))
    elif strategy.rollingUpdate is not None:
        out += _rolling(strategy.rollingUpdate, f"{at}.rollingUpdate")
    policy, at = spec.persistentVolumeClaimRetentionPolicy, "spec.persistentVolumeClaimRetentionPolicy"
    if policy is not None:
        out += checks.one_of(policy.whenDeleted, ("Retain", "Delete"), f"{at}.whenDeleted")
        out += checks.one_of(policy.whenScaled, ("Retain", "Delete"), f"{at}.whenScaled")
    return out


def _shown(rolling: RollingUpdateStatefulSetStrategy | None) -> dict[str, object] | None:
    """As messages show it, under Go's names."""
    return None if rolling is None else {"Partition": rolling.partition or 0, "MaxUnavailable": rolling.maxUnavailable}


def _rolling(rolling: RollingUpdateStatefulSetStrategy, at: str) -> Findings:
    out = checks.nonnegative(rolling.partition, f"{at}.partition")
    if rolling.maxUnavailable is None:
        return out
    where = f"{at}.maxUnavailable"
    out += checks.positive_int_or_percent(rolling.maxUnavailable, where)
    if checks.int_or_percent_value(rolling.maxUnavailable) == 0:
        out.append(field.invalid(where, rolling.maxUnavailable, "cannot be 0"))
    return out + checks.at_most_100_percent(rolling.maxUnavailable, where)


def validate_update(new: StatefulSet, old: StatefulSet) -> Findings:
    """Only a few fields of the spec may change. Where the spec was wrong before, nobody looks into the template."""
    fine = not _spec(old.spec, fixed=False, template=True)
    return _spec(new.spec, fixed=False, template=fine) + _fixed_fields(new, old)


def _fixed_fields(new: StatefulSet, old: StatefulSet) -> Findings:
    fixed = [name for name in StatefulSetSpec.__struct_fields__ if name not in CHANGEABLE]
    if all(_same(name, new.spec, old.spec) for name in fixed):
        return []
    allowed = ", ".join(f"'{name}'" for name in CHANGEABLE[:-1])
    return [field.forbidden("spec", f"updates to statefulset spec for fields other than {allowed} and "
                                    f"'{CHANGEABLE[-1]}' are forbidden")]


def _same(name: str, new: StatefulSetSpec, old: StatefulSetSpec) -> bool:
    """Claim templates are compared by what is wanted: their status means nothing."""
    if name != "volumeClaimTemplates":
        return bool(getattr(new, name) == getattr(old, name))
    strip = [[(claim.metadata, clone(claim.spec)) for claim in spec.volumeClaimTemplates] for spec in (new, old)]
    return strip[0] == strip[1]


def validate_status(new: StatefulSet, old: StatefulSet) -> Findings:
    status = new.status
    out = checks.all_nonnegative(status, "status", *COUNTS)
    out += workload.at_most(status, "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
    out += workload.at_most(status, "availableReplicas", bigger="readyReplicas", shown="status.readyReplicas")
    return out + workload.collisions_only_grow(new, old)


def warnings(new: StatefulSet, old: StatefulSet | None) -> list[str]:
    out = workload.changed_template_warnings(new, old)
    child = "" if old is None else ".Spec"  # so upstream
    for index, claim in enumerate(new.spec.volumeClaimTemplates):
        out += claim_warnings(claim.spec, f"spec.volumeClaimTemplates[{index}]{child}")
    if new.spec.revisionHistoryLimit is not None and new.spec.revisionHistoryLimit < 0:
        out.append("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended")
    return out


def _set_replicas(obj: StatefulSet, count: int) -> None:
    obj.spec.replicas = count


KIND: Kind[StatefulSet] = Kind(
    resource=STATEFUL_SETS,
    name_check=names.dns1123_label,
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate_create=validate_create,
    validate_update=validate_update,
    subkinds=(SubKind("status", meta.keep_spec, validate_status),),
    scale=ScalePaths(replicas, _set_replicas, lambda obj: obj.status.replicas,
                     lambda obj: selectors.format_selector(obj.spec.selector)),
    columns=(
        workload.NAME_COLUMN,
        Column("Ready", lambda obj, _: f"{obj.status.readyReplicas}/{replicas(obj)}"),
        Column("Age", age),
        *workload.CONTAINER_COLUMNS,
    ),
    warnings=warnings,
)
