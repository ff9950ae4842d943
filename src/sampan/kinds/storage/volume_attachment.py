"""VolumeAttachment: that a volume should be attached to a node, and whether it is.

Source: kubernetes `pkg/apis/storage/validation/validation.go`, `pkg/registry/storage/volumeattachment/strategy.go`.
"""

from __future__ import annotations

from sampan.api import field, names
from sampan.api.resources import VOLUME_ATTACHMENTS
from sampan.api.storage.v1 import VolumeAttachment, VolumeAttachmentStatus, VolumeError
from sampan.kinds import checks, meta
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age
from sampan.kinds.storage.parameters import MAX_PARAMETERS_BYTES, validate_driver_name

MAX_ERROR_BYTES = 1024


def prepare_create(obj: VolumeAttachment) -> None:
    obj.status = VolumeAttachmentStatus()


def prepare_status(new: VolumeAttachment, old: VolumeAttachment) -> None:
    new.spec = old.spec
    meta.keep_metadata(new, old)


def validate(obj: VolumeAttachment) -> Findings:
    spec, out = obj.spec, Findings()
    out += validate_driver_name(spec.attacher, "spec.attacher")
    source, at = spec.source, "spec.source"
    if source.persistentVolumeName is None and source.inlineVolumeSpec is None:
        out.append(field.required(at, "must specify exactly one of inlineVolumeSpec and persistentVolumeName"))
    elif source.persistentVolumeName is not None and source.inlineVolumeSpec is not None:
        out.append(field.forbidden(at, "must specify exactly one of inlineVolumeSpec and persistentVolumeName"))
    elif source.persistentVolumeName is not None:
        if not source.persistentVolumeName:
            out.append(field.required(f"{at}.persistentVolumeName", "must specify non empty persistentVolumeName"))
        else:
            out += checks.named(source.persistentVolumeName, names.dns1123_subdomain, f"{at}.persistentVolumeName")
    elif source.inlineVolumeSpec is not None and source.inlineVolumeSpec.csi is None:
        out.append(field.required(f"{at}.inlineVolumeSpec.csi", "must specify csi for inline volume"))
    out += checks.named(spec.nodeName, names.dns1123_subdomain, "spec.nodeName")
    return out + _status(obj.status)


def _status(status: VolumeAttachmentStatus) -> Findings:
    out: Findings = []
    at = "status.attachmentMetadata"
    out += [field.invalid(at, key, "field can not be empty.") for key in status.attachmentMetadata if not key]
    if sum(len(key) + len(value) for key, value in status.attachmentMetadata.items()) > MAX_PARAMETERS_BYTES:
        out.append(field.too_long(at, MAX_PARAMETERS_BYTES))
    return out + _error(status.attachError, "status.attachError") + _error(status.detachError, "status.detachError")


def _error(error: VolumeError | None, path: str) -> Findings:
    out: Findings = []
    if error is None:
        return out
    if len(error.message.encode()) > MAX_ERROR_BYTES:
        out.append(field.too_long(f"{path}.message", MAX_ERROR_BYTES))
    if error.errorCode is not None and error.errorCode < 0:
        out.append(field.invalid(f"{path}.errorCode", error.errorCode, "must be greater than or equal to 0"))
    return out


def validate_update(new: VolumeAttachment, old: VolumeAttachment) -> Findings:
    return [] if new.spec == old.spec else [field.invalid("spec", new.spec, "field is immutable")]


def validate_status(new: VolumeAttachment, old: VolumeAttachment) -> Findings:
    return validate(new)


KIND: Kind[VolumeAttachment] = Kind(
    resource=VOLUME_ATTACHMENTS,
    prepare_create=prepare_create,
    prepare_update=meta.keep_status,
    validate=validate,
    validate_update=validate_update,
    subkinds=(SubKind("status", prepare_status, validate_status),),
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
