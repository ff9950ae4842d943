"""From what metrics say to the replicas that are proposed. Pure.

Owns which pods count (going, failed, pending, unready, without a sample), the tolerance, and rounding. Values are in
thousandths, as upstream calculates. Source: kube-controller-manager `podautoscaler/replica_calculator.go`,
`podautoscaler/metrics/utilization.go`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sampan.api.core.v1 import Container, Pod
from sampan.api.quantity import milli
from sampan.control.pods import is_ready, ready_condition
from sampan.kinds.quota import pod_requests
from sampan.lib.errors import SampanError


class Unmeasured(SampanError):
    """No replicas can be computed from a metric; the text is upstream's. `whole`: the same with more of where it came from."""

    def __init__(self, message: str, whole: str = "") -> None:
        super().__init__(message)
        self.whole = whole or message


@dataclass(frozen=True)
class Sample:
    """One pod's value, over `window_seconds` that ended at `at`."""

    value_milli: int
    at: datetime | None = None
    window_seconds: float = 0.0


Samples = Mapping[str, Sample]
Ratio = Callable[[], float]


@dataclass(frozen=True)
class Tolerances:
    """How far the ratio of use to target may be below and above 1 before anything changes."""

    down: float = 0.1
    up: float = 0.1

    def within(self, ratio: float) -> bool:
        """Whether nothing is to change."""
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclass(frozen=True)
class Readiness:
    """When an unready pod's CPU use says nothing."""

    now: datetime
    cpu_initialization_seconds: float = 300.0
    initial_readiness_seconds: float = 30.0


@dataclass(frozen=True)
class Proposal:
    """What one metric wants; `utilization` is a percentage of the request, where that is what was asked for."""

    replicas: int
    value_milli: int
    utilization: int | None = None


@dataclass(frozen=True)
class Target:
    """The pods of a scale, how many replicas it has, and the rules they are judged by."""

    replicas: int
    pods: Sequence[Pod]
    tolerances: Tolerances
    readiness: Readiness

    @property
    def ready(self) -> int:
        """Running pods that are ready.

        Raises:
            Unmeasured: There are no pods.
        """
        if not self.pods:
            raise Unmeasured("unable to calculate ready pods: no pods returned by selector while calculating replica count")
        return sum(1 for pod in self.pods if pod.status.phase == "Running" and is_ready(pod))


@dataclass(frozen=True)
class Groups:
    """The pods of a scale, by what their samples are worth."""

    counted: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def group(pods: Sequence[Pod], samples: Samples, readiness: Readiness, *, cpu: bool) -> Groups:
    """Sort pods: those that count, the unready (and pending) ones, those without a sample, those that are going or failed."""
    counted, unready, missing, ignored = 0, set(), set(), set()
    for pod in pods:
        name = pod.metadata.name
        if pod.metadata.deletionTimestamp is not None or pod.status.phase == "Failed":
            ignored.add(name)
        elif pod.status.phase == "Pending":
            unready.add(name)
        elif name not in samples:
            missing.add(name)
        elif cpu and _unready(pod, samples[name], readiness):
            unready.add(name)
        else:
            counted += 1
    return Groups(counted, frozenset(unready), frozenset(missing), frozenset(ignored))


def _measured(target: Target, samples: Samples, resource: str) -> tuple[Groups, dict[str, int]]:
    """The pods by what their samples are worth, and the values that count.

    Raises:
        Unmeasured: There are no pods, or no samples of those that count.
    """
    if not target.pods:
        raise Unmeasured("no pods returned by selector while calculating replica count")
    groups = group(target.pods, samples, target.readiness, cpu=resource == "cpu")
    left_out = groups.unready | groups.ignored
    found = {name: sample.value_milli for name, sample in samples.items() if name not in left_out}
    if not found:
        raise Unmeasured("did not receive metrics for targeted pods (pods might be unready)")
    return groups, found


def _unready(pod: Pod, sample: Sample, readiness: Readiness) -> bool:
    found = ready_condition(pod)
    if found is None or pod.status.startTime is None or found.lastTransitionTime is None:
        return True
    began, changed = pod.status.startTime.moment(), found.lastTransitionTime.moment()
    if began + timedelta(seconds=readiness.cpu_initialization_seconds) > readiness.now:
        # still starting: the sample must be of a ready time alone
        early = sample.at is not None and sample.at < changed + timedelta(seconds=sample.window_seconds)
        return found.status == "False" or early
    return found.status == "False" and began + timedelta(seconds=readiness.initial_readiness_seconds) > changed


def requests(pods: Sequence[Pod], resource: str, container: str = "") -> dict[str, int]:
    """What each pod (or its container of that name) requests, in thousandths.

    Raises:
        Unmeasured: A container has no request, or a pod no such container.
    """
    return {pod.metadata.name: _request(pod, resource, container) for pod in pods}


