"""What the scheduler knows beside nodes and pods: volumes, claims, devices, budgets, services, namespaces.

Objects by resource and key, as the informers have them, with what was decided but is not written yet laid over.
Leaves meaning to the plugins. `version` moves with every change, so that answers can be remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

from sampan.api.resourceinfo import Resource
from sampan.api.resources import (
    CSI_DRIVERS,
    CSI_NODES,
    CSI_STORAGE_CAPACITIES,
    DEVICE_CLASSES,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    RESOURCE_CLAIMS,
    RESOURCE_SLICES,
    SERVICES,
    STATEFUL_SETS,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
)
from sampan.control.key import Key, key_of, revision_of

T = TypeVar("T")
What = Literal[
    "node", "node gone", "pod added", "pod changed", "pod gone", "namespace", "volume", "volume claim", "storage class", "csi node", "csi driver",
    "storage capacity", "attachment", "resource claim", "resource slice", "device class",
]

RESOURCES: tuple[Resource[Any], ...] = (
    NAMESPACES, SERVICES, REPLICATION_CONTROLLERS, REPLICA_SETS, STATEFUL_SETS, POD_DISRUPTION_BUDGETS,
    PERSISTENT_VOLUMES, PERSISTENT_VOLUME_CLAIMS, STORAGE_CLASSES, CSI_NODES, CSI_DRIVERS, CSI_STORAGE_CAPACITIES, VOLUME_ATTACHMENTS,
    RESOURCE_CLAIMS, RESOURCE_SLICES, DEVICE_CLASSES,
)
# what a change of these is called in hints; the others help no pod that was refused
CHANGES: Mapping[str, What] = {
    NAMESPACES.group_resource: "namespace", PERSISTENT_VOLUMES.group_resource: "volume", PERSISTENT_VOLUME_CLAIMS.group_resource: "volume claim",
    STORAGE_CLASSES.group_resource: "storage class", CSI_NODES.group_resource: "csi node", CSI_DRIVERS.group_resource: "csi driver",
    CSI_STORAGE_CAPACITIES.group_resource: "storage capacity", VOLUME_ATTACHMENTS.group_resource: "attachment",
    RESOURCE_CLAIMS.group_resource: "resource claim", RESOURCE_SLICES.group_resource: "resource slice", DEVICE_CLASSES.group_resource: "device class",
}
NO_LABELS: Mapping[str, str] = {}
CLASS_PREFIX = "deviceclass.resource.kubernetes.io/"
"""Every device class answers to this and its name, as if it were an extended resource."""


class World:
    """See the module."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[Key, Any]] = {one.group_resource: {} for one in RESOURCES}
        self._assumed: dict[str, dict[Key, Any]] = {one.group_resource: {} for one in RESOURCES}
        self._by_namespace: dict[str, dict[str, dict[Key, Any]]] = {}
        self.versions: dict[str, int] = {one.group_resource: 0 for one in RESOURCES}
        self.changed_claims: set[Key] = set()  # since `dra.devices.taken` looked at them
        self._device_class_of: tuple[int, Mapping[str, str]] = (-1, {})

    def get(self, resource: Resource[T], name: str, namespace: str = "") -> T | None:
        """The object as it is, or as it will be once what was decided is written."""
        key, kind = Key(namespace, name), resource.group_resource
        assumed = self._assumed[kind].get(key) if self._assumed[kind] else None
        return assumed if assumed is not None else self._objects[kind].get(key)

    def items(self, resource: Resource[T]) -> Iterable[T]:
        """All objects of a resource."""
        kind = resource.group_resource
        assumed = self._assumed[kind]
        if not assumed:
            return self._objects[kind].values()
        return {**self._objects[kind], **assumed}.values()

    def of_namespace(self, resource: Resource[T], namespace: str) -> Iterable[T]:
        """The objects of one namespace."""
        return self._by_namespace.get(resource.group_resource, {}).get(namespace, {}).values()

    def version(self, *resources: Resource[Any]) -> tuple[int, ...]:
        """Moves when anything of these resources does."""
        return tuple(self.versions[one.group_resource] for one in resources)

    def put(self, resource: Resource[T], obj: T) -> None:
        """An object is new or changed; what was assumed of an older one gives way."""
        kind, key = resource.group_resource, key_of(obj)
        self._objects[kind][key] = obj
        if key.namespace:
            self._by_namespace.setdefault(kind, {}).setdefault(key.namespace, {})[key] = obj
        assumed = self._assumed[kind].get(key)
        if assumed is not None and (revision_of(obj) > revision_of(assumed) or obj == assumed):
            del self._assumed[kind][key]
        self._moved(kind, key)

    def remove(self, resource: Resource[Any], obj: Any) -> None:
        """An object is gone."""
        kind, key = resource.group_resource, key_of(obj)
        self._objects[kind].pop(key, None)
        self._assumed[kind].pop(key, None)
        same = self._by_namespace.get(kind, {}).get(key.namespace)
        if same is not None:
            same.pop(key, None)
            if not same:
                del self._by_namespace[kind][key.namespace]
        self._moved(kind, key)

    def assume(self, resource: Resource[T], obj: T) -> None:
        """From now on this is how the object looks: it is being written."""
        key = key_of(obj)
        self._assumed[resource.group_resource][key] = obj
        self._moved(resource.group_resource, key)

    def restore(self, resource: Resource[Any], key: Key) -> None:
        """What was assumed was not written, or is seen by now."""
        if self._assumed[resource.group_resource].pop(key, None) is not None:
            self._moved(resource.group_resource, key)

    def _moved(self, kind: str, key: Key) -> None:
        self.versions[kind] += 1
        if kind == RESOURCE_CLAIMS.group_resource:
            self.changed_claims.add(key)

    @property
    def device_class_of(self) -> Mapping[str, str]:
        """Extended resource → device class that serves it: of several the newest, then the first by name. The same object until a class changes."""
        version = self.versions[DEVICE_CLASSES.group_resource]
        if self._device_class_of[0] != version:
            out: dict[str, str] = {}
            classes = sorted(self.items(DEVICE_CLASSES), key=lambda one: one.metadata.name, reverse=True)
            for one in sorted(classes, key=lambda one: one.metadata.creationTimestamp or ""):
                if one.spec.extendedResourceName is not None:
                    out[one.spec.extendedResourceName] = one.metadata.name
                out[CLASS_PREFIX + one.metadata.name] = one.metadata.name
            self._device_class_of = version, out
        return self._device_class_of[1]

    def namespace_labels(self, name: str) -> Mapping[str, str]:
        """Labels of a namespace; none for one that is not known."""
        found = self._objects[NAMESPACES.group_resource].get(Key("", name))
        return found.metadata.labels if found is not None else NO_LABELS
