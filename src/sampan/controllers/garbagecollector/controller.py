"""The garbage collector's loop over all resources, custom ones included.

Owns the graph, which is nothing but the informers' index by owner, and looking for owners: in the cache, and before an
object is deleted also at the server. Decisions are in `decide`. Keys name the resource, too.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any, NamedTuple

from sampan.aio.tasks import Tasks
from sampan.api.apiextensions.v1 import CustomResourceDefinition
from sampan.api.errors import ApiError, Conflict, NotFound
from sampan.api.meta.v1 import ObjectMeta, OwnerReference
from sampan.api.resourceinfo import Resource
from sampan.control.catalog import Catalog
from sampan.control.controller import Context, ControlLoop, Result
from sampan.control.events import EventRecorder
from sampan.control.indexes import by_owner, by_uid
from sampan.control.informer import Index, Informer
from sampan.control.key import Key, key_of, meta_of
from sampan.control.queue import WorkQueue
from sampan.control.writer import Writer
from sampan.controllers.garbagecollector.decide import (
    FOREGROUND,
    ORPHAN,
    Dependent,
    State,
    decide,
    deletes_dependents,
    orphan,
    orphans_dependents,
    release,
)
from sampan.kinds.plan import Delete, Plan

NOT_COLLECTED = frozenset({("", "events"), ("events.k8s.io", "events")})
MOST_ABSENT = 500


class Item(NamedTuple):
    """A key that also says of which resource."""

    namespace: str
    name: str
    resource: Resource[Any]


class Place(NamedTuple):
    """Where an owner is said to be; the namespace is empty for one that is the cluster's."""

    namespace: str
    api_version: str
    kind: str
    name: str
    uid: str


