"""VolumeAttachment: that a volume should be attached to a node, and whether it is.

Source: kubernetes `pkg/apis/storage/validation/validation.go`, `pkg/registry/storage/volumeattachment/strategy.go`.
"""

from __future__ import annotations

from sampan.api import field, names
from sampan.api.core.v1 import PersistentVolumeSpec
from sampan.api.resources import VOLUME_ATTACHMENTS
from sampan.api.storage.v1 import VolumeAttachment, VolumeAttachmentStatus, VolumeError
from sampan.kinds import checks, meta
from sampan.kinds.checks import Findings
from sampan.kinds.core.internal import internal
from sampan.kinds.core.persistent_volume import one_source
from sampan.kinds.core.pod_spec.claims import access_modes
from sampan.kinds.core.pod_spec.defaults import default_persistent_source, round_up
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age
from sampan.kinds.storage.parameters import MAX_PARAMETERS_BYTES, validate_driver_name

MAX_ERROR_BYTES = 1024


def default(obj: VolumeAttachment) -> None:
    if obj.spec.source.inlineVolumeSpec is not None:
        round_up(obj.spec.source.inlineVolumeSpec.capacity)
        default_persistent_source(obj.spec.source.inlineVolumeSpec)


def prepare_create(obj: VolumeAttachment) -> None:
    obj.status = VolumeAttachmentStatus()


def validate(obj: VolumeAttachment) -> Findings:
    spec, out = obj.spec, Findings()
    out += validate_driver_name(spec.attacher, "spec.attacher")
    source, at = spec.source, "spec.source"
    if source.persistentVolumeName is None and source.inlineVolumeSpec is None:
        out.append(field.required(at, "must specify exactly one of inlineVolumeSpec and persistentVolumeName"))
    elif source.persistentVolumeName is not None and source.inlineVolumeSpec is not None:
        out.append(field.forbidden(at, "must specify exactly one of inlineVolumeSpec and persistentVolumeName"))
    elif source.persistentVolumeName == "":
        out.append(field.required(f"{at}.persistentVolumeName", "must specify non empty persistentVolumeName"))
    elif source.inlineVolumeSpec is not None:
        out += _inline(source.inlineVolumeSpec, f"{at}.inlineVolumeSpec")
    out += checks.named(spec.nodeName, names.dns1123_subdomain, "spec.nodeName")
    out += _status(obj.status)
    if source.persistentVolumeName is not None:
        out += checks.named(source.persistentVolumeName, names.dns1123_subdomain, f"{at}.persistentVolumeName")
    return out


def _inline(spec: PersistentVolumeSpec, at: str) -> Findings:
    """A volume that a pod brings along, as a CSI driver sees it."""
    inline, out = "in the context of inline volumes", Findings()
    if spec.claimRef is not None:
        out.append(field.forbidden(f"{at}.claimRef", f"may not be specified {inline}"))
    if spec.capacity:
        out.append(field.forbidden(f"{at}.capacity", f"may not be specified {inline}"))
    if spec.csi is None:
        out.append(field.required(f"{at}.csi", f"has to be specified {inline}"))
    if not spec.accessModes:
        out.append(field.required(f"{at}.accessModes"))
    access_modes(out, spec.accessModes, f"{at}.accessModes")
    if spec.persistentVolumeReclaimPolicy not in ("", "Retain"):
        out.append(field.forbidden(f"{at}.persistentVolumeReclaimPolicy", f"may only be Retain {inline}"))
    if spec.nodeAffinity is not None:
        out.append(field.forbidden(f"{at}.nodeAffinity", f"may not be specified {inline}"))
    one_source(out, spec, at)
    if spec.storageClassName:
        out.append(field.forbidden(f"{at}.storageClassName", f"may not be specified {inline}"))
    if spec.volumeMode not in (None, "Filesystem"):
        out.append(field.forbidden(f"{at}.volumeMode", f"may not specify volumeMode other than Filesystem {inline}"))
    return out


def _status(status: VolumeAttachmentStatus) -> Findings:
    out: Findings = []
    at = "status.attachmentMetadata"
    if sum(len(key.encode()) + len(value.encode()) for key, value in status.attachmentMetadata.items()) > MAX_PARAMETERS_BYTES:
        out.append(field.too_long(at, MAX_PARAMETERS_BYTES))
    return out + _error(status.attachError, "status.attachError") + _error(status.detachError, "status.detachError")


def _error(error: VolumeError | None, path: str) -> Findings:
    out: Findings = []
    if error is None:
        return out
    if len(error.message.encode()) > MAX_ERROR_BYTES:
        out.append(field.too_long(f"{path}.message", MAX_PARAMETERS_BYTES))
    if error.errorCode is not None and error.errorCode < 0:
        out.append(field.invalid(f"{path}.errorCode", error.errorCode, "must be between 0 and 2147483647, inclusive"))
    return out


def validate_update(new: VolumeAttachment, old: VolumeAttachment) -> Findings:
    return [] if new.spec == old.spec else [field.invalid("spec", internal(new.spec), field.IMMUTABLE)]


def validate_status(new: VolumeAttachment, old: VolumeAttachment) -> Findings:
    return validate(new) + validate_update(new, old)


KIND: Kind[VolumeAttachment] = Kind(
    resource=VOLUME_ATTACHMENTS,
    metadata="object",
    default=default,
    prepare_create=prepare_create,
    prepare_update=meta.keep_status,
    validate=validate,
    validate_update=validate_update,
    subkinds=(SubKind("status", meta.keep_spec_and_metadata, validate_status),),
    columns=(
        Column("Name", lambda obj, _: obj.metadata.name, format="name"),
        Column("Attacher", lambda obj, _: obj.spec.attacher, format="name"),
        Column("PV", lambda obj, _: obj.spec.source.persistentVolumeName or ""),
        Column("Node", lambda obj, _: obj.spec.nodeName),
        Column("Attached", lambda obj, _: obj.status.attached, type="boolean"),
        Column("Age", age),
    ),
    unconditional_update=False,
)
