"""Trees of JSON with a shape: which fields they have, how two differ, how one is merged into another.

Owns the walks that server-side apply is made of, over dicts, by `sampan.api.schema.Shape`. Equal subtrees are told
apart from changed ones at C speed, so that a walk costs what changed.
Source: structured-merge-diff `typed/{compare,merge,remove,tofieldset,validate,helpers}.go`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from sampan.api import codec, goprint
from sampan.api.fieldset import LEAF, MEMBER, FieldSet, is_member, node
from sampan.api.fieldset import shown as _shown
from sampan.api.schema import ANY, Shape

ABSENT: Any = object()
"""Where a tree has nothing at all; None is a null that stands there."""

_SCALAR = (str, int, float, bool)


class TypedError(ValueError):
    """A tree that does not have its shape; the text is upstream's."""


class Difference(NamedTuple):
    """How a tree became another: no path is in more than one of the sets."""

    added: FieldSet
    modified: FieldSet
    removed: FieldSet

    @property
    def changed(self) -> bool:
        """Whether anything differs."""
        return bool(self.added or self.modified or self.removed)


NO_DIFFERENCE = Difference({}, {}, {})
_Nodes = tuple[FieldSet | None, FieldSet | None, FieldSet | None]
_SAME: _Nodes = (None, None, None)
_ADDED: _Nodes = (LEAF, None, None)
_MODIFIED: _Nodes = (None, LEAF, None)
_REMOVED: _Nodes = (None, None, LEAF)


def _kind(shape: Shape, value: Any) -> str:
    """How a value is walked: as `map`, `list` (both granular) or `leaf`."""
    match shape.form:
        case "object" | "map":
            return "leaf" if shape.atomic else "map"
        case "list":
            return "leaf" if shape.atomic else "list"
        case "deduced":
            return "map" if isinstance(value, dict) else "leaf"
        case _:
            return "leaf"


def child(shape: Shape, key: str) -> Shape:
    """The shape below a key of an object or map."""
    field = shape.fields.get(key)
    if field is not None:
        return field.shape
    return shape if shape.form == "deduced" else shape.items or ANY


def element(shape: Shape, item: Any) -> str:
    """The path element of a list's item.

    Raises:
        TypedError: It has no key, or is nothing that a set can hold.
    """
    if shape.list_type == "map":
        return _keyed(shape, item)
    if isinstance(item, dict):
        raise TypedError("associative list without keys has an element that's a map type")
    if isinstance(item, list):
        raise TypedError("not supported: associative list with lists as elements")
    if item is None:
        raise TypedError("associative list without keys has an element that's an explicit null")
    return "v:" + goprint.compact(item)


def _keyed(shape: Shape, item: Any) -> str:
    if item is None:
        raise TypedError("associative list with keys may not have a null element")
    if not isinstance(item, dict):
        raise TypedError("associative list with keys may not have non-map elements")
    keys = shape.list_keys
    if len(keys) == 1 and type(value := item.get(keys[0])) is str:
        return text_key(keys[0], value)
    found: dict[str, Any] = {}
    for name in sorted(keys):
        if name in item:
            found[name] = item[name]
        elif shape.items and name in shape.items.key_defaults:
            found[name] = shape.items.key_defaults[name]
    if not found:
        listed = "[" + " ".join(goprint.quote(name) for name in keys) + "]"
        raise TypedError(f"associative list with keys has an element that omits all key fields {listed} "
                         "(and doesn't have default values for any key fields)")
    return "k:" + goprint.compact(found)


_PLAIN = re.compile(r"[ !#-%'-;=?-\[\]-~]*").fullmatch
"""What stands in Go's JSON as it is."""


def text_key(name: str, value: str) -> str:
    """The path element of an item whose one key is a text."""
    return f'k:{{"{name}":"{value}"}}' if _PLAIN(value) else "k:" + goprint.compact({name: value})


# ---- the fields of a tree ------------------------------------------------------------------------------------------


def fields_of(shape: Shape, tree: dict[str, Any]) -> FieldSet:
    """The set of an applied configuration's fields."""
    return _fields(shape, tree)[1]


