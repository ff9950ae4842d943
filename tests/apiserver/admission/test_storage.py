from __future__ import annotations

from typing import Any

import pytest

from apiserver.admitting import admit, ask, refusal
from apiserver.readers import MemoryReaders
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from sampan.apiserver.admission.storage import (
    DefaultStorageClass,
    PersistentVolumeClaimResize,
    StorageObjectInUseProtection,
)

DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}


@pytest.fixture
def readers() -> MemoryReaders:
    readers = MemoryReaders()
    for name, made, notes, grows in (("old", "2026-01-01T00:00:00Z", DEFAULT, True), ("new", "2026-01-02T00:00:00Z", DEFAULT, False),
                                     ("newer", "2026-01-03T00:00:00Z", {}, True)):
        readers.put(STORAGE_CLASSES, {"metadata": {"name": name, "creationTimestamp": made, "annotations": notes},
                                      "provisioner": "p", "allowVolumeExpansion": grows})
    return readers


def _claim(size: str = "1Gi", phase: str = "Bound", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "c"}, "spec": {"resources": {"requests": {"storage": size}}, **spec}, "status": {"phase": phase}}


@pytest.mark.parametrize(("spec", "wanted"), [({}, "new"), ({"storageClassName": ""}, ""), ({"storageClassName": "x"}, "x")])
def test_a_claim_gets_the_newest_default_class(readers: MemoryReaders, spec: dict[str, str], wanted: str) -> None:
    request = admit(DefaultStorageClass(readers), ask("CREATE", PERSISTENT_VOLUME_CLAIMS, _claim(**spec)))
    assert request.object.spec.storageClassName == wanted


def test_volumes_and_claims_are_protected_once() -> None:
    claim = _claim()
    claim["metadata"]["finalizers"] = ["x.y/z", "kubernetes.io/pvc-protection"]
    request = admit(StorageObjectInUseProtection(), ask("CREATE", PERSISTENT_VOLUME_CLAIMS, claim))
    assert request.object.metadata.finalizers == ["x.y/z", "kubernetes.io/pvc-protection"]
    request = admit(StorageObjectInUseProtection(), ask("CREATE", PERSISTENT_VOLUMES, {"metadata": {"name": "v"}}))
    assert request.object.metadata.finalizers == ["kubernetes.io/pv-protection"]


@pytest.mark.parametrize(("new", "old", "why"), [
    (_claim("2Gi", storageClassName="old"), _claim(storageClassName="old"), ""),
    (_claim("1Gi", storageClassName="new"), _claim("2Gi", storageClassName="new"), ""),
    (_claim("2Gi", storageClassName="old"), _claim(phase="Pending", storageClassName="old"), "Only bound persistent volume claims"),
    (_claim("2Gi", storageClassName="new"), _claim(storageClassName="new"), "only dynamically provisioned pvc can be resized"),
    (_claim("2Gi"), _claim(), "only dynamically provisioned pvc can be resized"),
    (_claim("2Gi", storageClassName="gone"), _claim(storageClassName="gone"), "only dynamically provisioned pvc can be resized"),
])
def test_a_claim_grows_where_its_class_can(readers: MemoryReaders, new: dict[str, Any], old: dict[str, Any], why: str) -> None:
    request = ask("UPDATE", PERSISTENT_VOLUME_CLAIMS, new, old)
    if why:
        assert why in refusal(PersistentVolumeClaimResize(readers), request)
    else:
        admit(PersistentVolumeClaimResize(readers), request)
