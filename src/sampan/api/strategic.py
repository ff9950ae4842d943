"""Strategic merge patch: lists merged by key, and the directives `$patch`, `$retainKeys`, `$setElementOrder/…` and
`$deleteFromPrimitiveList/…`.

Works on dicts; shapes say which lists merge and by which key. Both trees are changed.
Source: apimachinery `pkg/util/strategicpatch/patch.go`, `pkg/util/mergepatch/errors.go`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from sampan.api import codec, goprint
from sampan.api.errors import BadRequest, OtherStatus
from sampan.api.opening import Way
from sampan.api.schema import ANY, Shape

DIRECTIVE = "$patch"
RETAIN_KEYS = "$retainKeys"
ORDER_PREFIX = "$setElementOrder"
DELETE_PREFIX = "$deleteFromPrimitiveList"

_BAD_ORDER = "invalid patch format of setElementOrder list"
_BAD_DELETION = "invalid patch format of primitive list"
_BAD_RETAIN = "invalid patch format of retainKeys"

Tree = dict[str, Any]


def _failure(message: str) -> OtherStatus:
    """Upstream answers 500, without a reason, to most patches that make no sense."""
    return OtherStatus(message, code=500)


def _identity(value: Any) -> Hashable:
    if type(value) is str:  # nothing else is equal to one
        return value
    return codec.encode(value) if isinstance(value, dict | list) else (type(value), value)


def _no_merge_key(item: Any, key: str) -> OtherStatus:
    return _failure(f"map: {goprint.verbose(item)} does not contain declared merge key: {key}")


def _key_of(item: Any, merge_key: str) -> Hashable:
    if not merge_key:
        return _identity(item)
    if not isinstance(item, dict):
        raise _failure(f"expected a map[string]interface {{}}, but received a {_go_name(item)}")
    if merge_key not in item:
        raise _no_merge_key(item, merge_key)
    return _identity(item[merge_key])


def _go_name(value: Any) -> str:
    if value is None:
        return "%!s(<nil>)"
    if isinstance(value, dict):
        return "map[string]interface {}"
    if isinstance(value, list):
        return "[]interface {}"
    return {str: "string", bool: "bool", int: "int64", float: "float64"}.get(type(value), "string")


def _field(shape: Shape, key: str) -> Shape:
    """The shape below an object that has to be merged.

    Raises:
        OtherStatus: Nothing is known about it, so it can't.
    """
    if shape.form != "object":
        kind = {"map": "map", "list": "slice", "any": "struct"}.get(shape.form, "string")
        if kind == "struct":
            return ANY
        raise _failure(f"merging an object in json but data type is not struct, instead is: {kind}")
    field = shape.fields.get(key)
    if field is None:
        name = shape.type.rpartition(".")[2]
        raise _failure(f'unable to find api field in struct {name} for the json field "{key}"')
    return field.shape


def merge(original: Tree | None, patch: Tree, shape: Shape) -> Tree:
    """`original` after `patch`.

    Raises:
        BadRequest: A directive has the wrong form.
        OtherStatus: A 500: a merge key is missing, a directive or field unknown.
    """
    if DIRECTIVE in patch:
        return _directive(patch)
    if original is None:
        original = {}
    _retain_keys(original, patch)
    _merge_ordered(original, patch, shape)
    for key, value in patch.items():
        deleting = key.startswith(DELETE_PREFIX)
        if deleting:
            key = _after_prefix(key, DELETE_PREFIX, _BAD_DELETION)  # noqa: PLW2901
        if value is None:
            original.pop(key, None)
            continue
        current = original.get(key)
        if type(current) is not type(value) or not isinstance(value, dict | list) or key not in original:
            if not deleting:
                _set(original, key, value)
        elif isinstance(value, dict):
            below = _field(shape, key)
            original[key] = value if "replace" in below.patch else merge(current, value, below)
        else:
            assert isinstance(current, list)
            original[key] = _merge_lists(current, value, _field(shape, key), deleting=deleting)
    return original


def way(patch: Tree) -> Way:
    """Which members of an object `merge` looks at: maps that are merged, and lists."""
    found: dict[str, Way | None] = {}
    for key, value in patch.items():
        if key.startswith((ORDER_PREFIX, DELETE_PREFIX)):
            found[key.partition("/")[2]] = None
        elif isinstance(value, list):
            found[key] = None
        elif isinstance(value, dict):
            found.setdefault(key, way(value))
    return found


def _directive(patch: Tree) -> Tree:
    directive = patch[DIRECTIVE]
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != DIRECTIVE}
    if directive == "delete":
        return {}
    raise _failure(f"unknown patch type: {goprint.verbose(directive)} in map: {goprint.verbose(patch)}")


def _set(original: Tree, key: str, value: Any) -> None:
    kept = _pruned(value) if isinstance(value, dict | list) else value
    if kept is _NOTHING:
        original.pop(key, None)
    else:
        original[key] = kept


_NOTHING = object()


def _pruned(value: Tree | list[Any]) -> Any:
    """A value without members that are null and parts that carry a directive; `_NOTHING`: it carries one itself."""
    if isinstance(value, list):
        items = [_pruned(inner) if isinstance(inner, dict | list) else inner for inner in value]
        return [inner for inner in items if inner is not _NOTHING]
    if value.get(DIRECTIVE) is not None:
        return _NOTHING
    found: Tree = {}
    for key, inner in value.items():
        if inner is None:
            continue
        kept = _pruned(inner) if isinstance(inner, dict | list) else inner
        if kept is not _NOTHING:
            found[key] = kept
    return found


def _without_directives(value: Any) -> tuple[Any, bool]:
    """The value without parts that carry a directive, and whether anything is to be kept."""
    if isinstance(value, dict):
        if DIRECTIVE in value:
            return None, False
        pairs = ((key, _without_directives(inner)) for key, inner in value.items())
        return {key: kept for key, (kept, keep) in pairs if keep}, True
    if isinstance(value, list):
        return [kept for kept, keep in map(_without_directives, value) if keep], True
    return value, True


def _retain_keys(original: Tree, patch: Tree) -> None:
    if RETAIN_KEYS not in patch:
        return
    listed = patch.pop(RETAIN_KEYS)
    if not isinstance(listed, list):
        raise BadRequest(_BAD_RETAIN)
    retained = set(map(_identity, listed))
    for key, value in patch.items():
        if value is not None and not key.startswith((DELETE_PREFIX, ORDER_PREFIX)) and _identity(key) not in retained:
            raise BadRequest(_BAD_RETAIN)
    for key in [key for key in original if _identity(key) not in retained]:
        del original[key]


def _after_prefix(key: str, prefix: str, complaint: str) -> str:
    head, slash, rest = key.partition("/")
    if head != prefix or not slash:
        raise BadRequest(complaint)
    return rest


def _merge_ordered(original: Tree, patch: Tree, shape: Shape) -> None:
    """Merge the lists that come with an order, and put them in it: order given, then patch, then live."""
    for directive in [key for key in patch if key.startswith(ORDER_PREFIX)]:
        order = patch.pop(directive)
        if not isinstance(order, list):
            raise _failure(f"expected a []interface {{}}, but received a {_go_name(order)}")
        key = _after_prefix(directive, ORDER_PREFIX, _BAD_ORDER)
        live, wanted = original.get(key), patch.get(key)
        for value in (original.get(key, []), patch.get(key, [])):
            if not isinstance(value, list):
                raise _failure(f"expected a []interface {{}}, but received a {_go_name(value)}")
        below = _field(shape, key)
        _check_order(wanted or [], order, below.merge_key)
        if live is None and wanted is None:
            continue
        if live is None:
            merged = _without_directives(wanted)[0]
        elif wanted is None:
            merged = live
        else:
            merged = _merge_lists(list(live), wanted, below, deleting=False)
            live = _overwritten(live, wanted, below)
        if not live and not wanted:
            raise _failure("no elements in any of the given slices")
        original[key] = _ordered(merged, order, live or [], below.merge_key)
        patch.pop(key, None)


def _overwritten(live: list[Any], wanted: list[Any], shape: Shape) -> list[Any]:
    """The live list as upstream sees it afterwards: deletions shift it, and what is new takes the places at its end.

    Go deletes from and appends to the array that the live list stands in; the order of a renamed container follows.
    """
    if "merge" not in shape.patch or not shape.merge_key:
        return live
    key = shape.merge_key
    gone = {_key_of(item, key) for item in wanted if isinstance(item, dict) and item.get(DIRECTIVE) == "delete"}
    kept = [item for item in live if _key_of(item, key) not in gone]
    known = set(_first_index(kept, key))
    new = [item for item in wanted if DIRECTIVE not in item and _key_of(item, key) not in known]
    return (kept + new)[:len(live)]


def _check_order(wanted: list[Any], order: list[Any], merge_key: str) -> None:
    if not wanted or not order:
        return
    kept = [item for item in wanted if not (merge_key and isinstance(item, dict) and item.get(DIRECTIVE) == "delete")]
    at = step = 0
    while at < len(kept) and step < len(order):
        if isinstance(kept[at], dict) and DIRECTIVE in kept[at]:
            at += 1
            continue
        if _key_of(kept[at], merge_key) == _key_of(order[step], merge_key):
            at += 1
        step += 1
    if at < len(kept):
        raise _failure(f"The order in patch list:\n{goprint.verbose(wanted)}\n doesn't match {ORDER_PREFIX} list:\n{goprint.verbose(order)}\n")


def _merge_lists(original: list[Any], patch: list[Any], shape: Shape, *, deleting: bool) -> list[Any]:
    if not deleting and "merge" not in shape.patch:
        return patch
    if not original and not patch:
        return original
    merge_key, items = shape.merge_key, shape.items or ANY
    if not _holds_objects(original, patch):
        if deleting:
            gone = set(map(_identity, patch))
            return [item for item in original if _identity(item) not in gone]
        merged = list({_identity(item): item for item in [*original, *patch]}.values())
        return _ordered(merged, patch, original, "")
    if not merge_key:
        raise _failure(f"cannot merge lists without merge key for {items.type.rpartition('.')[2] or 'struct'}")
    original, patch = _special_items(original, patch, merge_key)
    live = list(original)
    where = _first_index(original, merge_key)
    for item in patch:
        key = _key_of(item, merge_key)
        if key in where:
            original[where[key]] = merge(original[where[key]], dict(item), items)
        else:
            where[key] = len(original)
            original.append(item)
    return _ordered(original, patch, live, merge_key)


def _holds_objects(*lists: list[Any]) -> bool:
    kinds = {type(item) for items in lists for item in items}
    if list in kinds:
        raise OtherStatus("lists of lists are not supported", code=422, reason="Invalid")
    if len(kinds) > 1:
        raise _failure(f"list element types are not identical: {goprint.verbose([*lists])}")
    return kinds == {dict}


def _special_items(original: list[Any], patch: list[Any], merge_key: str) -> tuple[list[Any], list[Any]]:
    """Carry out `$patch` in items. A replacement leaves the new list as the original, with nothing to merge."""
    kept, replace, gone = [], False, set()
    for item in patch:
        directive = item.get(DIRECTIVE)
        if DIRECTIVE not in item:
            kept.append(item)
        elif directive == "delete":
            gone.add(_key_of(item, merge_key))
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise _failure("merging lists cannot yet be specified in the patch")
        else:
            raise _failure(f"unknown patch type: {goprint.verbose(directive)} in map: {goprint.verbose(item)}")
    if gone:
        original = [other for other in original if not (isinstance(other, dict) and merge_key in other and _identity(other[merge_key]) in gone)]
    return (kept, []) if replace else (original, kept)


def _names(items: Sequence[Any], merge_key: str) -> list[str] | None:
    """The keys of items that all have a string for one, as nearly all do."""
    if not merge_key:
        return None
    try:
        names = [item[merge_key] for item in items]
    except (KeyError, TypeError):
        return None
    return names if not names or {*map(type, names)} == {str} else None


def _keys_of(items: Sequence[Any], merge_key: str) -> Sequence[Hashable]:
    names = _names(items, merge_key)
    return names if names is not None else [_key_of(item, merge_key) for item in items]


def _first_index(items: Sequence[Any], merge_key: str) -> dict[Hashable, int]:
    found: dict[Hashable, int] = {}
    if (names := _names(items, merge_key)) is not None:
        for index, name in enumerate(names):
            found.setdefault(name, index)
        return found
    for index, item in enumerate(items):
        if isinstance(item, dict) and merge_key and merge_key not in item:
            continue
        found.setdefault(_key_of(item, merge_key), index)
    return found


def _ordered(merged: list[Any], order: list[Any], live: list[Any], merge_key: str) -> list[Any]:
    """Items that `order` names in its order, the others in the live one, interleaved as they were live."""
    named, standing = _first_index(order, merge_key), _first_index(live, merge_key)
    keyed = list(zip(_keys_of(merged, merge_key), merged, strict=True))
    ours = sorted((pair for pair in keyed if pair[0] in named), key=lambda pair: named[pair[0]])
    others = sorted((pair for pair in keyed if pair[0] not in named), key=lambda pair: standing.get(pair[0], -1))
    out: list[Any] = []
    at = 0
    for key, item in ours:
        while at < len(others) and key in standing and standing.get(others[at][0], len(live)) < standing[key]:
            out.append(others[at][1])
            at += 1
        out.append(item)
    return out + [item for _, item in others[at:]]
