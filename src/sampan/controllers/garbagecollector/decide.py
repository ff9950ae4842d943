"""What becomes of one object, given what is known of its owners and dependents. Pure.

Owns the classification of owners and the three ways of deletion. Leaves finding owners to the controller.
Source: kube-controller-manager `garbagecollector/garbagecollector.go` (attemptToDeleteItem, processDeletingDependentsItem,
attemptToOrphan).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sampan.api import codec
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resourceinfo import Resource
from sampan.control.key import meta_of
from sampan.kinds.plan import Delete, Patch, Plan

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"

# an owner is there; gone; there and waiting until its dependents are gone; not known: its kind is not known here;
# misplaced: a namespace's object, of one that is the cluster's, which it can't own
State = Literal["solid", "absent", "waiting", "unknown", "misplaced"]


@dataclass(frozen=True)
class Dependent:
    """One object that names the object in hand as an owner."""

    resource: Resource[Any]
    meta: ObjectMeta

    def blocks(self, uid: str) -> bool:
        """Whether the owner with this uid waits for it."""
        return any(ref.uid == uid and ref.blockOwnerDeletion for ref in self.meta.ownerReferences)


def deletes_dependents(meta: ObjectMeta) -> bool:
    """It is being deleted in the foreground: its dependents go first."""
    return meta.deletionTimestamp is not None and FOREGROUND in meta.finalizers


def orphans_dependents(meta: ObjectMeta) -> bool:
    """It is being deleted and leaves its dependents behind."""
    return meta.deletionTimestamp is not None and ORPHAN in meta.finalizers


def release(resource: Resource[Any], obj: Any, finalizer: str) -> Plan:
    """Take one finalizer away, if the object has not changed meanwhile."""
    meta = meta_of(obj)
    left = [name for name in meta.finalizers if name != finalizer]
    return Plan((_patch(resource, meta, {"finalizers": left or None}),))


def orphan(dependents: Sequence[Dependent], uid: str) -> Plan:
    """Take the owner out of each dependent."""
    return Plan(tuple(_without(one.resource, one.meta, {uid}) for one in dependents))


def decide(resource: Resource[Any], obj: Any, owners: dict[str, State], dependents: Sequence[Dependent]) -> Plan:
    """What to do with an object that has owners.

    Args:
        resource: The object's.
        obj: As the cache has it, with an up-to-date resource version; not itself deleting its dependents.
        owners: The state of each owner by uid.
        dependents: The object's own.
    """
    meta = meta_of(obj)
    states = [owners[ref.uid] for ref in meta.ownerReferences]
    if not states or "unknown" in states or "misplaced" in states or meta.deletionTimestamp is not None:
        return Plan()
    if "solid" in states:
        gone = {ref.uid for ref in meta.ownerReferences if owners[ref.uid] != "solid"}
        return Plan((_without(resource, meta, gone),)) if gone else Plan()
    if "waiting" in states and dependents:
        # in a cycle somebody must not wait: the object unblocks its owners, then goes in the foreground
        cycle = any(deletes_dependents(one.meta) for one in dependents)
        unblock = [ref for ref in meta.ownerReferences if ref.blockOwnerDeletion] if cycle else []
        if unblock:
            refs = codec.to_builtins(meta.ownerReferences)
            for ref in refs:
                if ref.get("blockOwnerDeletion"):
                    ref["blockOwnerDeletion"] = False
            return Plan((_patch(resource, meta, {"ownerReferences": refs}),), 0.0)
        return Plan((_deletion(resource, meta, "Foreground"),))
    if ORPHAN in meta.finalizers:
        return Plan((_deletion(resource, meta, "Orphan"),))
    return Plan((_deletion(resource, meta, "Foreground" if FOREGROUND in meta.finalizers else "Background"),))


def _deletion(resource: Resource[Any], meta: ObjectMeta, how: Literal["Foreground", "Background", "Orphan"]) -> Delete:
    # as it was decided on: another owner may have been added, or it may have been orphaned, unseen by the cache
    return Delete(resource, meta.namespace, meta.name, meta.uid, propagation=how, resource_version=meta.resourceVersion)


def _without(resource: Resource[Any], meta: ObjectMeta, uids: set[str]) -> Patch:
    left = [ref for ref in meta.ownerReferences if ref.uid not in uids]
    return _patch(resource, meta, {"ownerReferences": codec.to_builtins(left) or None})


def _patch(resource: Resource[Any], meta: ObjectMeta, change: dict[str, Any]) -> Patch:
    guard = {"uid": meta.uid, "resourceVersion": meta.resourceVersion}
    return Patch(resource, meta.namespace, meta.name, {"metadata": change | guard})
