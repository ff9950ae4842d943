"""The scale that an autoscaler wants, its status and its events. Pure but for the `History` that it is given.

Owns conditions, reasons and messages; the numbers come from `measure`, limits from `behavior`.
Source: kube-controller-manager `podautoscaler/horizontal.go` (reconcileAutoscaler, computeReplicasForMetrics).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from sampan.api.autoscaling.v1 import Scale
from sampan.api.autoscaling.v2 import (
    ContainerResourceMetricStatus,
    ExternalMetricStatus,
    HorizontalPodAutoscaler,
    HorizontalPodAutoscalerCondition,
    HorizontalPodAutoscalerStatus,
    HPAScalingRules,
    MetricSpec,
    MetricStatus,
    MetricTarget,
    MetricValueStatus,
    ObjectMetricStatus,
    PodsMetricStatus,
    ResourceMetricStatus,
)
from sampan.api.core.v1 import Pod
from sampan.api.quantity import BINARY_SI, DECIMAL_SI, approximate, milli, of_milli
from sampan.api.scalars import Quantity, Time
from sampan.api.selectors import format_go
from sampan.autoscale.hpa import measure
from sampan.autoscale.hpa.behavior import History, Wish, hold_back
from sampan.autoscale.hpa.measure import Proposal, Readiness, Samples, Target, Tolerances, Unmeasured
from sampan.kinds.meta import with_condition
from sampan.kinds.plan import EventRecord

Sampled = Samples | int | Unmeasured
"""What one metric said: samples by pod, one value in thousandths, or why there is none."""


@dataclass(frozen=True)
class Settings:
    """What the flags say."""

    downscale_stabilization_seconds: float = 300.0
    cpu_initialization_seconds: float = 300.0
    initial_readiness_seconds: float = 30.0
    tolerance: float = 0.1


@dataclass(frozen=True)
class Seen:
    """The scale, the pods behind it, and what each metric of the spec said."""

    scale: Scale
    pods: Sequence[Pod] = ()
    sampled: Sequence[Sampled] = ()
    unselected: tuple[str, str] | None = None
    """Reason and message where the scale's selector is none, or not its alone."""


@dataclass
class Outcome:
    """What is to be done: `replicas` for the scale (None: leave it), the new status, events."""

    status: HorizontalPodAutoscalerStatus
    replicas: int | None = None
    because: str = ""
    events: list[EventRecord] = field(default_factory=list)
    error: str = ""


