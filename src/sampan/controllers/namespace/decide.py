"""What a namespace that is being deleted says about itself, and when it may go. Pure.

Source: kube-controller-manager `namespace/deletion` (namespaced_resources_deleter.go, status_condition_utils.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace

from sampan.api.core.v1 import Namespace, NamespaceCondition, Pod
from sampan.api.resources import NAMESPACES
from sampan.api.scalars import Time
from sampan.control.pods import is_terminal
from sampan.kinds.meta import condition
from sampan.kinds.plan import Plan, Update

FINALIZER = "kubernetes"
_FINE = (
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    ("NamespaceDeletionContentFailure", "ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    ("NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
)


@dataclass
class Remains:
    """What emptying found: objects left by "resource.group", by finalizer, and errors."""

    objects: dict[str, int] = field(default_factory=dict)
    finalizers: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    discovery_error: str = ""
    pods_first: bool = False
    """Only pods were looked at: the rest follows when they are gone."""

    @property
    def nothing(self) -> bool:
        """Everything is gone."""
        return not (self.objects or self.errors or self.discovery_error)


def grace_left_seconds(namespace: Namespace, pods: Iterable[Pod], now: datetime) -> int:
    """For how long pods may still be ending: the longest grace of those that run; 0 once that has passed since the deletion."""
    longest = max((pod.spec.terminationGracePeriodSeconds or 0 for pod in pods if not is_terminal(pod)), default=0)
    deleted = namespace.metadata.deletionTimestamp
    return 0 if deleted is None or (now - deleted.moment()).total_seconds() >= longest else longest


def decide(namespace: Namespace, remains: Remains, now: datetime) -> Plan:
    """Tell what remains in the conditions; when nothing does, take our finalizer away."""
    conditions = _conditions(namespace, remains, now)
    if remains.nothing and FINALIZER in namespace.spec.finalizers:
        finalizers = [name for name in namespace.spec.finalizers if name != FINALIZER]
        last = replace(namespace, spec=replace(namespace.spec, finalizers=finalizers))
        if conditions == namespace.status.conditions:
            return Plan((Update(NAMESPACES, last, "finalize"),))
    if conditions == namespace.status.conditions and namespace.status.phase == "Terminating":
        return Plan()
    status = replace(namespace.status, phase="Terminating", conditions=conditions)
    return Plan((Update(NAMESPACES, replace(namespace, status=status), "status"),))


def _conditions(namespace: Namespace, remains: Remains, now: datetime) -> list[NamespaceCondition]:
    bad = _bad(remains)
    result = list(namespace.status.conditions)
    for type_, fine_reason, fine_message in _FINE:
        status = "True" if type_ in bad else "False"
        reason, message = bad.get(type_, (fine_reason, fine_message))
        old = condition(result, type_)
        new = NamespaceCondition(type=type_, status=status, reason=reason, message=message, lastTransitionTime=Time.of(now))
        if old is None:
            result.append(new)
        elif (old.status, old.reason, old.message) != (status, reason, message):
            if old.status == status:
                new.lastTransitionTime = old.lastTransitionTime
            result[result.index(old)] = new
    return result


def _bad(remains: Remains) -> Mapping[str, tuple[str, str]]:
    bad: dict[str, tuple[str, str]] = {}
    if remains.discovery_error:
        bad["NamespaceDeletionDiscoveryFailure"] = ("DiscoveryFailed", remains.discovery_error)
    if remains.errors:
        texts = sorted(remains.errors)
        bad["NamespaceDeletionContentFailure"] = (
            "ContentDeletionFailed", f"Failed to delete all resource types, {len(texts)} remaining: {', '.join(texts)}")
    if remains.objects and not remains.pods_first:
        listed = sorted(f"{name} has {number} resource instances" for name, number in remains.objects.items())
        bad["NamespaceContentRemaining"] = ("SomeResourcesRemain", f"Some resources are remaining: {', '.join(listed)}")
    if remains.finalizers and not remains.pods_first:
        listed = sorted(f"{name} in {number} resource instances" for name, number in remains.finalizers.items())
        bad["NamespaceFinalizersRemaining"] = ("SomeFinalizersRemain", f"Some content in the namespace has finalizers remaining: {', '.join(listed)}")
    return bad