def _fields(shape: Shape, value: Any) -> tuple[bool, FieldSet]:
    """Whether the value's own path is in the set, and what is below."""
    kind = _kind(shape, value)
    if kind == "leaf":
        return True, {}
    below: FieldSet = {}
    if kind == "map":
        for key, inner in (value or {}).items() if isinstance(value, dict | None) else ():
            member, deeper = _fields(child(shape, key), inner)
            member = member or inner is None or inner == {} or key not in shape.fields
            if (found := node(member, deeper)) is not None:
                below[f"f:{key}"] = found
        return False, below
    elements = [element(shape, item) for item in value or ()]
    repeated = {one for one, times in Counter(elements).items() if times > 1} if len(set(elements)) < len(elements) else set()
    for one, item in zip(elements, value or (), strict=True):
        found = LEAF if one in repeated else node(True, _fields(shape.items or ANY, item)[1])
        below[one] = LEAF if found is None else found
    return False, below


# ---- how two trees differ ------------------------------------------------------------------------------------------


def compare(shape: Shape, old: Any, new: Any) -> Difference:
    """How `old` became `new`.

    Raises:
        TypedError: An item of a keyed list has no key.
    """
    if old == new:
        return NO_DIFFERENCE
    return Difference(*({} if one is None else one for one in nodes(shape, old, new)))


def nodes(shape: Shape, old: Any, new: Any) -> _Nodes:
    """What stands below the tree's own path in the sets of what was added, modified and removed."""
    if old is ABSENT:
        kind = _kind(shape, new)
        if kind == "leaf" or not new:
            return _ADDED
    elif new is ABSENT:
        kind = _kind(shape, old)
        if kind == "leaf" or not old:
            return _REMOVED
    else:
        if old == new:
            return _SAME
        kind = _kind(shape, new if new is not None else old)
        if kind == "leaf" or not (old or new) or isinstance(old, _SCALAR) or isinstance(new, _SCALAR):
            return _MODIFIED
    found = _compare_maps(shape, old, new) if kind == "map" else _compare_lists(shape, old, new)
    if old is ABSENT:
        return {MEMBER: LEAF, **found[0]} if found[0] else LEAF, found[1], found[2]
    if new is ABSENT:
        return found[0], found[1], {MEMBER: LEAF, **found[2]} if found[2] else LEAF
    return found


def _collect(found: Iterable[tuple[str, _Nodes]]) -> _Nodes:
    added: FieldSet = {}
    modified: FieldSet = {}
    removed: FieldSet = {}
    for key, (new, other, gone) in found:
        if new is not None:
            added[key] = new
        if other is not None:
            modified[key] = other
        if gone is not None:
            removed[key] = gone
    return added or None, modified or None, removed or None


def _compare_maps(shape: Shape, old: Any, new: Any) -> _Nodes:
    left = old if isinstance(old, dict) else {}
    right = new if isinstance(new, dict) else {}
    found: list[tuple[str, _Nodes]] = []
    for key, value in right.items():
        was = left.get(key, ABSENT)
        if was is ABSENT or was != value:
            found.append((f"f:{key}", nodes(child(shape, key), was, value)))
    found += [(f"f:{key}", nodes(child(shape, key), value, ABSENT)) for key, value in left.items() if key not in right]
    return _collect(found)


