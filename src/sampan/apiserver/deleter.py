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
from sampan.apiserver.entries import Entry, respliced, splice
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
        registry, old = self._registry, self._registry.outward(served, entry)
        obj, meta = _copied(old)
        if served.resource.kind == "Namespace" and not served.resource.group:
            verdict = _namespace(obj, meta, options, served.kind, registry)
        elif served.resource == CUSTOM_RESOURCE_DEFINITIONS and not meta.deletionTimestamp:
            begin_deletion(obj, registry.now())
            verdict = Step.MARK
        else:
            verdict = deletion.decide(obj, meta, options, served.kind, registry.clock.now()).step
        metadata.put_meta(obj, meta)
        is_same = obj == old
        if verdict is Step.MARK and is_same:
            verdict = Step.PENDING
        gone = verdict in (Step.NOW, Step.MARK_AND_GO)
        if write.dry_run:
            if verdict in (Step.MARK, Step.MARK_AND_GO):
                meta.resourceVersion = str(entry.revision)
            return Deleted(obj, codec.encode(obj), meta.uid, gone=gone)
        revision, value = await self._carry_out(served, entry, obj, verdict)
        if verdict is not Step.PENDING:
            meta.resourceVersion = str(revision)
            metadata.put_meta(obj, meta)
        return Deleted(obj, _body(served, entry, obj, revision, entry.body if is_same else value), meta.uid, gone=gone)

    async def _carry_out(self, served: Served, entry: Entry, obj: Any, verdict: Step) -> tuple[int, bytes]:
        """Do what was decided; the revision, and the object as it was written, if it was."""
        registry, key = self._registry, served.key(entry.namespace, entry.name)
        if verdict is Step.PENDING:
            return entry.revision, b""
        compare = Compare(key, entry.revision)
        if verdict is Step.NOW:
            return await registry.transact(self._removal(served, key, obj), [compare]), b""
        value = await registry.encoded(served, obj)
        put = Put(key, value, ttl_seconds=served.kind.ttl_seconds, volatile=volatile(key))
        if verdict is Step.MARK:
            return await registry.transact([put], [compare]), value
        return await registry.put_then(put, compare, self._removal(served, key, obj)), value

    def _removal(self, served: Served, key: str, obj: Any) -> list[Put | Delete]:
        hook = self._registry.hooks.get(served.resource.group_resource)
        return [Delete(key), *(hook.delete(obj) if hook else Claim()).after]


def _copied(old: Any) -> tuple[Any, ObjectMeta]:
    """An object whose own parts may be changed, and its metadata."""
    obj = dict(old) if isinstance(old, dict) else codec.spread(old)
    return obj, metadata.meta_of(obj)


def _body(served: Served, entry: Entry, obj: Any, revision: int, known: bytes) -> bytes:
    """The object's JSON: what is `known` of it, as it is stored or as the cache has it, under the revision."""
    if not known or served.outward is not None or served.view is not None:
        return codec.encode(obj)
    return respliced(known, entry.revision, revision) if known is entry.body else splice(known, revision)


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
