"""Filling in a schema's defaults.

Source: apiextensions-apiserver `pkg/apiserver/schema/defaulting/{algorithm,prunenulls}.go`.
"""

from __future__ import annotations

from typing import Any

from sampan.api import codec
from sampan.apiserver.crd.node import Node


def fill(value: Any, node: Node) -> None:
    """Drop nulls that may not be and have no default, then fill what is missing or null, in place."""
    _drop_nulls(value, node)
    _fill(value, node)


def _fill(value: Any, node: Node) -> None:
    if isinstance(value, dict):
        for name, one in node.properties.items():
            if one.has_default and (name not in value or (value[name] is None and not one.nullable)):
                value[name] = codec.loads(codec.encode(one.default))
        for name, inner in value.items():
            below = node.properties.get(name, node.additional)
            if below is None:
                continue
            if inner is None and not below.nullable and below.has_default and name not in node.properties:
                value[name] = codec.loads(codec.encode(below.default))
            if below.defaults_below:
                _fill(value[name], below)
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            if item is None and not node.items.nullable and node.items.has_default:
                value[index] = codec.loads(codec.encode(node.items.default))
            if node.items.defaults_below:
                _fill(value[index], node.items)


def _drop_nulls(value: Any, node: Node) -> None:
    """Nulls that are neither allowed nor have a default are as if nothing had been said."""
    if isinstance(value, dict):
        for name in list(value):
            below = node.properties.get(name, node.additional)
            if below is None:
                continue
            if value[name] is None:
                if not below.nullable and not below.has_default:
                    del value[name]
            else:
                _drop_nulls(value[name], below)
    elif isinstance(value, list) and node.items is not None:
        for item in value:
            _drop_nulls(item, node.items)
