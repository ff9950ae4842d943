"""How one Struct became another, as sets of fields, without writing either as JSON.

Owns the walk over two Structs of one type beside their shape: what is equal is left at once, of the rest only what differs is
looked at. What it tells is what `typed.nodes` tells of their JSON, where a field that has its plain default does not stand.
Leaves trees to `sampan.api.typed`, texts and what can be owned of the metadata to `sampan.api.managedfields`.
"""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter, ne
from typing import Any, NamedTuple

import msgspec

from sampan.api import codec, typed
from sampan.api.fieldset import LEAF, MEMBER, FieldSet
from sampan.api.scalars import Wire
from sampan.api.schema import ANY, Shape
from sampan.api.typed import ABSENT

Nodes = tuple[FieldSet | None, FieldSet | None, FieldSet | None]
"""What stands below a path in the sets of what was added, modified and removed."""
Sets = tuple[FieldSet, FieldSet, FieldSet]
"""Those sets while they are being made."""
SAME: Nodes = (None, None, None)

_GROWING = ("object", "map", "list", "any")


class Row(NamedTuple):
    """One field of a Struct class: how it is called in a set, what it is without a word, and what there is to know of its value."""

    name: str
    key: str
    default: Any
    empty: type | None
    shape: Shape
    leaf: bool

    def is_written(self, value: Any) -> bool:
        """Whether the field stands in the JSON, as the encoder decides: a plain default is left out, and so is an empty list or map."""
        return value is not self.default and (bool(value) or type(value) is not self.empty)


class Plan(NamedTuple):
    """What a walk over Structs of one class goes by. `values` gives all of a Struct's fields at once, in the order of `rows`."""

    rows: tuple[Row, ...]
    values: Any
    flat: bool
    """No field of it has parts that could be owned by themselves."""


@lru_cache(maxsize=4096)
def plan(wire: type[Wire], shape: Shape, skipped: frozenset[str] = frozenset()) -> Plan:
    """The plan for the Structs of a class where they have this shape. `skipped`: fields that don't count."""
    rows = []
    for one in msgspec.structs.fields(wire):
        if one.name in skipped:
            continue
        below = typed.child(shape, one.encode_name)
        empty = one.default_factory if one.default_factory in (list, dict) else None
        rows.append(Row(one.name, f"f:{one.encode_name}", one.default, empty, below, _is_leaf(below)))
    return Plan(tuple(rows), _values(*(row.name for row in rows)), all(row.leaf for row in rows))


def _values(*names: str) -> Any:
    # a getter of one name gives no tuple
    return attrgetter(*names) if len(names) > 1 else (lambda value: (getattr(value, names[0]),)) if names else lambda _: ()


def _is_leaf(shape: Shape) -> bool:
    return shape.form not in ("object", "map", "list", "deduced") or shape.atomic


def nodes(shape: Shape, old: Wire, new: Wire) -> Nodes:
    """How one Struct became another of its class, below their own path.

    Raises:
        TypedError: An item of a keyed list has no key.
    """
    found = plan(type(new), shape)
    sets: Sets = ({}, {}, {})
    for row, was, now in zip(found.rows, found.values(old), found.values(new), strict=True):
        if was is not now and was != now:
            note(sets, row, was, now)
    return sets[0] or None, sets[1] or None, sets[2] or None


def since_fresh(shape: Shape, fresh: Wire, new: Wire, skipped: frozenset[str] = frozenset()) -> tuple[Sets, tuple[Row, ...]]:
    """How a Struct differs from a fresh one as far as its leaves go, in sets for the caller alone; and the other fields that differ.
    `skipped`: fields that don't count.
    """
    values = plan(type(new), shape, skipped).values
    added, modified, others = _told(type(new), shape, tuple(map(ne, values(fresh), values(new))), skipped)
    return (dict(added), dict(modified), {}), others


