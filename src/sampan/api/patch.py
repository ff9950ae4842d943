"""Patches: JSON patch, merge patch and strategic merge patch, on trees of dicts.

Owns parsing a patch's body (and what is strictly wrong with it) and applying JSON and merge patches. A `Patch` can be
applied again and again, each time to a tree of its own, which it changes in place; `tree` makes one that is decoded as far
as the patch looks. Strategic merging is in `sampan.api.strategic`, server-side apply in `sampan.api.apply`.
Source: RFC 6902, RFC 7386, `gopkg.in/evanphx/json-patch.v4`, apiserver `endpoints/handlers/patch.go`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from sampan.api import codec, goprint, jsonsyntax, strategic, strict
from sampan.api.errors import ApiError, BadRequest, RequestEntityTooLarge, UnsupportedMediaType
from sampan.api.jsonvalues import word
from sampan.api.opening import Way, joined, opened
from sampan.api.schema import Shape

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

MAX_OPERATIONS = 10_000
MAX_COPIED_BYTES = 3 << 20
"""How much `copy` operations of one patch may copy in all."""
WORTH_OPENING_BYTES = 1024
"""What is smaller is decoded in less time than it takes to see what of it is needed."""

_INDEX = re.compile(r"[+-]?[0-9]{1,18}")
_MEMBERS = {"op": str, "from": str, "path": str}


class Unprocessable(ApiError):
    """A patch that does not apply. Upstream says no more than this."""

    code, reason = 422, "Invalid"

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__("the server rejected our request due to an error in our request", details={})


class PatchError(Exception):
    """Why one operation does not apply."""


class Patch(Protocol):
    """A parsed patch; `problems` are what is strictly wrong with its text."""

    problems: list[str]

    def tree(self, text: bytes, way: Way) -> dict[str, Any]:
        """An object's JSON as `apply` wants it; what neither the patch nor `way` leads to may be `msgspec.Raw`."""
        ...

    def apply(self, tree: dict[str, Any]) -> Any:
        """The patched tree; `tree` is changed.

        Raises:
            ApiError: It does not apply.
        """
        ...

    def told(self, tree: Any) -> str:
        """What upstream's messages show of it: the patched tree, where what the patch has gone through is in the order of the
        alphabet; of a strategic merge patch the patch itself.
        """
        ...


def parse(content_type: str, body: bytes, shape: Shape | None) -> Patch:
    """A patch of one of the three types; `shape` is the objects', None for custom ones.

    Raises:
        BadRequest: It is no such patch.
        RequestEntityTooLarge: It has too many operations.
        UnsupportedMediaType: A strategic merge patch of a custom resource, or a type that is none of the three.
    """
    if content_type == JSON:
        return _parse_json(body)
    if content_type == MERGE:
        tree = _object(body, "error decoding patch: ")
        if body.strip() == b"null":
            raise BadRequest("Invalid JSON Patch")
        return MergePatch(body, tree, strict.repeated_fields(body, tree))
    if content_type == STRATEGIC and shape is not None:
        tree = _object(body, "")
        return StrategicPatch(body, shape, tree, strict.repeated_fields(body, tree))
    accepted = (JSON, MERGE, *((STRATEGIC,) if shape is not None else ()), APPLY)
    raise UnsupportedMediaType(
        f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}")


