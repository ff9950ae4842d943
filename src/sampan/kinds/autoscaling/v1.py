"""HorizontalPodAutoscaler of autoscaling/v1, to and from the stored v2: what v1 can't say travels in annotations.

Source: kubernetes `pkg/apis/autoscaling/v1/conversion.go`, `pkg/apis/autoscaling/annotations.go`.
"""

from __future__ import annotations

from typing import Any

from sampan.api import codec
from sampan.api.autoscaling import v1, v2

METRICS = "autoscaling.alpha.kubernetes.io/metrics"
CURRENT_METRICS = "autoscaling.alpha.kubernetes.io/current-metrics"
CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
ANNOTATIONS = (METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR)

_CPU = "cpu"


def from_v2(hpa: v2.HorizontalPodAutoscaler) -> v1.HorizontalPodAutoscaler:
    """The v1 form: the first CPU utilisation as a field, all other metrics as an annotation."""
    metadata = codec.clone(hpa.metadata)
    annotations = {key: value for key, value in metadata.annotations.items() if key not in ANNOTATIONS}
    spec, status = hpa.spec, hpa.status
    cpu, others = _split(spec.metrics, lambda one: one.resource.target.averageUtilization if one.resource else None)
    now, other_now = _split(status.currentMetrics or [],
                            lambda one: one.resource.current.averageUtilization if one.resource else None)
    for key, value in ((METRICS, [_metric_v1(one) for one in others]),
                       (CURRENT_METRICS, [_current_v1(one) for one in other_now])):
        if value:
            annotations[key] = codec.encode(value).decode()
    if status.conditions:
        annotations[CONDITIONS] = codec.encode(status.conditions).decode()
    if spec.behavior is not None:
        annotations[BEHAVIOR] = codec.encode(_behavior_v1(spec.behavior)).decode()
    metadata.annotations = annotations
    return v1.HorizontalPodAutoscaler(
        kind=hpa.kind, apiVersion="autoscaling/v1", metadata=metadata,
        spec=v1.HorizontalPodAutoscalerSpec(
            scaleTargetRef=_ref(v1.CrossVersionObjectReference, spec.scaleTargetRef), minReplicas=spec.minReplicas,
            maxReplicas=spec.maxReplicas, targetCPUUtilizationPercentage=cpu),
        status=v1.HorizontalPodAutoscalerStatus(
            observedGeneration=status.observedGeneration, lastScaleTime=status.lastScaleTime,
            currentReplicas=status.currentReplicas, desiredReplicas=status.desiredReplicas,
            currentCPUUtilizationPercentage=now),
    )


def to_v2(hpa: v1.HorizontalPodAutoscaler) -> v2.HorizontalPodAutoscaler:
    """The stored form. Annotations that can't be read are dropped, as upstream does."""
    metadata = codec.clone(hpa.metadata)
    held = {key: metadata.annotations[key] for key in ANNOTATIONS if key in metadata.annotations}
    metadata.annotations = {key: value for key, value in metadata.annotations.items() if key not in ANNOTATIONS}
    spec, status = hpa.spec, hpa.status
    metrics = [_read(v2.MetricSpec, _metric_v2(one)) for one in _items(held.get(METRICS))]
    if spec.targetCPUUtilizationPercentage is not None:
        metrics.insert(0, cpu_metric(spec.targetCPUUtilizationPercentage))
    current = [_read(v2.MetricStatus, _current_v2(one)) for one in _items(held.get(CURRENT_METRICS))]
    if status.currentCPUUtilizationPercentage is not None:
        value = v2.MetricValueStatus(averageUtilization=status.currentCPUUtilizationPercentage)
        current.insert(0, v2.MetricStatus(type="Resource", resource=v2.ResourceMetricStatus(name=_CPU, current=value)))
    conditions = [_read(v2.HorizontalPodAutoscalerCondition, one) for one in _items(held.get(CONDITIONS))]
    return v2.HorizontalPodAutoscaler(
        kind=hpa.kind, apiVersion="autoscaling/v2", metadata=metadata,
        spec=v2.HorizontalPodAutoscalerSpec(
            scaleTargetRef=_ref(v2.CrossVersionObjectReference, spec.scaleTargetRef), minReplicas=spec.minReplicas,
            maxReplicas=spec.maxReplicas, metrics=[one for one in metrics if one is not None],
            behavior=_read(v2.HorizontalPodAutoscalerBehavior, _behavior_v2(_item(held.get(BEHAVIOR))))),
        status=v2.HorizontalPodAutoscalerStatus(
            observedGeneration=status.observedGeneration, lastScaleTime=status.lastScaleTime,
            currentReplicas=status.currentReplicas, desiredReplicas=status.desiredReplicas,
            currentMetrics=[one for one in current if one is not None] or None,
            conditions=[one for one in conditions if one is not None]),
    )


