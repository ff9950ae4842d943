"""HorizontalPodAutoscaler: how many pods a target should have, by metrics. Stored as autoscaling/v2.

Leaves the old version to `sampan.kinds.autoscaling.v1`: `KIND_V1` has its columns and defaults; the registry converts.
Source: kubernetes `pkg/apis/autoscaling/{validation/validation.go,v2/defaults.go}`, `pkg/printers/internalversion`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sampan.api import field, names, quantity
from sampan.api.autoscaling import v1 as wire_v1
from sampan.api.autoscaling.v2 import (
    HorizontalPodAutoscaler,
    HorizontalPodAutoscalerStatus,
    HPAScalingPolicy,
    HPAScalingRules,
    MetricSpec,
    MetricTarget,
)
from sampan.api.resources import HORIZONTAL_POD_AUTOSCALERS, HORIZONTAL_POD_AUTOSCALERS_V1
from sampan.kinds import checks, meta
from sampan.kinds.autoscaling import v1
from sampan.kinds.checks import Findings
from sampan.kinds.core.pod_spec import resources
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age

SOURCES = {"ContainerResource": "containerResource", "External": "external", "Object": "object", "Pods": "pods",
           "Resource": "resource"}
SELECT_POLICIES = ("Disabled", "Max", "Min")
POLICY_TYPES = ("Percent", "Pods")
DEFAULT_CPU_PERCENT = 80
MAX_WINDOW_SECONDS = 3600
MAX_PERIOD_SECONDS = 1800


def default(hpa: HorizontalPodAutoscaler) -> None:
    spec = hpa.spec
    if spec.minReplicas is None:
        spec.minReplicas = 1
    if not spec.metrics:
        spec.metrics = [v1.cpu_metric(DEFAULT_CPU_PERCENT)]
    if spec.behavior is not None:
        spec.behavior.scaleUp = _with_defaults(spec.behavior.scaleUp, 0, [("Pods", 4), ("Percent", 100)])
        spec.behavior.scaleDown = _with_defaults(spec.behavior.scaleDown, None, [("Percent", 100)])


def _with_defaults(rules: HPAScalingRules | None, window: int | None, policies: list[tuple[str, int]]) -> HPAScalingRules:
    rules = rules or HPAScalingRules()
    rules.selectPolicy = rules.selectPolicy or "Max"
    if rules.stabilizationWindowSeconds is None:
        rules.stabilizationWindowSeconds = window
    if not rules.policies:
        rules.policies = [HPAScalingPolicy(type=type, value=value, periodSeconds=15) for type, value in policies]
    return rules


def default_v1(hpa: wire_v1.HorizontalPodAutoscaler) -> None:
    if hpa.spec.minReplicas is None:
        hpa.spec.minReplicas = 1
    if hpa.spec.targetCPUUtilizationPercentage is None and v1.METRICS not in hpa.metadata.annotations:
        hpa.spec.targetCPUUtilizationPercentage = DEFAULT_CPU_PERCENT


def prepare_create(hpa: HorizontalPodAutoscaler) -> None:
    hpa.status = HorizontalPodAutoscalerStatus()


def validate_create(hpa: HorizontalPodAutoscaler) -> Findings:
    """All findings about the spec."""
    return _validate(hpa, group=hpa.spec.scaleTargetRef.kind != "ReplicationController")


def validate_update(new: HorizontalPodAutoscaler, old: HorizontalPodAutoscaler) -> Findings:
    """A target of the same version and kind is not asked for its group."""
    now, was = new.spec.scaleTargetRef, old.spec.scaleTargetRef
    if (now.apiVersion, now.kind) == (was.apiVersion, was.kind):
        return _validate(new, group=None)
    return validate_create(new)


def _validate(hpa: HorizontalPodAutoscaler, *, group: bool | None) -> Findings:
    """`group`: whether the target's version must name one; None: it may be anything."""
    spec, out = hpa.spec, Findings()
    low = 0 if any(one.type in ("Object", "External") for one in spec.metrics) else 1
    if spec.minReplicas is not None and spec.minReplicas < 1:
        out.append(field.invalid("spec.minReplicas", spec.minReplicas, "must be greater than or equal to 1"))
    if spec.maxReplicas == 0:
        out.append(field.required("spec.maxReplicas", "must be set and greater than 0"))
    elif spec.maxReplicas < 0:
        out.append(field.invalid("spec.maxReplicas", spec.maxReplicas, "must be greater than or equal to 1"))
    if spec.minReplicas is not None and spec.maxReplicas < spec.minReplicas:
        out.append(field.invalid("spec.maxReplicas", spec.maxReplicas, "must be greater than or equal to `minReplicas`"))
    out += _reference(spec.scaleTargetRef, "spec.scaleTargetRef", group=group)
    for index, metric in enumerate(spec.metrics):
        out += _metric(metric, f"spec.metrics[{index}]")
    if spec.minReplicas == 0 and low == 1:
        out.append(field.forbidden("spec.metrics", "must specify at least one Object or External metric to support scaling to "
                                                   "zero replicas"))
    if spec.behavior is not None:
        out += _rules(spec.behavior.scaleUp, "spec.behavior.scaleUp")
        out += _rules(spec.behavior.scaleDown, "spec.behavior.scaleDown")
    return out