class GarbageCollector:
    """Deletes what nobody owns any more; one loop for objects of every kind."""

    name = "garbage-collector-controller"

    def __init__(self, context: Context, *, workers: int = 20) -> None:
        self.client, self.informers, self.clock = context.client, context.informers, context.clock
        queue: WorkQueue[Any] = WorkQueue(context.clock)
        self.loop = ControlLoop(self.name, self.reconcile, context.clock, workers=workers, queue=queue)
        self.recorder = EventRecorder(context.client, self.name, clock=context.clock, identity=context.identity)
        self.writer = Writer(context.client, context.informers, wake=queue.add, monotonic=context.clock.monotonic,
                             recorder=self.recorder)
        self._watched: dict[Resource[Any], tuple[Informer[Any], Index[Any]]] = {}
        self._absent: OrderedDict[Place, None] = OrderedDict()
        self._former: OrderedDict[tuple[str, str], Resource[Any]] = OrderedDict()  # of definitions that are gone
        self._left: dict[tuple[str, str], set[Item]] = {}  # what their objects owned
        self._versions: set[str] = set()  # that the server has answered for
        self._spread: set[str] = set()  # uids of owners whose dependents have all been queued
        self._tasks = Tasks()
        self._catalog = Catalog(self.informers)
        for resource in self._catalog.with_verbs("get", "list", "watch", "delete"):
            self._watch(resource)
        self._catalog.on_change(self._resource_changed)
        self._catalog.definitions.on_change(self._definition_changed)

    def idle(self) -> bool:
        """See `Component.idle`."""
        return self.loop.idle() and self.recorder.idle()

    async def run(self) -> None:
        """Work until cancelled."""
        async with Tasks() as tasks:
            tasks.start(self.recorder.run(), f"{self.name} events")
            tasks.start(self.loop.run(), f"{self.name} loop")
            try:
                await tasks.wait()
            finally:
                await self._tasks.stop()

    # the graph

    def _watch(self, resource: Resource[Any]) -> None:
        if (resource.group, resource.plural) in NOT_COLLECTED or resource in self._watched:
            return
        informer = self.informers.of(resource)
        self._watched[resource] = informer, informer.index(by_owner)
        if resource.wire_path:
            self.loop.wait_for(informer)
        informer.on_change(lambda old, new: self._changed(resource, old, new))

    def _resource_changed(self, old: Resource[Any] | None, new: Resource[Any] | None) -> None:
        if old is not None and (watched := self._watched.pop(old, None)) is not None:
            self._tasks.start(self.informers.drop(old), f"drop {old.plural}")
            if new is None:
                self._former[old.group, old.kind] = old
                while len(self._former) > MOST_ABSENT:
                    self._former.popitem(last=False)
                # that its objects are gone may never be heard: those they own are looked at now, and when the definition is gone
                for obj in watched[0].items():
                    owned = self._dependents(meta_of(obj).uid)
                    self._left.setdefault((old.group, old.kind), set()).update(Item(one.meta.namespace, one.meta.name, one.resource) for one in owned)
                    self._deleted(meta_of(obj))
        if new is not None:
            self._former.pop((new.group, new.kind), None)
            self._left.pop((new.group, new.kind), None)
        if new is not None and {"list", "watch", "delete"} <= set(new.verbs):
            self._watch(new)

    def _definition_changed(self, old: CustomResourceDefinition | None, new: CustomResourceDefinition | None) -> None:
        if new is None and old is not None:
            for item in self._left.pop((old.spec.group, old.spec.names.kind), ()):
                self.loop.queue.add(item)  # type: ignore[arg-type]

    def _changed(self, resource: Resource[Any], old: Any, new: Any) -> None:
        if new is None:
            self._deleted(meta_of(old))
            return
        meta, before = meta_of(new), meta_of(old) if old is not None else None
        if deletes_dependents(meta) or orphans_dependents(meta):
            self._add(resource, meta)
            return
        if before is not None and before.ownerReferences != meta.ownerReferences:
            self._wake_owners(before)
        elif before is not None and before.deletionTimestamp is None and meta.deletionTimestamp is not None:
            return
        refs = meta.ownerReferences
        # one of an owner that waits is looked at when its owner is
        if refs and (before is None or before.ownerReferences != refs) and \
                any(self._cached(meta, ref) not in ("solid", "waiting") for ref in refs):
            self._add(resource, meta)

    def _deleted(self, meta: ObjectMeta) -> None:
        self._spread.discard(meta.uid)
        for dependent in self._dependents(meta.uid):
            self._add(dependent.resource, dependent.meta)
        self._wake_owners(meta)

    def _wake_owners(self, meta: ObjectMeta) -> None:
        """An owner may wait for this dependent."""
        for ref in meta.ownerReferences:
            resource, owner = self._owner(meta.namespace, ref)
            if resource is not None and owner is not None and deletes_dependents(meta_of(owner)):
                self._add(resource, meta_of(owner))

    def _add(self, resource: Resource[Any], meta: ObjectMeta) -> None:
        self.loop.queue.add(Item(meta.namespace, meta.name, resource))  # type: ignore[arg-type]

    def _dependents(self, uid: str) -> list[Dependent]:
        return [Dependent(resource, meta_of(obj)) for resource, (_, index) in self._watched.items() for obj in index.get(uid)]

    def _blocker(self, uid: str) -> Dependent | None:
        """Some dependent that holds the owner; stops at the first, for there may be thousands."""
        return next((one for resource, (_, index) in self._watched.items() for obj in index.each(uid)
                     if (one := Dependent(resource, meta_of(obj))).blocks(uid)), None)

    def _owner(self, namespace: str, ref: OwnerReference) -> tuple[Resource[Any] | None, Any]:
        """The owner's resource, and the owner if the cache has it."""
        resource = self._catalog.of_kind(ref.apiVersion, ref.kind)
        if resource is None or resource not in self._watched:
            return resource, None
        owner = self._watched[resource][0].get(Key(namespace if resource.namespaced else "", ref.name))
        return resource, owner if owner is not None and meta_of(owner).uid == ref.uid else None

    def _cached(self, meta: ObjectMeta, ref: OwnerReference) -> State:
        resource, owner = self._owner(meta.namespace, ref)
        if owner is None:
            return "unknown" if resource is None else "absent"
        return "waiting" if deletes_dependents(meta_of(owner)) else "solid"

    # the work

    async def reconcile(self, key: Key) -> Result | None:
        """See `Controller.reconcile`; the key is an `Item`."""
        resource: Resource[Any] = key.resource  # type: ignore[attr-defined]
        watched = self._watched.get(resource)
        obj = watched[0].get(Key(key.namespace, key.name)) if watched else None
        if obj is None:
            self.writer.forget(key)
            return None
        if not self.writer.fresh(key):
            return None
        meta = meta_of(obj)
        if orphans_dependents(meta):
            await self._orphan(key, resource, obj)
            return None
        if deletes_dependents(meta):
            await self._foreground(key, resource, obj)
            return None
        owners = {ref.uid: await self._state(resource, obj, ref) for ref in meta.ownerReferences}
        dependents = self._dependents(meta.uid) if "waiting" in owners.values() else ()
        plan = decide(resource, obj, owners, dependents)
        outcome = await self.writer.apply(key, plan)
        if len(outcome.failures) == 1 and isinstance(outcome.failures[0][0], Delete) and isinstance(outcome.failures[0][1], Conflict):
            await self._delete_changed(key, resource, meta, outcome.failures[0][0])
        else:
            outcome.raise_first()
        return Result(plan.requeue_after_seconds or (5.0 if "unknown" in owners.values() else None))

    async def _delete_changed(self, key: Key, resource: Resource[Any], meta: ObjectMeta, wanted: Delete) -> None:
        """It changed since: deleted all the same if its owners are the same, or one that changes all the time would never go.

        Raises:
            Conflict: Its owners are others now.
        """
        try:
            now = meta_of(await self.client.get(resource, meta.name, meta.namespace))
        except NotFound:
            return
        if now.uid != meta.uid or now.ownerReferences != meta.ownerReferences:
            raise Conflict(f"{resource.plural} {meta.name} has other owners than it had")
        await self.writer.do(key, Plan((replace(wanted, resource_version=""),)))

    async def _foreground(self, key: Key, resource: Resource[Any], obj: Any) -> None:
        meta = meta_of(obj)
        if meta.uid not in self._spread:
            self._spread.add(meta.uid)
            for dependent in self._dependents(meta.uid):  # also those that do not hold it
                if not deletes_dependents(dependent.meta):
                    self._add(dependent.resource, dependent.meta)
        blocker = self._blocker(meta.uid)
        if blocker is None:
            await self.writer.do(key, release(resource, obj, FOREGROUND))
        elif blocker.meta.deletionTimestamp is None:
            self._add(blocker.resource, blocker.meta)  # it came later than the others

    async def _orphan(self, key: Key, resource: Resource[Any], obj: Any) -> None:
        plan = orphan(self._dependents(meta_of(obj).uid), meta_of(obj).uid)
        for write in plan.writes:
            outcome = await self.writer.apply(key, Plan((write,)))
            outcome.failures = [(one, error) for one, error in outcome.failures if not isinstance(error, NotFound)]
            outcome.raise_first()
        await self.writer.do(key, release(resource, obj, ORPHAN))

    async def _state(self, resource: Resource[Any], obj: Any, ref: OwnerReference) -> State:
        """As the cache has it; that an owner is absent is only believed after asking the server."""
        meta = meta_of(obj)
        found = self._cached(meta, ref)
        owner_resource = self._catalog.of_kind(ref.apiVersion, ref.kind) or self._defined_once(ref)
        if found in ("solid", "waiting") or owner_resource is None:
            return found
        place = Place(meta.namespace if owner_resource.namespaced else "", ref.apiVersion, ref.kind, ref.name, ref.uid)
        if place in self._absent:
            return "absent"
        if found == "absent" and not await self._is_served(ref.apiVersion):
            return "unknown"
        if owner_resource.namespaced and not meta.namespace:
            if self._lives_elsewhere(owner_resource, meta.namespace, ref.uid):
                self._misplaced(obj, ref)
            return "misplaced"
        try:
            owner = await self.client.get(owner_resource, ref.name, meta.namespace if owner_resource.namespaced else "")
        except ApiError as error:
            # a path that nobody serves says that a definition is gone, if it was there once
            if not isinstance(error, NotFound) and (error.code != NotFound.code or found == "absent"):
                raise
            owner = None
        if owner is not None and meta_of(owner).uid == ref.uid:
            return "waiting" if deletes_dependents(meta_of(owner)) else "solid"
        self._absent[place] = None
        while len(self._absent) > MOST_ABSENT:
            self._absent.popitem(last=False)
        if self._lives_elsewhere(owner_resource, meta.namespace, ref.uid):
            self._misplaced(obj, ref)
        return "absent"

    def _defined_once(self, ref: OwnerReference) -> Resource[Any] | None:
        """What an owner's kind was before its definition went; None: it never was, or the definition is there and only not served."""
        group = ref.apiVersion.rpartition("/")[0]
        found = self._former.get((group, ref.kind))
        if found is None or any((one.spec.group, one.spec.names.kind) == (group, ref.kind) for one in self._catalog.definitions.items()):
            return None
        return found

    async def _is_served(self, api_version: str) -> bool:
        """Whether there is such a version of a group: an owner of another one is not known to be absent."""
        if api_version not in self._versions:
            path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            answer = await self.client.raw("GET", path, headers={"Accept": "application/json"})
            if answer.code != 200:
                return False
            self._versions.add(api_version)
        return True

    def _lives_elsewhere(self, resource: Resource[Any], namespace: str, uid: str) -> bool:
        if not resource.namespaced or resource not in self._watched:
            return False
        # the index is made when a first owner is missed: most kinds own nothing
        return any(key_of(obj).namespace != namespace for obj in self._watched[resource][0].index(by_uid).each(uid))

    def _misplaced(self, obj: Any, ref: OwnerReference) -> None:
        namespace = meta_of(obj).namespace
        where = f"{ref.apiVersion}/{ref.kind}, namespace: {namespace}, name: {ref.name}, uid: {ref.uid}"
        self.recorder.record(obj, "Warning", "OwnerRefInvalidNamespace", f'ownerRef [{where}] does not exist in namespace "{namespace}"')
