"""PersistentVolumes. Source: kubernetes `pkg/apis/core/validation` (`ValidatePersistentVolume`), `pkg/registry/core/persistentvolume`."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from datetime import datetime
from typing import Any

from msgspec import structs

from sampan.api import field, goprint, names
from sampan.api.core.v1 import PersistentVolume, PersistentVolumeSource, PersistentVolumeSpec, PersistentVolumeStatus
from sampan.api.errors import FieldError
from sampan.api.resources import PERSISTENT_VOLUMES
from sampan.api.scalars import Time
from sampan.kinds.core.internal import difference, internal
from sampan.kinds.core.pod_spec import cloud_volumes, paths, resources, scheduling
from sampan.kinds.core.pod_spec.claims import VOLUME_MODES, access_modes
from sampan.kinds.core.pod_spec.defaults import default_persistent_source, round_up
from sampan.kinds.core.pod_spec.volumes import host_path
from sampan.kinds.core.pod_spec.warn import node_term_warnings
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age

Errors = list[FieldError]

BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
_POLICIES = ("Delete", "Recycle", "Retain")
_MOUNT_OPTIONS = "volume.beta.kubernetes.io/mount-options"
_MOUNTED = ("gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "nfs", "rbd", "quobyte", "iscsi", "cinder", "cephfs",
            "azureFile", "vsphereVolume", "azureDisk", "photonPersistentDisk")  # those that take options when mounted
_VOLUME_TYPE = "may not specify more than 1 volume type"
_GA_LABELS = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
}


def _local(errors: Errors, source: Any, path: str) -> None:
    if source.path:
        paths.no_backsteps(errors, source.path, f"{path}.path")
    else:
        errors.append(field.required(f"{path}.path"))


# in upstream's order: the first that is set counts, the others are refused
_SOURCES: dict[str, Callable[[Errors, Any, str], None]] = {
    "hostPath": host_path,
    "gcePersistentDisk": cloud_volumes.gce_persistent_disk,
    "awsElasticBlockStore": cloud_volumes.aws_elastic_block_store,
    "glusterfs": cloud_volumes.glusterfs,
    "flocker": cloud_volumes.flocker,
    "nfs": cloud_volumes.nfs,
    "rbd": cloud_volumes.rbd,
    "quobyte": cloud_volumes.quobyte,
    "cephfs": cloud_volumes.cephfs,
    "iscsi": cloud_volumes.iscsi_persistent,  # with the volume's name
    "cinder": cloud_volumes.cinder_persistent,
    "fc": cloud_volumes.fibre_channel,
    "flexVolume": cloud_volumes.flex_volume,
    "azureFile": cloud_volumes.azure_file,
    "vsphereVolume": cloud_volumes.vsphere_volume,
    "photonPersistentDisk": cloud_volumes.photon_persistent_disk,
    "portworxVolume": cloud_volumes.portworx_volume,
    "azureDisk": cloud_volumes.azure_disk,
    "scaleIO": cloud_volumes.scale_io,
    "local": _local,
    "storageos": cloud_volumes.storageos_persistent,
    "csi": cloud_volumes.csi_persistent,
}


def class_of(volume: PersistentVolume) -> str:
    """Its storage class, by the old annotation or the field."""
    return volume.metadata.annotations.get(BETA_CLASS, volume.spec.storageClassName)


def source_of(spec: PersistentVolumeSpec) -> dict[str, Any]:
    """What it is made of: the name of the source and the source."""
    return {name: source for name in _SOURCES if (source := getattr(spec, name)) is not None}


def short_modes(modes: list[str]) -> str:
    """`RWO,ROX`, each once, in upstream's order."""
    return ",".join(short for mode, short in MODES.items() if mode in modes)


def default(volume: PersistentVolume) -> None:
    """Fill what was left out, in place."""
    spec = volume.spec
    volume.status.phase = volume.status.phase or "Pending"
    spec.persistentVolumeReclaimPolicy = spec.persistentVolumeReclaimPolicy or "Retain"
    if spec.volumeMode is None:
        spec.volumeMode = "Filesystem"
    round_up(spec.capacity)
    default_persistent_source(spec)


def prepare_create(volume: PersistentVolume) -> None:
    """Pending, since now."""
    volume.status = PersistentVolumeStatus(phase="Pending", lastPhaseTransitionTime=volume.metadata.creationTimestamp)


def prepare_update(new: PersistentVolume, old: PersistentVolume) -> None:
    new.status = old.status


