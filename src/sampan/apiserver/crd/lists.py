"""Lists whose items must be unique.

Source: apiextensions-apiserver `pkg/apiserver/schema/listtype/validation.go`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from sampan.api import codec, field, goprint
from sampan.api.errors import FieldError
from sampan.apiserver.crd.node import Node


def validate_lists(value: Any, node: Node, path: field.Path = field.ROOT) -> list[FieldError]:
    """Items of sets and maps that stand twice."""
    if not node.tells_apart:
        return []
    found = _unique(value, node, path) if isinstance(value, list) else []
    for below in node.within(value, path):
        found += validate_lists(*below)
    return found


def _unique(items: list[Any], node: Node, path: field.Path) -> list[FieldError]:
    if node.list_type == "set":
        return [field.duplicate(path.index(index), goprint.ordered(items[index])) for index in _repeated(items)]
    if node.list_type != "map":
        return []
    for index, item in enumerate(items):
        if item is not None and not isinstance(item, dict):
            return [field.invalid(path.index(index), goprint.ordered(item), "must be an object for an array of list-type map")]
    keys = [{name: item[name] for name in node.list_keys if name in item} if item else {} for item in items]
    return [field.duplicate(path.index(index), goprint.ordered(keys[index])) for index in _repeated(keys)]


def _repeated(items: list[Any]) -> list[int]:
    """Where each value that stands more than once stands for the second time."""
    seen: dict[Hashable, int] = {}
    found = []
    for index, item in enumerate(items):
        key = codec.encode(goprint.ordered(item))
        seen[key] = seen.get(key, 0) + 1
        if seen[key] == 2:
            found.append(index)
    return found
