"""Validation of volume sources of storage vendors, in pods and in PersistentVolumes.

The two differ in a few: a secret of a PersistentVolume needs a namespace. Source: kubernetes `pkg/apis/core/validation`.
"""

from __future__ import annotations

import re
from typing import Any

from sampan.api import field, names
from sampan.api.errors import FieldError

Errors = list[FieldError]

# a name of the first kind may have more before it, as upstream looks anywhere; read by RE2, in linear time
_INITIATOR = {"iqn": r"iqn\.[0-9]{4}-[0-9]{2}\.[A-Za-z0-9.-]+:[^,;*&$|\s]+$", "eui": "^eui.[0-9A-Za-z]{16}$", "naa": "^naa.[0-9A-Za-z]{32}$"}
_INITIATOR_KINDS = " starting with iqn, eui, or naa"
_PORTAL_BYTES = 64
TOO_LONG_PORTAL = ("Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters "
                   "if iscsi.initiatorName is specified.")
_PARTITION = "must be between 1 and 255, inclusive"  # 0, too, is taken: it is none
_HOST_PORT = "must be a host:port pair or multiple pairs separated by commas"


def _required(errors: Errors, source: Any, path: str, *fields: str) -> None:
    errors += [field.required(f"{path}.{name}") for name in fields if not getattr(source, name)]


def _secret_ref(errors: Errors, source: Any, path: str, *, namespaced: bool) -> None:
    if source.secretRef is not None:
        _required(errors, source.secretRef, f"{path}.secretRef", "name", *(("namespace",) if namespaced else ()))


def gce_persistent_disk(errors: Errors, source: Any, path: str) -> None:
    at = f"{path.rpartition('.')[0]}.persistentDisk"  # upstream's path for what is inside
    _required(errors, source, at, "pdName")
    if not 0 <= source.partition <= 255:
        errors.append(field.invalid(f"{at}.partition", source.partition, _PARTITION))


def aws_elastic_block_store(errors: Errors, source: Any, path: str) -> None:
    _required(errors, source, path, "volumeID")
    if not 0 <= source.partition <= 255:
        errors.append(field.invalid(f"{path}.partition", source.partition, _PARTITION))


def iscsi(errors: Errors, source: Any, path: str) -> None:
    _required(errors, source, path, "targetPortal")
    _target(errors, source, path, _INITIATOR_KINDS)
    if source.initiatorName is not None:
        _initiator(errors, source.initiatorName, f"{path}.initiatorname", _INITIATOR_KINDS)


def iscsi_persistent(errors: Errors, source: Any, path: str, volume: str = "") -> None:
    """That of a PersistentVolume, which is called `volume`."""
    _required(errors, source, path, "targetPortal")
    if is_long_portal(source, volume):
        errors.append(field.invalid(f"{path}.targetportal", source.targetPortal, TOO_LONG_PORTAL))
    _target(errors, source, path, "")
    if source.secretRef is not None:
        _required(errors, source.secretRef, f"{path}.secretRef", "name")
    if source.initiatorName is not None:
        _initiator(errors, source.initiatorName, f"{path}.initiatorname", "")


def is_long_portal(source: Any, volume: str) -> bool:
    """Whether an initiator that has a name of its own makes too much of the volume's name and the portal."""
    return source.initiatorName is not None and len(f"{volume}:{source.targetPortal}".encode()) > _PORTAL_BYTES


def _target(errors: Errors, source: Any, path: str, kinds: str) -> None:
    if source.iqn:
        _initiator(errors, source.iqn, f"{path}.iqn", kinds)
    else:
        errors.append(field.required(f"{path}.iqn"))
    if not 0 <= source.lun <= 255:
        errors.append(field.invalid(f"{path}.lun", source.lun, names.range_error(0, 255)))
    if (source.chapAuthDiscovery or source.chapAuthSession) and source.secretRef is None:
        errors.append(field.required(f"{path}.secretRef"))


def _initiator(errors: Errors, name: str, path: str, kinds: str) -> None:
    pattern = _INITIATOR.get(name[:3])
    if pattern is None:
        errors.append(field.invalid(path, name, f"must be valid format{kinds}"))
        return
    from sampan.api.cel.library import regex  # it takes a while, and few volumes need it

    if not regex.matches(name, pattern):
        errors.append(field.invalid(path, name, "must be valid format"))


def fibre_channel(errors: Errors, source: Any, path: str) -> None:
    if not source.targetWWNs and not source.wwids:
        errors.append(field.required(f"{path}.targetWWNs", "must specify either targetWWNs or wwids, but not both"))
    if source.targetWWNs and source.wwids:
        errors.append(field.invalid(f"{path}.targetWWNs", source.targetWWNs,
                                    "targetWWNs and wwids can not be specified simultaneously"))
    if source.targetWWNs:
        if source.lun is None:
            errors.append(field.required(f"{path}.lun", "lun is required if targetWWNs is specified"))
        elif not 0 <= source.lun <= 255:
            errors.append(field.invalid(f"{path}.lun", source.lun, names.range_error(0, 255)))


def nfs(errors: Errors, source: Any, path: str) -> None:
    _required(errors, source, path, "server", "path")
    if not source.path.startswith("/"):
        errors.append(field.invalid(f"{path}.path", source.path, "must be an absolute path"))


def quobyte(errors: Errors, source: Any, path: str) -> None:
    if not source.registry:
        errors.append(field.required(f"{path}.registry", _HOST_PORT))
    elif len(source.tenant) >= 65:
        errors.append(field.required(f"{path}.tenant", "must be a UUID and may not exceed a length of 64 characters"))
    else:
        errors += [field.invalid(f"{path}.registry", source.registry, _HOST_PORT)
                   for pair in source.registry.split(",") if not re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*):[^:]*", pair)]
    _required(errors, source, path, "volume")


