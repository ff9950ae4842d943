"""Writes: from a decoded object to the store and back, by compare and swap.

Owns the order of a write (see `sampan.kinds.kind`), metadata, generated names, preconditions, dry run and retries.
Leaves decoding to `sampan.apiserver.bodies`, deletion to `sampan.apiserver.deleter`, addresses to hooks.
Source: `k8s.io/apiserver/pkg/registry/generic/registry/store.go`, `registry/rest/{create,update}.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sampan.api import codec, schema
from sampan.api.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    FieldError,
    Forbidden,
    InternalError,
    Invalid,
    NotFound,
    OtherStatus,
)
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.scalars import Time
from sampan.apiserver import deletion, depth, metadata
from sampan.apiserver.admission.base import AdmissionRequest, Operation
from sampan.apiserver.auth.asking import decided
from sampan.apiserver.catalog import Served
from sampan.apiserver.entries import Entry
from sampan.apiserver.hooks import Claim, Hook
from sampan.apiserver.known import Known
from sampan.apiserver.watchcache import Readers
from sampan.apiserver.writes import Fields, Gate, Produce, Write, Written, translated, volatile
from sampan.kinds.all import kind_of
from sampan.kinds.kind import SubKind
from sampan.lib.clock import Clock, Identity
from sampan.store.base import Compare, CompareFailed, Delete, Put, Store, StoreFull, StoreRefused, StoreUnavailable

__all__ = ["OPTIMISTIC_LOCK", "TRIES", "Fields", "Gate", "Produce", "Registry", "Write", "Written", "forbidden", "translated", "volatile"]

OPTIMISTIC_LOCK = "the object has been modified; please apply your changes to the latest version and try again"
LONGEST_PREFIX = 58  # 63 less the five characters that are put behind it
NAME_TRIES = 8
TRIES = 64
"""How often a write without a resourceVersion is tried again when others are faster."""


class Registry:
    """Writes of all kinds."""

    def __init__(self, store: Store, readers: Readers, clock: Clock, identity: Identity, *,
                 gate: Gate, fields: Fields, hooks: Mapping[str, Hook]) -> None:
        """`hooks` by `group_resource`."""
        self.store, self.readers, self.clock, self.identity = store, readers, clock, identity
        self.gate, self.fields, self.hooks = gate, fields, hooks
        self.known = Known()
        """The caches', where they take what is told."""
        self.is_stale: Callable[[str, int], bool] = lambda key, revision: False
        """Whether writing an object that has not changed is worth while: it would be stored otherwise today."""

    # -- reading back -------------------------------------------------------------------------------------------

    def entry(self, served: Served, namespace: str, name: str) -> Entry:
        """The object as it is now.

        Raises:
            NotFound: It is not there.
        """
        found = self.readers.of(served.stored).get(namespace, name)
        if found is None:
            raise NotFound.of(served.resource.plural, served.resource.group, name)
        return found

    @staticmethod
    def outward(served: Served, entry: Entry) -> Any:
        """The decoded object in the version that is served; shared, read-only."""
        return entry.object if served.outward is None else served.outward(entry.object)

    def text(self, served: Served, namespace: str, name: str, obj: Any) -> bytes:
        """The JSON of what `outward` has given for the object of that name: as it stands in the cache, where it does."""
        entry = self.readers.of(served.stored).get(namespace, name) if served.outward is None else None
        return entry.body if entry is not None and entry.object is obj else codec.encode(obj)

    def now(self) -> Time:
        return Time.of(self.clock.now())

    async def current(self, served: Served) -> None:
        """Until what is read has all that has been written by now: at once, but for what somebody else converts.

        Raises:
            ApiError: It can't be converted.
        """
        if served.view is not None:
            await served.view.current()

    # -- create -------------------------------------------------------------------------------------------------

    async def create(self, served: Served, namespace: str, obj: Any, write: Write, again: Callable[[], Any] | None = None) -> Written:
        """Create `obj` (made for this request alone). `again` makes another like it: where a generated name is taken, the next try begins with that.

        Raises:
            ApiError: Anything upstream would refuse.
        """
        meta = metadata.meta_of(obj)
        if meta.resourceVersion not in ("", "0") and not write.dry_run:  # the store says so, which isn't asked
            raise OtherStatus("resourceVersion should not be set on objects to be created", code=500)
        generated = bool(meta.generateName) and not meta.name
        if generated and again is not None:
            for _ in range(NAME_TRIES - 1):
                try:
                    return await self._create(served, namespace, obj, write, generated=True)
                except AlreadyExists:
                    obj = again()
        try:
            return await self._create(served, namespace, obj, write, generated=generated)
        except AlreadyExists as error:
            if not meta.generateName:  # also where a name was given besides
                raise
            raise AlreadyExists(
                f"{error.message}, the server was not able to generate a unique name for the object",
                details=error.details | {"retryAfterSeconds": 1}) from None

    def _birth(self, meta: ObjectMeta, namespace: str) -> Time:
        now = self.now()
        meta.namespace, meta.uid, meta.creationTimestamp = namespace, self.identity.uid(), now
        meta.deletionTimestamp, meta.deletionGracePeriodSeconds, meta.selfLink = None, None, ""
        return now

    def _begin(self, served: Served, namespace: str, obj: Any, write: Write, *, generated: bool) -> None:
        """What is set and filled in before anybody is asked. Who asks for a generated name does not own what follows from it."""
        meta = metadata.meta_of(obj)
        now = self._birth(meta, namespace if served.resource.namespaced else "")
        if not write.dry_run:
            meta.resourceVersion = ""
        name = meta.generateName[:LONGEST_PREFIX] + self.identity.suffix() if generated else ""
        metadata.put_meta(obj, meta)
        served.kind.default(obj)
        if not write.applying:
            self.fields.record(served, obj, None, manager=write.manager, subresource="", now=now)
        if generated:
            meta = metadata.meta_of(obj)
            meta.name = name
            metadata.put_meta(obj, meta)
            served.kind.default_named(obj)

    async def _create(self, served: Served, namespace: str, obj: Any, write: Write, *, generated: bool) -> Written:
        resource, kind = served.resource, served.kind
        self._begin(served, namespace, obj, write, generated=generated)
        meta = metadata.meta_of(obj)
        kind.as_stored(obj)
        request = self._request("CREATE", served, meta.namespace, meta.name, write, obj, None)
        await self.gate.admit(request)
        obj = request.object
        if kind.touch is not None:
            kind.touch(obj, self.clock.now())
        kind.prepare_create(obj)
        if kind.requested_by is not None:
            user = write.user
            kind.requested_by(obj, user.name, user.uid, user.groups, user.extra)
        hook = self.hooks.get(resource.group_resource)
        claim = hook.create(obj, dry_run=write.dry_run) if hook else None
        try:
            await self.current(served)
            meta = metadata.meta_of(obj)
            found, warnings = self._validate_new(served, obj, meta)
            self._refuse(served, meta.name or meta.generateName, found)
            write.warnings += warnings
            await self.gate.validate(request)
            key = served.key(meta.namespace, meta.name)
            if self.readers.of(served.stored).get(meta.namespace, meta.name) is not None:
                raise self._taken(served, meta.namespace, meta.name)
            if write.dry_run:
                return Written(obj, codec.encode(obj), 0, created=True)
            put = Put(key, await self.encoded(served, obj), ttl_seconds=kind.ttl_seconds, volatile=volatile(key))
            revision = await self._write(put, Compare(key, 0), claim)
        except CompareFailed:
            raise self._taken(served, meta.namespace, meta.name) from None
        finally:
            if claim is not None:
                claim.release()
        return await self._answer(served, obj, meta.namespace, meta.name, revision, created=True)

    @staticmethod
    def _validate_new(served: Served, obj: Any, meta: ObjectMeta) -> tuple[Sequence[FieldError], Sequence[str]]:
        """All findings, and what to warn of where there are none."""
        resource, kind = served.resource, served.kind
        found = metadata.validate_meta(meta, namespaced=resource.namespaced, name_check=kind.name_check)
        own, warnings = kind.create_findings(obj)
        if kind.metadata == "none":  # who says nothing about metadata has it looked at last, if all the rest was good
            return own or found, warnings
        unqualified = metadata.unqualified_finalizers(meta, resource) if served.custom is None else []
        return [*found, *unqualified, *own], warnings

    def _taken(self, served: Served, namespace: str, name: str) -> AlreadyExists:
        error = AlreadyExists.of(served.resource.plural, served.resource.group, name)
        entry = self.readers.of(served.stored).get(namespace, name)
        if entry is not None and metadata.meta_of(entry.object).deletionTimestamp:
            return AlreadyExists(f"object is being deleted: {error.message}", details=error.details)
        return error

    # -- update -------------------------------------------------------------------------------------------------

    async def update(self, served: Served, namespace: str, name: str, produce: Produce, write: Write, *,
                     missing: Callable[[], Any] | None = None) -> Written:
        """Replace an object by what `produce` makes of it; `missing` makes one that is not there (else it is NotFound).

        A resourceVersion in the new object that differs from the stored one is a Conflict; without one the write
        is tried again until it wins.

        Raises:
            ApiError: Anything upstream would refuse.
        """
        reader = self.readers.of(served.stored)
        for _ in range(TRIES):
            await self.current(served)
            entry = reader.get(namespace, name)
            if entry is None:
                if missing is None:
                    raise NotFound.of(served.resource.plural, served.resource.group, name)
                return await self.create(served, namespace, missing(), write)
            try:
                return await self._update(served, entry, produce, write)
            except CompareFailed:
                continue
        raise Conflict.of(served.resource.plural, served.resource.group, name, OPTIMISTIC_LOCK)

    async def _update(self, served: Served, entry: Entry, produce: Produce, write: Write) -> Written:
        resource, kind = served.resource, served.kind
        old = self.outward(served, entry)
        new = await decided(lambda: self._produced(served, entry, old, produce, write))
        request = self._request("UPDATE", served, entry.namespace, entry.name, write, new, old)
        await self.gate.admit(request)
        new = request.object
        found = self._prepare(served, new, old, write)
        hook = self.hooks.get(resource.group_resource) if not write.subresource else None
        claim = hook.update(new, old, dry_run=write.dry_run) if hook else None
        try:
            found += self._validate(served, new, old, write)
            self._refuse(served, entry.name, found)
            if not write.subresource:
                write.warnings += kind.warnings(new, old)
            await self.gate.validate(request)
            return await self._swap(served, entry, new, old, write, claim)
        finally:
            if claim is not None:
                claim.release()

    def _produced(self, served: Served, entry: Entry, old: Any, produce: Produce, write: Write) -> Any:
        """The new object as the client wants it, with its owners; it may be asked for again."""
        resource, kind = served.resource, served.kind
        was = metadata.meta_of(old)
        new = produce(old)
        meta = metadata.meta_of(new)
        self._check_revision(served, meta, was, entry.revision)
        metadata.keep_system_fields(meta, was)
        meta.namespace = (meta.namespace or was.namespace) if resource.namespaced else ""
        metadata.put_meta(new, meta)
        sub = kind.subkind(write.subresource) if write.subresource == "status" else None
        if sub is not None and sub.default is not None and new.spec is old.spec:
            sub.default(new)
        else:
            kind.default(new)
        if not write.applying:
            self.fields.record(served, new, old, manager=write.manager, subresource=write.subresource, now=self.now())
        kind.as_stored(new)
        return new

    def _check_revision(self, served: Served, meta: ObjectMeta, was: ObjectMeta, revision: int) -> None:
        asked = meta.resourceVersion
        if asked in ("", "0"):
            if not served.kind.unconditional_update:
                error = FieldError("FieldValueInvalid", "metadata.resourceVersion", "Invalid value: 0: must be specified for an update")
                raise Invalid.of(served.resource.plural, served.resource.group, was.name, [error])
        elif not asked.isascii() or not asked.isdigit():
            raise OtherStatus(f'strconv.ParseUint: parsing "{asked}": invalid syntax', code=500)
        elif int(asked) != revision:
            raise Conflict.of(served.resource.plural, served.resource.group, was.name, OPTIMISTIC_LOCK)
        meta.resourceVersion = was.resourceVersion

    @staticmethod
    def subkind(served: Served, name: str) -> SubKind[Any]:
        """How the subresource behaves; a status that the kind says nothing about keeps all but the status."""
        return served.kind.subkind(name) or SubKind(name, _status_only)

    def _prepare(self, served: Served, new: Any, old: Any, write: Write) -> list[FieldError]:
        if write.subresource and not write.main:
            sub = self.subkind(served, write.subresource)
            sub.prepare(new, old)
            if sub.touch is not None:
                sub.touch(new, old, self.clock.now())
        else:
            if served.kind.touch is not None:
                served.kind.touch(new, self.clock.now())
            served.kind.prepare_update(new, old)
        return []

    def _validate(self, served: Served, new: Any, old: Any, write: Write) -> list[FieldError]:
        kind = served.kind
        sub = self.subkind(served, write.subresource) if write.subresource and not write.main else None
        found = metadata.validate_change(metadata.meta_of(new), metadata.meta_of(old), served.resource,
                                         built_in=served.custom is None, again=(sub or kind).metadata)
        return [*found, *(sub.validate(new, old) if sub is not None else kind.update_findings(new, old))]

    async def _swap(self, served: Served, entry: Entry, new: Any, old: Any, write: Write, claim: Claim | None) -> Written:
        key = served.key(entry.namespace, entry.name)
        meta = metadata.meta_of(new)
        if write.subresource in ("", "finalize") and deletion.gone_after_update(meta, metadata.meta_of(old)) and self._may_go(served, new):
            if not write.dry_run:
                hook = self.hooks.get(served.resource.group_resource)
                more = hook.delete(old) if hook else Claim()
                await self.transact([Delete(key), *more.after], [Compare(key, entry.revision)])
            return Written(new, codec.encode(new), entry.revision, deleted=True)
        if write.dry_run:
            return Written(new, codec.encode(new), entry.revision)
        metadata.keep_times(new, old)
        if new == old and not self.is_stale(key, entry.revision):
            body = entry.body if served.outward is None else codec.encode(new)
            return Written(new, body, entry.revision)
        value = await self.encoded(served, new)
        put = Put(key, value, ttl_seconds=served.kind.ttl_seconds, volatile=volatile(key))
        revision = await self._write(put, Compare(key, entry.revision), claim)
        return await self._answer(served, new, entry.namespace, entry.name, revision)

    @staticmethod
    def _may_go(served: Served, new: Any) -> bool:
        spec = getattr(new, "spec", None)  # a namespace has a second list of finalizers
        return served.resource.kind != "Namespace" or not getattr(spec, "finalizers", ())

    async def adjust(self, served: Served, namespace: str, name: str, change: Callable[[Any], None], *, dry_run: bool = False) -> Written:
        """Change an object as the server itself sees fit: `change` gets a copy as `codec.spread` makes it; no strategy, validation or admission.

        Raises:
            NotFound: It is not there.
            ApiError: What `change` raises.
        """
        for _ in range(TRIES):
            await self.current(served)
            entry = self.entry(served, namespace, name)
            old = self.outward(served, entry)
            new = codec.clone(old) if isinstance(old, dict) else codec.spread(old)
            change(new)
            if dry_run or new == old:
                return Written(new, codec.encode(new), entry.revision)
            key = served.key(namespace, name)
            try:
                put = Put(key, await self.encoded(served, new), ttl_seconds=served.kind.ttl_seconds, volatile=volatile(key))
                revision = await self.transact([put], [Compare(key, entry.revision)])
            except CompareFailed:
                continue
            return await self._answer(served, new, namespace, name, revision)
        raise Conflict.of(served.resource.plural, served.resource.group, name, OPTIMISTIC_LOCK)

    # -- what all share -----------------------------------------------------------------------------------------

    def _request(self, operation: Operation, served: Served, namespace: str, name: str, write: Write, obj: Any,
                 old: Any) -> AdmissionRequest:
        return AdmissionRequest(
            operation, served.resource, write.subresource, namespace, name, write.user, obj, old, write.options,
            write.dry_run, write.warnings, write.audit_annotations)

    async def admit_delete(self, served: Served, entry: Entry, write: Write) -> None:
        """Ask the admission plugins about a deletion."""
        old = self.outward(served, entry)
        request = self._request("DELETE", served, entry.namespace, entry.name, write, None, old)
        await self.gate.admit(request)
        await self.gate.validate(request)

    async def admit_other(self, served: Served, operation: Operation, namespace: str, name: str, write: Write, obj: Any,
                          prepare: Callable[[Any], None] | None = None) -> Any:
        """Ask the admission plugins about a write that stores nothing itself (binding, eviction, token, connect).

        `prepare` fills in and validates between the mutating and the validating ones, as storage does upstream.
        """
        request = self._request(operation, served, namespace, name, write, obj, None)
        await self.gate.admit(request)
        if prepare is not None:
            prepare(request.object)
        await self.gate.validate(request)
        return request.object

    @staticmethod
    def _refuse(served: Served, name: str, found: Sequence[FieldError]) -> None:
        if found:
            raise Invalid.of(served.stored.kind, served.stored.group, name, found)

    async def encoded(self, served: Served, obj: Any) -> bytes:
        """The object's bytes as they are stored. From now on nobody changes it.

        Raises:
            ApiError: It can't be converted to the version that is stored.
        """
        stored = obj
        if served.view is not None:
            stored = await served.view.inward(obj)
            if stored is obj:
                stored = codec.clone(obj)
        elif served.inward is not None:
            stored = served.inward(obj)
            if served.custom is None:
                kind_of(served.stored).default(stored)
        meta = metadata.meta_of(stored)
        meta.resourceVersion = ""
        metadata.put_meta(stored, meta)
        value = codec.encode(stored)
        if served.custom is None:
            self.known.tell(value, stored)
        depth.check(value, [bytes(one.fieldsV1) for one in meta.managedFields], schema.of_resource(served.stored) if served.custom is None else None)
        return value

    async def _answer(self, served: Served, obj: Any, namespace: str, name: str, revision: int, *, created: bool = False) -> Written:
        meta = metadata.meta_of(obj)
        meta.resourceVersion = str(revision)
        metadata.put_meta(obj, meta)
        await self.current(served)
        entry = self.readers.of(served.stored).get(namespace, name)
        if entry is not None and entry.revision == revision:
            if served.outward is None:
                return Written(obj, entry.body, revision, created=created)
            obj = served.outward(entry.object)
        return Written(obj, codec.encode(obj), revision, created=created)

    async def _write(self, put: Put, compare: Compare, claim: Claim | None) -> int:
        """Write what was claimed, then the object; take back what was claimed when the object was surely not written.

        Where the store leaves that open, the claim stays: an object that has its address is better than two that share one.
        """
        if claim is None:
            return await self.transact([put], [compare])
        taken: list[Put] = []
        try:
            for one in claim.before:
                try:
                    await self.transact([one], [Compare(one.key, 0)])
                except CompareFailed:
                    raise InternalError(f"{one.key.rpartition('/')[2]} was taken by another server; try again") from None
                taken.append(one)
            return await self._write_with(put, compare, claim)
        except (CompareFailed, ApiError) as error:
            if taken and not isinstance(error.__cause__, StoreUnavailable):
                await self.transact([Delete(one.key) for one in taken], [])
            raise

    async def _write_with(self, put: Put, compare: Compare, claim: Claim) -> int:
        """The object and what must be there with it, or nothing of them."""
        within = [one for one, _ in claim.within]
        try:
            return await self.transact([put, *within, *claim.after], [compare, *(Compare(one.key, 0) for one in within)])
        except CompareFailed as error:
            for one, taken in claim.within:
                if error.found.get(one.key) is not None:
                    raise taken from None
            raise

    async def transact(self, writes: Sequence[Put | Delete], compares: Sequence[Compare]) -> int:
        """See `Store.transact`.

        Raises:
            CompareFailed: A compare did not hold.
            ApiError: What is told of a store that can't.
        """
        try:
            return await self.store.transact(writes, compares)
        except (StoreFull, StoreRefused, StoreUnavailable) as error:
            raise translated(error) from error

    async def put_then(self, put: Put, compare: Compare, then: Sequence[Put | Delete]) -> int:
        """See `Store.put_then`; raises as `transact`."""
        try:
            return await self.store.put_then(put, compare, then)
        except (StoreFull, StoreRefused, StoreUnavailable) as error:
            raise translated(error) from error


def _status_only(new: Any, old: Any) -> None:
    if isinstance(new, dict):
        for key in [key for key in new if key not in ("metadata", "status", "kind", "apiVersion")]:
            if key not in old:
                del new[key]
        new.update({key: value for key, value in old.items() if key not in ("metadata", "status", "kind", "apiVersion")})
        return
    for name in new.__struct_fields__:
        if name not in ("metadata", "status", "kind", "apiVersion"):
            setattr(new, name, getattr(old, name))


def forbidden(served: Served, name: str, why: str) -> Forbidden:
    """`pods "web" is forbidden: why`."""
    return Forbidden.on(served.resource.plural, served.resource.group, name, why)
