"""Taking away what a schema does not name.

Source: apiextensions-apiserver `pkg/apiserver/schema/pruning/algorithm.go`, `schema/objectmeta`.
"""

from __future__ import annotations

from typing import Any

from sampan.apiserver.crd.node import Node

_WHOLE = ("apiVersion", "kind", "metadata")


def prune(obj: dict[str, Any], node: Node) -> list[str]:
    """Prune a whole object in place; its apiVersion, kind and metadata stay.

    Returns:
        The paths of what was taken away, sorted.
    """
    gone: list[str] = []
    _object(obj, node, "", gone, whole=True)
    return sorted(gone)


def _prune(value: Any, node: Node, path: str, gone: list[str]) -> None:
    if isinstance(value, dict):
        _object(value, node, path, gone, whole=node.embedded)
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            _prune(item, node.items, f"{path}[{index}]", gone)
    elif isinstance(value, list) and not node.preserve:
        for index, item in enumerate(value):
            _prune(item, _NOTHING, f"{path}[{index}]", gone)


_NOTHING = Node()


def _object(value: dict[str, Any], node: Node, path: str, gone: list[str], *, whole: bool) -> None:
    for key in list(value):
        below = f"{path}.{key}" if path else key
        if whole and key in _WHOLE:
            continue
        known = node.properties.get(key)
        if known is not None:
            _prune(value[key], known, below, gone)
        elif node.additional is not None:
            _prune(value[key], node.additional, below, gone)
        elif not node.preserve:
            del value[key]
            gone.append(below)
