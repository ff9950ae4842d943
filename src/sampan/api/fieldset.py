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


@remembered(maxsize=4096, longest=16 * 1024)
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
    if not isinstance(tree, dict):
        raise BadFieldSet("a set of fields is an object")
    for key, below in tree.items():
        if key != MEMBER and (len(key) < 2 or key[1] != ":" or key[0] not in "fkvi"):
            raise BadFieldSet(f"{goprint.quote(key)} is not a path element")
        _check(below)


_branches: dict[int, tuple[FieldSet, bytes]] = {}
_MOST_BRANCHES = 2048


def encode(fields: FieldSet) -> bytes:
    """A set to FieldsV1, sorted. Branches that come again and again are remembered by what they are."""
    parts = []
    for key, below in sorted(fields.items()):
        known = _branches.get(id(below))
        if known is None or known[0] is not below:
            known = (below, codec.encode(_sorted(below)))
            if len(_branches) >= _MOST_BRANCHES:
                _branches.clear()
            if below:
                _branches[id(below)] = known
        parts.append(codec.encode(key) + b":" + known[1])
    return b"{" + b",".join(parts) + b"}"


def _sorted(fields: FieldSet) -> FieldSet:
    if not fields:
        return fields
    return {key: _sorted(below) for key, below in sorted(fields.items())}


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
    out = dict(left)
    for key, below in right.items():
        mine = out.get(key)
        if mine is None:
            out[key] = below
        elif mine is not below and key != MEMBER:
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


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """Paths of the first that are not in the second; what lies below a path of the second stays."""
    if not right:
        return left
    out: FieldSet = {}
    for key, mine in left.items():
        theirs = right.get(key)
        if theirs is None:
            out[key] = mine
        elif key != MEMBER:
            below = difference({k: v for k, v in mine.items() if k != MEMBER}, theirs)
            found = node(is_member(mine) and not is_member(theirs), below)
            if found is not None:
                out[key] = found
    return out


def without(left: FieldSet, right: FieldSet) -> FieldSet:
    """Paths of the first that are neither in the second nor below a path of it."""
    if not right:
        return left
    out: FieldSet = {}
    for key, mine in left.items():
        theirs = right.get(key)
        if theirs is None:
            out[key] = mine
        elif key != MEMBER and not is_member(theirs):
            found = node(is_member(mine), without({k: v for k, v in mine.items() if k != MEMBER}, theirs))
            if found is not None:
                out[key] = found
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
