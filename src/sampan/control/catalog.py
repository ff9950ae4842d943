"""Every resource there is, custom ones included, as it changes: for loops that act on objects of any kind.

Custom resources are read from their definitions through an informer. Aggregated APIs are not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sampan.api.apiextensions.v1 import CustomResourceDefinition
from sampan.api.resourceinfo import Resource, Subresource
from sampan.api.resources import ALL, CUSTOM_RESOURCE_DEFINITIONS, HORIZONTAL_POD_AUTOSCALERS_V1
from sampan.control.informer import Informers
from sampan.kinds.meta import is_true

Changed = Callable[[Resource[Any] | None, Resource[Any] | None], None]


def custom_resource(definition: CustomResourceDefinition) -> Resource[Any] | None:
    """The resource of a definition in its storage version (or the first one served); None while it is not served."""
    if not is_true(definition.status.conditions or (), "Established") or definition.metadata.deletionTimestamp is not None:
        return None
    served = [version for version in definition.spec.versions or () if version.served]
    if not served:
        return None
    version = next((one for one in served if one.storage), served[0])
    spec, names = definition.spec, definition.status.acceptedNames
    subresources = []
    if version.subresources is not None and version.subresources.status is not None:
        subresources.append(Subresource("status", f"{spec.group}/{version.name}", names.kind, ("get", "patch", "update")))
    return Resource(group=spec.group, version=version.name, plural=names.plural, kind=names.kind, singular=names.singular,
                    namespaced=spec.scope == "Namespaced", subresources=tuple(subresources))


class Catalog:
    """The resources of a cluster; `on_change(old, new)` tells of custom ones that come (None, new) and go (old, None)."""

    def __init__(self, informers: Informers) -> None:
        self.definitions = informers.of(CUSTOM_RESOURCE_DEFINITIONS)
        self._custom: dict[str, Resource[Any]] = {}
        self._listeners: list[Changed] = []
        self._builtin = [resource for resource in ALL if resource is not HORIZONTAL_POD_AUTOSCALERS_V1]
        self._by_kind = {(resource.group, resource.kind): resource for resource in reversed(self._builtin)}
        self.definitions.on_change(self._definition_changed)

    def on_change(self, listener: Changed) -> None:
        """Call it for each custom resource there is, and at each change."""
        self._listeners.append(listener)
        for resource in list(self._custom.values()):
            listener(None, resource)

    def with_verbs(self, *verbs: str) -> Iterable[Resource[Any]]:
        """The resources that can all of this: get, list, watch, delete, …"""
        return [one for one in [*self._builtin, *self._custom.values()] if set(verbs) <= set(one.verbs)]

    def of_kind(self, api_version: str, kind: str) -> Resource[Any] | None:
        """The resource of a kind, whatever the version; None: not known (yet)."""
        group = api_version.rpartition("/")[0]
        return self._by_kind.get((group, kind))

    def _definition_changed(self, old: CustomResourceDefinition | None, new: CustomResourceDefinition | None) -> None:
        name = (new or old).metadata.name  # type: ignore[union-attr]
        before = self._custom.get(name)
        after = custom_resource(new) if new is not None else None
        if before is not None and after is not None and \
                (before.version, before.kind, before.plural) == (after.version, after.kind, after.plural):
            return
        if before is None and after is None:
            return
        if before is not None:
            del self._custom[name]
            self._by_kind.pop((before.group, before.kind), None)
        if after is not None:
            self._custom[name] = after
            self._by_kind[after.group, after.kind] = after
        for listener in self._listeners:
            listener(before, after)