def prepare_status(new: PersistentVolume, old: PersistentVolume) -> None:
    """The time of the last change stays unless the phase changes."""
    new.spec = old.spec
    if new.status.phase == old.status.phase and new.status.lastPhaseTransitionTime is None:
        new.status.lastPhaseTransitionTime = old.status.lastPhaseTransitionTime


def touch_phase(new: PersistentVolume, old: PersistentVolume, now: datetime) -> None:
    """Whoever changes the phase may say when; else it is now."""
    told = new.status.lastPhaseTransitionTime
    if new.status.phase != old.status.phase and (told is None or told == old.status.lastPhaseTransitionTime):
        new.status.lastPhaseTransitionTime = Time.of(now)


def validate_create(volume: PersistentVolume) -> Errors:
    """All findings."""
    return [*_validate(volume), *_mount_options(volume)]


def _mount_options(volume: PersistentVolume) -> Errors:
    """Options in the old annotation are for those that are mounted with some."""
    if _MOUNT_OPTIONS not in volume.metadata.annotations or not source_of(volume.spec).keys().isdisjoint(_MOUNTED):
        return []
    return [field.forbidden(f"metadata.annotations.{_MOUNT_OPTIONS}", "may not specify mount options for this volume type")]


def _validate(volume: PersistentVolume) -> Errors:
    errors: Errors = []
    spec = volume.spec
    if not spec.accessModes:
        errors.append(field.required("spec.accessModes"))
    access_modes(errors, spec.accessModes, "spec.accessModes")
    if not spec.capacity:
        errors.append(field.required("spec.capacity"))
    if spec.capacity.keys() != {"storage"}:
        errors.append(field.not_supported("spec.capacity", goprint.ordered(dict(spec.capacity)) or None, ("storage",)))
    for name, amount in spec.capacity.items():
        resources.basic_amount(errors, amount, f"spec.capacity[{name}]")
        resources.positive_amount(errors, amount, f"spec.capacity[{name}]")
    policy = spec.persistentVolumeReclaimPolicy
    if policy and policy not in _POLICIES:
        errors.append(field.not_supported("spec.persistentVolumeReclaimPolicy", policy, _POLICIES))
    if spec.nodeAffinity is not None:
        if spec.nodeAffinity.required is not None:
            scheduling.node_selector(errors, spec.nodeAffinity.required, "spec.nodeAffinity.required")
        else:
            errors.append(field.required("spec.nodeAffinity.required", "must specify required node constraints"))
    one_source(errors, spec, "spec", volume.metadata.name)
    if spec.hostPath is not None and policy == "Recycle" and posixpath.normpath(spec.hostPath.path or ".").strip("/") == "":
        errors.append(field.forbidden("spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'"))
    if spec.storageClassName:
        errors += field.invalid_each("spec.storageClassName", spec.storageClassName,
                                     names.dns1123_subdomain(spec.storageClassName))
    if spec.volumeMode is not None and spec.volumeMode not in VOLUME_MODES:
        errors.append(field.not_supported("spec.volumeMode", spec.volumeMode, VOLUME_MODES))
    _attributes(errors, spec)
    return errors


def one_source(errors: Errors, spec: PersistentVolumeSpec, path: str, volume: str = "") -> None:
    """What the volume is made of: one thing (flexVolume is never one too many); `volume` is its name."""
    chosen = ""
    for name, source in source_of(spec).items():
        if chosen and name != "flexVolume":
            errors.append(field.forbidden(f"{path}.{'cephFS' if name == 'cephfs' else name}", _VOLUME_TYPE))
            continue
        chosen = name
        if name == "iscsi":
            cloud_volumes.iscsi_persistent(errors, source, f"{path}.{name}", volume)
        else:
            _SOURCES[name](errors, source, f"{path}.{name}")
        if name == "local" and spec.nodeAffinity is None:
            errors.append(field.required(f"{path}.nodeAffinity", "Local volume requires node affinity"))
    if not chosen:
        errors.append(field.required(path, "must specify a volume type"))


def _attributes(errors: Errors, spec: PersistentVolumeSpec) -> None:
    name = spec.volumeAttributesClassName
    if name is None:
        return
    if name:
        errors += field.invalid_each("spec.volumeAttributesClassName", name, names.dns1123_subdomain(name))
    else:
        errors.append(field.required("spec.volumeAttributesClassName", "an empty string is disallowed"))
    if spec.csi is None:
        errors.append(field.required("spec.csi", "has to be specified when using volumeAttributesClassName"))