def glusterfs(errors: Errors, source: Any, path: str) -> None:
    _required(errors, source, path, "endpoints", "path")
    namespace = getattr(source, "endpointsNamespace", None)
    if namespace is not None:
        at = f"{path}.endpointsNamespace"
        if namespace:
            errors += field.invalid_each(at, namespace, names.dns1123_label(namespace))
        else:
            errors.append(field.invalid(at, namespace, "if the endpointnamespace is set, it must be a valid namespace name"))


def flocker(errors: Errors, source: Any, path: str) -> None:
    if not source.datasetName and not source.datasetUUID:
        errors.append(field.required(path, "one of datasetName and datasetUUID is required"))
    if source.datasetName and source.datasetUUID:
        errors.append(field.invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously"))
    if "/" in source.datasetName:
        errors.append(field.invalid(f"{path}.datasetName", source.datasetName, "must not contain '/'"))


def rbd(errors: Errors, source: Any, path: str) -> None:
    _required(errors, source, path, "monitors", "image")


def cinder(errors: Errors, source: Any, path: str) -> None:
    _required(errors, source, path, "volumeID")
    _secret_ref(errors, source, path, namespaced=False)


def cinder_persistent(errors: Errors, source: Any, path: str) -> None:
    _required(errors, source, path, "volumeID")
    _secret_ref(errors, source, path, namespaced=True)


def cephfs(errors: Errors, source: Any, path: str) -> None:
    _required(errors, source, path, "monitors")


def flex_volume(errors: Errors, source: Any, path: str) -> None:
    _required(errors, source, path, "driver")
    for key in sorted(source.options):
        domain = "." + key.split("/", 1)[0].lower() if "/" in key else "." + key.lower()
        if domain.endswith((".kubernetes.io", ".k8s.io")):
            errors.append(field.invalid(f"{path}.options[{key}]", key, "kubernetes.io and k8s.io namespaces are reserved"))


def azure_file(errors: Errors, source: Any, path: str) -> None:
    _required(errors, source, path, "secretName", "shareName")
    if getattr(source, "secretNamespace", None) == "":
        errors.append(field.required(f"{path}.secretNamespace"))


def azure_disk(errors: Errors, source: Any, path: str) -> None:
    _required(errors, source, path, "diskName", "diskURI")
    for name, supported in (("cachingMode", ("None", "ReadOnly", "ReadWrite")), ("kind", ("Dedicated", "Managed", "Shared"))):
        value = getattr(source, name)
        if value is not None and value not in supported:
            errors.append(field.not_supported(f"{path}.{name}", value, supported))
    if source.kind is None:
        return
    managed = source.kind == "Managed"
    if not source.diskURI.startswith("/subscriptions/" if managed else "https://"):
        form = ("/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}" if managed
                else "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd")
        errors.append(field.not_supported(f"{path}.diskURI", source.diskURI, (form,)))


def vsphere_volume(errors: Errors, source: Any, path: str) -> None:
    _required(errors, source, path, "volumePath")


def photon_persistent_disk(errors: Errors, source: Any, path: str) -> None:
    _required(errors, source, path, "pdID")


def portworx_volume(errors: Errors, source: Any, path: str) -> None:
    _required(errors, source, path, "volumeID")


def scale_io(errors: Errors, source: Any, path: str) -> None:
    _required(errors, source, path, "gateway", "system", "volumeName")


def storageos(errors: Errors, source: Any, path: str) -> None:
    _storageos(errors, source, path)
    _secret_ref(errors, source, path, namespaced=False)


def storageos_persistent(errors: Errors, source: Any, path: str) -> None:
    _storageos(errors, source, path)
    _secret_ref(errors, source, path, namespaced=True)


def _storageos(errors: Errors, source: Any, path: str) -> None:
    if source.volumeName:
        errors += field.invalid_each(f"{path}.volumeName", source.volumeName, names.dns1123_label(source.volumeName))
    else:
        errors.append(field.required(f"{path}.volumeName"))
    if source.volumeNamespace:
        errors += field.invalid_each(f"{path}.volumeNamespace", source.volumeNamespace,
                                     names.dns1123_label(source.volumeNamespace))


def csi_driver_name(errors: Errors, name: str, path: str) -> None:
    """The name of a CSI driver, wherever it stands."""
    if not name:
        errors.append(field.required(path))
    if len(name) > 63:
        errors.append(field.too_long(path, 63))
    if name:
        errors += field.invalid_each(path, name, names.dns1123_subdomain(name.lower()))


def csi(errors: Errors, source: Any, path: str) -> None:
    csi_driver_name(errors, source.driver, f"{path}.driver")
    ref = source.nodePublishSecretRef
    if ref is not None:
        if ref.name:
            errors += field.invalid_each(f"{path}.name", ref.name, names.dns1123_subdomain(ref.name))
        else:
            errors.append(field.required(f"{path}.nodePublishSecretRef.name"))


def csi_persistent(errors: Errors, source: Any, path: str) -> None:
    csi_driver_name(errors, source.driver, f"{path}.driver")
    _required(errors, source, path, "volumeHandle")
    for name in ("controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"):
        ref = getattr(source, name)
        if ref is None:
            continue
        for part, check in (("name", names.dns1123_subdomain), ("namespace", names.dns1123_label)):
            value = getattr(ref, part)
            if value:
                errors += field.invalid_each(f"{path}.{name}.{part}", value, check(value))
            else:
                errors.append(field.required(f"{path}.{name}.{part}"))
