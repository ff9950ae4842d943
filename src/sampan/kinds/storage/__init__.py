"""Kinds of storage.k8s.io."""

from sampan.kinds.storage import (
    csi_driver,
    csi_node,
    csi_storage_capacity,
    storage_class,
    volume_attachment,
    volume_attributes_class,
)

KINDS = (
    storage_class.KIND,
    volume_attributes_class.KIND,
    volume_attachment.KIND,
    csi_node.KIND,
    csi_driver.KIND,
    csi_storage_capacity.KIND,
)
