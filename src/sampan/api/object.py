"""`Object`: the base of every wire type that has `kind`, `apiVersion` and `metadata`."""

from __future__ import annotations

from msgspec import field

from sampan.api.meta.v1 import ObjectMeta
from sampan.api.scalars import Wire


class Object(Wire):
    """What every API object has. Objects read from a server are shared: never change one that you did not make."""

    kind: str = ""
    apiVersion: str = ""
    metadata: ObjectMeta = field(default_factory=ObjectMeta)
