"""The control loops of protected claims, volumes and volume attributes classes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from sampan.api.core.v1 import PersistentVolumeClaim, Pod
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTRIBUTES_CLASSES
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.key import Key
from sampan.control.volumes import by_claim
from sampan.controllers.volumeprotection.decide import (
    PVC_FINALIZER,
    attributes_class,
    claim,
    classes_of_claim,
    is_used,
    volume,
)


def claims_by_attributes_class(obj: Any) -> Iterable[Hashable]:
    """Claims by the volume attributes classes that they name."""
    return classes_of_claim(obj)


def volumes_by_attributes_class(obj: Any) -> Iterable[Hashable]:
    """Volumes by their volume attributes class."""
    return (obj.spec.volumeAttributesClassName,) if obj.spec.volumeAttributesClassName else ()


class ClaimProtectionController(Controller):
    """Keeps claims as long as pods use them."""

    name = "persistentvolumeclaim-protection-controller"

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._claims, pods = self.informers.of(PERSISTENT_VOLUME_CLAIMS), self.informers.of(PODS)
        self._users = pods.index(by_claim)
        self.loop.watch(self._claims)
        self.loop.watch(pods, self._let_go)

    @staticmethod
    def _let_go(pod: Pod) -> list[Key]:
        return [Key(*key) for key in by_claim(pod)]  # type: ignore[misc]

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        obj = self._claims.get(key)
        if obj is None or not self.writer.fresh(key):
            return DONE
        used = is_used(obj, self._users.get(key))
        if not used and obj.metadata.deletionTimestamp is not None and PVC_FINALIZER in obj.metadata.finalizers:
            used = await self._used_at_server(obj)
        await self.writer.do(key, claim(obj, used=used))
        return DONE

    async def _used_at_server(self, obj: PersistentVolumeClaim) -> bool:
        """Before a claim goes the server is asked: a pod may be younger than the cache."""
        return is_used(obj, (await self.client.list(PODS, obj.metadata.namespace)).items)


class VolumeProtectionController(Controller):
    """Keeps volumes as long as they are bound."""

    name = "persistentvolume-protection-controller"

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._volumes = self.informers.of(PERSISTENT_VOLUMES)
        self.loop.watch(self._volumes)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        obj = self._volumes.get(key)
        if obj is not None and self.writer.fresh(key):
            await self.writer.do(key, volume(obj))
        return DONE


class AttributesClassProtectionController(Controller):
    """Keeps volume attributes classes as long as a claim or a volume names them."""

    name = "volumeattributesclass-protection-controller"

    def __init__(self, context: Context, *, workers: int = 1) -> None:
        super().__init__(context, workers=workers)
        self._classes = self.informers.of(VOLUME_ATTRIBUTES_CLASSES)
        claims, volumes = self.informers.of(PERSISTENT_VOLUME_CLAIMS), self.informers.of(PERSISTENT_VOLUMES)
        self._by_claim, self._by_volume = claims.index(claims_by_attributes_class), volumes.index(volumes_by_attributes_class)
        self.loop.watch(self._classes)
        self.loop.watch(claims, lambda obj: self._leaving(claims_by_attributes_class(obj)))
        self.loop.watch(volumes, lambda obj: self._leaving(volumes_by_attributes_class(obj)))

    def _leaving(self, names: Iterable[Hashable]) -> list[Key]:
        """Only a class that waits to go is looked at again when a user of it changes."""
        keys = [Key("", str(name)) for name in names]
        return [key for key in keys if (obj := self._classes.get(key)) is not None and obj.metadata.deletionTimestamp is not None]

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        obj = self._classes.get(key)
        if obj is None or not self.writer.fresh(key):
            return DONE
        used = bool(self._by_claim.count(key.name) or self._by_volume.count(key.name))
        await self.writer.do(key, attributes_class(obj, used=used))
        return DONE
