"""`metadata.managedFields`: reading and writing the entries, their order, their number, and cheap differences.

A write must cost little: what is the same in two Structs is not even looked into (`change`), texts are split into members of
which equal ones are skipped without decoding, what a fresh object's field adds is remembered by its text, since most objects come
from a template, and so is what a change makes of the owners, since objects of a template live alike.
Source: apimachinery `util/managedfields/internal/{managedfields,capmanagers,stripmeta,skipnonapplied}.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple, TypeVar

import msgspec

from sampan.api import apply, codec, fieldset, structdiff, typed
from sampan.api.apply import Filter, Managed, Manager, Owned
from sampan.api.fieldset import FieldSet
from sampan.api.meta.v1 import ManagedFieldsEntry, ObjectMeta
from sampan.api.scalars import Time, Wire
from sampan.api.schema import Shape
from sampan.api.structdiff import Nodes, put
from sampan.api.typed import ABSENT, Difference

W = TypeVar("W", bound=Wire)

MAX_UPDATERS = 10
ANCIENT = "ancient-changes"
_NOBODY_S = frozenset(("kind", "apiVersion"))
BEFORE_FIRST_APPLY = "before-first-apply"
UNKNOWN = "unknown"

_CACHED_BYTES = 1 << 14
"""What is larger than this is walked each time rather than remembered."""


class BadEntry(ValueError):
    """An entry that can't be one."""


_EMPTINESS = 64
_WORTH_SPLITTING = 256
_OBJECT = (b"", b"{")


# ---- entries -------------------------------------------------------------------------------------------------------


def decode(entries: Sequence[ManagedFieldsEntry]) -> Managed:
    """Entries to owners.

    Raises:
        BadEntry: One of them is wrong.
    """
    managed: Managed = {}
    for index, entry in enumerate(entries):
        if entry.operation not in ("Apply", "Update"):
            raise BadEntry("operation must be `Apply` or `Update`")
        if not entry.apiVersion:
            raise BadEntry("apiVersion must not be empty")
        if entry.fieldsType != "FieldsV1":
            raise BadEntry(f"missing fieldsType in managed fields entry {index}" if not entry.fieldsType
                           else f'invalid fieldsType "{entry.fieldsType}" in managed fields entry {index}')
        raw = bytes(entry.fieldsV1) or b"{}"
        try:
            fields = fieldset.decode(raw)
        except fieldset.BadFieldSet as error:
            raise BadEntry(str(error)) from None
        manager = Manager(entry.manager, entry.operation, "" if entry.operation == "Apply" else entry.apiVersion, entry.subresource)
        managed[manager] = Owned(fields, entry.apiVersion, entry.time, raw)
    return managed


def encode(managed: Managed) -> list[ManagedFieldsEntry]:
    """Owners to entries: appliers first, then by time, name, version and subresource."""
    entries = [
        ManagedFieldsEntry(
            manager=manager.name, operation=manager.operation, apiVersion=owned.version,
            time=Time(owned.time) if owned.time else None, fieldsType="FieldsV1",
            fieldsV1=msgspec.Raw(_encoded(owned)), subresource=manager.subresource)
        for manager, owned in managed.items()]
    return sorted(entries, key=_place)


def _encoded(owned: Owned) -> bytes:
    return owned.raw if owned.raw is not None else fieldset.encode(owned.fields)


def is_reset(entries: Sequence[ManagedFieldsEntry]) -> bool:
    """Whether a client asks to forget all owners: one empty entry."""
    return len(entries) == 1 and entries[0] == ManagedFieldsEntry()


def cap(managed: Managed) -> Managed:
    """At most ten updaters: the oldest of a version become one."""
    updaters = sorted((manager for manager in managed if manager.operation == "Update"),
                      key=lambda manager: (managed[manager].time or "", manager))
    surplus = len(updaters) - MAX_UPDATERS
    if surplus <= 0:
        return managed
    out, first = dict(managed), dict[str, Manager]()
    joined: dict[Manager, list[FieldSet]] = {}
    for manager in updaters:
        if surplus <= 0:
            break
        owned = out[manager]
        if (oldest := first.get(owned.version)) is None:
            first[owned.version] = manager
            continue
        bucket = Manager(ANCIENT, "Update", owned.version)
        if bucket not in out:
            out[bucket] = out.pop(oldest)
        sets = joined.setdefault(bucket, [out[bucket].fields])
        if manager != bucket:
            sets.append(owned.fields)
            del out[manager]
        out[bucket] = Owned({}, owned.version, owned.time)
        surplus -= 1
    for bucket, sets in joined.items():
        out[bucket] = out[bucket]._replace(fields=fieldset.union_all(sets))
    return out


# ---- the entries after a write -------------------------------------------------------------------------------------

_Source = tuple[str, str, str, str, bytes]


