"""Kinds that are served in two versions: how the stored form becomes the other one and back.

Owns the list of them, and how horizontal pod autoscalers do it (stored as v2, served as v1 too, with what v1 can't say in annotations).
Events (stored as core/v1, served as events.k8s.io/v1 too) are `sampan.kinds.events.event`'s.
Source: kubernetes `pkg/apis/autoscaling/v1/conversion.go`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sampan.api import codec
from sampan.api.resourceinfo import Resource
from sampan.api.resources import EVENTS, EVENTS_EVENTS, HORIZONTAL_POD_AUTOSCALERS, HORIZONTAL_POD_AUTOSCALERS_V1
from sampan.kinds.events import event

METRICS = "autoscaling.alpha.kubernetes.io/metrics"
CURRENT_METRICS = "autoscaling.alpha.kubernetes.io/current-metrics"
CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"


def hpa_outward(hpa: Any) -> Any:
    """v2 to v1: the first CPU utilisation target is a field, the rest are annotations."""
    value = codec.to_builtins(hpa)
    value["apiVersion"] = "autoscaling/v1"
    spec, status, meta = value.get("spec") or {}, value.get("status") or {}, value.setdefault("metadata", {})
    notes = dict(meta.get("annotations") or {})
    others = []
    for metric in spec.pop("metrics", None) or []:
        target = (metric.get("resource") or {}).get("target") or {}
        if (metric.get("type") == "Resource" and metric["resource"].get("name") == "cpu" and "averageUtilization" in target
                and "targetCPUUtilizationPercentage" not in spec):
            spec["targetCPUUtilizationPercentage"] = target["averageUtilization"]
        else:
            others.append(metric)
    current = []
    for metric in status.pop("currentMetrics", None) or []:
        now = (metric.get("resource") or {}).get("current") or {}
        if metric.get("type") == "Resource" and metric["resource"].get("name") == "cpu" and "averageUtilization" in now:
            status["currentCPUUtilizationPercentage"] = now["averageUtilization"]
        current.append(metric)
    for key, item in ((METRICS, others), (CURRENT_METRICS, current), (CONDITIONS, status.pop("conditions", None)),
                      (BEHAVIOR, spec.pop("behavior", None))):
        if item:
            notes[key] = codec.encode(item).decode()
    if notes:
        meta["annotations"] = notes
    value["spec"], value["status"] = spec, status
    return codec.convert(HORIZONTAL_POD_AUTOSCALERS_V1.wire, value)


def hpa_inward(hpa: Any) -> Any:
    """v1 to v2."""
    value = codec.to_builtins(hpa)
    value["apiVersion"] = "autoscaling/v2"
    spec, status, meta = value.get("spec") or {}, value.get("status") or {}, value.setdefault("metadata", {})
    notes = dict(meta.get("annotations") or {})
    metrics = _note(notes, METRICS) or []
    percent = spec.pop("targetCPUUtilizationPercentage", None)
    if percent is not None:
        target = {"type": "Utilization", "averageUtilization": percent}
        metrics.insert(0, {"type": "Resource", "resource": {"name": "cpu", "target": target}})
    if metrics:
        spec["metrics"] = metrics
    status.pop("currentCPUUtilizationPercentage", None)
    for key, place, name in ((BEHAVIOR, spec, "behavior"), (CURRENT_METRICS, status, "currentMetrics"), (CONDITIONS, status, "conditions")):
        item = _note(notes, key)
        if item:
            place[name] = item
    meta["annotations"] = notes
    value["spec"], value["status"] = spec, status
    return codec.convert(HORIZONTAL_POD_AUTOSCALERS.wire, value)


def _note(notes: dict[str, str], key: str) -> Any:
    text = notes.pop(key, "")
    if not text:
        return None
    try:
        return codec.loads(text)
    except codec.DecodeError:
        return None  # upstream drops annotations that it can't read


STORED: dict[Resource[Any], tuple[Resource[Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    EVENTS_EVENTS: (EVENTS, event.from_core, event.to_core),
    HORIZONTAL_POD_AUTOSCALERS_V1: (HORIZONTAL_POD_AUTOSCALERS, hpa_outward, hpa_inward),
}
"""Served resource → (stored resource, outward, inward). What they make may share parts with what they are given: neither is changed afterwards."""
