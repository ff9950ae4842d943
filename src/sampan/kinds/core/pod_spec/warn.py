"""Warnings about a pod spec: deprecated fields and doubtful values.

Source: kubernetes `pkg/api/pod/warnings.go`, `pkg/api/node/util.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice
from operator import attrgetter

from sampan.api import addresses, names, quantity
from sampan.api.core.v1 import (
    Affinity,
    Container,
    ContainerPort,
    EphemeralContainer,
    NodeSelectorTerm,
    PersistentVolumeClaimSpec,
    PodSpec,
    PodTemplateSpec,
)
from sampan.api.meta.v1 import LabelSelector, ObjectMeta
from sampan.kinds.core.pod_spec.marks import APP_ARMOR, SECCOMP_CONTAINER, SECCOMP_POD, app_armor_of_annotation
from sampan.kinds.core.pod_spec.overlaps import MOST_WARNINGS, overlap_warnings
from sampan.kinds.core.pod_spec.windows import every_container

DEPRECATED_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}
_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_old_sources = attrgetter(*_VOLUMES)
_MATCHES_NOTHING = "a null labelSelector results in matching no pod"
_BYTES = ("memory", "ephemeral-storage")


def pod_spec_warnings(template: PodTemplateSpec, path: str, old: PodTemplateSpec | None = None) -> list[str]:
    """Texts for `Warning` headers about a template at `path` (e.g. `spec.template`)."""
    return list(_all(template.spec, template.metadata, f"{path}.spec", f"{path}.metadata.annotations", is_pod=False))


def is_told_of(annotation: str) -> bool:
    """Whether a pod's annotation of this key may be warned of."""
    return annotation in _ANNOTATIONS or annotation.startswith((SECCOMP_POD, SECCOMP_CONTAINER, APP_ARMOR))


def pod_warnings(spec: PodSpec, metadata: ObjectMeta) -> list[str]:
    """Texts for `Warning` headers about a pod itself."""
    return list(_all(spec, metadata, "spec", "metadata.annotations", is_pod=True))


def _all(spec: PodSpec, metadata: ObjectMeta, path: str, annotations: str, *, is_pod: bool) -> Iterator[str]:
    for key in spec.nodeSelector:
        if key in DEPRECATED_LABELS:
            yield f"{path}.nodeSelector[{key}]: {DEPRECATED_LABELS[key]}"
    if spec.affinity is not None:
        yield from _node_affinity(spec.affinity, f"{path}.affinity.nodeAffinity")
    yield from _spread(spec, f"{path}.topologySpreadConstraints")
    for key in _ANNOTATIONS if metadata.annotations else ():
        if key in metadata.annotations:
            yield f"{annotations}[{key}]: {_ANNOTATIONS[key]}"
    if spec.volumes:
        yield from _volumes(spec, f"{path}.volumes")
        yield from overlap_warnings(spec)
    yield from _repeats(spec, path)
    for name in _BYTES:
        if name in spec.overhead:
            yield from _fraction(spec.overhead, name, f"{path}.overhead")
    if metadata.annotations:
        yield from _profiles(spec, metadata.annotations, annotations, is_pod=is_pod)
    for container, at in every_container(spec, path):
        yield from _container(container, at)
    yield from islice(_ports(spec, path), MOST_WARNINGS)
    if spec.terminationGracePeriodSeconds is not None and spec.terminationGracePeriodSeconds < 0:
        yield (f"{path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid "
               "and will be treated as 1")
    if spec.affinity is not None:
        yield from _pod_affinity(spec.affinity, f"{path}.affinity")
    for index, server in enumerate(spec.dnsConfig.nameservers if spec.dnsConfig is not None else ()):
        yield from addresses.ip_warnings(f"{path}.dnsConfig.nameservers[{index}]", server)
    for index, alias in enumerate(spec.hostAliases):
        yield from addresses.ip_warnings(f"{path}.hostAliases[{index}].ip", alias.ip)


def _spread(spec: PodSpec, path: str) -> Iterator[str]:
    for index, constraint in enumerate(spec.topologySpreadConstraints):
        at = f"{path}[{index}]"
        if constraint.topologyKey in DEPRECATED_LABELS:
            yield f"{at}.topologyKey: {constraint.topologyKey} is {DEPRECATED_LABELS[constraint.topologyKey]}"
        if constraint.labelSelector is None:
            yield f"{at}.labelSelector: {_MATCHES_NOTHING}"