def _reference(ref: Any, at: str, *, group: bool | None = False) -> Findings:
    out = checks.required_name(ref.kind, names.path_segment_name, f"{at}.kind")
    out += checks.required_name(ref.name, names.path_segment_name, f"{at}.name")
    if group is None:
        return out
    if ref.apiVersion.count("/") > 1:
        out.append(field.invalid(f"{at}.apiVersion", ref.apiVersion, f"unexpected GroupVersion string: {ref.apiVersion}"))
    elif group and not ref.apiVersion.rpartition("/")[0]:
        out.append(field.invalid(f"{at}.apiVersion", ref.apiVersion, "apiVersion must specify API group"))
    return out


def _rules(rules: HPAScalingRules | None, at: str) -> Findings:
    if rules is None:
        return []
    out: Findings = []
    window = rules.stabilizationWindowSeconds
    if window is not None and window < 0:
        out.append(field.invalid(f"{at}.stabilizationWindowSeconds", window, "must be greater than or equal to zero"))
    if window is not None and window > MAX_WINDOW_SECONDS:
        out.append(field.invalid(f"{at}.stabilizationWindowSeconds", window,
                                 f"must be less than or equal to {MAX_WINDOW_SECONDS}"))
    if rules.selectPolicy is not None:
        out += checks.one_of(rules.selectPolicy, SELECT_POLICIES, f"{at}.selectPolicy")
    if not rules.policies:
        out.append(field.required(f"{at}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(rules.policies):
        out += _policy(policy, f"{at}.policies[{index}]")
    if rules.tolerance is not None and quantity.nano(rules.tolerance) < 0:
        out.append(field.invalid(f"{at}.tolerance", rules.tolerance, "must be greater than or equal to 0"))
    return out


def _policy(policy: HPAScalingPolicy, at: str) -> Findings:
    out = checks.one_of(policy.type, POLICY_TYPES, f"{at}.type")
    if policy.value <= 0:
        out.append(field.invalid(f"{at}.value", policy.value, "must be greater than zero"))
    if policy.periodSeconds <= 0:
        out.append(field.invalid(f"{at}.periodSeconds", policy.periodSeconds, "must be greater than zero"))
    if policy.periodSeconds > MAX_PERIOD_SECONDS:
        out.append(field.invalid(f"{at}.periodSeconds", policy.periodSeconds,
                                 f"must be less than or equal to {MAX_PERIOD_SECONDS}"))
    return out


def _metric(metric: MetricSpec, at: str) -> Findings:
    out: Findings = []
    if not metric.type:
        out.append(field.required(f"{at}.type", "must specify a metric source type"))
    if metric.type not in SOURCES:
        out.append(field.not_supported(f"{at}.type", metric.type, tuple(SOURCES)))
    present = [name for name in ("object", "external", "pods", "resource", "containerResource")
               if getattr(metric, name) is not None]
    if present:
        out += _source(present[0], getattr(metric, present[0]), f"{at}.{present[0]}")
    expected = SOURCES.get(metric.type)
    if expected is None:
        out.append(field.not_supported(f"{at}.type", metric.type, tuple(SOURCES)))
    elif expected not in present:
        out.append(field.required(f"{at}.{expected}", "must populate information for the given metric source"))
    if len(present) > 1:
        out += [field.forbidden(f"{at}.{name}", "must populate the given metric source only")
                for name in present if name != expected]
    return out


def _source(kind: str, source: Any, at: str) -> Findings:
    if kind in ("resource", "containerResource"):
        return _resource(kind, source, at)
    out = _reference(source.describedObject, f"{at}.describedObject") if kind == "object" else []
    out += _identifier(source.metric, f"{at}.metric")
    target, where = source.target, f"{at}.target"
    out += _target(target, where)
    if kind == "pods":
        if target.averageValue is None:
            out.append(field.required(f"{where}.averageValue", "must specify a positive target averageValue"))
        return out
    if target.value is None and target.averageValue is None:
        words = ("must set either a target value or averageValue" if kind == "object"
                 else "must set either a target value for metric or a per-pod target")
        out.append(field.required(f"{where}.averageValue", words))
    if kind == "external" and target.value is not None and target.averageValue is not None:
        out.append(field.forbidden(f"{where}.value", "may not set both a target value for metric and a per-pod target"))
    return out


def _resource(kind: str, source: Any, at: str) -> Findings:
    out: Findings = []
    if not source.name:
        out.append(field.required(f"{at}.name", "must specify a resource name"))
    elif kind == "containerResource":
        resources.container_resource_name(out, source.name, f"{at}.name")
    if kind == "containerResource" and not source.container:
        out.append(field.required(f"{at}.container", "must specify a container"))
    elif kind == "containerResource":
        out += checks.named(source.container, names.dns1123_label, f"{at}.container")
    target, where = source.target, f"{at}.target"
    out += _target(target, where)
    if target.averageUtilization is None and target.averageValue is None:
        out.append(field.required(f"{where}.averageUtilization",
                                  "must set either a target raw value or a target utilization"))
    if target.averageUtilization is not None and target.averageValue is not None:
        out.append(field.forbidden(f"{where}.averageValue", "may not set both a target raw value and a target utilization"))
    return out


def _identifier(metric: Any, at: str) -> Findings:
    out = checks.required_name(metric.name, names.path_segment_name, f"{at}.name")
    if not metric.name:
        out = [field.required(f"{at}.name", "must specify a metric name")]
    return out  # nobody looks at the selector


def _target(target: MetricTarget, at: str) -> Findings:
    out: Findings = []
    if not target.type:
        out.append(field.required(f"{at}.type", "must specify a metric target type"))
    if target.type not in ("Utilization", "Value", "AverageValue"):
        out.append(field.invalid(f"{at}.type", target.type, "must be either Utilization, Value, or AverageValue"))
    for name in ("value", "averageValue"):
        amount = getattr(target, name)
        if amount is not None and quantity.nano(amount) <= 0:
            out.append(field.invalid(f"{at}.{name}", amount, "must be positive"))
    if target.averageUtilization is not None and target.averageUtilization < 1:
        out.append(field.invalid(f"{at}.averageUtilization", target.averageUtilization, "must be greater than 0"))
    return out


def validate_status(new: HorizontalPodAutoscaler, old: HorizontalPodAutoscaler) -> Findings:
    return checks.all_nonnegative(new.status, "status", "currentReplicas", "desiredReplicas")


def _targets(hpa: HorizontalPodAutoscaler, _: datetime) -> str:
    """At most two metrics with their current values (upstream: `formatHPAMetrics`)."""
    if not hpa.spec.metrics:
        return "<none>"
    current = hpa.status.currentMetrics or []
    shown = [_shown(one, current[index] if index < len(current) else None) for index, one in enumerate(hpa.spec.metrics)]
    text = ", ".join(shown[:2])
    return f"{text} + {len(shown) - 2} more..." if len(shown) > 2 else text


def _shown(metric: MetricSpec, now: Any) -> str:
    place = SOURCES.get(metric.type)
    source = getattr(metric, place) if place else None
    if place is None or source is None:
        return "<unknown type>"
    current = getattr(getattr(now, place, None), "current", None)
    target, label = source.target, f"{source.name}: " if place in ("resource", "containerResource") else ""
    if target.averageValue is not None:
        value = current.averageValue if current is not None and current.averageValue is not None else "<unknown>"
        suffix = "" if place in ("pods", "resource", "containerResource") else " (avg)"
        return f"{label}{value}/{target.averageValue}{suffix}"
    if place in ("resource", "containerResource"):
        percent = current.averageUtilization if current is not None else None
        wanted = "<auto>" if target.averageUtilization is None else f"{target.averageUtilization}%"
        return f"{label}{'<unknown>' if percent is None else f'{percent}%'}/{wanted}"
    value = current.value if current is not None and current.value is not None else "<unknown>"
    return f"{value}/{target.value}"


def _minimum(hpa: Any) -> str:
    return "<unset>" if hpa.spec.minReplicas is None else str(hpa.spec.minReplicas)


def _target_ref(hpa: Any) -> str:
    return f"{hpa.spec.scaleTargetRef.kind}/{hpa.spec.scaleTargetRef.name}"


def _columns(targets: Any) -> tuple[Column[Any], ...]:
    return (
        Column("Name", lambda hpa, _: hpa.metadata.name, format="name"),
        Column("Reference", lambda hpa, _: _target_ref(hpa)),
        Column("Targets", targets),
        Column("MinPods", lambda hpa, _: _minimum(hpa)),
        Column("MaxPods", lambda hpa, _: hpa.spec.maxReplicas),
        Column("Replicas", lambda hpa, _: hpa.status.currentReplicas),
        Column("Age", age),
    )


KIND: Kind[HorizontalPodAutoscaler] = Kind(
    resource=HORIZONTAL_POD_AUTOSCALERS,
    default=default,
    prepare_create=prepare_create,
    prepare_update=meta.keep_status,
    validate_create=validate_create,
    validate_update=validate_update,
    subkinds=(SubKind("status", meta.keep_spec, validate_status),),
    columns=_columns(_targets),
)

KIND_V1: Kind[wire_v1.HorizontalPodAutoscaler] = Kind(
    resource=HORIZONTAL_POD_AUTOSCALERS_V1,
    default=default_v1,
    columns=_columns(lambda hpa, now: _targets(v1.to_v2(hpa), now)),
)