def _loads(body: bytes, prefix: str) -> Any:
    try:
        return codec.loads(body)
    except RecursionError:
        raise BadRequest(f"{prefix}invalid character '{{' {jsonsyntax.TOO_DEEP}") from None
    except (codec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(prefix + (jsonsyntax.explain(body) or str(error))) from None


def _object(body: bytes, prefix: str) -> dict[str, Any]:
    tree = _loads(body, prefix)
    if not isinstance(tree, dict | None):
        raise BadRequest(f"{prefix}json: cannot unmarshal {word(tree)} into Go value of type map[string]interface {{}}")
    return tree or {}


@dataclass
class JsonPatch:
    """Operations one after the other, all or nothing."""

    body: bytes
    problems: list[str] = field(default_factory=list)

    def tree(self, text: bytes, way: Way) -> dict[str, Any]:
        """See `Patch.tree`: operations may lead anywhere."""
        del way
        whole: dict[str, Any] = codec.loads(text)
        return whole

    def apply(self, tree: dict[str, Any]) -> Any:
        document, copied = tree, 0
        try:
            for operation in codec.loads(self.body):
                document, size = _operate(document, operation or {})
                copied += size
                if copied > MAX_COPIED_BYTES:
                    raise PatchError(f"the accumulated size of copied values exceeds {MAX_COPIED_BYTES} bytes")
        except PatchError as error:
            raise Unprocessable(str(error)) from None
        return document

    def told(self, tree: Any) -> str:
        """See `Patch.told`."""
        for operation in codec.loads(self.body) or ():
            for pointer in filter(None, ((operation or {}).get("path"), (operation or {}).get("from"))):
                way: dict[str, Any] = {}
                for key in reversed(pointer.split("/")[1:-1]):
                    way = {key.replace("~1", "/").replace("~0", "~"): way}
                tree = _sorted_along(tree, way)
        return codec.encode(tree).decode()


def _parse_json(body: bytes) -> JsonPatch:
    operations = _loads(body, "error decoding patch: ")
    if operations is None:
        return JsonPatch(b"[]")
    prefix = "error decoding patch: json: cannot unmarshal"
    if not isinstance(operations, list):
        raise BadRequest(f"{prefix} {word(operations)} into Go value of type []handlers.jsonPatchOp")
    problems = strict.repeated_fields(body, operations)
    for index, operation in enumerate(operations):
        if operation is None:
            continue
        if not isinstance(operation, dict):
            raise BadRequest(f"{prefix} {word(operation)} into Go value of type handlers.jsonPatchOp")
        for name, value in operation.items():
            if name in _MEMBERS:
                if not isinstance(value, str | None):
                    raise BadRequest(f"{prefix} {word(value)} into Go struct field jsonPatchOp.{name} of type string")
            elif name != "value":
                problems.append(f'unknown field "[{index}].{name}"')
    if len(operations) > MAX_OPERATIONS:
        raise RequestEntityTooLarge(f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}")
    return JsonPatch(body, [f"json patch {problem}" for problem in problems])


def _operate(document: Any, operation: dict[str, Any]) -> tuple[Any, int]:
    """The document after one operation, and how many bytes it copied."""
    path, value = operation.get("path"), operation.get("value")
    kind = operation.get("op")
    if path is None:
        raise PatchError(f"{kind} operation failed to decode path: missing value")
    match kind:
        case "add":
            _add(document, path, value)
        case "remove":
            _remove(*_find(document, path, kind))
        case "replace":
            return _replace(document, path, value), 0
        case "move":
            parent, key = _find(document, _source(operation), kind)
            moved = _get(parent, key)
            _remove(parent, key)
            _add(document, path, moved)
        case "copy":
            encoded = codec.encode(_get(*_find(document, _source(operation), kind)))
            _add(document, path, codec.loads(encoded))
            return document, len(encoded)
        case "test":
            found = document if not path else _get(*_find(document, path, kind))
            if not _same(found, value):
                raise PatchError(f"testing value {path} failed: test failed")
        case _:
            raise PatchError(f"Unexpected kind: {kind}")
    return document, 0


def _source(operation: dict[str, Any]) -> str:
    if (source := operation.get("from")) is None:
        raise PatchError(f"{operation['op']} operation failed to decode from: missing value")
    return str(source)


def _find(document: Any, pointer: str, kind: str) -> tuple[Any, str]:
    """The object or array that `pointer` leads into, and the last key."""
    first, *keys = pointer.split("/")
    if first or not keys:
        raise PatchError(f"{kind} operation does not apply: doc is missing path: {pointer}: missing value")
    keys = [key.replace("~1", "/").replace("~0", "~") for key in keys]
    for key in keys[:-1]:
        try:
            document = _get(document, key)
        except PatchError:
            document = None
        if not isinstance(document, dict | list):
            raise PatchError(f"{kind} operation does not apply: doc is missing path: {pointer}: missing value")
    return document, keys[-1]


def _index(key: str, length: int) -> int:
    if not _INDEX.fullmatch(key):
        raise PatchError(f"value was not a proper array index: '{key}'")
    index = int(key)
    if index < 0:
        index += length
    if not 0 <= index < length:
        raise PatchError(f"Unable to access invalid index: {int(key)}: invalid index referenced")
    return index


def _get(parent: Any, key: str) -> Any:
    return parent[_index(key, len(parent))] if isinstance(parent, list) else parent.get(key)


def _add(document: Any, path: str, value: Any) -> None:
    parent, key = _find(document, path, "add")
    if isinstance(parent, list):
        parent.insert(len(parent) if key == "-" else _index(key, len(parent) + 1), value)
    else:
        parent[key] = value


def _remove(parent: Any, key: str) -> None:
    if isinstance(parent, list):
        del parent[_index(key, len(parent))]
    elif key in parent:
        del parent[key]
    else:
        raise PatchError(f"Unable to remove nonexistent key: {key}: missing value")


def _replace(document: Any, path: str, value: Any) -> Any:
    if not path:
        if not isinstance(value, dict | list):
            raise PatchError("replace operation value must be object or array")
        return value
    parent, key = _find(document, path, "replace")
    if isinstance(parent, list):
        parent[_index(key, len(parent))] = value
    else:
        parent[key] = value  # a key that is not there counts as null, so it can be replaced
    return document


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return type(left) is type(right) and bool(left == right)


class MergingPatch(ABC):
    """A patch that is an object with the members it changes. Applying takes it apart: every time one of its own."""

    def __init__(self, body: bytes, tree: dict[str, Any], problems: list[str], ways: Callable[[dict[str, Any]], Way]) -> None:
        self.body, self.problems, self._ways, self._fresh = body, problems, ways, [tree]
        self._names, self._meta = frozenset(tree), tree.get("metadata")
        self._into = [name for name, value in tree.items() if isinstance(value, dict)]

    def only(self, part: str, uid: str) -> bool:
        """Whether it changes nothing but that object within an object; that it names the `uid` besides changes nothing."""
        names = self._names
        return (len(names) == 1 or (len(names) == 2 and self._meta == {"uid": uid})) and part in self._into

    def apply_to(self, part: str, text: bytes) -> Any:
        """That part alone, of which `text` is the JSON, after the patch; None where it takes it away. As `apply`."""
        assert part in self._into, "only a patch that goes into the part can be applied to it alone"
        tree = codec.loads(text) if len(text) < WORTH_OPENING_BYTES else opened(text, self._way[part] or {})
        patch = self.patch()
        patch.pop("metadata", None)
        return self._merged({part: tree}, patch).get(part)

    def apply(self, tree: dict[str, Any]) -> Any:
        return self._merged(tree, self.patch())

    @cached_property
    def _way(self) -> Way:
        """Where it goes in an object."""
        return self._ways(self._fresh[0] if self._fresh else codec.loads(self.body) or {})

    @abstractmethod
    def _merged(self, tree: dict[str, Any], patch: dict[str, Any]) -> Any:
        """The tree after the patch; both may be changed."""

    def tree(self, text: bytes, way: Way) -> dict[str, Any]:
        """See `Patch.tree`."""
        if len(text) < WORTH_OPENING_BYTES:
            whole: dict[str, Any] = codec.loads(text)
            return whole
        return opened(text, joined(self._way, way))

    def patch(self) -> dict[str, Any]:
        """Its own object, for the caller alone."""
        return self._fresh.pop() if self._fresh else codec.loads(self.body) or {}


class MergePatch(MergingPatch):
    """RFC 7386."""

    def __init__(self, body: bytes, tree: dict[str, Any], problems: list[str]) -> None:
        super().__init__(body, tree, problems, _way)

    def _merged(self, tree: dict[str, Any], patch: dict[str, Any]) -> Any:
        return merge(tree, patch)

    def told(self, tree: Any) -> str:
        """See `Patch.told`."""
        return codec.encode(_sorted_along(tree, codec.loads(self.body) or {})).decode()


def _way(patch: Mapping[str, Any]) -> Way:
    """The objects that are merged; what is replaced or taken away need not be looked at."""
    return {key: _way(value) for key, value in patch.items() if isinstance(value, dict)}


def merge(tree: Any, patch: Any) -> Any:
    """`tree` after the merge patch, changed in place where both are objects."""
    if not isinstance(patch, dict):
        return _without_nulls(patch)
    if not isinstance(tree, dict):
        return _without_nulls(patch)
    for key, value in patch.items():
        if value is None:
            tree.pop(key, None)
        elif isinstance(value, dict) and isinstance(current := tree.get(key), dict):
            merge(current, value)
        else:
            tree[key] = _without_nulls(value)
    return tree


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value


class StrategicPatch(MergingPatch):
    """A strategic merge patch of objects of a built-in shape."""

    def __init__(self, body: bytes, shape: Shape, tree: dict[str, Any], problems: list[str]) -> None:
        super().__init__(body, tree, problems, strategic.way)
        self.shape = shape

    def _merged(self, tree: dict[str, Any], patch: dict[str, Any]) -> Any:
        return strategic.merge(tree, patch, self.shape)

    def told(self, tree: Any) -> str:
        """See `Patch.told`."""
        return goprint.verbose(codec.loads(self.body) or {})


def _sorted_along(tree: Any, way: Any) -> Any:
    """Objects of `tree` with their keys sorted, as far as `way` has objects and arrays in the same places."""
    if isinstance(tree, dict) and isinstance(way, dict):
        return {key: _sorted_along(tree[key], way[key]) if key in way else tree[key] for key in sorted(tree)}
    if isinstance(tree, list) and isinstance(way, list):
        return [_sorted_along(one, way[index]) if index < len(way) else one for index, one in enumerate(tree)]
    if isinstance(tree, list) and isinstance(way, dict):
        return [_sorted_along(one, way[str(index)]) if str(index) in way else one for index, one in enumerate(tree)]
    return tree