class _Draft:
    """A status in the making."""

    def __init__(self, hpa: HorizontalPodAutoscaler, now: datetime) -> None:
        self.hpa, self.now = hpa, now
        self.conditions = hpa.status.conditions
        self.events: list[EventRecord] = []

    def set(self, kind: str, status: bool, reason: str, message: str) -> None:
        self.conditions = with_condition(self.conditions, HorizontalPodAutoscalerCondition(
            type=kind, status=str(status), lastTransitionTime=Time.of(self.now), reason=reason, message=message))

    def tell(self, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        self.events.append(EventRecord(self.hpa, kind, reason, message))

    def outcome(self, current: int, desired: int, metrics: Sequence[MetricStatus] | None) -> Outcome:
        status = replace(self.hpa.status, observedGeneration=None, currentReplicas=current, desiredReplicas=desired, conditions=self.conditions,
                         currentMetrics=list(metrics) if metrics is not None else None)
        return Outcome(status, events=self.events)


def least_of(hpa: HorizontalPodAutoscaler) -> int:
    """The fewest replicas; 1 unless the spec says otherwise."""
    return 1 if hpa.spec.minReplicas is None else hpa.spec.minReplicas


def asks_metrics(hpa: HorizontalPodAutoscaler, scale: Scale) -> bool:
    """Whether what the metrics say matters: not at zero replicas, nor outside the bounds."""
    current, least = scale.spec.replicas, least_of(hpa)
    return current != 0 and least <= current <= hpa.spec.maxReplicas


def without_scale(hpa: HorizontalPodAutoscaler, why: str, now: datetime) -> Outcome:
    """The target can't be found, or has no scale."""
    draft = _Draft(hpa, now)
    draft.tell("Warning", "FailedGetScale", why)
    draft.set("AbleToScale", False, "FailedGetScale", f"the HPA controller was unable to get the target's current scale: {why}")
    return Outcome(replace(hpa.status, conditions=draft.conditions), events=draft.events, error=why)


def decide(hpa: HorizontalPodAutoscaler, seen: Seen, history: History, settings: Settings, now: datetime) -> Outcome:
    """What the autoscaler wants; `history` remembers the recommendation.

    Source: `reconcileAutoscaler`.
    """
    draft, current, least, most = _Draft(hpa, now), seen.scale.spec.replicas, least_of(hpa), hpa.spec.maxReplicas
    draft.set("AbleToScale", True, "SucceededGetScale", "the HPA controller was able to get the target's current scale")
    history.began(current, now)
    if current == 0:
        draft.set("ScalingActive", False, "ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
        return draft.outcome(current, current, None)
    if current > most:
        return _rescale(draft, current, most, "Current number of replicas above Spec.MaxReplicas", None)
    if current < least:
        return _rescale(draft, current, least, "Current number of replicas below Spec.MinReplicas", None)
    found = _of_metrics(draft, seen, settings)
    if found.error and found.replicas is None:
        draft.tell("Warning", "FailedComputeMetricsReplicas", found.error)
        outcome = draft.outcome(current, hpa.status.desiredReplicas, found.statuses)
        outcome.error = found.error
        return outcome
    recommended = found.replicas or 0
    # none where an earlier recommendation, and not this one, asks for a change
    because = f"{found.name} above target" if recommended > current else "All metrics below target" if recommended < current else ""
    verdict = hold_back(Wish(current, recommended, least, most, hpa.spec.behavior), history, now,
                        settings.downscale_stabilization_seconds)
    draft.set("AbleToScale", True, *verdict.able)
    draft.set("ScalingLimited", verdict.limited, *verdict.why)
    if verdict.replicas == current:
        outcome = draft.outcome(current, current, found.statuses)
    else:
        outcome = _rescale(draft, current, verdict.replicas, because, found.statuses)
    outcome.error = found.error
    return outcome


def _rescale(draft: _Draft, current: int, wanted: int, because: str, metrics: Sequence[MetricStatus] | None) -> Outcome:
    outcome = draft.outcome(current, wanted, metrics)
    outcome.replicas, outcome.because = wanted, because
    return outcome


def rescaled(hpa: HorizontalPodAutoscaler, outcome: Outcome, now: datetime, error: str = "") -> Outcome:
    """The outcome once its scale was written, or could not be: what the status says then."""
    draft = _Draft(hpa, now)
    draft.conditions, draft.events = outcome.status.conditions, outcome.events
    if error:
        draft.tell("Warning", "FailedRescale", f"New size: {outcome.replicas}; reason: {outcome.because}; error: {error}")
        draft.set("AbleToScale", False, "FailedUpdateScale", f"the HPA controller was unable to update the target scale: {error}")
        failed = draft.outcome(outcome.status.currentReplicas, hpa.status.desiredReplicas, outcome.status.currentMetrics)
        failed.error = error
        return failed
    draft.set("AbleToScale", True, "SucceededRescale",
              f"the HPA controller was able to update the target scale to {outcome.replicas}")
    draft.tell("Normal", "SuccessfulRescale", f"New size: {outcome.replicas}; reason: {outcome.because}")
    status = replace(outcome.status, conditions=draft.conditions, lastScaleTime=Time.of(now))
    return Outcome(status, outcome.replicas, outcome.because, draft.events, outcome.error)


@dataclass
class _Found:
    statuses: list[MetricStatus] | None = None
    replicas: int | None = None
    name: str = ""
    error: str = ""


def _of_metrics(draft: _Draft, seen: Seen, settings: Settings) -> _Found:
    """The highest proposal. Where some metrics fail the others count only if they do not want fewer."""
    found = _Found()
    if seen.unselected is not None:
        reason, message = seen.unselected
        draft.tell("Warning", reason, message)
        if reason == "SelectorRequired":
            draft.set("ScalingActive", False, "InvalidSelector", "the HPA target's scale is missing a selector")
        else:
            draft.set("ScalingActive", False, reason, message)
        found.error = message
        return found
    specs = draft.hpa.spec.metrics
    found.statuses = [MetricStatus() for _ in specs]
    failures: list[tuple[str, str]] = []
    for index, (spec, sampled) in enumerate(zip(specs, seen.sampled, strict=True)):
        try:
            proposal, name, found.statuses[index] = _propose(draft, spec, sampled, seen, settings)
        except Unmeasured as error:
            reason = f"FailedGet{spec.type}Metric" if spec.type in _KINDS else "InvalidMetricSourceType"
            draft.tell("Warning", reason, error.message)
            if not failures:
                found.error = f"failed to get {_title(spec)} metric value: {error.whole}"
            failures.append((reason, error.message))
            continue
        if not found.replicas or proposal.replicas > found.replicas:
            found.replicas, found.name = proposal.replicas, name
    if failures:
        found.error = f"invalid metrics ({len(failures)} invalid out of {len(specs)}), first error is: {found.error}"
        if found.replicas is None or found.replicas < seen.scale.spec.replicas:
            found.replicas = None
            draft.set("ScalingActive", False, failures[0][0], f"the HPA was unable to compute the replica count: {failures[0][1]}")
            return found
    draft.set("ScalingActive", True, "ValidMetricFound", f"the HPA was able to successfully calculate a replica count from {found.name}")
    return found


def _title(spec: MetricSpec) -> str:
    if spec.resource is not None:
        return f"{spec.resource.name} resource"
    if spec.containerResource is not None:
        return f"{spec.containerResource.container} container"
    if spec.external is not None:
        return f"{spec.external.metric.name} external"
    return spec.type.lower()


def _tolerances(hpa: HorizontalPodAutoscaler, default: float) -> Tolerances:
    def of(rules: HPAScalingRules | None) -> float:
        return default if rules is None or rules.tolerance is None else approximate(rules.tolerance)

    behavior = hpa.spec.behavior
    return Tolerances(default, default) if behavior is None else Tolerances(down=of(behavior.scaleDown), up=of(behavior.scaleUp))


Proposed = tuple[Proposal, str, MetricStatus]


def _propose(draft: _Draft, spec: MetricSpec, sampled: Sampled, seen: Seen, settings: Settings) -> Proposed:
    make = _KINDS.get(spec.type)
    if make is None:
        raise Unmeasured(f'unknown metric source type "{spec.type}"')
    target = Target(seen.scale.spec.replicas, seen.pods, _tolerances(draft.hpa, settings.tolerance), Readiness(
        draft.now, settings.cpu_initialization_seconds, settings.initial_readiness_seconds))
    return make(spec, sampled, target, seen.scale.status.replicas)


def _said(sampled: Sampled) -> Samples:
    if isinstance(sampled, Unmeasured):
        raise sampled
    assert isinstance(sampled, Mapping)
    return sampled


def _value(sampled: Sampled) -> int:
    if isinstance(sampled, Unmeasured):
        raise sampled
    assert isinstance(sampled, int)
    return sampled


def _shown(resource: str, value_milli: int) -> Quantity:
    """Memory counts in Ki, Mi, Gi, as metrics servers tell it."""
    return of_milli(value_milli, BINARY_SI if resource == "memory" else DECIMAL_SI)


def _of_resource(name: str, container: str, wanted: MetricTarget, sampled: Sampled, target: Target) -> tuple[Proposal, MetricValueStatus]:
    what = "usage" if wanted.averageValue is not None else "utilization"
    try:
        samples = _said(sampled)
        if wanted.averageValue is not None:
            proposal = measure.by_average(target, samples, milli(wanted.averageValue), name)
            return proposal, MetricValueStatus(averageValue=_shown(name, proposal.value_milli))
        if wanted.averageUtilization is None:
            raise Unmeasured("invalid resource metric source: neither an average utilization target nor an average value (usage) target was set")
        proposal = measure.by_utilization(target, samples, name, wanted.averageUtilization, container)
    except Unmeasured as error:
        raise Unmeasured(f"failed to get {name} {what}: {error.message}") from None
    return proposal, MetricValueStatus(averageValue=_shown(name, proposal.value_milli), averageUtilization=proposal.utilization)


def _resource(spec: MetricSpec, sampled: Sampled, target: Target, _: int) -> Proposed:
    source = spec.resource
    assert source is not None
    proposal, current = _of_resource(source.name, "", source.target, sampled, target)
    percent = " utilization (percentage of request)" if proposal.utilization is not None else ""
    return proposal, f"{source.name} resource{percent}", MetricStatus(type=spec.type, resource=ResourceMetricStatus(name=source.name, current=current))


def _container(spec: MetricSpec, sampled: Sampled, target: Target, _: int) -> Proposed:
    source = spec.containerResource
    assert source is not None
    proposal, current = _of_resource(source.name, source.container, source.target, sampled, target)
    name = f"{source.name} resource" if proposal.utilization is None else f"{source.name} container resource utilization (percentage of request)"
    status = ContainerResourceMetricStatus(name=source.name, container=source.container, current=current)
    return proposal, name, MetricStatus(type=spec.type, containerResource=status)


def _pods(spec: MetricSpec, sampled: Sampled, target: Target, _: int) -> Proposed:
    source = spec.pods
    assert source is not None
    proposal = measure.by_average(target, _said(sampled), milli(source.target.averageValue or "0"))
    status = PodsMetricStatus(metric=source.metric, current=MetricValueStatus(averageValue=of_milli(proposal.value_milli)))
    return proposal, f"pods metric {source.metric.name}", MetricStatus(type=spec.type, pods=status)


def _object(spec: MetricSpec, sampled: Sampled, target: Target, current: int) -> Proposed:
    source = spec.object
    assert source is not None
    value = _value(sampled)
    if source.target.type == "Value":
        proposal = measure.by_value(target, value, milli(source.target.value or "0"))
        shown = MetricValueStatus(value=of_milli(proposal.value_milli))
    elif source.target.type == "AverageValue":
        proposal = measure.by_share(current, target.tolerances, value, milli(source.target.averageValue or "0"))
        shown = MetricValueStatus(averageValue=of_milli(proposal.value_milli))
    else:
        raise Unmeasured("invalid object metric source: neither a value target nor an average value target was set")
    title = (f"{source.describedObject.kind} metric {source.metric.name}" if shown.value is not None
             else f"external metric {source.metric.name}({format_go(source.metric.selector)})")  # upstream's words, though it is none
    return proposal, title, MetricStatus(type=spec.type, object=ObjectMetricStatus(
        describedObject=source.describedObject, metric=source.metric, current=shown))


def _external(spec: MetricSpec, sampled: Sampled, target: Target, current: int) -> Proposed:
    source = spec.external
    assert source is not None
    if source.target.averageValue is not None:
        proposal = measure.by_share(current, target.tolerances, _value(sampled), milli(source.target.averageValue))
        shown = MetricValueStatus(averageValue=of_milli(proposal.value_milli))
    elif source.target.value is not None:
        proposal = measure.by_value(target, _value(sampled), milli(source.target.value))
        shown = MetricValueStatus(value=of_milli(proposal.value_milli))
    else:
        raise Unmeasured("invalid external metric source: neither a value target nor an average value target was set")
    title = f"external metric {source.metric.name}({format_go(source.metric.selector)})"
    return proposal, title, MetricStatus(type=spec.type, external=ExternalMetricStatus(metric=source.metric, current=shown))


_KINDS: Mapping[str, Callable[[MetricSpec, Sampled, Target, int], Proposed]] = {
    "Resource": _resource, "ContainerResource": _container, "Pods": _pods, "Object": _object, "External": _external,
}