def _node_affinity(affinity: Affinity, path: str) -> Iterator[str]:
    node = affinity.nodeAffinity
    if node is None:
        return
    required = node.requiredDuringSchedulingIgnoredDuringExecution
    for index, term in enumerate((required.nodeSelectorTerms or ()) if required is not None else ()):
        yield from node_term_warnings(
            term, f"{path}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[{index}]")
    for index, preferred in enumerate(node.preferredDuringSchedulingIgnoredDuringExecution):
        yield from node_term_warnings(
            preferred.preference, f"{path}.preferredDuringSchedulingIgnoredDuringExecution[{index}].preference",
            check_values=True)


def node_term_warnings(term: NodeSelectorTerm, path: str, *, check_values: bool = False) -> Iterator[str]:
    """Deprecated node labels in a term; with `check_values`, values that no label has."""
    for index, one in enumerate(term.matchExpressions):
        at = f"{path}.matchExpressions[{index}]"
        if one.key in DEPRECATED_LABELS:
            yield f"{at}.key: {one.key} is {DEPRECATED_LABELS[one.key]}"
        for place, value in enumerate(one.values if check_values else ()):
            yield from (f"{at}.values[{place}]: {value} is invalid, {message}" for message in names.label_value(value))


def selector_label_warnings(selector: LabelSelector | None, path: str) -> Iterator[str]:
    """Deprecated node labels in a selector of nodes."""
    for index, one in enumerate(selector.matchExpressions if selector is not None else ()):
        if one.key in DEPRECATED_LABELS:
            yield f"{path}.matchExpressions[{index}].key: {one.key} is {DEPRECATED_LABELS[one.key]}"
    for key in selector.matchLabels if selector is not None else ():
        if key in DEPRECATED_LABELS:
            yield f"{path}.matchLabels.{key}: {DEPRECATED_LABELS[key]}"


def _pod_affinity(affinity: Affinity, path: str) -> Iterator[str]:
    for name, pods in (("podAffinity", affinity.podAffinity), ("podAntiAffinity", affinity.podAntiAffinity)):
        if pods is None:
            continue
        for index, term in enumerate(pods.requiredDuringSchedulingIgnoredDuringExecution):
            if term.labelSelector is None:
                yield (f"{path}.{name}.requiredDuringSchedulingIgnoredDuringExecution[{index}].labelSelector: "
                       f"{_MATCHES_NOTHING}")
        for index, weighted in enumerate(pods.preferredDuringSchedulingIgnoredDuringExecution):
            if weighted.podAffinityTerm.labelSelector is None:
                yield (f"{path}.{name}.preferredDuringSchedulingIgnoredDuringExecution[{index}].podAffinityTerm.labelSelector: "
                       f"{_MATCHES_NOTHING}")


def _volumes(spec: PodSpec, path: str) -> Iterator[str]:
    for index, volume in enumerate(spec.volumes):
        if volume.ephemeral is None and _old_sources(volume).count(None) == len(_VOLUMES):
            continue
        claim = volume.ephemeral.volumeClaimTemplate if volume.ephemeral is not None else None
        for name, words in _VOLUMES.items():
            if name == "cephfs" and claim is not None:  # upstream's order
                yield from claim_warnings(claim.spec, f"{path}[{index}].ephemeral.volumeClaimTemplate.spec")
            if getattr(volume, name) is not None:
                yield f"{path}[{index}].{'storageOS' if name == 'storageos' else name}: {words}"


def claim_warnings(spec: PersistentVolumeClaimSpec, path: str) -> Iterator[str]:
    """Fractions of bytes in a claim."""
    for name, amounts in (("requests", spec.resources.requests), ("limits", spec.resources.limits)):
        if "storage" in amounts and quantity.milli(amounts["storage"]) % 1000:
            yield (f'{path}.resources.{name}[storage]: fractional byte value "{amounts["storage"]}" is invalid, '
                   "must be an integer")