def cpu_metric(percent: int) -> v2.MetricSpec:
    """The metric that v1's one number stands for."""
    target = v2.MetricTarget(type="Utilization", averageUtilization=percent)
    return v2.MetricSpec(type="Resource", resource=v2.ResourceMetricSource(name=_CPU, target=target))


def _ref(wire: Any, ref: Any) -> Any:
    return wire(kind=ref.kind, name=ref.name, apiVersion=ref.apiVersion)


def _split(metrics: list[Any], utilization: Any) -> tuple[int | None, list[Any]]:
    """The first CPU utilisation, and all that is not it."""
    for index, one in enumerate(metrics):
        if one.type == "Resource" and one.resource is not None and one.resource.name == _CPU \
                and utilization(one) is not None:
            return utilization(one), metrics[:index] + metrics[index + 1:]
    return None, metrics


def _items(text: str | None) -> list[Any]:
    value = _item(text)
    return value if isinstance(value, list) else []


def _item(text: str | None) -> Any:
    try:
        return codec.loads(text) if text else None
    except codec.DecodeError:
        return None


def _read(wire: Any, value: Any) -> Any:
    try:
        return codec.convert(wire, value) if isinstance(value, dict) else None
    except codec.DecodeError:
        return None


# v1's annotations use the flat form of autoscaling/v2beta1 (targetAverageValue, …)
_TARGETS = {"averageUtilization": "targetAverageUtilization", "averageValue": "targetAverageValue", "value": "targetValue"}
_CURRENTS = {"averageUtilization": "currentAverageUtilization", "averageValue": "currentAverageValue",
             "value": "currentValue"}
_SOURCES = ("object", "pods", "resource", "external", "containerResource")


def _metric_v1(metric: v2.MetricSpec) -> dict[str, Any]:
    return _flatten(codec.to_builtins(metric), "target", _TARGETS)


def _current_v1(metric: v2.MetricStatus) -> dict[str, Any]:
    return _flatten(codec.to_builtins(metric), "current", _CURRENTS)


def _metric_v2(metric: Any) -> Any:
    return _nest(metric, "target", _TARGETS)


def _current_v2(metric: Any) -> Any:
    return _nest(metric, "current", _CURRENTS)


def _flatten(metric: dict[str, Any], place: str, words: dict[str, str]) -> dict[str, Any]:
    out: dict[str, Any] = {"type": metric.get("type", "")}
    for source in _SOURCES:
        if not isinstance(body := metric.get(source), dict):
            continue
        flat = {key: value for key, value in body.items() if key not in (place, "metric", "describedObject")}
        flat |= {words[key]: value for key, value in body.get(place, {}).items() if key in words and value is not None}
        if "describedObject" in body:
            flat["target"] = body["describedObject"]
        for key, name in (("name", "metricName"), ("selector", "metricSelector" if source == "external" else "selector")):
            if (value := body.get("metric", {}).get(key)) is not None:
                flat[name] = value
        out[source] = flat
    return out


def _nest(metric: Any, place: str, words: dict[str, str]) -> Any:
    if not isinstance(metric, dict):
        return None
    out: dict[str, Any] = {"type": metric.get("type", "")}
    for source in _SOURCES:
        if not isinstance(body := metric.get(source), dict):
            continue
        values = {key: body[word] for key, word in words.items() if word in body}
        nested: dict[str, Any] = {place: values}
        if place == "target":
            values["type"] = {"averageUtilization": "Utilization", "averageValue": "AverageValue"}.get(
                next(iter(values), ""), "Value")
        if source in ("resource", "containerResource"):
            nested |= {key: body[key] for key in ("name", "container") if key in body}
        else:
            nested["metric"] = {"name": body.get("metricName", "")}
            if (selector := body.get("metricSelector", body.get("selector"))) is not None:
                nested["metric"]["selector"] = selector
        if source == "object":
            nested["describedObject"] = body.get("target", {})
        out[source] = nested
    return out


def _behavior_v1(behavior: v2.HorizontalPodAutoscalerBehavior) -> dict[str, Any]:
    """Upstream writes the internal form: Go's names of fields."""
    return {_go(side): {_go(key): [{_go(name): part for name, part in one.items()} for one in value]
                        if isinstance(value, list) else value for key, value in rules.items()}
            for side, rules in codec.to_builtins(behavior).items()}


def _behavior_v2(value: Any) -> Any:
    """Names are matched whatever their case, as Go does."""
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: _behavior_v2(part) for key, part in value.items() if part is not None}
    return [_behavior_v2(part) for part in value] if isinstance(value, list) else value


def _go(name: str) -> str:
    return name[:1].upper() + name[1:]
