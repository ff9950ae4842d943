"""Owners of `replicas`, seen through the scale subresource and back.

Source: apimachinery `util/managedfields/scalehandler.go`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sampan.api import fieldset, managedfields
from sampan.api.apply import Managed, Manager, Owned
from sampan.api.meta.v1 import ManagedFieldsEntry

SCALE_VERSION = "autoscaling/v1"
_REPLICAS = fieldset.of_paths(("spec", "replicas"))


def to_scale(entries: Sequence[ManagedFieldsEntry]) -> list[ManagedFieldsEntry]:
    """Who owns the replicas, as the Scale's own entries."""
    found: Managed = {}
    for manager, owned in _decoded(entries).items():
        if fieldset.intersection(owned.fields, _REPLICAS):
            found[_as_scale(manager)] = Owned(_REPLICAS, SCALE_VERSION, owned.time)
    return managedfields.encode(found)


def to_parent(parent: Sequence[ManagedFieldsEntry], scale: Sequence[ManagedFieldsEntry], version: str) -> list[ManagedFieldsEntry]:
    """The parent's entries after the Scale's changed: replicas go to whom the Scale says."""
    left = _decoded(scale)
    found: Managed = {}
    for manager, owned in _decoded(parent).items():
        if not fieldset.intersection(owned.fields, _REPLICAS) or left.pop(_as_scale(manager), None) is not None:
            found[manager] = owned
        else:
            rest = fieldset.difference(owned.fields, _REPLICAS)
            if rest:
                found[manager] = Owned(rest, owned.version, owned.time)
    for manager, owned in left.items():
        own = Manager(manager.name, manager.operation, "" if manager.operation == "Apply" else version, manager.subresource)
        found[own] = Owned(_REPLICAS, version, owned.time)
    return managedfields.encode(found)


def _as_scale(manager: Manager) -> Manager:
    return manager._replace(version="" if manager.operation == "Apply" else SCALE_VERSION)


def _decoded(entries: Sequence[ManagedFieldsEntry]) -> Managed:
    try:
        return managedfields.decode(entries)
    except managedfields.BadEntry:
        return {}