def _grouped(shape: Shape, items: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for item in items if isinstance(items, list) else ():
        found.setdefault(element(shape, item), []).append(item)
    return found


def _compare_lists(shape: Shape, old: Any, new: Any) -> _Nodes:
    left, right = _grouped(shape, old), _grouped(shape, new)
    items = shape.items or ANY
    found: list[tuple[str, _Nodes]] = []
    for key in left | right:
        was, now = left.get(key, []), right.get(key, [])
        if was == now:
            continue
        if len(was) <= 1 and len(now) <= 1:
            found.append((key, nodes(items, was[0] if was else ABSENT, now[0] if now else ABSENT)))
        elif len(was) > 1 and len(now) > 1:
            found.append((key, _MODIFIED))
        elif len(was) > 1:  # they were repeated and are no longer
            found.append((key, (nodes(items, ABSENT, now[0])[0] if now else None, None, LEAF)))
        else:
            found.append((key, (LEAF, None, nodes(items, was[0], ABSENT)[2] if was else None)))
    return _collect(found)


# ---- merging an applied configuration into the live tree -----------------------------------------------------------


def merge(shape: Shape, live: Any, applied: Any) -> Any:
    """The live tree with the applied one in it; both stay as they are.

    Raises:
        TypedError: A keyed list has an item without key, or twice the same.
    """
    if applied is ABSENT:
        return live
    kind = _kind(shape, applied if applied is not None else live)
    if live is ABSENT or kind == "leaf" or not (live or applied):
        return applied if kind == "leaf" or not applied else _copied(shape, kind, applied)
    if kind == "map":
        return _merge_maps(shape, live if isinstance(live, dict) else {}, applied if isinstance(applied, dict) else {})
    return _merge_lists(shape, live if isinstance(live, list) else [], applied if isinstance(applied, list) else [])


def _copied(shape: Shape, kind: str, applied: Any) -> Any:
    if kind == "map":
        return _merge_maps(shape, {}, applied if isinstance(applied, dict) else {})
    return _merge_lists(shape, [], applied if isinstance(applied, list) else [])


def _merge_maps(shape: Shape, live: dict[str, Any], applied: dict[str, Any]) -> dict[str, Any]:
    out = dict(live)
    for key, value in applied.items():
        out[key] = merge(child(shape, key), live.get(key, ABSENT), value)
    return out


def _once(keys: list[str], items: list[Any]) -> dict[str, Any]:
    out = dict(zip(keys, items, strict=True))
    if len(out) < len(keys):
        times = Counter(keys)
        twice = next(key for key in keys if times[key] > 1)
        raise TypedError(f"duplicate entries for key {_shown(twice)}")
    return out


def _merge_lists(shape: Shape, live: list[Any], applied: list[Any]) -> list[Any]:
    """Items that both have stand in the order of the applied list, the others where they are."""
    items = shape.items or ANY
    left = [element(shape, item) for item in live]
    right = [element(shape, item) for item in applied]
    mine = _once(right, applied)
    theirs: dict[str, Any] = {}
    for key, item in zip(left, live, strict=True):
        theirs[key] = None if key in theirs else item  # repeated items are not merged with the new value
    shared = [key for key in right if key in theirs]
    out: list[Any] = []
    done: set[str] = set()
    at = step = wanted = 0

    def take(key: str) -> None:
        done.add(key)
        was = theirs.get(key, ABSENT)
        out.append(merge(items, ABSENT if was is None else was, mine[key]))

    while at < len(left) or step < len(right):
        next_shared = shared[wanted] if wanted < len(shared) else None
        if at < len(left) and step < len(right):
            if left[at] == right[step]:
                take(left[at])
                at, step, wanted = at + 1, step + 1, wanted + 1
                continue
            if left[at] in mine and next_shared is not None and next_shared != left[at]:
                at += 1  # a shared item whose turn is another time
                continue
        if at < len(left):
            if left[at] not in mine:
                out.append(live[at])
                at += 1
                continue
            if left[at] in done:
                at += 1
        if step < len(right):
            take(right[step])
            wanted += right[step] == next_shared
            step += 1
    return out


# ---- taking fields away --------------------------------------------------------------------------------------------


def remove(shape: Shape, tree: Any, fields: FieldSet) -> Any:
    """The tree without the items and fields of the set; what becomes empty by it is null, as upstream leaves it."""
    kind = _kind(shape, tree)
    if kind == "map" and isinstance(tree, dict) and tree:
        out = {}
        for key, value in tree.items():
            below = fields.get(f"f:{key}")
            if below is None:
                out[key] = value
            elif not is_member(below):
                out[key] = remove(child(shape, key), value, below)
        return out or None
    if kind == "list" and isinstance(tree, list) and tree:
        kept = []
        for item in tree:
            below = fields.get(element(shape, item))
            if below is None:
                kept.append(item)
            elif not is_member(below):
                kept.append(remove(shape.items or ANY, item, below))
        return kept or None
    return tree if isinstance(tree, _SCALAR) else None


def with_named_fields(shape: Shape | None, fields: FieldSet) -> FieldSet:
    """The set with every declared field that has something of the set below it."""
    out: FieldSet = {}
    for key, below in fields.items():
        if key == MEMBER:
            out[key] = below
            continue
        if key.startswith("f:"):
            name = key[2:]
            deeper = child(shape, name) if shape is not None and shape.form in ("object", "map", "deduced") else None
            named = shape is not None and name in shape.fields
        else:
            deeper = shape.items if shape is not None and key.startswith("k:") else None
            named = False
        found = with_named_fields(deeper, {k: v for k, v in below.items() if k != MEMBER})
        kept = node(named or is_member(below), found)
        if kept is not None:
            out[key] = kept
    return out


# ---- is it of its shape at all -------------------------------------------------------------------------------------


def validate(shape: Shape, tree: Any) -> list[str]:
    """What does not fit, with paths, as upstream says it of an applied configuration."""
    return _Validation().value(shape, tree, "")


class _Validation:
    """One walk; every method returns the findings below `path`."""

    def value(self, shape: Shape, value: Any, path: str) -> list[str]:
        if value is None:
            return []
        match shape.form:
            case "object" | "map":
                return self.map(shape, value, path)
            case "list":
                return self.list(shape, value, path)
            case "string" | "bytes":
                return [] if isinstance(value, str) else [_finding(path, f"expected string, got &value.valueUnstructured{{Value:{_go(value)}}}")]
            case "bool":
                return [] if isinstance(value, bool) else [_finding(path, f"expected boolean, got &{{{_go(value)}}}")]
            case "int32" | "int64" | "float64":
                numeric = isinstance(value, int | float) and not isinstance(value, bool)
                return [] if numeric else [_finding(path, f"expected numeric (int or float), got {_go_type(value)}")]
            case "quantity" | "time" | "microtime" | "intstr":
                return [] if isinstance(value, _SCALAR) else [_finding(path, f"expected any scalar, got &{{{_go(value)}}}")]
            case _:
                return []

    def map(self, shape: Shape, value: Any, path: str) -> list[str]:
        if not isinstance(value, dict):
            return [_finding(path, f"expected map, got &{{{_go(value)}}}")]
        found: list[str] = []
        for key, inner in value.items():
            if shape.form == "object" and key not in shape.fields and shape.items is None:
                return [*found, _finding(f"{path}.{key}", "field not declared in schema")]
            found += self.value(child(shape, key), inner, f"{path}.{key}")
        return found

    def list(self, shape: Shape, value: Any, path: str) -> list[str]:
        if not isinstance(value, list):
            return [_finding(path, f"expected list, got &{{{_go(value)}}}")]
        found: list[str] = []
        seen: set[str] = set()
        for index, item in enumerate(value):
            where = f"[{index}]"
            if not shape.atomic:
                try:
                    key = element(shape, item)
                except TypedError as error:
                    return [*found, _finding(path, f"element {index}: {error}")]
                where = _shown(key)
                if key in seen:
                    found.append(_finding(path, f"duplicate entries for key {where}"))
                seen.add(key)
            found += self.value(shape.items or ANY, item, path + where)
        return found


def _finding(path: str, text: str) -> str:
    return f"{path}: {text}" if path else text


def _go(value: Any) -> str:
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_go(inner)}" for key, inner in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(_go, value)) + "]"
    if value is None:
        return "<nil>"
    return value if isinstance(value, str) else codec.encode(value).decode()


def _go_type(value: Any) -> str:
    if isinstance(value, dict):
        return "map[string]interface {}"
    if isinstance(value, list):
        return "[]interface {}"
    return "bool" if isinstance(value, bool) else "string"