def _request(pod: Pod, resource: str, container: str) -> int:
    if not container and pod.spec.resources is not None and pod.spec.resources.requests:
        whole = pod_requests(pod)
        if resource not in whole:
            raise Unmeasured(f"missing pod-level request for {resource} in Pod {pod.metadata.name}")
        return milli(whole[resource])
    total = 0
    for one in [*(pod.spec.containers or ()), *(each for each in pod.spec.initContainers if each.restartPolicy == "Always")]:
        if not container or one.name == container:
            total += _container_request(pod, one, resource)
            if container:
                return total
    if container:
        raise Unmeasured(f"container {container} not found in Pod {pod.metadata.name}")
    return total


def _container_request(pod: Pod, container: Container, resource: str) -> int:
    found = container.resources.requests.get(resource)
    if found is None:
        raise Unmeasured(f"missing request for {resource} in container {container.name} of Pod {pod.metadata.name}")
    return milli(found)


def by_utilization(target: Target, samples: Samples, resource: str, percent: int, container: str = "") -> Proposal:
    """Replicas that bring the use of a resource to `percent` of what is requested.

    Raises:
        Unmeasured: There are no pods, no samples of ready ones, or no requests.
    """
    groups, found = _measured(target, samples, resource)
    asked = requests(target.pods, resource, container)
    ratio, utilization, value = _utilization(found, asked, percent)
    fill = {name: asked[name] * max(100, percent) // 100 for name in groups.missing}
    replicas = _settle(target, groups, found, ratio, fill=fill, again=lambda: _utilization(found, asked, percent)[0])
    return Proposal(replicas, value, utilization)


def by_average(target: Target, samples: Samples, average_milli: int, resource: str = "") -> Proposal:
    """Replicas that bring the average of the pods' values to `average_milli`.

    Raises:
        Unmeasured: There are no pods, or no samples of those that count.
    """
    groups, found = _measured(target, samples, resource)

    def ratio_of() -> float:
        return (sum(found.values()) // len(found)) / average_milli

    value = sum(found.values()) // len(found)
    fill = dict.fromkeys(groups.missing, average_milli)
    return Proposal(_settle(target, groups, found, ratio_of(), fill=fill, again=ratio_of), value)


def by_value(target: Target, value_milli: int, wanted_milli: int) -> Proposal:
    """Replicas that bring one value to `wanted_milli`, if it falls as replicas are added.

    Raises:
        Unmeasured: There are no pods.
    """
    ratio = value_milli / wanted_milli
    if target.replicas == 0:
        return Proposal(math.ceil(ratio), value_milli)
    if target.tolerances.within(ratio):
        return Proposal(target.replicas, value_milli)
    return Proposal(math.ceil(ratio * target.ready), value_milli)


def by_share(current: int, tolerances: Tolerances, value_milli: int, average_milli: int) -> Proposal:
    """Replicas whose shares of one value are `average_milli` each; `current` are those of the scale's status."""
    ratio = value_milli / (average_milli * current) if current else math.inf
    replicas = current if tolerances.within(ratio) else math.ceil(value_milli / average_milli)
    return Proposal(replicas, math.ceil(value_milli / current) if current else 0)


def _utilization(values: Mapping[str, int], asked: Mapping[str, int], percent: int) -> tuple[float, int, int]:
    """Ratio to the wanted percentage, the percentage, and the average value.

    Raises:
        Unmeasured: None of the samples is of a pod that requests any.
    """
    known = [name for name in values if name in asked]
    requested = sum(asked[name] for name in known)
    if requested == 0:
        raise Unmeasured("no metrics returned matched known pods")
    used = sum(values[name] for name in known)
    utilization = used * 100 // requested
    return utilization / percent, utilization, used // len(known)


def _settle(target: Target, groups: Groups, values: dict[str, int], ratio: float, *, fill: Mapping[str, int],
            again: Ratio) -> int:
    """The rule that holds back where samples are missing: what is not known counts against the change."""
    unready = bool(groups.unready) and ratio > 1.0
    if not unready and not groups.missing:
        return target.replicas if target.tolerances.within(ratio) else math.ceil(ratio * groups.counted)
    for name in groups.missing if ratio != 1.0 else ():
        values[name] = fill[name] if ratio < 1.0 else 0
    if unready:
        values.update(dict.fromkeys(groups.unready, 0))
    new = again()
    if target.tolerances.within(new) or (ratio < 1.0 < new) or (ratio > 1.0 > new):
        return target.replicas
    replicas = math.ceil(new * len(values))
    if (new < 1.0 and replicas > target.replicas) or (new > 1.0 and replicas < target.replicas):
        return target.replicas  # another number of samples must not turn the direction
    return replicas