def _repeats(spec: PodSpec, path: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, alias in enumerate(spec.hostAliases):
        if alias.ip in seen:
            yield f'{path}.hostAliases[{index}].ip: duplicate ip "{alias.ip}"'
        seen.add(alias.ip)
    seen = set()
    for index, secret in enumerate(spec.imagePullSecrets):
        if secret.name in seen:
            yield f'{path}.imagePullSecrets[{index}].name: duplicate name "{secret.name}"'
        seen.add(secret.name)
    for index, secret in enumerate(spec.imagePullSecrets):
        if not secret.name:
            yield f'{path}.imagePullSecrets[{index}].name: invalid empty name ""'


def _fraction(amounts: Mapping[str, str], name: str, path: str) -> Iterator[str]:
    if name in amounts and quantity.milli(amounts[name]) % 1000:
        yield f'{path}[{name}]: fractional byte value "{amounts[name]}" is invalid, must be an integer'


def _profiles(spec: PodSpec, values: Mapping[str, str], path: str, *, is_pod: bool) -> Iterator[str]:
    whole = spec.securityContext
    if SECCOMP_POD in values and (whole is None or whole.seccompProfile is None):
        yield f'{path}[{SECCOMP_POD}]: non-functional in v1.27+; use the "seccompProfile" field instead'
    for container, _ in every_container(spec, ""):
        own = container.securityContext
        key = f"{SECCOMP_CONTAINER}{container.name}"
        if key in values and (own is None or own.seccompProfile is None):
            yield f'{path}[{key}]: non-functional in v1.27+; use the "seccompProfile" field instead'
        key = f"{APP_ARMOR}{container.name}"
        if key not in values or is_pod or (own is not None and own.appArmorProfile is not None):
            continue
        profile = whole.appArmorProfile if whole is not None else None
        if profile is None or profile != app_armor_of_annotation(values[key]):
            yield f'{path}[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead'


def _container(container: Container | EphemeralContainer, path: str) -> Iterator[str]:
    limits, requests = container.resources.limits, container.resources.requests
    for name in _BYTES if limits or requests else ():
        yield from _fraction(limits, name, f"{path}.resources.limits")
        yield from _fraction(requests, name, f"{path}.resources.requests")
    if len(container.env) < 2:
        return
    seen: set[str] = set()
    for index, variable in enumerate(container.env):
        if variable.name in seen:
            reference = f"$({variable.name})"
            if variable.valueFrom is not None or variable.value == reference or reference not in variable.value:
                yield (f'{path}.env[{index}]: hides previous definition of "{variable.name}", '
                       "which may be dropped when using apply")
        seen.add(variable.name)


class _Ports:
    """Definitions of one port by where they are on the host: none is compared with all others."""

    def __init__(self) -> None:
        self._all: list[tuple[ContainerPort, str]] = []
        self._places: dict[tuple[int, str], list[int]] = {}
        self._addressed: dict[int, list[int]] = {}  # with an address; without a port on the host, all

    def add(self, port: ContainerPort, at: str) -> None:
        number = len(self._all)
        self._all.append((port, at))
        self._places.setdefault((port.hostPort, port.hostIP), []).append(number)
        if port.hostIP or not port.hostPort:
            self._addressed.setdefault(port.hostPort, []).append(number)

    def near(self, port: ContainerPort) -> Iterator[tuple[ContainerPort, str]]:
        """Those that are told of beside this one, in their order."""
        if not port.hostPort:
            return iter(self._all)
        same = self._places.get((port.hostPort, port.hostIP), ())
        other = self._places.get((port.hostPort, ""), ()) if port.hostIP else self._addressed.get(port.hostPort, ())
        return (self._all[number] for number in merge(same, other, self._addressed.get(0, ())))


def _differ(values: Sequence[object]) -> bool:
    return len({*values}) == len(values)


def _ports(spec: PodSpec, path: str) -> Iterator[str]:
    ports = [port for container, _ in every_container(spec, path) for port in container.ports]
    if not any(port.hostIP for port in ports) and _differ([(port.containerPort, port.protocol) for port in ports]) \
            and _differ([port.name for port in ports if port.name]):
        return
    known: dict[tuple[int, str], _Ports] = {}
    for container, where in every_container(spec, path):
        for index, port in enumerate(container.ports):
            at = f"{where}.ports[{index}]"
            if port.hostIP and not port.hostPort:
                shown = (f"{{Name:{port.name} HostPort:{port.hostPort} ContainerPort:{port.containerPort} "
                         f"Protocol:{port.protocol} HostIP:{port.hostIP}}}")
                yield f"{at}: hostIP set without hostPort: {shown}"
            others = known.setdefault((port.containerPort, port.protocol), _Ports())
            for other, other_at in others.near(port):
                if (port.hostIP, port.hostPort) == (other.hostIP, other.hostPort):
                    yield f"{at}: duplicate port definition with {other_at}"
                elif not port.hostPort or not other.hostPort:
                    yield f"{at}: overlapping port definition with {other_at}"
                else:
                    yield f"{at}: dangerously ambiguous port definition with {other_at}"
            others.add(port, at)
    named: dict[str, str] = {}
    for container, where in every_container(spec, path):
        for index, port in enumerate(container.ports):
            at = f"{where}.ports[{index}]"
            if port.name in named:
                yield (f'{at}: duplicate port name "{port.name}" with {named[port.name]}, services and probes that select '
                       f"ports by name will use {named[port.name]}")
            elif port.name:
                named[port.name] = at
