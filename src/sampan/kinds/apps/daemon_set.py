"""DaemonSet: one pod on each node that fits.

Source: kubernetes `pkg/apis/apps/{validation/validation.go,v1/defaults.go,v1/conversion.go}`,
`pkg/registry/apps/daemonset/strategy.go`, `pkg/controller/daemon/util`.
"""

from __future__ import annotations

from sampan.api import field, selectors
from sampan.api.apps.v1 import DaemonSet, DaemonSetStatus, DaemonSetUpdateStrategy, RollingUpdateDaemonSet
from sampan.api.resources import DAEMON_SETS
from sampan.kinds import checks, meta
from sampan.kinds.apps import workload
from sampan.kinds.checks import Findings
from sampan.kinds.core.pod_spec import default_pod_template, pod_spec_warnings
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age, labels_text

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
COUNTS = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady", "observedGeneration",
          "updatedNumberScheduled", "numberAvailable", "numberUnavailable")


def max_surge(obj: DaemonSet, desired: int) -> int:
    """How many nodes may have an old and a new pod at once."""
    rolling = obj.spec.updateStrategy.rollingUpdate
    if obj.spec.updateStrategy.type != "RollingUpdate" or rolling is None or rolling.maxSurge is None:
        return 0
    return checks.scaled(rolling.maxSurge, desired, round_up=True)


def max_unavailable(obj: DaemonSet, desired: int) -> int:
    """How many nodes may be without a pod during an update."""
    rolling = obj.spec.updateStrategy.rollingUpdate
    if obj.spec.updateStrategy.type != "RollingUpdate" or rolling is None or rolling.maxUnavailable is None:
        return 0
    return checks.scaled(rolling.maxUnavailable, desired, round_up=True)


def template_generation(obj: DaemonSet) -> int:
    """How often the template changed; 0 when the annotation is missing or no number."""
    text = obj.metadata.annotations.get(TEMPLATE_GENERATION, "")
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 19 else 0


def _set_template_generation(obj: DaemonSet, generation: int) -> None:
    obj.metadata.annotations = {**obj.metadata.annotations, TEMPLATE_GENERATION: str(generation)}


def default(obj: DaemonSet) -> None:
    spec = obj.spec
    default_pod_template(spec.template)
    strategy = spec.updateStrategy
    strategy.type = strategy.type or "RollingUpdate"
    if strategy.type == "RollingUpdate":
        if strategy.rollingUpdate is None:
            strategy.rollingUpdate = RollingUpdateDaemonSet()
        rolling = strategy.rollingUpdate
        rolling.maxUnavailable = 1 if rolling.maxUnavailable is None else rolling.maxUnavailable
        rolling.maxSurge = 0 if rolling.maxSurge is None else rolling.maxSurge
    if spec.revisionHistoryLimit is None:
        spec.revisionHistoryLimit = 10
    if TEMPLATE_GENERATION not in obj.metadata.annotations:
        _set_template_generation(obj, 0)  # the internal form has it as a number, so converting back always writes it


def prepare_create(obj: DaemonSet) -> None:
    obj.status = DaemonSetStatus()
    obj.metadata.generation = 1
    _set_template_generation(obj, max(1, template_generation(obj)))


def prepare_update(new: DaemonSet, old: DaemonSet) -> None:
    meta.keep_status(new, old)
    meta.bump_generation(new, old)
    _set_template_generation(new, template_generation(old) + (new.spec.template != old.spec.template))


def prepare_status(new: DaemonSet, old: DaemonSet) -> None:
    meta.keep_spec(new, old)
    _set_template_generation(new, template_generation(old))


def validate_create(obj: DaemonSet) -> Findings:
    """All findings about the spec."""
    spec = obj.spec
    out = checks.label_selector(spec.selector, "spec.selector")
    labels = spec.template.metadata.labels
    try:
        if not selectors.of_label_selector(spec.selector).matches(labels):
            out.append(workload.mismatched(labels))
    except selectors.SelectorError:
        pass  # `label_selector` has said what is wrong
    if checks.is_empty_selector(spec.selector):
        out.append(field.invalid("spec.selector", spec.selector, "empty selector is invalid for daemonset"))
    out += workload.validate_always_running(spec.template, "DaemonSet")
    out += checks.nonnegative(spec.minReadySeconds, "spec.minReadySeconds")
    out += _strategy(spec.updateStrategy, "spec.updateStrategy")
    return out + checks.nonnegative(spec.revisionHistoryLimit, "spec.revisionHistoryLimit")


def _strategy(strategy: DaemonSetUpdateStrategy, at: str) -> Findings:
    if strategy.type == "OnDelete":
        return []
    if strategy.type != "RollingUpdate":
        return [field.not_supported(at, workload.shown_strategy(strategy), ("RollingUpdate", "OnDelete"))]
    rolling, where = strategy.rollingUpdate, f"{at}.rollingUpdate"
    if rolling is None:
        return [field.required(where)]
    out = checks.positive_int_or_percent(rolling.maxUnavailable, f"{where}.maxUnavailable")
    out += checks.positive_int_or_percent(rolling.maxSurge, f"{where}.maxSurge")
    out += checks.at_most_100_percent(rolling.maxUnavailable, f"{where}.maxUnavailable")
    out += checks.at_most_100_percent(rolling.maxSurge, f"{where}.maxSurge")
    unavailable = checks.int_or_percent_value(rolling.maxUnavailable) != 0
    surge = checks.int_or_percent_value(rolling.maxSurge) != 0
    if unavailable and surge:
        out.append(field.invalid(f"{where}.maxSurge", rolling.maxSurge, "may not be set when maxUnavailable is non-zero"))
    if not unavailable and not surge:
        out.append(field.required(f"{where}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    return out


def validate_update(new: DaemonSet, old: DaemonSet) -> Findings:
    """The selector stays; that is said first."""
    return field.immutable(new.spec.selector, old.spec.selector, "spec.selector") + validate_create(new)


def validate_status(new: DaemonSet, old: DaemonSet) -> Findings:
    return checks.all_nonnegative(new.status, "status", *COUNTS, "collisionCount") + workload.collisions_only_grow(new, old)


def warnings(new: DaemonSet, old: DaemonSet | None) -> list[str]:
    if old is not None and template_generation(new) == template_generation(old):
        return []
    return pod_spec_warnings(new.spec.template, "spec.template", old.spec.template if old is not None else None)


KIND: Kind[DaemonSet] = Kind(
    resource=DAEMON_SETS,
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate_create=validate_create,
    validate_update=validate_update,
    subkinds=(SubKind("status", prepare_status, validate_status),),
    columns=(
        workload.NAME_COLUMN,
        Column("Desired", lambda obj, _: obj.status.desiredNumberScheduled, type="integer"),
        Column("Current", lambda obj, _: obj.status.currentNumberScheduled, type="integer"),
        Column("Ready", lambda obj, _: obj.status.numberReady, type="integer"),
        Column("Up-to-date", lambda obj, _: obj.status.updatedNumberScheduled, type="integer"),
        Column("Available", lambda obj, _: obj.status.numberAvailable, type="integer"),
        Column("Node Selector", lambda obj, _: labels_text(obj.spec.template.spec.nodeSelector)),
        Column("Age", age),
        *workload.CONTAINER_COLUMNS,
        workload.SELECTOR_COLUMN,
    ),
    warnings=warnings,
)
