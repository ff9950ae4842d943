"""`metadata.managedFields`: reading and writing the entries, their order, their number, and cheap differences.

A write must cost little: what is the same in two Structs is not even looked into (`change`), texts are split into members of
which equal ones are skipped without decoding, what a fresh object's field adds, and what its maker owns, is remembered by its text, since
most objects come from a template, and an entry that a change has nothing to do with is neither taken apart nor made anew.
Source: apimachinery `util/managedfields/internal/{managedfields,capmanagers,stripmeta,skipnonapplied}.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

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
_APART = _NOBODY_S | {"metadata"}
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
    return {_manager(entry, index): _owned(entry) for index, entry in enumerate(entries)}


def _manager(entry: ManagedFieldsEntry, index: int) -> Manager:
    if entry.operation not in ("Apply", "Update"):
        raise BadEntry("operation must be `Apply` or `Update`")
    if not entry.apiVersion:
        raise BadEntry("apiVersion must not be empty")
    if entry.fieldsType != "FieldsV1":
        raise BadEntry(f"missing fieldsType in managed fields entry {index}" if not entry.fieldsType
                       else f'invalid fieldsType "{entry.fieldsType}" in managed fields entry {index}')
    return Manager(entry.manager, entry.operation, "" if entry.operation == "Apply" else entry.apiVersion, entry.subresource)


def _owned(entry: ManagedFieldsEntry) -> Owned:
    raw = bytes(entry.fieldsV1) or b"{}"
    try:
        return Owned(fieldset.decode(raw), entry.apiVersion, entry.time, raw)
    except fieldset.BadFieldSet as error:
        raise BadEntry(str(error)) from None


def encode(managed: Managed) -> list[ManagedFieldsEntry]:
    """Owners to entries: appliers first, then by time, name, version and subresource."""
    return sorted([_entry(manager, owned) for manager, owned in managed.items()], key=_place)


def _entry(manager: Manager, owned: Owned) -> ManagedFieldsEntry:
    raw = owned.raw if owned.raw is not None else fieldset.encode(owned.fields)
    return ManagedFieldsEntry(
        manager=manager.name, operation=manager.operation, apiVersion=owned.version, time=Time(owned.time) if owned.time else None,
        fieldsType="FieldsV1", fieldsV1=msgspec.Raw(raw), subresource=manager.subresource)


def is_reset(entries: Sequence[ManagedFieldsEntry]) -> bool:
    """Whether a client asks to forget all owners: one empty entry."""
    return entries == _RESET


_RESET = [ManagedFieldsEntry()]


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
        out[bucket] = replace(out[bucket], fields=fieldset.union_all(sets))
    return out


def updated(entries: Sequence[ManagedFieldsEntry], by: Manager, difference: Difference, keep: Filter, now: Time) -> list[ManagedFieldsEntry]:
    """The entries after `by` has made `difference`, which is no apply: as `apply.update` has it. What did not change is shared.

    Raises:
        BadEntry: One of them is wrong.
    """
    if not entries:
        text = codec.encode(difference)
        raw = _made(keep, text) if len(text) <= _CACHED_BYTES else _made.__wrapped__(keep, text)
        return [_entry(by, Owned({}, by.version, now, raw))] if raw else []
    difference = apply.filtered(difference, keep)
    before = {_manager(entry, index): entry for index, entry in enumerate(entries)}
    few = len(entries) < MAX_UPDATERS  # as many as may have to be joined are all taken apart
    managed = {manager: _owned(entry) for manager, entry in before.items() if not few or manager == by or _may_meet(entry, difference)}
    left = apply.update(managed, by, by.version, difference, now)
    if len(left) > MAX_UPDATERS:
        left = cap(left)
    out = [entry for manager, entry in before.items() if manager not in managed]
    out += [before[manager] if owned is managed.get(manager) else _entry(manager, owned) for manager, owned in left.items()]
    return sorted(out, key=_place) if len(out) > 1 else out


@lru_cache(maxsize=512)
def _made(keep: Filter, difference: bytes) -> bytes:
    """The entry's text of who makes an object, empty where there is none. Objects of one template are made again and again."""
    by = Manager("", "")
    owners = apply.update({}, by, "", apply.filtered(Difference(*codec.loads(difference)), keep), "")
    return fieldset.encode(owners[by].fields) if owners else b""


def _may_meet(entry: ManagedFieldsEntry, difference: Difference) -> bool:
    """Whether something of the difference may be in the entry. What others own is mostly somewhere else, and then is not decoded."""
    raw = bytes(entry.fieldsV1)
    added, modified, removed = difference
    return (raw in _NONE or (bool(added) and fieldset.may_meet(raw, added)) or (bool(modified) and fieldset.may_meet(raw, modified))
            or (bool(removed) and fieldset.may_meet(raw, removed)))


_NONE = (b"", b"{}")


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
    plan = structdiff.plan(type(new), shape, _APART)
    for row, was, now in zip(plan.rows, plan.values(old), plan.values(new), strict=True):
        if was is not now and was != now:
            structdiff.note(sets, row, was, now)
    _note_metadata(sets, shape, old, new)
    return Difference(*sets)


def creation(shape: Shape, new: Wire) -> Difference:
    """As `change` from a fresh object. Raises the same."""
    fresh = _fresh(type(new))
    sets, others = structdiff.since_fresh(shape, fresh, new, _APART)
    for row in others:
        was, now = getattr(fresh, row.name), getattr(new, row.name)
        if row.leaf or not isinstance(now, Wire) or was is None:
            structdiff.note(sets, row, was, now)
        elif structdiff.plan(type(now), row.shape).flat:
            leaves, below = structdiff.since_fresh(row.shape, was, now)
            for one in below:
                structdiff.note(leaves, one, getattr(was, one.name), getattr(now, one.name))
            put(sets, row.key, (leaves[0] or None, leaves[1] or None, leaves[2] or None))
        else:
            # what comes from a template comes again and again
            put(sets, row.key, _field_difference(row.shape, _fresh_text(type(now)), codec.encode(now)))
    _note_metadata(sets, shape, fresh, new)
    return Difference(*sets)


@cache
def _fresh(wire: type[Wire]) -> Wire:
    return wire()


@cache
def _fresh_text(wire: type[Wire]) -> bytes:
    return codec.encode(wire())


def _note_metadata(sets: structdiff.Sets, shape: Shape, old: Any, new: Any) -> None:
    left, right = _owned_values(old.metadata), _owned_values(new.metadata)
    if left == right:
        return
    below: structdiff.Sets = ({}, {}, {})
    for row, one, other in zip(_owned_of_metadata(typed.child(shape, "metadata")), left, right, strict=True):
        if one != other:
            put(below, row.key, structdiff.changed(row.shape, *(value if _is_written(value) else ABSENT for value in (one, other)), leaf=row.leaf))
    put(sets, "f:metadata", (below[0] or None, below[1] or None, below[2] or None))


@cache
def _owned_of_metadata(shape: Shape) -> tuple[structdiff.Row, ...]:
    rows = {row.name: row for row in structdiff.plan(ObjectMeta, shape).rows}
    return tuple(rows[name] for name in _Meta.__struct_fields__)


_owned_values = attrgetter(*_Meta.__struct_fields__)


def _is_written(value: Any) -> bool:
    """Whether one of those fields of the metadata is in the JSON: all have nothing, or emptiness, for a default."""
    return bool(value) or value == 0
