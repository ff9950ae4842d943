"""`metadata.managedFields`: reading and writing the entries, their order, their number, and cheap differences.

A write must cost little: what is the same in two Structs is not even encoded (`change`), texts are split into members of
which equal ones are skipped without decoding, and what a fresh object's field adds is remembered by its text, since most objects
come from a template.
Source: apimachinery `util/managedfields/internal/{managedfields,capmanagers,stripmeta,skipnonapplied}.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from sampan.api import codec, fieldset, typed
from sampan.api.apply import Managed, Manager, Owned
from sampan.api.fieldset import FieldSet
from sampan.api.meta.v1 import ManagedFieldsEntry, ObjectMeta
from sampan.api.scalars import Time, Wire
from sampan.api.schema import Shape
from sampan.api.typed import ABSENT, Difference

W = TypeVar("W", bound=Wire)

MAX_UPDATERS = 10
ANCIENT = "ancient-changes"
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
    return sorted(entries, key=lambda e: (e.operation, e.time or "", e.manager, e.apiVersion, e.subresource))


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


_Nodes = tuple[FieldSet | None, FieldSet | None, FieldSet | None]
_Triple = tuple[FieldSet, FieldSet, FieldSet]


def _put(sets: _Triple, key: str, found: _Nodes) -> None:
    for out, one in zip(sets, found, strict=True):
        if one is not None:
            out[key] = one


def difference(shape: Shape, old: bytes, new: bytes) -> Difference:
    """How the object with one JSON became that with the other; names, times and the like left aside.

    Raises:
        TypedError: An item of a keyed list has no key.
    """
    left, right = _split.decode(old), _split.decode(new)
    sets: _Triple = ({}, {}, {})
    for key in left | right:
        was, now = left.get(key, _NOTHING), right.get(key, _NOTHING)
        if was == now or key in ("kind", "apiVersion"):
            continue
        below = typed.child(shape, key)
        if key == "metadata":
            _put(sets, "f:metadata", _meta_difference(below, was or b"{}", now or b"{}"))
        else:
            _put(sets, f"f:{key}", _field_difference(below, bytes(was), bytes(now)))
    return Difference(*sets)


def _meta_difference(shape: Shape, was: bytes | msgspec.Raw, now: bytes | msgspec.Raw) -> _Nodes:
    left, right = _meta.decode(was), _meta.decode(now)
    sets: _Triple = ({}, {}, {})
    for name in _Meta.__struct_fields__:
        one, other = getattr(left, name), getattr(right, name)
        if one != other:
            _put(sets, f"f:{name}", _field_difference(typed.child(shape, name), bytes(one), bytes(other)))
    return sets[0] or None, sets[1] or None, sets[2] or None


def _field_difference(shape: Shape, was: bytes, now: bytes) -> _Nodes:
    """The same for one field's JSON, empty where it has none."""
    if was == now:
        return None, None, None
    large = len(was) + len(now) > _CACHED_BYTES
    # an emptiness becomes something: that is what creating from a template looks like, again and again
    return _divided(shape, was, now) if large or len(was) > _EMPTINESS else _remembered(shape, was, now)


@lru_cache(maxsize=2048)
def _remembered(shape: Shape, was: bytes, now: bytes) -> _Nodes:
    return _divided(shape, was, now)


def _divided(shape: Shape, was: bytes, now: bytes) -> _Nodes:
    """Member by member, as far as objects go: of two large ones few members differ as a rule, and only those are decoded."""
    if shape.form != "object" or shape.atomic or len(was) + len(now) < _WORTH_SPLITTING or was[:1] not in _OBJECT or now[:1] not in _OBJECT:
        return _walked(shape, was, now)
    left = _split.decode(was) if was else {}
    right = _split.decode(now) if now else {}
    sets: _Triple = ({}, {}, {})
    for key in left | right:
        one, other = left.get(key, _NOTHING), right.get(key, _NOTHING)
        if one != other:
            _put(sets, f"f:{key}", _field_difference(typed.child(shape, key), bytes(one), bytes(other)))
    if not was:
        sets[0][fieldset.MEMBER] = fieldset.LEAF
    elif not now:
        sets[2][fieldset.MEMBER] = fieldset.LEAF
    return sets[0] or None, sets[1] or None, sets[2] or None


def _walked(shape: Shape, was: bytes, now: bytes) -> _Nodes:
    return typed.nodes(shape, codec.loads(was) if was else ABSENT, codec.loads(now) if now else ABSENT)


# ---- differences of two Structs ------------------------------------------------------------------------------------


def change(shape: Shape, old: W, new: W) -> Difference:
    """As `difference` of their texts, but what is the same in both is not even encoded.

    Raises:
        TypedError: An item of a keyed list has no key.
    """
    sets: _Triple = ({}, {}, {})
    for name in old.__struct_fields__:
        was, now = getattr(old, name), getattr(new, name)
        if was == now or name in ("kind", "apiVersion"):
            continue
        if name == "metadata":
            _put(sets, "f:metadata", _meta_change(typed.child(shape, name), was, now))
        elif isinstance(was, Wire) and isinstance(now, Wire):
            # a part that is an object is always written
            _put(sets, f"f:{name}", _field_difference(typed.child(shape, name), codec.encode(was), codec.encode(now)))
        else:
            for out, one in zip(sets, difference(shape, *map(codec.encode, _narrowed(old, new, name))), strict=True):
                out.update(one)
    return Difference(*sets)


def _narrowed(old: W, new: W, name: str) -> tuple[W, W]:
    """Two objects of one kind that differ in one field as these do: whether it is written is for the encoder to say."""
    left, right = type(old)(), type(new)()
    setattr(left, name, getattr(old, name))
    setattr(right, name, getattr(new, name))
    return left, right


def _meta_change(shape: Shape, was: ObjectMeta, now: ObjectMeta) -> _Nodes:
    sets: _Triple = ({}, {}, {})
    for name in _Meta.__struct_fields__:
        one, other = getattr(was, name), getattr(now, name)
        if one != other:
            _put(sets, f"f:{name}", _field_difference(typed.child(shape, name), *(codec.encode(value) if _is_written(value) else b"" for value in (one, other))))
    return sets[0] or None, sets[1] or None, sets[2] or None


def _is_written(value: Any) -> bool:
    """Whether one of those fields of the metadata is in the JSON: all have nothing, or emptiness, for a default."""
    return bool(value) or value == 0
