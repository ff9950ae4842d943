"""Whole objects within objects: `x-kubernetes-embedded-resource`.

Owns what their kind, apiVersion and metadata must be like. Leaves the rest of them to the schema.
Source: apiextensions-apiserver `pkg/apiserver/schema/objectmeta/{algorithm,coerce,validation}.go`.
"""

from __future__ import annotations

from typing import Any

from sampan.api import codec, field, goprint, names, strict
from sampan.api.errors import FieldError
from sampan.api.meta.v1 import ObjectMeta
from sampan.apiserver import metadata
from sampan.apiserver.crd.node import Node

_NO_KEY = object()


def coerce(value: Any, node: Node, path: field.Path = field.ROOT) -> list[str]:
    """Drop what metadata does not know, in place.

    Returns:
        The paths of what was dropped.

    Raises:
        Undecodable: A kind, apiVersion or metadata can't be one.
    """
    if not node.embeds:
        return []
    gone = _coerce_whole(value, path) if node.embedded and isinstance(value, dict) else []
    for below in node.within(value, path):
        gone += coerce(*below)
    return gone


def _coerce_whole(value: dict[str, Any], path: field.Path) -> list[str]:
    for name in ("apiVersion", "kind"):
        if not isinstance(value.get(name, ""), str):
            raise strict.Undecodable(str(field.invalid(path / name, goprint.ordered(value[name]), "must be a string")))
    if "metadata" not in value:
        return []
    try:
        value["metadata"], complaints = strict.coerce_to(ObjectMeta, value["metadata"])
    except strict.Undecodable as error:
        raise strict.Undecodable(str(field.invalid(path / "metadata", goprint.ordered(value["metadata"]), str(error)))) from None
    return [f"{path / 'metadata'}.{one}" for one in strict.unknown_paths(complaints)]


def validate(value: Any, node: Node, path: field.Path = field.ROOT) -> list[FieldError]:
    """Findings about whole objects within the object: their kind, apiVersion and metadata."""
    if not node.embeds:
        return []
    found = _whole(value, path) if node.embedded and isinstance(value, dict) else []
    for below in node.within(value, path):
        found += validate(*below)
    return found


def _whole(value: dict[str, Any], path: field.Path) -> list[FieldError]:
    found = [field.required(path / name) for name in ("apiVersion", "kind") if name not in value]
    for name in ("apiVersion", "kind"):
        given = value.get(name, _NO_KEY)
        if given is _NO_KEY:
            continue
        if not isinstance(given, str):
            found.append(field.invalid(path / name, goprint.ordered(given), "must be a string"))
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
