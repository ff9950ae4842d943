"""The volume controllers, by upstream's name. Listed here, nowhere else; importing this list imports no controller.

Source: kubernetes `cmd/kube-controller-manager/names/controller_names.go`, `app/core.go` (service accounts).
"""

from __future__ import annotations

from sampan.control.controller import Component, Context, ControllerEntry
from sampan.storage.settings import StorageSettings


def _binder(context: Context, settings: StorageSettings) -> Component:
    from sampan.storage.binder.controller import VolumeBinder
    from sampan.storage.provision.hostpath import HostPath

    return VolumeBinder(context, resync_seconds=settings.pvclaimbinder_sync_period, dynamic=settings.enable_dynamic_provisioning,
                        host_path=HostPath(enabled=settings.enable_hostpath_provisioner))


def _attach_detach(context: Context, settings: StorageSettings) -> Component:
    from sampan.storage.attach.controller import AttachDetachController

    return AttachDetachController(context, force_after_timeout=not settings.disable_force_detach_on_timeout)


ALL: tuple[ControllerEntry, ...] = (
    ControllerEntry("persistentvolume-binder-controller", "persistent-volume-binder", _binder),
    ControllerEntry("persistentvolume-attach-detach-controller", "attachdetach-controller", _attach_detach),
)