@lru_cache(maxsize=2048)
def _told(wire: type[Wire], shape: Shape, differs: tuple[bool, ...], skipped: frozenset[str]) -> tuple[FieldSet, FieldSet, tuple[Row, ...]]:
    """Which leaves differ is all there is to know: of a fresh object the same are written every time."""
    sets: Sets = ({}, {}, {})
    others = []
    fresh = wire()
    for row, differ in zip(plan(wire, shape, skipped).rows, differs, strict=True):
        if differ and row.leaf and row.shape.form not in _GROWING:
            sets[1 if row.is_written(getattr(fresh, row.name)) else 0][row.key] = LEAF
        elif differ:
            others.append(row)
    return sets[0], sets[1], tuple(others)


def note(sets: Sets, row: Row, was: Any, now: Any) -> None:
    """Put how a field's value that is not what it was has changed into the sets."""
    had, has = row.is_written(was), row.is_written(now)
    if not row.leaf or row.shape.form in _GROWING:
        put(sets, row.key, changed(row.shape, was if had else ABSENT, now if has else ABSENT, leaf=row.leaf))
    elif had:
        # most are such: neither has parts
        sets[1 if has else 2][row.key] = LEAF
    elif has:
        sets[0][row.key] = LEAF


def put(sets: Sets, key: str, found: Nodes) -> None:
    """Put what was found below a key into the three sets."""
    added, modified, removed = found
    if added is not None:
        sets[0][key] = added
    if modified is not None:
        sets[1][key] = modified
    if removed is not None:
        sets[2][key] = removed


def changed(shape: Shape, was: Any, now: Any, *, leaf: bool) -> Nodes:
    """What stands below the path of a value that is not what it was; either may be `ABSENT`. `leaf`: nobody owns a part of it.

    Raises:
        TypedError: As `nodes`.
    """
    if was is ABSENT:
        return SAME if now is ABSENT else (whole(shape, now, leaf=leaf), None, None)
    if now is ABSENT:
        return None, None, whole(shape, was, leaf=leaf)
    if leaf:
        return SAME if shape.form in _GROWING and _is_same_json(shape, was, now) else (None, LEAF, None)
    if isinstance(was, Wire) and isinstance(now, Wire):
        return nodes(shape, was, now)
    kinds = {type(one) for one in (was, now) if one is not None}
    if kinds == {list} and (was or now):
        return _lists(shape, was or [], now or [])
    if kinds == {dict} and (was or now):
        return _maps(shape, was or {}, now or {})
    return typed.nodes(shape, codec.to_builtins(was), codec.to_builtins(now))


def _is_same_json(shape: Shape, was: Any, now: Any) -> bool:
    """Whether two values that differ are the same all the same: JSON that is carried along as text may be put in other words."""
    if isinstance(was, Wire) and isinstance(now, Wire):
        found = plan(type(now), shape)
        for row, one, other in zip(found.rows, found.values(was), found.values(now), strict=True):
            if one != other and (row.shape.form not in _GROWING or row.is_written(one) != row.is_written(other)):
                return False
    return bool(codec.to_builtins(was) == codec.to_builtins(now))


def whole(shape: Shape, value: Any, *, leaf: bool) -> FieldSet:
    """What stands below the path of a value that is there on one side alone.

    Raises:
        TypedError: As `nodes`.
    """
    if leaf or not value:
        return LEAF
    if isinstance(value, Wire):
        found = plan(type(value), shape)
        # `is_written`, without a call for each of many fields
        below = {row.key: LEAF if row.leaf else whole(row.shape, one, leaf=False) for row, one in zip(found.rows, found.values(value), strict=True)
                 if one is not row.default and (one or type(one) is not row.empty)}
    elif isinstance(value, dict):
        inner = shape.items or ANY
        below = {f"f:{key}": LEAF for key in value} if _is_leaf(inner) else {f"f:{key}": whole(inner, one, leaf=False) for key, one in value.items()}
    elif isinstance(value, list):
        inner = shape.items or ANY
        is_leaf = _is_leaf(inner)
        below = {key: whole(inner, items[0], leaf=is_leaf) if len(items) == 1 else LEAF for key, items in _grouped(shape, value).items()}
    else:
        return typed.nodes(shape, ABSENT, codec.to_builtins(value))[0] or LEAF
    return {MEMBER: LEAF, **below} if below else LEAF


