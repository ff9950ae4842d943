"""What the plugins need of a pod, computed once for all pods of one shape.

Two pods that differ in name alone share one `Shape`, and with it every mask and match that was computed for it.
Owns reading a pod's scheduling wishes: requests, ports, affinity terms, spread constraints, claims.
Source: kube-scheduler `framework/types.go` (PodInfo, AffinityTerm), component-helpers `resource`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sampan.api import codec
from sampan.api.core.v1 import Pod, PodAffinityTerm, TopologySpreadConstraint
from sampan.api.selectors import NOTHING, Requirement, Selector, SelectorError, of_label_selector
from sampan.control.key import controller_of
from sampan.kinds.core.pod import host_ports, requests
from sampan.kinds.core.pod_spec.resources import is_extended, is_pod_level
from sampan.scheduler.world import CLASS_PREFIX

# what a container that asks for nothing counts as when nodes are compared
MISSING = {"cpu": 100, "memory": 200 * 1024 * 1024}
PENDING_RESIZE = "PodResizePending"
RESTART_ALL = "RestartAllContainersOnContainerExits"
NamespaceLabels = Callable[[str], Mapping[str, str]]


@dataclass(frozen=True)
class Term:
    """Whom a pod wants to be with, or away from, in one kind of domain."""

    topology_key: str
    selector: Selector
    namespaces: frozenset[str]
    namespace_selector: Selector = NOTHING

    def matches(self, namespace: str, labels: Mapping[str, str], namespace_labels: NamespaceLabels) -> bool:
        """Whether a pod with these labels in this namespace is meant."""
        return self.covers(namespace, namespace_labels) and self.selector.matches(labels)

    def covers(self, namespace: str, namespace_labels: NamespaceLabels) -> bool:
        """Whether pods of this namespace are looked at."""
        if namespace in self.namespaces:
            return True
        chosen = self.namespace_selector
        return not chosen.nothing and (chosen.empty or chosen.matches(namespace_labels(namespace)))


@dataclass(frozen=True)
class Spread:
    """A topology spread constraint, read."""

    topology_key: str
    max_skew: int
    term: Term  # the pods that count: this namespace's, by selector
    min_domains: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False


class Shape:
    """See the module. `pod` is one of the pods that have it; only its spec and labels may be used."""

    __slots__ = (
        "__weakref__", "amounts", "anti", "asking", "cache", "claims", "claims_by_volume", "complex", "controller", "extended", "features", "hard_spread", "key", "klass", "labels", "namespace", "node_name", "pod",
        "ports", "preferred", "priority", "requests", "required", "resource_claims", "scoring", "soft_spread",
    )

    def __init__(self, key: bytes, pod: Pod, *, assigned: bool = False) -> None:
        spec, meta = pod.spec, pod.metadata
        self.key, self.pod = key, pod
        self.node_name = "" if assigned else spec.nodeName
        self.namespace, self.labels = meta.namespace, meta.labels
        self.priority = spec.priority or 0
        self.requests: Mapping[str, int] = requests(pod)
        # how full a pod makes a node when nodes are compared: one that is there, and one that looks for a place
        whole = spec.resources is not None and any(is_pod_level(name) for name in spec.resources.requests)
        there = requests(pod, missing={name: value for name, value in MISSING.items() if not (whole and name in self.requests)})
        self.scoring = (there.get("cpu", 0), there.get("memory", 0))
        self.asking: Mapping[str, int] = requests(pod, missing=MISSING, whole=False)
        self.amounts = (frozenset(self.requests.items()), frozenset(self.asking.items()))  # all that matters where nodes are compared by what is on them
        self.ports = host_ports(pod)
        self.required, self.anti, self.preferred = _terms(pod)
        self.hard_spread = _spreads(pod, "DoNotSchedule")
        self.soft_spread = _spreads(pod, "ScheduleAnyway")
        self.controller = controller_of(pod)
        self.claims_by_volume = _claim_names(pod)
        self.claims: tuple[str, ...] = tuple(sorted(set(self.claims_by_volume.values())))
        self.resource_claims: tuple[str | None, ...] = _resource_claims(pod)
        # what devices may have to serve, where a device class answers to the name
        self.extended = frozenset(name for name, amount in self.requests.items() if amount and (is_extended(name) or name.startswith(CLASS_PREFIX)))
        self.complex = bool(self.ports or self.required or self.anti or self.hard_spread or self.claims or self.resource_claims)
        self.features = frozenset(_features(pod))
        self.klass: Any = None  # podindex.PodClass, set by the snapshot
        self.cache: dict[Any, Any] = {}  # what plugins remember about this shape

    def matched_by(self, term: Term, namespace_labels: NamespaceLabels) -> bool:
        """Whether a term means pods of this shape."""
        return term.matches(self.namespace, self.labels, namespace_labels)


def shape_key(pod: Pod, *, assigned: bool = False) -> bytes:
    """The same for all pods that no plugin can tell apart."""
    spec, meta, status = pod.spec, pod.metadata, pod.status
    owner = controller_of(pod)
    volumes = [one for one in spec.volumes if one.projected is None and one.configMap is None and one.secret is None and one.emptyDir is None]
    whole = (status.resources, status.allocatedResources) if spec.resources is not None and status.resources is not None else ()
    resized = [(one.name, one.resources, one.allocatedResources) for one in (*status.containerStatuses, *status.initContainerStatuses)
               if one.resources is not None]
    return codec.encode((
        meta.namespace, meta.labels, "" if assigned else spec.nodeName, spec.nodeSelector, spec.affinity, spec.tolerations,
        spec.topologySpreadConstraints, spec.schedulerName, spec.priority, spec.preemptionPolicy, spec.overhead, spec.resources,
        [(one.name, one.image, one.resources, one.ports, one.restartPolicy) for one in (*spec.initContainers, *(spec.containers or ()))],
        len(spec.initContainers), volumes, (meta.name, meta.uid) if any(one.ephemeral is not None for one in volumes) else "",
        sorted(_features(pod)), spec.resourceClaims, status.resourceClaimStatuses if spec.resourceClaims else (),
        (owner.kind, owner.name) if owner is not None else None, resized, whole,
        [one.reason for one in status.conditions if one.type == PENDING_RESIZE] if resized or whole else (),
    ))


def same_shape(before: Pod, after: Pod) -> bool:
    """Whether a pod that has changed has the key that it had, as far as that shows without making it: most news of a pod is of its status."""
    old, new = before.status, after.status
    return (
        before.metadata.labels == after.metadata.labels and before.spec == after.spec and before.metadata.ownerReferences == after.metadata.ownerReferences
        and old.containerStatuses == new.containerStatuses and old.initContainerStatuses == new.initContainerStatuses
        and old.resources == new.resources and old.allocatedResources == new.allocatedResources and old.resourceClaimStatuses == new.resourceClaimStatuses
        and not any(one.type == PENDING_RESIZE for one in (*old.conditions, *new.conditions)))


def _terms(pod: Pod) -> tuple[tuple[Term, ...], tuple[Term, ...], tuple[tuple[Term, int], ...]]:
    affinity = pod.spec.affinity
    if affinity is None:
        return (), (), ()
    near, away = affinity.podAffinity, affinity.podAntiAffinity
    required = tuple(_term(pod, one) for one in near.requiredDuringSchedulingIgnoredDuringExecution) if near else ()
    anti = tuple(_term(pod, one) for one in away.requiredDuringSchedulingIgnoredDuringExecution) if away else ()
    preferred = [(_term(pod, one.podAffinityTerm), one.weight)
                 for one in (near.preferredDuringSchedulingIgnoredDuringExecution if near else ())]
    preferred += [(_term(pod, one.podAffinityTerm), -one.weight)
                  for one in (away.preferredDuringSchedulingIgnoredDuringExecution if away else ())]
    return required, anti, tuple(preferred)


def _term(pod: Pod, term: PodAffinityTerm) -> Term:
    namespaces = frozenset(term.namespaces)
    if not namespaces and term.namespaceSelector is None:
        namespaces = frozenset((pod.metadata.namespace,))
    labels = pod.metadata.labels
    own = [Requirement(key, "in", (labels[key],)) for key in term.matchLabelKeys if key in labels]
    own += [Requirement(key, "notin", (labels[key],)) for key in term.mismatchLabelKeys if key in labels]
    chosen = _selector(term.namespaceSelector) if term.namespaceSelector is not None else NOTHING
    return Term(term.topologyKey, _narrowed(_selector(term.labelSelector), own), namespaces, chosen)


def _narrowed(selector: Selector, more: list[Requirement]) -> Selector:
    """The API server has merged these keys already; where an older one has not, this does. Twice is harmless."""
    if not more or selector.nothing:
        return selector
    return Selector({*selector.requirements, *more})


def _selector(selector: Any) -> Selector:
    try:
        return of_label_selector(selector)
    except SelectorError:
        return NOTHING  # validation admits none; what can't be read selects nothing


def _spreads(pod: Pod, when: str) -> tuple[Spread, ...]:
    return tuple(_spread(pod, one) for one in pod.spec.topologySpreadConstraints if one.whenUnsatisfiable == when)


def _spread(pod: Pod, one: TopologySpreadConstraint) -> Spread:
    labels = pod.metadata.labels
    keys = [Requirement(key, "in", (labels[key],)) for key in one.matchLabelKeys if key in labels]
    selector = _narrowed(_selector(one.labelSelector), keys)
    # upstream counts nothing for a selector without requirements; constraints that differ in their domains count the same pods
    term = Term("", NOTHING if selector.empty else selector, frozenset((pod.metadata.namespace,)))
    return Spread(one.topologyKey, one.maxSkew, term, one.minDomains or 1,
                  honor_affinity=one.nodeAffinityPolicy != "Ignore", honor_taints=one.nodeTaintsPolicy == "Honor")


def _features(pod: Pod) -> set[str]:
    """What a pod needs of the agent of its node, by the names that agents declare."""
    rules = (rule for one in (*pod.spec.initContainers, *(pod.spec.containers or ())) for rule in one.restartPolicyRules)
    return {RESTART_ALL} if any(rule.action == "RestartAllContainers" for rule in rules) else set()


def _claim_names(pod: Pod) -> dict[str, str]:
    """Volume → name of its persistent volume claim, those of ephemeral volumes too."""
    out = {}
    for volume in pod.spec.volumes:
        if volume.persistentVolumeClaim is not None:
            out[volume.name] = volume.persistentVolumeClaim.claimName
        elif volume.ephemeral is not None:
            out[volume.name] = f"{pod.metadata.name}-{volume.name}"
    return out


def _resource_claims(pod: Pod) -> tuple[str | None, ...]:
    """Names of the resource claims; None for one that is not generated yet."""
    made = {one.name: one.resourceClaimName for one in pod.status.resourceClaimStatuses}
    out: list[str | None] = []
    for one in pod.spec.resourceClaims:
        if one.resourceClaimName is not None:
            out.append(one.resourceClaimName)
        elif one.name not in made:
            out.append(None)
        elif (name := made[one.name]) is not None:  # generated, and none was needed: nothing to wait for
            out.append(name)
    return tuple(out)
