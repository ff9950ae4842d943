"""Revisions of a pod template, as ControllerRevisions of a DaemonSet or StatefulSet. Pure.

Source: kube-controller-manager `history/controller_history.go`, `daemon/update.go`, `statefulset/stateful_set_utils.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from sampan.api import codec
from sampan.api.apps.v1 import ControllerRevision
from sampan.api.core.v1 import Pod, PodTemplateSpec
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CONTROLLER_REVISIONS, PODS
from sampan.control.numbers import safe_hash
from sampan.control.pods import owner_reference
from sampan.kinds.plan import Delete, Patch, Plan, Update, Write

HASH_LABEL = "controller-revision-hash"
LONGEST_PREFIX = 223  # of a revision's name: the rest is for the hash


def template_data(template: PodTemplateSpec) -> dict[str, Any]:
    """What a revision holds: the patch that brings a template back."""
    return {"spec": {"template": {**codec.to_builtins(template), "$patch": "replace"}}}


def of_template(revision: ControllerRevision, template: PodTemplateSpec) -> bool:
    """Whether the revision is of this template."""
    return bool(codec.to_builtins(revision.data) == template_data(template))


def template_of(revision: ControllerRevision) -> PodTemplateSpec:
    """The template that the revision holds."""
    data = dict(codec.to_builtins(revision.data)["spec"]["template"])
    data.pop("$patch", None)
    return codec.convert(PodTemplateSpec, data)


def make(resource: Resource[Any], owner: Any, labels: Mapping[str, str], revision: int, annotations: Mapping[str, str], *,
         label: str = HASH_LABEL, collisions: int | None = None) -> ControllerRevision:
    """A revision of the owner's template as it is now; `label` holds the hash, `collisions` makes another one."""
    digest = safe_hash(owner.spec.template, collisions)
    meta = ObjectMeta(name=f"{owner.metadata.name[:LONGEST_PREFIX]}-{digest}", namespace=owner.metadata.namespace, annotations=dict(annotations),
                      labels={**labels, label: digest}, ownerReferences=[owner_reference(resource, owner)])
    return ControllerRevision(kind="ControllerRevision", apiVersion="apps/v1", metadata=meta,
                              data=template_data(owner.spec.template), revision=revision)


def ordered(revisions: Iterable[ControllerRevision]) -> list[ControllerRevision]:
    """The oldest first."""
    return sorted(revisions, key=lambda one: (one.revision, one.metadata.creationTimestamp or "", one.metadata.name))


def next_number(revisions: Iterable[ControllerRevision]) -> int:
    """The number of a revision that comes after these."""
    return max((one.revision for one in revisions), default=0) + 1


def renumbered(revision: ControllerRevision, number: int) -> Update:
    """The write that makes an old revision the newest."""
    return Update(CONTROLLER_REVISIONS, replace(revision, revision=number))


def merged(current: ControllerRevision, doubles: Sequence[ControllerRevision], pods: Iterable[Pod], *, label: str = HASH_LABEL) -> Plan:
    """Keep one of several revisions of one template: pods get its hash, then the others go."""
    digest = current.metadata.labels.get(label, "")
    writes: list[Write] = [Patch(PODS, pod.metadata.namespace, pod.metadata.name, {"metadata": {"uid": pod.metadata.uid, "labels": {label: digest}}})
                           for pod in pods if pod.metadata.labels.get(label) != digest]
    writes += [Delete(CONTROLLER_REVISIONS, one.metadata.namespace, one.metadata.name, one.metadata.uid) for one in doubles]
    return Plan(tuple(writes))


def surplus(revisions: Sequence[ControllerRevision], live: set[str], limit: int) -> list[Write]:
    """Deletions of the oldest revisions that nobody uses (by name), down to the limit."""
    idle = [one for one in ordered(revisions) if one.metadata.name not in live]
    return [Delete(CONTROLLER_REVISIONS, one.metadata.namespace, one.metadata.name, one.metadata.uid)
            for one in idle[:max(0, len(idle) - limit)]]