class _Left(NamedTuple):
    """What a manager has after a write: which entry tells since when (-1: since now), and the text where it is another than that entry's."""

    manager: Manager
    version: str
    source: int
    fields: bytes | None


def updated(entries: Sequence[ManagedFieldsEntry], by: Manager, difference: Difference, keep: Filter, now: Time) -> list[ManagedFieldsEntry]:
    """The entries after `by` has made `difference`, which is no apply: as `apply.update` has it. What did not change is shared.

    Raises:
        BadEntry: One of them is wrong.
    """
    sources = tuple((one.manager, one.operation, one.apiVersion, one.subresource, bytes(one.fieldsV1)) for one in entries)
    size = sum(len(source[4]) for source in sources)
    # as many as may have to be joined are joined by their times
    if (size > _CACHED_BYTES or len(entries) >= MAX_UPDATERS or _is_alone(entries, by)
            or not all(one.fieldsType == "FieldsV1" and one.fieldsV1 for one in entries)):
        return encode(cap(apply.update(decode(entries), by, by.version, difference, keep, now)))
    out = []
    for manager, version, source, fields in _left(sources, by, keep, codec.encode(difference)):
        if fields is None and source >= 0:
            out.append(entries[source])
            continue
        time = now if source < 0 else entries[source].time
        raw = msgspec.Raw(fields if fields is not None else b"")
        out.append(ManagedFieldsEntry(manager=manager.name, operation=manager.operation, apiVersion=version, time=time, fieldsType="FieldsV1",
                                      fieldsV1=raw, subresource=manager.subresource))
    return sorted(out, key=_place)


def _is_alone(entries: Sequence[ManagedFieldsEntry], by: Manager) -> bool:
    """Nobody else is there. Who goes on writing what is its own, as nodes their leases, makes quick work, and each of them has a text of its own."""
    first = entries[0] if len(entries) == 1 else None
    return first is not None and (first.manager, first.operation, first.subresource) == (by.name, by.operation, by.subresource)


@lru_cache(maxsize=512)
def _left(sources: tuple[_Source, ...], by: Manager, keep: Filter, difference: bytes) -> tuple[_Left, ...]:
    """Objects of one template live alike, so the same owners meet the same difference again and again."""
    managed = {manager: owned._replace(time=str(index)) for index, source in enumerate(sources) for manager, owned in [_owned(source)]}
    left = apply.update(managed, by, by.version, Difference(*codec.loads(difference)), keep, "")
    return tuple(_Left(manager, owned.version, int(owned.time or -1), None if owned.time and owned.raw is not None else _encoded(owned))
                 for manager, owned in left.items())


def _owned(source: _Source) -> tuple[Manager, Owned]:
    [found] = decode([ManagedFieldsEntry(manager=source[0], operation=source[1], apiVersion=source[2], subresource=source[3], fieldsType="FieldsV1",
                                         fieldsV1=msgspec.Raw(source[4]))]).items()
    return found


def _place(entry: ManagedFieldsEntry) -> tuple[str, ...]:
    return entry.operation, entry.time or "", entry.manager, entry.apiVersion, entry.subresource


# ---- differences of whole objects ----------------------------------------------------------------------------------

_split = msgspec.json.Decoder(dict[str, msgspec.Raw])


_NOTHING = msgspec.Raw(b"")


class _Meta(msgspec.Struct, gc=False):
    """The metadata that managers can own."""

    labels: msgspec.Raw = _NOTHING
    annotations: msgspec.Raw = _NOTHING
    ownerReferences: msgspec.Raw = _NOTHING
    finalizers: msgspec.Raw = _NOTHING
    generateName: msgspec.Raw = _NOTHING
    deletionTimestamp: msgspec.Raw = _NOTHING
    deletionGracePeriodSeconds: msgspec.Raw = _NOTHING


_meta = msgspec.json.Decoder(_Meta)


def difference(shape: Shape, old: bytes, new: bytes) -> Difference:
    """How the object with one JSON became that with the other; names, times and the like left aside.

    Raises:
        TypedError: An item of a keyed list has no key.
    """
    left, right = _split.decode(old), _split.decode(new)
    sets: structdiff.Sets = ({}, {}, {})
    for key in left | right:
        was, now = left.get(key, _NOTHING), right.get(key, _NOTHING)
        if was == now or key in _NOBODY_S:
            continue
        below = typed.child(shape, key)
        if key == "metadata":
            put(sets, "f:metadata", _meta_difference(below, was or b"{}", now or b"{}"))
        else:
            put(sets, f"f:{key}", _field_difference(below, bytes(was), bytes(now)))
    return Difference(*sets)


def _meta_difference(shape: Shape, was: bytes | msgspec.Raw, now: bytes | msgspec.Raw) -> Nodes:
    left, right = _meta.decode(was), _meta.decode(now)
    sets: structdiff.Sets = ({}, {}, {})
    for name in _Meta.__struct_fields__:
        one, other = getattr(left, name), getattr(right, name)
        if one != other:
            put(sets, f"f:{name}", _field_difference(typed.child(shape, name), bytes(one), bytes(other)))
    return sets[0] or None, sets[1] or None, sets[2] or None


