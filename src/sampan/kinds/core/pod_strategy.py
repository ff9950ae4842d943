"""How pods start and change in the API server: defaults that templates lack, what creators may not set, what each subresource keeps.

Source: kubernetes `pkg/registry/core/pod/strategy.go`, `pkg/apis/core/v1/{defaults,conversion}.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import structs

from sampan.api import field, names
from sampan.api.core.v1 import (
    Affinity,
    Container,
    EphemeralContainer,
    Pod,
    PodAffinityTerm,
    PodCondition,
    PodIP,
    PodSpec,
    PodStatus,
    ResourceRequirements,
    SecurityContext,
)
from sampan.api.errors import FieldError
from sampan.api.meta.v1 import LabelSelector, LabelSelectorRequirement
from sampan.kinds.core.pod_qos import class_of
from sampan.kinds.core.pod_spec.aggregate import aggregate_limits, aggregate_requests
from sampan.kinds.core.pod_spec.defaults import default_pod_spec
from sampan.kinds.core.pod_spec.marks import APP_ARMOR, app_armor_of_annotation
from sampan.kinds.core.pod_spec.resources import is_huge_page, is_overcommit_allowed, is_pod_level
from sampan.kinds.core.pod_spec.warn import pod_warnings
from sampan.kinds.core.pod_spec.windows import every_container
from sampan.kinds.meta import keep_metadata


def default(pod: Pod) -> None:
    """Fill what was left out, in place."""
    spec = pod.spec
    default_pod_spec(spec)
    for containers in (spec.containers or (), spec.initContainers):
        for container in containers:
            limits = container.resources.limits
            if limits:
                container.resources.requests = {**limits, **container.resources.requests}
            if spec.hostNetwork:
                for port in container.ports:
                    port.hostPort = port.hostPort or port.containerPort
    if spec.resources is not None:
        _default_pod_resources(spec, spec.resources)
    if spec.enableServiceLinks is None:
        spec.enableServiceLinks = True
    if spec.terminationGracePeriodSeconds is not None and spec.terminationGracePeriodSeconds < 0:
        spec.terminationGracePeriodSeconds = 1
    default_status(pod)


def default_status(pod: Pod) -> None:
    """`podIP` is the first of `podIPs`; where a client sent two that differ, the single one counts."""
    status = pod.status
    if status.podIP and (not status.podIPs or status.podIPs[0].ip != status.podIP):
        status.podIPs = [PodIP(ip=status.podIP)]
    elif status.podIPs:
        status.podIP = status.podIPs[0].ip


def _default_pod_resources(spec: PodSpec, whole: ResourceRequirements) -> None:
    if not whole.limits and not whole.requests:
        return
    for name, limit in aggregate_limits(spec).items():
        if is_huge_page(name) and name not in whole.requests:
            whole.limits.setdefault(name, limit)
    if whole.limits:
        for name, request in aggregate_requests(spec).items():
            if is_pod_level(name) and is_overcommit_allowed(name):
                whole.requests.setdefault(name, request)
        for name, limit in whole.limits.items():
            if is_pod_level(name):
                whole.requests.setdefault(name, limit)


# -- create -------------------------------------------------------------------------------------------------------------


def prepare_create(pod: Pod) -> None:
    """A new pod is pending, whatever its creator says."""
    pod.metadata.generation = 1
    pod.status = PodStatus(phase="Pending", qosClass=class_of(pod.spec))
    if pod.spec.schedulingGates:
        pod.status.conditions = [PodCondition(
            type="PodScheduled", status="False", reason="SchedulingGated",
            message="Scheduling is blocked due to non-empty scheduling gates",
            lastTransitionTime=pod.metadata.creationTimestamp)]
    if pod.spec.affinity is not None:
        _merge_affinity_keys(pod.spec.affinity, pod.metadata.labels)
    for constraint in pod.spec.topologySpreadConstraints:
        if constraint.labelSelector is not None:
            _merge(constraint.labelSelector, constraint.matchLabelKeys, "In", pod.metadata.labels)
    if any(key.startswith(APP_ARMOR) for key in pod.metadata.annotations):
        _app_armor_fields(pod)


def _merge_affinity_keys(affinity: Affinity, labels: Mapping[str, str]) -> None:
    for pods in (affinity.podAffinity, affinity.podAntiAffinity):
        if pods is not None:
            terms: list[PodAffinityTerm] = [one.podAffinityTerm for one in pods.preferredDuringSchedulingIgnoredDuringExecution]
            for term in (*terms, *pods.requiredDuringSchedulingIgnoredDuringExecution):
                if term.labelSelector is not None:
                    _merge(term.labelSelector, term.matchLabelKeys, "In", labels)
                    _merge(term.labelSelector, term.mismatchLabelKeys, "NotIn", labels)


def _merge(selector: LabelSelector, keys: Sequence[str], operator: str, labels: Mapping[str, str]) -> None:
    selector.matchExpressions += [LabelSelectorRequirement(key=key, operator=operator, values=[labels[key]])
                                  for key in keys if key in labels]


def _app_armor_fields(pod: Pod) -> None:
    """The old annotations become fields where no field is set."""
    if pod.spec.os is not None and pod.spec.os.name == "windows":
        return
    whole = pod.spec.securityContext.appArmorProfile if pod.spec.securityContext is not None else None
    for container, _ in every_container(pod.spec, ""):
        value = pod.metadata.annotations.get(f"{APP_ARMOR}{container.name}")
        own = container.securityContext
        if value is None or (own is not None and own.appArmorProfile is not None):
            continue
        profile = app_armor_of_annotation(value)
        if profile is not None and profile != whole:
            container.securityContext = own or SecurityContext()
            container.securityContext.appArmorProfile = profile


def not_on_create(spec: PodSpec) -> list[FieldError]:
    """What only updates set."""
    errors = []
    if spec.ephemeralContainers:
        errors.append(field.forbidden("spec.ephemeralContainers", "cannot be set on create"))
    if spec.nodeName and spec.schedulingGates:
        errors.append(field.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))
    return errors


def tokens_without_account(spec: PodSpec) -> list[FieldError]:
    """Tokens of a service account in a pod that has none."""
    return [field.forbidden(f"spec.volumes[{index}].projected.sources[{position}].serviceAccountToken",
                            "must not be specified when serviceAccountName is not set")
            for index, volume in enumerate(spec.volumes) if volume.projected is not None
            for position, source in enumerate(volume.projected.sources or ()) if source.serviceAccountToken is not None]


def warnings(pod: Pod, old: Pod | None) -> list[str]:
    """On creation alone: people seldom update pods themselves."""
    return [] if old is not None else metadata_warnings(pod) + pod_warnings(pod.spec, pod.metadata)


def metadata_warnings(pod: Pod) -> list[str]:
    """Those about a new pod's name and the annotations of containers."""
    found = []
    if messages := names.dns1123_label(pod.metadata.name):
        found.append("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; "
                     f"a DNS label is recommended: [{' '.join(messages)}]")
    if any(key.startswith(APP_ARMOR) for key in pod.metadata.annotations):
        found += _app_armor_warnings(pod)
    return found


