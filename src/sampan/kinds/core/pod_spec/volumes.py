"""Validation of a pod's volumes: their names, that each has one source, and the sources that Kubernetes itself serves.

Source: kubernetes `pkg/apis/core/validation` (`ValidateVolumes`, `validateVolumeSource`).
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from sampan.api import field, names, quantity
from sampan.api.core.v1 import KeyToPath, Volume
from sampan.api.errors import FieldError
from sampan.api.meta.v1 import ObjectMeta
from sampan.kinds.core.pod_spec import claims, cloud_volumes, paths, projected

Errors = list[FieldError]
Check = Callable[[Errors, Any, str], None]

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_HOST_PATH_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_ONE_SOURCE = "may not specify more than 1 volume type"


def _empty_dir(errors: Errors, source: Any, path: str) -> None:
    if source.sizeLimit is not None and quantity.nano(source.sizeLimit) < 0:
        errors.append(field.forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity"))


def host_path(errors: Errors, source: Any, path: str) -> None:
    if not source.path:
        errors.append(field.required(f"{path}.path"))
        return
    paths.no_backsteps(errors, source.path, f"{path}.path")
    if source.type is not None and source.type not in _HOST_PATH_TYPES:
        errors.append(field.not_supported(f"{path}.type", source.type, _HOST_PATH_TYPES))


def _git_repo(errors: Errors, source: Any, path: str) -> None:
    if not source.repository:
        errors.append(field.required(f"{path}.repository"))
    paths.descending(errors, source.directory, f"{path}.directory")


def _secret(errors: Errors, source: Any, path: str) -> None:
    if not source.secretName:
        errors.append(field.required(f"{path}.secretName"))
    _files(errors, source, path)


def _config_map(errors: Errors, source: Any, path: str) -> None:
    if not source.name:
        errors.append(field.required(f"{path}.name"))
    _files(errors, source, path)


def _files(errors: Errors, source: Any, path: str) -> None:
    paths.mode(errors, source.defaultMode, f"{path}.defaultMode")
    items: list[KeyToPath] = source.items
    for index, item in enumerate(items):
        projected.key_to_path(errors, item, f"{path}.items[{index}]")


def _persistent_volume_claim(errors: Errors, source: Any, path: str) -> None:
    if not source.claimName:
        errors.append(field.required(f"{path}.claimName"))


def _ephemeral(errors: Errors, source: Any, path: str) -> None:
    if source.volumeClaimTemplate is None:
        errors.append(field.required(f"{path}.volumeClaimTemplate"))
    else:
        claims.claim_template(errors, source.volumeClaimTemplate, f"{path}.volumeClaimTemplate")


def _image(errors: Errors, source: Any, path: str) -> None:
    if source.pullPolicy not in PULL_POLICIES:
        errors.append(field.not_supported(f"{path}.pullPolicy", source.pullPolicy, PULL_POLICIES) if source.pullPolicy
                      else field.required(f"{path}.pullPolicy"))


# in upstream's order: the first that is set counts, the others are refused
_CHECKS: dict[str, Check] = {
    "emptyDir": _empty_dir,
    "hostPath": host_path,
    "gitRepo": _git_repo,
    "gcePersistentDisk": cloud_volumes.gce_persistent_disk,
    "awsElasticBlockStore": cloud_volumes.aws_elastic_block_store,
    "secret": _secret,
    "nfs": cloud_volumes.nfs,
    "iscsi": cloud_volumes.iscsi,
    "glusterfs": cloud_volumes.glusterfs,
    "flocker": cloud_volumes.flocker,
    "persistentVolumeClaim": _persistent_volume_claim,
    "rbd": cloud_volumes.rbd,
    "cinder": cloud_volumes.cinder,
    "cephfs": cloud_volumes.cephfs,
    "quobyte": cloud_volumes.quobyte,
    "downwardAPI": projected.downward_api,
    "fc": cloud_volumes.fibre_channel,
    "flexVolume": cloud_volumes.flex_volume,
    "configMap": _config_map,
    "azureFile": cloud_volumes.azure_file,
    "vsphereVolume": cloud_volumes.vsphere_volume,
    "photonPersistentDisk": cloud_volumes.photon_persistent_disk,
    "portworxVolume": cloud_volumes.portworx_volume,
    "azureDisk": cloud_volumes.azure_disk,
    "storageos": cloud_volumes.storageos,
    "projected": projected.projected,
    "scaleIO": cloud_volumes.scale_io,
    "csi": cloud_volumes.csi,
    "ephemeral": _ephemeral,
    "image": _image,
}
VOLUME_SOURCES = tuple(_CHECKS)
_MISNAMED = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}  # in the message about a second source
_sources = attrgetter(*VOLUME_SOURCES)


def volumes(errors: Errors, wanted: list[Volume], path: str, metadata: ObjectMeta | None) -> dict[str, Volume]:
    """Findings about volumes at `path`; returns the valid ones by name. `metadata`: the pod's, None in a template."""
    valid: dict[str, Volume] = {}
    pod_name = metadata.name if metadata is not None else ""
    made = {f"{pod_name}-{one.name}" for one in wanted if one.ephemeral is not None} if pod_name else ()
    for index, volume in enumerate(wanted):
        at, found = f"{path}[{index}]", len(errors)
        if metadata is not None and volume.image is not None and not volume.image.reference:
            errors.append(field.required(f"{at}.image.reference"))
        _source(errors, volume, at, pod_name)
        if not volume.name:
            errors.append(field.required(f"{at}.name"))
        elif messages := names.dns1123_label(volume.name):
            errors += field.invalid_each(f"{at}.name", volume.name, messages)
        if volume.name in valid:
            errors.append(field.duplicate(f"{at}.name", volume.name))
        if len(errors) == found:
            valid[volume.name] = volume
        claim = volume.persistentVolumeClaim
        if claim is not None and claim.claimName in made:
            errors.append(field.invalid(f"{at}.persistentVolumeClaim.claimName", claim.claimName,
                                        "must not reference a PVC that gets created for an ephemeral volume"))
    return valid


def _source(errors: Errors, volume: Volume, path: str, pod_name: str) -> None:
    chosen = ""
    for name, source in zip(VOLUME_SOURCES, _sources(volume), strict=True):
        if source is None:
            continue
        if chosen:
            errors.append(field.forbidden(f"{path}.{_MISNAMED.get(name, name)}", _ONE_SOURCE))
        else:
            chosen = name
            _CHECKS[name](errors, source, f"{path}.{name}")
    if not chosen:
        errors.append(field.required(path, "must specify a volume type"))
    if volume.iscsi is not None and cloud_volumes.is_long_portal(volume.iscsi, volume.name):
        errors.append(field.invalid(f"{path}.name", volume.name, cloud_volumes.TOO_LONG_PORTAL))
    if chosen == "ephemeral" and pod_name and volume.name:
        claim = f"{pod_name}-{volume.name}"
        errors += [field.invalid(f"{path}.name", volume.name, f'PVC name "{claim}": {message}')
                   for message in names.dns1123_subdomain(claim)]
