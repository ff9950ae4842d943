"""Deletions: performs what `sampan.apiserver.deletion` decides.

Source: `k8s.io/apiserver/pkg/registry/generic/registry/store.go`, `Delete` and `DeleteCollection`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sampan.api import codec
from sampan.api.errors import Conflict, Forbidden, NotFound
from sampan.api.meta.v1 import DeleteOptions, ObjectMeta
from sampan.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from sampan.apiserver import deletion, metadata
from sampan.apiserver.catalog import Served
from sampan.apiserver.crd.names import begin_deletion
from sampan.apiserver.deletion import Step
from sampan.apiserver.entries import Entry
from sampan.apiserver.hooks import Claim
from sampan.apiserver.registry import OPTIMISTIC_LOCK, TRIES, Registry, Write, volatile
from sampan.kinds.kind import Kind
from sampan.store.base import Compare, CompareFailed, Delete, Put

RETURNED = frozenset((
    "pods", "services", "serviceaccounts", "podtemplates", "persistentvolumes", "persistentvolumeclaims", "resourcequotas",
    "storageclasses.storage.k8s.io", "csidrivers.storage.k8s.io", "csinodes.storage.k8s.io",
    "volumeattachments.storage.k8s.io", "volumeattributesclasses.storage.k8s.io",
    "deviceclasses.resource.k8s.io", "resourceclaims.resource.k8s.io", "resourceclaimtemplates.resource.k8s.io",
    "resourceslices.resource.k8s.io",
))
"""Resources whose deletion answers with the object instead of a Status."""
KEPT_NAMESPACES = frozenset(("default", "kube-system", "kube-public"))
_OWN_WORDS = {"namespaces": "Precondition failed", "customresourcedefinitions.apiextensions.k8s.io": "precondition failed"}
"""Kinds whose storage judges preconditions itself, and how it begins to say that they do not hold."""


class Deleted(NamedTuple):
    """`object` is what became of it; `gone` whether it is deleted. `body` is its JSON."""

    object: Any
    body: bytes
    uid: str
    gone: bool


class Deleter:
    """Deletes one object after the other."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def delete(self, served: Served, namespace: str, name: str, options: DeleteOptions, write: Write) -> Deleted:
        """Delete, or begin to.

        Raises:
            NotFound: It is not there.
            Conflict: A precondition does not hold.
        """
        registry = self._registry
        reader = registry.readers.of(served.stored)
        admitted = False
        for _ in range(TRIES):
            await registry.current(served)
            entry = reader.get(namespace, name)
            if entry is None:
                raise NotFound.of(served.resource.plural, served.resource.group, name)
            self._preconditions(served, entry, options)
            if not admitted:
                await registry.admit_delete(served, entry, write)
                admitted = True
                if reader.get(namespace, name) is not entry:
                    continue
            try:
                return await self._delete(served, entry, options, write)
            except CompareFailed:
                continue
        raise Conflict.of(served.resource.plural, served.resource.group, name, OPTIMISTIC_LOCK)

    @staticmethod
    def _preconditions(served: Served, entry: Entry, options: DeleteOptions) -> None:
        wanted = options.preconditions
        if wanted is None:
            return
        resource, uid, version = served.resource, metadata.meta_of(entry.object).uid, str(entry.revision)
        if own := _OWN_WORDS.get(resource.group_resource):
            for name, asked, there in (("UID", wanted.uid, uid), ("ResourceVersion", wanted.resourceVersion, version)):
                if asked is not None and asked != there:
                    raise Conflict.of(resource.plural, resource.group, entry.name,
                                      f"{own}: {name} in precondition: {asked}, {name} in object meta: {there}")
        if wanted.uid is not None and wanted.uid != uid:
            raise Conflict.of(resource.kind, resource.group, entry.name,
                              f"the UID in the precondition ({wanted.uid}) does not match the UID in record ({uid}). "
                              "The object might have been deleted and then recreated")
        if wanted.resourceVersion is not None and wanted.resourceVersion != version:
            raise Conflict.of(resource.kind, resource.group, entry.name,
                              f"the ResourceVersion in the precondition ({wanted.resourceVersion}) does not match the "
                              f"ResourceVersion in record ({version}). The object might have been modified")

    async def _delete(self, served: Served, entry: Entry, options: DeleteOptions, write: Write) -> Deleted:
        registry = self._registry
        obj = codec.clone(registry.outward(served, entry))
        meta = metadata.meta_of(obj)
        if served.resource.kind == "Namespace" and not served.resource.group:
            verdict = _namespace(obj, meta, options, served.kind, registry)
        elif served.resource == CUSTOM_RESOURCE_DEFINITIONS and not meta.deletionTimestamp:
            begin_deletion(obj, registry.now())
            verdict = Step.MARK
        else:
            verdict = deletion.decide(obj, meta, options, served.kind, registry.clock.now()).step
        metadata.put_meta(obj, meta)
        revision = entry.revision
        if verdict is Step.MARK and obj == registry.outward(served, entry):
            verdict = Step.PENDING
        if verdict in (Step.MARK, Step.MARK_AND_GO) and not write.dry_run:
            revision = await self._mark(served, entry, obj)
        elif verdict in (Step.MARK, Step.MARK_AND_GO):
            meta.resourceVersion = str(revision)
        if verdict in (Step.NOW, Step.MARK_AND_GO):
            if not write.dry_run:
                meta.resourceVersion = str(await self._remove(served, entry, obj, revision))
                metadata.put_meta(obj, meta)
            return Deleted(obj, codec.encode(obj), meta.uid, gone=True)
        return Deleted(obj, codec.encode(obj), meta.uid, gone=False)

    async def _mark(self, served: Served, entry: Entry, obj: Any) -> int:
        key = served.key(entry.namespace, entry.name)
        value = await self._registry.encoded(served, obj)
        revision = await self._registry._transact(  # noqa: SLF001 - the registry's other half
            [Put(key, value, ttl_seconds=served.kind.ttl_seconds, volatile=volatile(key))], [Compare(key, entry.revision)])
        meta = metadata.meta_of(obj)
        meta.resourceVersion = str(revision)
        metadata.put_meta(obj, meta)
        return revision

    async def _remove(self, served: Served, entry: Entry, obj: Any, revision: int) -> int:
        key = served.key(entry.namespace, entry.name)
        hook = self._registry.hooks.get(served.resource.group_resource)
        claim = hook.delete(obj) if hook else Claim()
        return await self._registry._transact([Delete(key), *claim.after], [Compare(key, revision)])  # noqa: SLF001


def _namespace(obj: Any, meta: ObjectMeta, options: DeleteOptions, kind: Kind[Any], registry: Registry) -> Step:
    """A namespace first becomes Terminating; it goes when both its lists of finalizers are empty.

    Source: `pkg/registry/core/namespace/storage/storage.go`, `Delete`.
    """
    if meta.name in KEPT_NAMESPACES:
        raise Forbidden.on("namespaces", "", meta.name, "this namespace may not be deleted")
    if not meta.deletionTimestamp:
        meta.finalizers = deletion.finalizers_for(meta, options)
        meta.deletionTimestamp = registry.now()
        obj.status.phase = "Terminating"
        return Step.MARK
    if obj.spec.finalizers or meta.finalizers:
        return Step.PENDING
    return Step.NOW
