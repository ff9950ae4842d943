"""Sets of field paths, in the form in which `managedFields` has them.

A set is a tree of dicts, as FieldsV1 is JSON: keys are path elements (`f:name`, `k:{"name":"a"}`, `v:"x"`, `i:0`),
an empty dict below a key says that this path is in the set, and so does a `.` beside deeper elements. Sets are shared
and never changed: every operation makes a new one. The empty set is `{}` at the top.
Source: structured-merge-diff `fieldpath/{set,serialize,serialize-pe,element}.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from sampan.api import codec, goprint
from sampan.lib.memo import remembered

FieldSet: TypeAlias = dict[str, Any]

MEMBER = "."
LEAF: FieldSet = {}
"""What stands below a path that is in a set with nothing deeper."""


class BadFieldSet(ValueError):
    """A text that is no FieldsV1."""


# 5,000 nodes write their leases in turn, and each lease's owners name its node
@remembered(maxsize=8192, longest=8 * 1024)
def decode(raw: bytes) -> FieldSet:
    """FieldsV1 to a set (shared: never change it).

    Raises:
        BadFieldSet: It is none.
    """
    try:
        tree = codec.loads(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadFieldSet(str(error)) from None
    _check(tree)
    return tree  # type: ignore[no-any-return]


def _check(tree: Any) -> None:
    left = [tree]
    while left:
        fields = left.pop()
        if not isinstance(fields, dict):
            raise BadFieldSet("a set of fields is an object")
        for key, below in fields.items():
            if key[:2] not in _KINDS and key != MEMBER:
                raise BadFieldSet(f"{goprint.quote(key)} is not a path element")
            if below == LEAF:
                fields[key] = LEAF  # one for all
            else:
                left.append(below)


_KINDS = frozenset(("f:", "k:", "v:", "i:"))
_sorting = msgspec.json.Encoder(order="sorted")


def encode(fields: FieldSet) -> bytes:
    """A set to FieldsV1, sorted."""
    return _sorting.encode(fields)


def node(member: bool, below: FieldSet) -> FieldSet | None:
    """What stands below a path: None when nothing of it is in the set."""
    if not below:
        return LEAF if member else None
    return {MEMBER: LEAF, **below} if member else below


def is_member(below: FieldSet) -> bool:
    """Whether the path that this stands below is itself in the set."""
    return not below or MEMBER in below


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """Paths that are in one of the two."""
    if not left or left is right:
        return right
    if not right:
        return left
    out = left | right
    for key in left.keys() & right.keys():
        mine, below = left[key], right[key]
        if mine is not below and key != MEMBER:
            found = union(mine, below)
            # a leaf and a branch: the branch must say that the path is in the set
            out[key] = {MEMBER: LEAF, **found} if found and (not mine or not below) and MEMBER not in found else found
    return out


def union_all(sets: Sequence[FieldSet]) -> FieldSet:
    """Paths that are in one of them: by halves, so that many small sets cost no more than their size times its logarithm."""
    if len(sets) <= 1:
        return sets[0] if sets else {}
    middle = len(sets) // 2
    return union(union_all(sets[:middle]), union_all(sets[middle:]))


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    """Paths that are in both."""
    out: FieldSet = {}
    for key, mine in left.items():
        theirs = right.get(key)
        if theirs is None or key == MEMBER:
            continue
        found = node(is_member(mine) and is_member(theirs), intersection(mine, theirs))
        if found is not None:
            out[key] = found
    return out


def may_meet(raw: bytes, fields: FieldSet) -> bool:
    """Whether a text in FieldsV1 may have a path of a set in it; False only where, of each, a name on the way stands nowhere in the text."""
    # written otherwise than `encode` does
    return b"\\u" in raw or b"\\/" in raw or _may_meet(raw, fields)


def _may_meet(raw: bytes, fields: FieldSet) -> bool:
    return any(key == MEMBER or (_sorting.encode(key) in raw and (not below or _may_meet(raw, below))) for key, below in fields.items())


def holds(fields: FieldSet, part: FieldSet) -> bool:
    """Whether every path of `part` is in the set."""
    for key, wanted in part.items():
        found = fields.get(key)
        if found is None or not (holds(found, wanted) if wanted else is_member(found)):
            return False
    return True


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """Paths of the first that are not in the second; what lies below a path of the second stays. The first itself if it has none of them."""
    out = left
    for key, theirs in right.items():
        mine = left.get(key)
        if mine is None or key == MEMBER:
            continue
        below = difference(mine, theirs) if theirs else mine
        member = is_member(mine)
        gone = member and is_member(theirs)
        if gone or below is not mine:
            out = _replaced(out, left, key, node(member and not gone, {k: v for k, v in below.items() if k != MEMBER}))
    return out


def without(left: FieldSet, right: FieldSet) -> FieldSet:
    """Paths of the first that are neither in the second nor below a path of it. The first itself if all are such."""
    out = left
    for key, theirs in right.items():
        mine = left.get(key)
        if mine is None or key == MEMBER:
            continue
        if is_member(theirs):
            out = _replaced(out, left, key, None)
        elif (below := without(mine, theirs)) is not mine:
            out = _replaced(out, left, key, node(is_member(mine), {k: v for k, v in below.items() if k != MEMBER}))
    return out


def _replaced(out: FieldSet, left: FieldSet, key: str, below: FieldSet | None) -> FieldSet:
    """`out`, which is `left` until something of it changes, with something else below the key."""
    if out is left:
        out = dict(left)
    if below is None:
        del out[key]
    else:
        out[key] = below
    return out


def within(fields: FieldSet, kept: FieldSet) -> FieldSet:
    """Paths of the first that are in the second or below a path of it."""
    out: FieldSet = {}
    for key, mine in fields.items():
        theirs = kept.get(key)
        if theirs is None or key == MEMBER:
            continue
        found = mine if is_member(theirs) else node(False, within(mine, theirs))
        if found is not None:
            out[key] = found
    return out


def of_paths(*paths: tuple[str, ...]) -> FieldSet:
    """A set of paths of field names: `of_paths(("metadata", "name"), ("status",))`."""
    fields: FieldSet = {}
    for path in paths:
        branch: FieldSet = LEAF
        for name in reversed(path):
            branch = {f"f:{name}": branch}
        fields = union(fields, branch)
    return fields


def paths(fields: FieldSet, prefix: str = "") -> Iterator[str]:
    """Every path as messages show it: `.spec.containers[name="a"].image`."""
    branches = [(key, below) for key, below in sorted(fields.items()) if key != MEMBER]
    for key, below in branches:
        if is_member(below):
            yield prefix + shown(key)
    for key, below in branches:
        if below:
            yield from paths(below, prefix + shown(key))


def shown(element: str) -> str:
    """One path element as messages show it."""
    kind, rest = element[0], element[2:]
    if kind == "f":
        return f".{rest}"
    if kind == "i":
        return f"[{rest}]"
    value = codec.loads(rest)
    if kind == "k" and isinstance(value, dict):
        return "[" + ",".join(f"{name}={goprint.value(inner)}" for name, inner in sorted(value.items())) + "]"
    return f"[={goprint.value(value)}]"
