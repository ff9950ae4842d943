"""The host path plugin: volumes that are directories of the machine where the controllers run. For one machine only.

Owns making and removing the directories; nothing else here touches files. It is off unless `--enable-hostpath-provisioner`
says that this machine's directories are the nodes' too; then volumes are made under /tmp/hostpath_pv, and removed.
Source: `pkg/volume/hostpath/host_path.go`.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from sampan.api.core.v1 import (
    HostPathVolumeSource,
    ObjectReference,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeSpec,
)
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.storage.v1 import StorageClass
from sampan.control.volumes import BOUND_BY_CONTROLLER, IN_TREE_FINALIZER, PROVISIONED_BY, claim_class
from sampan.lib.errors import SampanError
from sampan.storage.provision.decide import HOST_PATH

BASE = "/tmp/hostpath_pv"  # noqa: S108 where upstream has them; a directory is named by its claim's uid
_MAY_DELETE = re.compile(r"/tmp/.+")  # noqa: S108 a bound on what may be removed


class PluginError(SampanError):
    """A volume could not be made or deleted; the text is what events say."""


def volume_name(claim: PersistentVolumeClaim) -> str:
    """The name of the volume that is made for a claim: one a claim, however often it is tried."""
    return f"pvc-{claim.metadata.uid}"


def volume_for(claim: PersistentVolumeClaim, found: StorageClass, path: str) -> PersistentVolume:
    """The volume of a directory, bound to the claim from its side."""
    policy, meta = found.reclaimPolicy or "Delete", claim.metadata
    annotations = {"kubernetes.io/createdby": "hostpath-dynamic-provisioner", BOUND_BY_CONTROLLER: "yes", PROVISIONED_BY: HOST_PATH}
    spec = PersistentVolumeSpec(
        capacity={"storage": claim.spec.resources.requests["storage"]}, accessModes=list(claim.spec.accessModes) or ["ReadWriteOnce"],
        persistentVolumeReclaimPolicy=policy, storageClassName=claim_class(claim), hostPath=HostPathVolumeSource(path=path),
        claimRef=ObjectReference(kind="PersistentVolumeClaim", apiVersion="v1", namespace=meta.namespace, name=meta.name,
                                 uid=meta.uid, resourceVersion=meta.resourceVersion))
    finalizers = [IN_TREE_FINALIZER] if policy == "Delete" else []
    return PersistentVolume(apiVersion="v1", kind="PersistentVolume", spec=spec,
                            metadata=ObjectMeta(name=volume_name(claim), annotations=annotations, finalizers=finalizers))


class HostPath:
    """Makes and removes directories; `base` is where, `off_loop` what runs calls that may take long."""

    def __init__(self, *, enabled: bool, base: str = BASE, off_loop: Callable[..., Awaitable[None]] = asyncio.to_thread) -> None:
        self.enabled, self._base, self._off_loop = enabled, Path(base), off_loop

    async def make(self, claim: PersistentVolumeClaim, found: StorageClass) -> PersistentVolume:
        """A directory for the claim, and the volume that it is.

        Raises:
            PluginError: It is off, the claim wants a block device, or the directory can't be made.
        """
        if not self.enabled:
            raise PluginError(f'Failed to create provisioner: provisioning in volume plugin "{HOST_PATH}" is disabled')
        failed = f'Failed to provision volume with StorageClass "{found.metadata.name}": '
        if claim.spec.volumeMode == "Block":
            raise PluginError(f"{failed}{HOST_PATH} does not support block volume provisioning")
        path = self._base / claim.metadata.uid
        try:
            await self._off_loop(path.mkdir, 0o750, parents=True, exist_ok=True)
        except OSError as error:
            raise PluginError(f"{failed}mkdir {path}: {error.strerror}") from error
        return volume_for(claim, found, str(path))

    async def delete(self, volume: PersistentVolume) -> None:
        """Remove the volume's directory. While the plugin is off nothing is removed: the directory is another machine's.

        Raises:
            PluginError: The path is not one that may be removed, or can't be.
        """
        if volume.spec.hostPath is None:
            raise PluginError(f'failed to create deleter for volume "{volume.metadata.name}": spec.PersistentVolumeSource.HostPath is nil')
        path = volume.spec.hostPath.path
        if not _MAY_DELETE.fullmatch(path) or ".." in Path(path).parts:
            raise PluginError(f"host_path deleter only supports /tmp/.+ but received provided {path}")
        if not self.enabled:
            return
        try:
            await self._off_loop(_remove, Path(path))
        except OSError as error:
            raise PluginError(f"unlinkat {error.filename or path}: {error.strerror}") from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