def _maps(shape: Shape, was: dict[str, Any], now: dict[str, Any]) -> Nodes:
    inner = shape.items or ANY
    leaf = _is_leaf(inner)
    sets: Sets = ({}, {}, {})
    for key in was | now:
        one, other = was.get(key, ABSENT), now.get(key, ABSENT)
        if one != other:
            put(sets, f"f:{key}", changed(inner, one, other, leaf=leaf))
    return sets[0] or None, sets[1] or None, sets[2] or None


def _lists(shape: Shape, was: list[Any], now: list[Any]) -> Nodes:
    if (key := _text_key(shape)) and (one := _by_text(key, was)) is not None and (other := _by_text(key, now)) is not None:
        return _keyed_lists(shape, one, other)
    left, right = _grouped(shape, was), _grouped(shape, now)
    inner = shape.items or ANY
    leaf = _is_leaf(inner)
    sets: Sets = ({}, {}, {})
    for key in left | right:
        mine, theirs = left.get(key, []), right.get(key, [])
        if mine == theirs:
            continue
        if len(mine) <= 1 and len(theirs) <= 1:
            put(sets, key, changed(inner, mine[0] if mine else ABSENT, theirs[0] if theirs else ABSENT, leaf=leaf))
        elif len(mine) > 1 and len(theirs) > 1:
            sets[1][key] = LEAF
        elif len(mine) > 1:  # they were repeated and are no longer
            sets[2][key] = LEAF
            if theirs:
                sets[0][key] = whole(inner, theirs[0], leaf=leaf)
        else:
            sets[0][key] = LEAF
            if mine:
                sets[2][key] = whole(inner, mine[0], leaf=leaf)
    return sets[0] or None, sets[1] or None, sets[2] or None


@lru_cache(maxsize=4096)
def _text_key(shape: Shape) -> Any:
    """The getter of the one key of a list's items, None where there are more or none."""
    return attrgetter(*shape.list_keys) if shape.list_type == "map" and len(shape.list_keys) == 1 else None


def _by_text(key: Any, items: list[Any]) -> dict[str, Wire] | None:
    """The items, all of one type, by their key; None unless that is a text, and each has one for itself."""
    if items and not isinstance(items[0], Wire):
        return None
    found = dict(zip(map(key, items), items, strict=True))
    return found if len(found) == len(items) and "" not in found and _TEXT.issuperset(map(type, found)) else None


_TEXT = frozenset((str,))


def _keyed_lists(shape: Shape, was: dict[str, Wire], now: dict[str, Wire]) -> Nodes:
    """As `_lists`: what is the same in both needs no name."""
    inner, name = shape.items or ANY, shape.list_keys[0]
    leaf = _is_leaf(inner)
    sets: Sets = ({}, {}, {})
    for text, item in was.items():
        other = now.get(text, ABSENT)
        if item != other:
            put(sets, typed.text_key(name, text), changed(inner, item, other, leaf=leaf))
    for text, item in now.items():
        if text not in was:
            sets[0][typed.text_key(name, text)] = whole(inner, item, leaf=leaf)
    return sets[0] or None, sets[1] or None, sets[2] or None


def _grouped(shape: Shape, items: list[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for item in items:
        found.setdefault(_element(shape, item), []).append(item)
    return found


def _element(shape: Shape, item: Any) -> str:
    if not isinstance(item, Wire):
        return typed.element(shape, codec.to_builtins(item))
    keys = shape.list_keys
    if shape.list_type != "map":
        return typed.element(shape, {})
    if len(keys) == 1 and type(value := getattr(item, keys[0])) is str and value:
        return typed.text_key(keys[0], value)
    rows = {row.name: row for row in plan(type(item), shape.items or ANY).rows}
    return typed.element(shape, {key: codec.to_builtins(getattr(item, key)) for key in keys if rows[key].is_written(getattr(item, key))})
