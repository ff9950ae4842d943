"""Keys and metadata of any object, Struct or dict: what queues hold and caches look up.

Custom resources are dicts; everything here reads both without copying.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sampan.api import codec
from sampan.api.meta.v1 import ObjectMeta, OwnerReference


class Key(NamedTuple):
    """An object's place within its resource; `namespace` is empty for cluster-scoped ones."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def key_of(obj: Any) -> Key:
    """The key of a Struct or dict."""
    if isinstance(obj, dict):
        meta = obj.get("metadata") or {}
        return Key(meta.get("namespace", ""), meta.get("name", ""))
    return Key(obj.metadata.namespace, obj.metadata.name)


def uid_of(obj: Any) -> str:
    """`metadata.uid` of a Struct or dict."""
    if isinstance(obj, dict):
        return str((obj.get("metadata") or {}).get("uid", ""))
    return str(obj.metadata.uid)


def version_of(obj: Any) -> str:
    """`metadata.resourceVersion` of a Struct or dict."""
    if isinstance(obj, dict):
        return str((obj.get("metadata") or {}).get("resourceVersion", ""))
    return str(obj.metadata.resourceVersion)


def revision_of(obj: Any) -> int:
    """The resource version as a number; 0 where the object has none."""
    text = version_of(obj)
    return int(text) if text.isdigit() else 0


def meta_of(obj: Any) -> ObjectMeta:
    """The metadata as a Struct; decoded for a dict, so ask once."""
    if isinstance(obj, dict):
        return codec.convert(ObjectMeta, obj.get("metadata") or {})
    return obj.metadata  # type: ignore[no-any-return]


def controller_of(obj: Any) -> OwnerReference | None:
    """The owner reference that manages the object (`controller: true`), if any."""
    for ref in (meta_of(obj) if isinstance(obj, dict) else obj.metadata).ownerReferences:
        if ref.controller:
            return ref
    return None
