"""What claims and volumes get: DefaultStorageClass, StorageObjectInUseProtection, PersistentVolumeClaimResize.

Source: kubernetes `plugin/pkg/admission/storage`.
"""

from __future__ import annotations

from typing import Any

from sampan.api import quantity
from sampan.api.core.v1 import PersistentVolumeClaim
from sampan.api.resources import STORAGE_CLASSES
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.admission.refusal import forbidden
from sampan.apiserver.watchcache import Readers

BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_DEFAULT = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
_FINALIZERS = {"persistentvolumeclaims": "kubernetes.io/pvc-protection", "persistentvolumes": "kubernetes.io/pv-protection",
               "volumeattributesclasses": "kubernetes.io/vac-protection"}


class DefaultStorageClass:
    """A claim that names no class gets the default one."""

    name = "DefaultStorageClass"

    def __init__(self, readers: Readers) -> None:
        self._classes = readers.of(STORAGE_CLASSES)

    def handles(self, request: AdmissionRequest) -> bool:
        """New claims."""
        return _is(request, "persistentvolumeclaims", "CREATE")

    async def admit(self, request: AdmissionRequest) -> None:
        """Set it; of several defaults the newest."""
        claim: PersistentVolumeClaim = request.object
        if claim.spec.storageClassName is not None or BETA_CLASS in claim.metadata.annotations:
            return
        marked = [entry.object for entry in self._classes.entries()
                  if any(entry.object.metadata.annotations.get(key) == "true" for key in _DEFAULT)]
        found = newest(marked)
        if found is not None:
            claim.spec.storageClassName = found.metadata.name


class StorageObjectInUseProtection:
    """Claims, volumes and attribute classes are not gone before nothing uses them."""

    name = "StorageObjectInUseProtection"

    def handles(self, request: AdmissionRequest) -> bool:
        """New ones."""
        return request.operation == "CREATE" and not request.subresource and request.resource.plural in _FINALIZERS \
            and request.resource.group in ("", "storage.k8s.io")

    async def admit(self, request: AdmissionRequest) -> None:
        """Add the finalizer."""
        finalizer, meta = _FINALIZERS[request.resource.plural], request.object.metadata
        if finalizer not in meta.finalizers:
            meta.finalizers = [*meta.finalizers, finalizer]


class PersistentVolumeClaimResize:
    """A claim grows only where its class can make volumes grow."""

    name = "PersistentVolumeClaimResize"

    def __init__(self, readers: Readers) -> None:
        self._classes = readers.of(STORAGE_CLASSES)

    def handles(self, request: AdmissionRequest) -> bool:
        """Changed claims."""
        return _is(request, "persistentvolumeclaims", "UPDATE")

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse what can't grow."""
        new: PersistentVolumeClaim = request.object
        old: PersistentVolumeClaim = request.old
        wanted, had = new.spec.resources.requests.get("storage", "0"), old.spec.resources.requests.get("storage", "0")
        if quantity.cmp(wanted, had) <= 0:
            return
        if old.status.phase != "Bound":
            raise forbidden(request, "Only bound persistent volume claims can be expanded", final=True)
        if not self._may_grow(new, old):
            raise forbidden(request, "only dynamically provisioned pvc can be resized and the storageclass that provisions the "
                                     "pvc must support resize", final=True)

    def _may_grow(self, new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> bool:
        name = _class_of(new)
        if not name or name != _class_of(old):
            return False
        entry = self._classes.get("", name)
        return entry is not None and bool(entry.object.allowVolumeExpansion)


def newest(classes: list[Any]) -> Any:
    """The one made last; of equals the first by name."""
    ordered = sorted(classes, key=lambda found: found.metadata.name)
    return max(ordered, key=lambda found: found.metadata.creationTimestamp or "", default=None)


def _class_of(claim: PersistentVolumeClaim) -> str:
    return claim.metadata.annotations.get(BETA_CLASS) or claim.spec.storageClassName or ""


def _is(request: AdmissionRequest, plural: str, operation: str) -> bool:
    return (request.resource.plural == plural and not request.resource.group and not request.subresource
            and request.operation == operation)
