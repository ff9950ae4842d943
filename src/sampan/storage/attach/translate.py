"""Volumes of in-tree cloud plugins as the volumes of the CSI drivers that took their work over. Pure.

Owns which driver and which handle stand for a volume; whoever attaches, detaches and reports volumes needs no more of them.
Source: csi-translation-lib `plugins/*.go` (TranslateInTreePVToCSI).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from msgspec.structs import replace

from sampan.api.core.v1 import CSIPersistentVolumeSource, PersistentVolume
from sampan.control.volumes import MIGRATED

ANYWHERE = "UNSPECIFIED"
ZONE_LABELS = ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone")
AZURE_GROUP = "kubernetes.io/azure-file-resource-group"
_EBS = re.compile(r"vol-[^/]*")
_AZURE_SECRET = re.compile(r"azure-storage-account-(.+)-secret")


def as_csi(volume: PersistentVolume) -> PersistentVolume | None:
    """The volume with the source of a CSI driver: its own, or that of the driver that replaced its plugin; None: it has neither."""
    if volume.spec.csi is not None:
        return volume
    for driver, source in MIGRATED.values():
        if getattr(volume.spec, source) is not None:
            handle = HANDLES[source](volume)
            if handle is None:
                return None
            return replace(volume, spec=replace(volume.spec, csi=CSIPersistentVolumeSource(driver=driver, volumeHandle=handle)))
    return None


def _ebs(volume: PersistentVolume) -> str | None:
    """`aws://ZONE/vol-…`, or that without what precedes it."""
    assert volume.spec.awsElasticBlockStore is not None
    text = volume.spec.awsElasticBlockStore.volumeID
    if not text.startswith("aws://"):
        return text
    handle = urlsplit(text).path.strip("/")
    return handle if _EBS.fullmatch(handle) else None


def _gce(volume: PersistentVolume) -> str | None:
    assert volume.spec.gcePersistentDisk is not None
    labels, disk = volume.metadata.labels, volume.spec.gcePersistentDisk.pdName
    zones = next((labels[name] for name in ZONE_LABELS if labels.get(name)), ANYWHERE).split("__")
    if len(zones) == 1:
        return f"projects/{ANYWHERE}/zones/{zones[0]}/disks/{disk}"
    parts = [zone.split("-") for zone in zones]
    regions = {"-".join(one[:2]) for one in parts}
    if len(regions) != 1 or any(len(one) != 3 for one in parts):
        return None
    return f"projects/{ANYWHERE}/regions/{regions.pop()}/disks/{disk}"


def _azure_file(volume: PersistentVolume) -> str | None:
    source, ref = volume.spec.azureFile, volume.spec.claimRef
    assert source is not None
    found = _AZURE_SECRET.search(source.secretName)
    namespace = source.secretNamespace if source.secretNamespace is not None else ref.namespace if ref is not None else ""
    if not namespace:
        return None
    account = found[1] if found else source.secretName
    return "#".join((volume.metadata.annotations.get(AZURE_GROUP, ""), account, source.shareName, volume.metadata.name, namespace))


HANDLES: dict[str, Callable[[PersistentVolume], str | None]] = {
    "awsElasticBlockStore": _ebs,
    "gcePersistentDisk": _gce,
    "azureFile": _azure_file,
    "azureDisk": lambda volume: volume.spec.azureDisk.diskURI if volume.spec.azureDisk is not None else None,
    "cinder": lambda volume: volume.spec.cinder.volumeID if volume.spec.cinder is not None else None,
    "vsphereVolume": lambda volume: volume.spec.vsphereVolume.volumePath if volume.spec.vsphereVolume is not None else None,
    "portworxVolume": lambda volume: volume.spec.portworxVolume.volumeID if volume.spec.portworxVolume is not None else None,
}
