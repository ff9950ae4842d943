"""Claiming: an owner keeps what it manages and matches, adopts matching orphans, releases what matches no more.

Pure. Source: kube-controller-manager `controller_ref_manager.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sampan.api import codec
from sampan.api.meta.v1 import OwnerReference
from sampan.api.resourceinfo import Resource
from sampan.control.indexes import candidates
from sampan.control.informer import Index, Informer
from sampan.control.key import Key, controller_of, key_of
from sampan.kinds.plan import Patch

T = TypeVar("T")
Matches = Callable[[Mapping[str, str]], bool]


@dataclass
class Claim(Generic[T]):
    """`owned` already or about to be (those in `adopt`); `release` is to be let go."""

    owned: list[T] = field(default_factory=list)
    adopt: list[T] = field(default_factory=list)
    release: list[T] = field(default_factory=list)

    def kept(self) -> list[T]:
        """What is owned without the adoptions: for when those failed."""
        adopted = {id(obj) for obj in self.adopt}
        return [obj for obj in self.owned if id(obj) not in adopted]


def claim(owner: Any, matches: Matches, objects: Iterable[T], *, adoptable: Callable[[T], bool] = lambda _: True) -> Claim[T]:
    """Sort out which of `objects` are the owner's. An owner that is being deleted neither adopts nor releases."""
    result: Claim[T] = Claim()
    leaving, uid = owner.metadata.deletionTimestamp is not None, owner.metadata.uid
    for obj in objects:
        ref, meta = controller_of(obj), obj.metadata  # type: ignore[attr-defined]
        if ref is not None:
            if ref.uid != uid:
                continue
            if matches(meta.labels):
                result.owned.append(obj)
            elif not leaving:
                result.release.append(obj)
        elif not leaving and meta.deletionTimestamp is None and matches(meta.labels) and adoptable(obj):
            result.adopt.append(obj)
            result.owned.append(obj)
    return result


def adoption(resource: Resource[Any], obj: Any, reference: OwnerReference, *, finalizer: str = "") -> Patch:
    """The patch that makes `reference` the managing owner, and adds its finalizer; a conflict if the object changed."""
    lacks = finalizer and finalizer not in obj.metadata.finalizers
    return _owners(resource, obj, [reference, *obj.metadata.ownerReferences],  # first, as strategic patches put what is new
                   finalizers=[*obj.metadata.finalizers, finalizer] if lacks else None)


def release(resource: Resource[Any], obj: Any, uid: str, *, finalizer: str = "") -> Patch:
    """The patch that takes the owner away, and its finalizer; a conflict if the object changed."""
    left = [one for one in obj.metadata.finalizers if one != finalizer]
    return _owners(resource, obj, [ref for ref in obj.metadata.ownerReferences if ref.uid != uid],
                   finalizers=left if len(left) < len(obj.metadata.finalizers) else None)


def _owners(resource: Resource[Any], obj: Any, references: list[OwnerReference], *, finalizers: list[str] | None) -> Patch:
    meta = {"uid": obj.metadata.uid, "resourceVersion": obj.metadata.resourceVersion,
            "ownerReferences": codec.to_builtins(references)}
    if finalizers is not None:
        meta["finalizers"] = finalizers or None
    return Patch(resource, obj.metadata.namespace, obj.metadata.name, {"metadata": meta})


def owner_keys(resource: Resource[Any], owners: Informer[Any], selectors: Index[Any] | None,
               matches: Callable[[Any, Mapping[str, str]], bool]) -> Callable[[Any], list[Key]]:
    """For `ControlLoop.watch`: the keys of the owners that a changed object concerns.

    That is its managing owner if it is of `resource`, or, for an orphan, every owner whose selector matches.
    """
    def keys(obj: Any) -> list[Key]:
        for ref in obj.metadata.ownerReferences:  # here, not by a call: several controllers ask this of each change of a pod
            if not ref.controller:
                continue
            if ref.kind != resource.kind or ref.apiVersion.partition("/")[0 if resource.group else 2] != resource.group:
                return []
            key = Key(obj.metadata.namespace, ref.name)
            owner = owners.get(key)
            return [key] if owner is not None and owner.metadata.uid == ref.uid else []
        if selectors is None:
            return []
        labels = obj.metadata.labels
        return [key_of(owner) for owner in candidates(selectors, obj.metadata.namespace, labels) if matches(owner, labels)]

    return keys
