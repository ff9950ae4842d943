"""Validation of volume mounts and block devices of a container.

Source: kubernetes `pkg/apis/core/validation` (`ValidateVolumeMounts`, `ValidateVolumeDevices`).
"""

from __future__ import annotations

from collections.abc import Mapping

from sampan.api import field
from sampan.api.core.v1 import Container, EphemeralContainer, Volume, VolumeMount
from sampan.api.errors import FieldError
from sampan.kinds.core.pod_spec import paths

Errors = list[FieldError]

_PROPAGATION = ("Bidirectional", "HostToContainer", "None")
_RECURSIVE = ("Disabled", "Enabled", "IfPossible")


def mounts(errors: Errors, container: Container | EphemeralContainer, volumes: Mapping[str, Volume], path: str) -> None:
    """Findings about `volumeMounts` at `path`; `volumes` are the pod's valid ones by name."""
    seen: set[str] = set()
    devices = {device.name: device.devicePath for device in container.volumeDevices}
    for index, mount in enumerate(container.volumeMounts):
        volume = volumes.get(mount.name)
        if volume is None or not mount.mountPath or mount.mountPath in seen or devices or volume.image is not None:
            _unusual(errors, mount, f"{path}[{index}]", volume, seen, devices)
        seen.add(mount.mountPath)
        if mount.subPath:
            paths.descending(errors, mount.subPath, f"{path}.subPath")
        if mount.subPathExpr:
            if mount.subPath:
                errors.append(field.invalid(f"{path}[{index}].subPathExpr", mount.subPathExpr,
                                            "subPathExpr and subPath are mutually exclusive"))
            paths.descending(errors, mount.subPathExpr, f"{path}.subPathExpr")
        if mount.mountPropagation is not None:
            _propagation(errors, mount.mountPropagation, container, f"{path}.mountPropagation")
        if mount.recursiveReadOnly is not None:
            _recursive(errors, mount, f"{path}.recursiveReadOnly")


def _unusual(errors: Errors, mount: VolumeMount, path: str, volume: Volume | None, seen: set[str],
             devices: Mapping[str, str]) -> None:
    if not mount.name:
        errors.append(field.required(f"{path}.name"))
    if volume is None:
        errors.append(field.not_found(f"{path}.name", mount.name))
    if not mount.mountPath:
        errors.append(field.required(f"{path}.mountPath"))
    if mount.mountPath in seen:
        errors.append(field.invalid(f"{path}.mountPath", mount.mountPath, "must be unique"))
    if mount.name in devices:
        errors.append(field.invalid(f"{path}.name", mount.name, "must not already exist in volumeDevices"))
    if mount.mountPath in devices.values():
        errors.append(field.invalid(f"{path}.mountPath", mount.mountPath, "must not already exist as a path in volumeDevices"))


def _propagation(errors: Errors, mode: str, container: Container | EphemeralContainer, path: str) -> None:
    if mode not in _PROPAGATION:
        errors.append(field.not_supported(path, mode, _PROPAGATION))
    context = container.securityContext
    if mode == "Bidirectional" and not (context is not None and context.privileged):
        errors.append(field.forbidden(path, "Bidirectional mount propagation is available only to privileged containers"))


def _recursive(errors: Errors, mount: VolumeMount, path: str) -> None:
    if mount.recursiveReadOnly not in _RECURSIVE:
        errors.append(field.not_supported(path, mount.recursiveReadOnly, _RECURSIVE))
    elif mount.recursiveReadOnly != "Disabled":
        if not mount.readOnly:
            errors.append(field.forbidden(path, "may only be specified when readOnly is true"))
        if mount.mountPropagation not in (None, "None"):
            errors.append(field.forbidden(path, "may only be specified when mountPropagation is None or not specified"))


def devices(errors: Errors, container: Container | EphemeralContainer, volumes: Mapping[str, Volume], path: str) -> None:
    """Findings about `volumeDevices` at `path`."""
    seen_paths: set[str] = set()
    seen_names: set[str] = set()
    mounted = {mount.name: mount.mountPath for mount in container.volumeMounts}
    for index, device in enumerate(container.volumeDevices):
        at, name, where = f"{path}[{index}]", device.name, device.devicePath
        if not name:
            errors.append(field.required(f"{at}.name"))
        if name in seen_names:
            errors.append(field.invalid(f"{at}.name", name, "must be unique"))
        volume = volumes.get(name)
        if volume is None:
            errors.append(field.not_found(f"{at}.name", name))
        elif volume.persistentVolumeClaim is None and volume.ephemeral is None:
            errors.append(field.invalid(f"{at}.name", name, "can only use volume source type of PersistentVolumeClaim "
                                                            "or Ephemeral for block mode"))
        if not where:
            errors.append(field.required(f"{at}.devicePath"))
        if where in seen_paths:
            errors.append(field.invalid(f"{at}.devicePath", where, "must be unique"))
        if ".." in where.split("/"):
            errors.append(field.invalid(f"{at}.devicePath", where, "can not contain backsteps ('..')"))
        else:
            seen_paths.add(where)
        if name in mounted:
            errors.append(field.invalid(f"{at}.name", name, "must not already exist in volumeMounts"))
        if where in mounted.values():
            errors.append(field.invalid(f"{at}.devicePath", where, "must not already exist as a path in volumeMounts"))
        if name:
            seen_names.add(name)
