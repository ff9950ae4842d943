"""CSI volumes that are attached by this process, and how upstream names them and their attachments. Pure.

Volumes of in-tree plugins are when a CSI driver has taken them over (`translate`); what is left of the others the node attaches itself.
Source: `pkg/volume/csi/csi_attacher.go` (getAttachmentName), `csi_plugin.go`, `pkg/volume/util` (IsMultiAttachAllowed).
"""

from __future__ import annotations

import re
from hashlib import sha256

from sampan.api.core.v1 import PersistentVolume
from sampan.api.storage.v1 import CSIDriver, VolumeAttachment

PREFIX = "kubernetes.io/csi/"
_OURS = re.compile(r"csi-[0-9a-f]{64}")


def is_attachable(volume: PersistentVolume, driver: CSIDriver | None) -> bool:
    """The volume must be attached before a node can use it; a driver that says nothing of itself wants that."""
    return volume.spec.csi is not None and (driver is None or driver.spec.attachRequired is not False)


def unique_name(volume: PersistentVolume) -> str:
    """The volume's name in the status of nodes."""
    assert volume.spec.csi is not None
    return f"{PREFIX}{volume.spec.csi.driver}^{volume.spec.csi.volumeHandle}"


def attachment_name(volume: PersistentVolume, node: str) -> str:
    """The name of the VolumeAttachment that brings the volume to the node."""
    assert volume.spec.csi is not None
    text = f"{volume.spec.csi.volumeHandle}{volume.spec.csi.driver}{node}"
    return f"csi-{sha256(text.encode()).hexdigest()}"


def is_ours(attachment: VolumeAttachment, volume: PersistentVolume | None) -> bool:
    """Made by this controller, to be deleted by it; of a volume that is gone only the form of the name is left to tell."""
    if attachment.spec.source.persistentVolumeName is None:
        return False
    if volume is None:
        return _OURS.fullmatch(attachment.metadata.name) is not None
    return volume.spec.csi is not None and attachment.metadata.name == attachment_name(volume, attachment.spec.nodeName)


def is_shared(volume: PersistentVolume) -> bool:
    """Several nodes may have it at once; where no access mode is named the driver decides."""
    return not volume.spec.accessModes or bool({"ReadOnlyMany", "ReadWriteMany"} & set(volume.spec.accessModes))