def _app_armor_warnings(pod: Pod) -> list[str]:
    whole = pod.spec.securityContext.appArmorProfile if pod.spec.securityContext is not None else None
    found = []
    for container, _ in every_container(pod.spec, ""):
        key = f"{APP_ARMOR}{container.name}"
        value = pod.metadata.annotations.get(key)
        profile = app_armor_of_annotation(value) if value is not None else None
        if value is not None and (profile is None or profile != whole):
            found.append(f'metadata.annotations[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead')
    return found


# -- update -------------------------------------------------------------------------------------------------------------


def prepare_update(new: Pod, old: Pod) -> None:
    """The status stays, the generation follows the spec."""
    new.status = old.status
    _move_generation(new, old)


def _move_generation(new: Pod, old: Pod) -> None:
    new.metadata.generation = old.metadata.generation + (new.spec != old.spec)


def prepare_status(new: Pod, old: Pod) -> None:
    """Only the status changes, besides labels and annotations."""
    new.spec = old.spec
    new.metadata.generation = old.metadata.generation
    new.metadata.deletionTimestamp = old.metadata.deletionTimestamp
    new.metadata.ownerReferences = old.metadata.ownerReferences
    status = new.status
    status.qosClass = status.qosClass or old.status.qosClass
    status.observedGeneration = status.observedGeneration or old.status.observedGeneration
    known: dict[str, list[int]] = {}
    for condition in old.status.conditions:
        known.setdefault(condition.type, []).append(condition.observedGeneration)
    for condition in status.conditions:
        before = known.get(condition.type)
        last = before.pop(0) if before else 0
        if not condition.observedGeneration:
            condition.observedGeneration = last


def prepare_ephemeral_containers(new: Pod, old: Pod) -> None:
    """Only ephemeral containers change."""
    wanted: list[EphemeralContainer] = new.spec.ephemeralContainers
    new.spec = structs.replace(old.spec, ephemeralContainers=wanted)
    new.status = old.status
    keep_metadata(new, old)
    _move_generation(new, old)


def prepare_resize(new: Pod, old: Pod) -> None:
    """Only resources and resize policies change, of containers and of the pod as a whole."""
    new.spec = structs.replace(
        old.spec, resources=new.spec.resources,
        containers=_resized(new.spec.containers or [], old.spec.containers or []),
        initContainers=_resized(new.spec.initContainers, old.spec.initContainers))
    new.status = old.status
    keep_metadata(new, old)
    _move_generation(new, old)


def _resized(new: list[Container], old: list[Container]) -> list[Container]:
    """Those asked for, as they were but for that; validation says what is wrong with others and another order."""
    known = {one.name: one for one in old}
    return [structs.replace(known[one.name], resources=one.resources, resizePolicy=one.resizePolicy)
            if one.name in known else one for one in new]