def _field_difference(shape: Shape, was: bytes, now: bytes) -> Nodes:
    """The same for one field's JSON, empty where it has none."""
    if was == now:
        return None, None, None
    large = len(was) + len(now) > _CACHED_BYTES
    # an emptiness becomes something: that is what creating from a template looks like, again and again
    return _divided(shape, was, now) if large or len(was) > _EMPTINESS else _remembered(shape, was, now)


@lru_cache(maxsize=2048)
def _remembered(shape: Shape, was: bytes, now: bytes) -> Nodes:
    return _divided(shape, was, now)


def _divided(shape: Shape, was: bytes, now: bytes) -> Nodes:
    """Member by member, as far as objects go: of two large ones few members differ as a rule, and only those are decoded."""
    if shape.form != "object" or shape.atomic or len(was) + len(now) < _WORTH_SPLITTING or was[:1] not in _OBJECT or now[:1] not in _OBJECT:
        return _walked(shape, was, now)
    left = _split.decode(was) if was else {}
    right = _split.decode(now) if now else {}
    sets: structdiff.Sets = ({}, {}, {})
    for key in left | right:
        one, other = left.get(key, _NOTHING), right.get(key, _NOTHING)
        if one != other:
            put(sets, f"f:{key}", _field_difference(typed.child(shape, key), bytes(one), bytes(other)))
    if not was:
        sets[0][fieldset.MEMBER] = fieldset.LEAF
    elif not now:
        sets[2][fieldset.MEMBER] = fieldset.LEAF
    return sets[0] or None, sets[1] or None, sets[2] or None


def _walked(shape: Shape, was: bytes, now: bytes) -> Nodes:
    return typed.nodes(shape, codec.loads(was) if was else ABSENT, codec.loads(now) if now else ABSENT)


# ---- differences of two Structs ------------------------------------------------------------------------------------


def change(shape: Shape, old: W, new: W) -> Difference:
    """As `difference` of their texts, but what is the same in both is not even looked into, and little is written as text.

    Raises:
        TypedError: An item of a keyed list has no key.
    """
    sets: structdiff.Sets = ({}, {}, {})
    plan = structdiff.plan(type(new), shape)
    for row, was, now in zip(plan.rows, plan.values(old), plan.values(new), strict=True):
        if was is now or was == now or row.name in _NOBODY_S:
            continue
        if row.name == "metadata":
            put(sets, row.key, _meta_change(row.shape, was, now))
        else:
            structdiff.note(sets, row, was, now)
    return Difference(*sets)


def creation(shape: Shape, new: Wire) -> Difference:
    """As `change` from a fresh object. Raises the same."""
    sets, others = structdiff.since_fresh(shape, _fresh(type(new)), new, _NOBODY_S)
    for row in others:
        now = getattr(new, row.name)
        was = getattr(_fresh(type(new)), row.name)
        if row.name == "metadata":
            put(sets, row.key, _meta_change(row.shape, was, now))
        elif row.leaf or not isinstance(now, Wire) or was is None:
            structdiff.note(sets, row, was, now)
        elif structdiff.plan(type(now), row.shape).flat:
            leaves, below = structdiff.since_fresh(row.shape, was, now)
            for one in below:
                structdiff.note(leaves, one, getattr(was, one.name), getattr(now, one.name))
            put(sets, row.key, (leaves[0] or None, leaves[1] or None, leaves[2] or None))
        else:
            # what comes from a template comes again and again
            put(sets, row.key, _field_difference(row.shape, _fresh_text(type(now)), codec.encode(now)))
    return Difference(*sets)


@cache
def _fresh(wire: type[Wire]) -> Wire:
    return wire()


@cache
def _fresh_text(wire: type[Wire]) -> bytes:
    return codec.encode(wire())


def _meta_change(shape: Shape, was: ObjectMeta, now: ObjectMeta) -> Nodes:
    sets: structdiff.Sets = ({}, {}, {})
    for row in _owned_of_metadata(shape):
        one, other = getattr(was, row.name), getattr(now, row.name)
        if one != other:
            put(sets, row.key, structdiff.changed(row.shape, *(value if _is_written(value) else ABSENT for value in (one, other)), leaf=row.leaf))
    return sets[0] or None, sets[1] or None, sets[2] or None


@cache
def _owned_of_metadata(shape: Shape) -> tuple[structdiff.Row, ...]:
    return tuple(row for row in structdiff.plan(ObjectMeta, shape).rows if row.name in _Meta.__struct_fields__)


def _is_written(value: Any) -> bool:
    """Whether one of those fields of the metadata is in the JSON: all have nothing, or emptiness, for a default."""
    return bool(value) or value == 0
