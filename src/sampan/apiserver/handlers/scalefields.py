"""Owners of `replicas`, seen through the scale subresource and back.

Source: apimachinery `util/managedfields/scalehandler.go`.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from sampan.api import fieldset, managedfields
from sampan.api.apply import Managed, Manager, Owned
from sampan.api.meta.v1 import ManagedFieldsEntry

SCALE_VERSION = "autoscaling/v1"
SPEC_REPLICAS = ("spec", "replicas")
_REPLICAS = fieldset.of_paths(SPEC_REPLICAS)


def to_scale(entries: Sequence[ManagedFieldsEntry], path: tuple[str, ...] = SPEC_REPLICAS) -> list[ManagedFieldsEntry]:
    """Who owns the replicas (the parent's field at `path`), as the Scale's own entries."""
    found: Managed = {}
    replicas = fieldset.of_paths(path)
    for manager, owned in _decoded(entries).items():
        if fieldset.intersection(owned.fields, replicas):
            found[_as_scale(manager)] = Owned(_REPLICAS, SCALE_VERSION, owned.time)
    return managedfields.encode(found)


def to_parent(parent: Sequence[ManagedFieldsEntry], scale: Sequence[ManagedFieldsEntry], version: str,
              path: tuple[str, ...] = SPEC_REPLICAS) -> list[ManagedFieldsEntry]:
    """The parent's entries after the Scale's changed: replicas go to whom the Scale says."""
    left, replicas = _decoded(scale), fieldset.of_paths(path)
    found: Managed = {}
    for manager, owned in _decoded(parent).items():
        if not fieldset.intersection(owned.fields, replicas) or left.pop(_as_scale(manager), None) is not None:
            found[manager] = owned
        else:
            rest = fieldset.difference(owned.fields, replicas)
            if rest:
                found[manager] = Owned(rest, owned.version, owned.time)
    for manager in left:
        own = Manager(manager.name, manager.operation, "" if manager.operation == "Apply" else version, manager.subresource)
        found[own] = Owned(replicas, version)  # upstream, too, gives it no time
    return managedfields.encode(found)


def _as_scale(manager: Manager) -> Manager:
    return replace(manager, version="" if manager.operation == "Apply" else SCALE_VERSION)


def _decoded(entries: Sequence[ManagedFieldsEntry]) -> Managed:
    try:
        return managedfields.decode(entries)
    except managedfields.BadEntry:
        return {}