def validate_update(new: PersistentVolume, old: PersistentVolume) -> Errors:
    """What it is made of, its mode and, once set, its place stay. As upstream, it looks at all twice."""
    errors = [*validate_create(new), *_validate(new)]
    now, was = source_of(new.spec), source_of(old.spec)
    if old.spec.csi is not None and old.spec.csi.controllerExpandSecretRef is None and new.spec.csi is not None:
        now = now | {"csi": structs.replace(new.spec.csi, controllerExpandSecretRef=None)}
    if now != was:
        diff = difference(PersistentVolumeSource(**was), PersistentVolumeSource(**now))
        errors.append(field.forbidden("spec.persistentvolumesource",
                                      f"spec.persistentvolumesource is immutable after creation\n{diff}"))
    errors += field.immutable(new.spec.volumeMode, old.spec.volumeMode, "volumeMode")
    if old.spec.nodeAffinity is not None and _with_ga_labels(new.spec) != _with_ga_labels(old.spec):
        errors.append(field.invalid("nodeAffinity", internal(new.spec.nodeAffinity),
                                    f"{field.IMMUTABLE}, except for updating from beta label to GA"))
    if old.spec.volumeAttributesClassName is not None and new.spec.volumeAttributesClassName is None:
        errors.append(field.forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden"))
    return errors


def _with_ga_labels(spec: PersistentVolumeSpec) -> Any:
    required = spec.nodeAffinity.required if spec.nodeAffinity is not None else None
    if required is None:
        return spec.nodeAffinity
    return [([structs.replace(one, key=_GA_LABELS.get(one.key, one.key)) for one in term.matchExpressions], term.matchFields)
            for term in required.nodeSelectorTerms or ()]


def warnings(volume: PersistentVolume, _: PersistentVolume | None) -> list[str]:
    """Old annotations, deprecated sources and labels."""
    found = []
    spec, annotations = volume.spec, volume.metadata.annotations
    if BETA_CLASS in annotations:
        found.append(f"metadata.annotations[{BETA_CLASS}]: deprecated since v1.8; use \"storageClassName\" attribute instead")
    if _MOUNT_OPTIONS in annotations:
        found.append(f"metadata.annotations[{_MOUNT_OPTIONS}]: deprecated since v1.31; "
                     "use \"mountOptions\" attribute instead")
    if spec.persistentVolumeReclaimPolicy == "Recycle":
        found.append("spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended "
                     "approach is to use dynamic provisioning.")
    required = spec.nodeAffinity.required if spec.nodeAffinity is not None else None
    for index, term in enumerate((required.nodeSelectorTerms or ()) if required is not None else ()):
        found += node_term_warnings(term, f"spec.nodeAffinity.required.nodeSelectorTerms[{index}]")
    found += [f"spec.{'storageOS' if name == 'storageos' else name}: {words}" for name, words in _DEPRECATED.items()
              if getattr(spec, name) is not None]
    return found


_DEPRECATED = {
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}


def _claim(volume: PersistentVolume) -> str:
    claim = volume.spec.claimRef
    return f"{claim.namespace}/{claim.name}" if claim is not None else ""


KIND: Kind[PersistentVolume] = Kind(
    resource=PERSISTENT_VOLUMES,
    metadata="object",
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate_create=validate_create,
    validate_update=validate_update,
    subkinds=(SubKind("status", prepare_status, touch=touch_phase),),
    columns=(
        Column("Name", lambda volume, _: volume.metadata.name, format="name"),
        Column("Capacity", lambda volume, _: volume.spec.capacity.get("storage", "0")),
        Column("Access Modes", lambda volume, _: short_modes(volume.spec.accessModes)),
        Column("Reclaim Policy", lambda volume, _: volume.spec.persistentVolumeReclaimPolicy),
        Column("Status", lambda volume, _: "Terminating" if volume.metadata.deletionTimestamp else volume.status.phase),
        Column("Claim", lambda volume, _: _claim(volume)),
        Column("StorageClass", lambda volume, _: class_of(volume)),
        Column("VolumeAttributesClass", lambda volume, _: volume.spec.volumeAttributesClassName or "<unset>"),
        Column("Reason", lambda volume, _: volume.status.reason),
        Column("Age", age),
        Column("VolumeMode", lambda volume, _: volume.spec.volumeMode or "<unset>", priority=1),
    ),
    fields={"name": lambda volume: volume.metadata.name},
    warnings=warnings,
)
