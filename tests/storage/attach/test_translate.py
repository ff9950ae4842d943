"""Volumes of in-tree plugins as those of CSI drivers."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.api import codec
from sampan.api.core.v1 import PersistentVolume
from sampan.storage.attach.translate import as_csi


def a_volume(source: dict[str, Any], labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None) -> PersistentVolume:
    meta = {"name": "v", "labels": labels or {}, "annotations": annotations or {}}
    return codec.convert(PersistentVolume, {"metadata": meta, "spec": {**source, "claimRef": {"namespace": "ns", "name": "data"}}})


def gce(zones: str, label: str = "topology.kubernetes.io/zone") -> PersistentVolume:
    return a_volume({"gcePersistentDisk": {"pdName": "disk"}}, {label: zones} if zones else {})


def azure(secret: str, **more: str) -> PersistentVolume:
    return a_volume({"azureFile": {"secretName": secret, "shareName": "share", **more}}, annotations={"kubernetes.io/azure-file-resource-group": "rg"})


@pytest.mark.parametrize(("volume", "driver", "handle"), [
    (a_volume({"awsElasticBlockStore": {"volumeID": "aws://us-east-1a/vol-0123"}}), "ebs.csi.aws.com", "vol-0123"),
    (a_volume({"awsElasticBlockStore": {"volumeID": "vol-0123"}}), "ebs.csi.aws.com", "vol-0123"),
    (gce(""), "pd.csi.storage.gke.io", "projects/UNSPECIFIED/zones/UNSPECIFIED/disks/disk"),
    (gce("us-east1-a"), "pd.csi.storage.gke.io", "projects/UNSPECIFIED/zones/us-east1-a/disks/disk"),
    (gce("us-east1-a__us-east1-b", "failure-domain.beta.kubernetes.io/zone"), "pd.csi.storage.gke.io",
     "projects/UNSPECIFIED/regions/us-east1/disks/disk"),
    (azure("azure-storage-account-acme-secret"), "file.csi.azure.com", "rg#acme#share#v#ns"),
    (azure("mine", secretNamespace="other"), "file.csi.azure.com", "rg#mine#share#v#other"),
    (a_volume({"azureDisk": {"diskName": "d", "diskURI": "/subscriptions/x"}}), "disk.csi.azure.com", "/subscriptions/x"),
    (a_volume({"cinder": {"volumeID": "c1"}}), "cinder.csi.openstack.org", "c1"),
    (a_volume({"vsphereVolume": {"volumePath": "[store] a.vmdk"}}), "csi.vsphere.vmware.com", "[store] a.vmdk"),
    (a_volume({"portworxVolume": {"volumeID": "p1"}}), "pxd.portworx.com", "p1"),
])
def test_a_driver_and_a_handle_stand_for_a_volume_of_old(volume: PersistentVolume, driver: str, handle: str) -> None:
    found = as_csi(volume)
    assert found is not None
    assert found.spec.csi is not None
    assert (found.spec.csi.driver, found.spec.csi.volumeHandle) == (driver, handle)


@pytest.mark.parametrize("volume", [
    a_volume({"awsElasticBlockStore": {"volumeID": "aws://us-east-1a/disk"}}), gce("us-east1-a__europe-west1-b"), gce("here__there"),
    azure("mine", secretNamespace=""), a_volume({"nfs": {"server": "s", "path": "/"}})])
def test_what_no_driver_knows_stays_as_it_is(volume: PersistentVolume) -> None:
    assert as_csi(volume) is None


def test_a_csi_volume_is_what_it_is() -> None:
    volume = a_volume({"csi": {"driver": "d", "volumeHandle": "h"}})
    assert as_csi(volume) is volume
