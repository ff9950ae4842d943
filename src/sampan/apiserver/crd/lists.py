"""Lists whose items must be unique, and whole objects within objects.

Source: apiextensions-apiserver `pkg/apiserver/schema/{listtype,objectmeta}/validation.go`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from sampan.api import codec, field, names
from sampan.api.errors import FieldError
from sampan.api.meta.v1 import ObjectMeta
from sampan.apiserver import metadata
from sampan.apiserver.crd.node import Node

_NO_KEY = object()


def validate_lists(value: Any, node: Node, path: field.Path = field.ROOT) -> list[FieldError]:
    """Items of sets and maps that stand twice."""
    found: list[FieldError] = []
    if isinstance(value, dict):
        for key, inner in value.items():
            known = node.properties.get(key)
            if known is not None:
                found += validate_lists(inner, known, path / key)
            elif node.additional is not None:
                found += validate_lists(inner, node.additional, path.key(key))
    elif isinstance(value, list):
        found += _unique(value, node, path)
        if node.items is not None:
            for index, item in enumerate(value):
                found += validate_lists(item, node.items, path.index(index))
    return found


def _unique(items: list[Any], node: Node, path: field.Path) -> list[FieldError]:
    if node.list_type == "set":
        return [field.duplicate(path.index(index), items[index]) for index in _repeated(items)]
    if node.list_type != "map":
        return []
    for index, item in enumerate(items):
        if item is not None and not isinstance(item, dict):
            return [field.invalid(path.index(index), item, "must be an object for an array of list-type map")]
    keys = [{name: item[name] for name in node.list_keys if name in item} if item else {} for item in items]
    return [field.duplicate(path.index(index), keys[index]) for index in _repeated(keys)]


def _repeated(items: list[Any]) -> list[int]:
    """Where each value that stands more than once stands for the second time."""
    seen: dict[Hashable, int] = {}
    found = []
    for index, item in enumerate(items):
        key = codec.encode(_ordered(item))
        seen[key] = seen.get(key, 0) + 1
        if seen[key] == 2:
            found.append(index)
    return found


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def validate_embedded(value: Any, node: Node, path: field.Path = field.ROOT) -> list[FieldError]:
    """Findings about whole objects within the object: their kind, apiVersion and metadata."""
    found: list[FieldError] = []
    if isinstance(value, dict):
        if node.embedded:
            found += _whole(value, path)
        for key, inner in value.items():
            known = node.properties.get(key)
            if known is not None:
                found += validate_embedded(inner, known, path / key)
            elif node.additional is not None:
                found += validate_embedded(inner, node.additional, path.key(key))
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            found += validate_embedded(item, node.items, path.index(index))
    return found


def _whole(value: dict[str, Any], path: field.Path) -> list[FieldError]:
    found = [field.required(path / name) for name in ("apiVersion", "kind") if name not in value]
    for name in ("apiVersion", "kind"):
        given = value.get(name, _NO_KEY)
        if given is _NO_KEY:
            continue
        if not isinstance(given, str):
            found.append(field.invalid(path / name, given, "must be a string"))
        elif not given:
            found.append(field.invalid(path / name, given, "must not be empty"))
        elif name == "apiVersion" and given.count("/") > 1:
            found.append(field.invalid(path / name, given, f"unexpected GroupVersion string: {given}"))
        elif name == "kind" and (messages := names.dns1035_label(given.lower())):
            found.append(field.invalid(path / name, given, f"may have mixed case, but should otherwise match: {','.join(messages)}"))
    if "metadata" in value:
        found += _metadata(value["metadata"], path / "metadata")
    return found


def _metadata(value: Any, path: field.Path) -> list[FieldError]:
    try:
        meta = codec.convert(ObjectMeta, value)
    except codec.DecodeError as error:
        return [field.invalid(path, value, str(error))]
    meta.name = meta.name or "fakename"  # it may well have none yet
    found = metadata.validate_meta(meta, namespaced=bool(meta.namespace), name_check=names.path_segment_name)
    return [FieldError(one.reason, path + one.field.removeprefix("metadata"), one.detail) for one in found]
