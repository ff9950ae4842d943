"""Pure questions about claims, volumes and their pods that several control loops ask.

Owns the annotations that bind claims to volumes, the in-tree drivers that CSI drivers have replaced, and indexes.
Source: component-helpers `storage/volume`, `storage/ephemeral`; csi-translation-lib; `pkg/volume/util`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from sampan.api import quantity
from sampan.api.core.v1 import ContainerStatus, PersistentVolume, PersistentVolumeClaim, Pod
from sampan.control.key import Key
from sampan.control.pods import is_terminal
from sampan.kinds.core.persistent_volume import BETA_CLASS
from sampan.kinds.core.persistent_volume_claim import class_of

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
MIGRATED_TO = "pv.kubernetes.io/migrated-to"
PROVISIONER, BETA_PROVISIONER = "volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
IN_TREE_FINALIZER = "kubernetes.io/pv-controller"
EXTERNAL_FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
IN_TREE = "kubernetes.io/"

# in-tree plugins whose work a CSI driver does, each with the volume source that is its own
MIGRATED: dict[str, tuple[str, str]] = {
    "kubernetes.io/aws-ebs": ("ebs.csi.aws.com", "awsElasticBlockStore"),
    "kubernetes.io/gce-pd": ("pd.csi.storage.gke.io", "gcePersistentDisk"),
    "kubernetes.io/cinder": ("cinder.csi.openstack.org", "cinder"),
    "kubernetes.io/azure-disk": ("disk.csi.azure.com", "azureDisk"),
    "kubernetes.io/azure-file": ("file.csi.azure.com", "azureFile"),
    "kubernetes.io/vsphere-volume": ("csi.vsphere.vmware.com", "vsphereVolume"),
    "kubernetes.io/portworx-volume": ("pxd.portworx.com", "portworxVolume"),
}


def driver_of(plugin: str) -> str:
    """The CSI driver that does an in-tree plugin's work; empty: none does."""
    return MIGRATED.get(plugin, ("", ""))[0]


def claim_class(claim: PersistentVolumeClaim) -> str:
    """The name of the claim's class; empty: none, or not said yet."""
    return class_of(claim) or ""


def volume_class(volume: PersistentVolume) -> str:
    """The name of the volume's class; the annotation of old counts first."""
    return volume.metadata.annotations.get(BETA_CLASS, volume.spec.storageClassName)


def storage(amounts: dict[str, Any]) -> int:
    """Bytes of storage; 0 where none is named."""
    text = amounts.get("storage")
    return quantity.integer(text) if text else 0


def claim_key(volume: PersistentVolume) -> Key | None:
    """The key of the claim that the volume is bound to or kept for."""
    ref = volume.spec.claimRef
    return Key(ref.namespace, ref.name) if ref is not None else None


def is_kept_for(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """The volume is bound to this claim, or a user reserved it for one of its name."""
    ref = volume.spec.claimRef
    return ref is not None and (ref.namespace, ref.name) == (claim.metadata.namespace, claim.metadata.name) \
        and ref.uid in ("", claim.metadata.uid)


def claims_of(pod: Pod) -> list[str]:
    """The names of the claims that a pod's volumes use, those made for it included."""
    names = []
    for volume in pod.spec.volumes:
        if volume.persistentVolumeClaim is not None:
            names.append(volume.persistentVolumeClaim.claimName)
        elif volume.ephemeral is not None:
            names.append(f"{pod.metadata.name}-{volume.name}")
    return names


def by_claim(pod: Any) -> Iterable[Hashable]:
    """Index: pods by the keys of the claims that they use."""
    return [Key(pod.metadata.namespace, name) for name in claims_of(pod)]


def is_made_for(pod: Pod, claim: PersistentVolumeClaim) -> bool:
    """The claim of a pod's ephemeral volume is the pod's own."""
    return any(ref.controller and ref.uid == pod.metadata.uid for ref in claim.metadata.ownerReferences)


def has_ended(pod: Pod) -> bool:
    """No container of the pod runs any more, or it is being deleted and none runs."""
    return is_terminal(pod) or (pod.metadata.deletionTimestamp is not None and _none_runs(pod.status.containerStatuses))


def _none_runs(statuses: Sequence[ContainerStatus]) -> bool:
    return all(one.state.terminated is not None or one.state.waiting is not None for one in statuses)
