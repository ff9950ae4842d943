"""PersistentVolumeClaims. Source: kubernetes `pkg/apis/core/validation`, `pkg/registry/core/persistentvolumeclaim`."""

from __future__ import annotations

from msgspec import structs

from sampan.api import field, names, quantity
from sampan.api.core.v1 import (
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    PersistentVolumeClaimStatus,
    TypedLocalObjectReference,
    TypedObjectReference,
    VolumeResourceRequirements,
)
from sampan.api.errors import FieldError
from sampan.api.resources import PERSISTENT_VOLUME_CLAIMS
from sampan.api.scalars import Quantity
from sampan.kinds.core.internal import difference
from sampan.kinds.core.persistent_volume import BETA_CLASS, short_modes
from sampan.kinds.core.pod_spec import default_claim_spec, resources, validate_claim_spec
from sampan.kinds.core.pod_spec.defaults import round_up
from sampan.kinds.core.pod_spec.warn import claim_warnings
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age

Errors = list[FieldError]

_LOCAL_SOURCES = (("PersistentVolumeClaim", ""), ("VolumeSnapshot", "snapshot.storage.k8s.io"))
_RESIZE_STATES = ("ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizePending", "NodeResizeInProgress",
                  "NodeResizeInfeasible")


def class_of(claim: PersistentVolumeClaim) -> str | None:
    """The storage class that it asks for; None: the default one, "": none."""
    return claim.metadata.annotations.get(BETA_CLASS, claim.spec.storageClassName)


def is_bound(claim: PersistentVolumeClaim) -> bool:
    return claim.status.phase == "Bound"


def default(claim: PersistentVolumeClaim) -> None:
    """Fill what was left out, in place."""
    claim.status.phase = claim.status.phase or "Pending"
    default_claim_spec(claim.spec)
    round_up(claim.status.capacity)


def prepare_create(claim: PersistentVolumeClaim) -> None:
    """Pending; the two ways to name a data source say the same."""
    claim.status = PersistentVolumeClaimStatus(phase="Pending")
    _same_sources(claim.spec)


def _same_sources(spec: PersistentVolumeClaimSpec, old: PersistentVolumeClaimSpec | None = None) -> None:
    """Other sources than claims and snapshots are named by reference alone; what the old claim had stays."""
    if spec.dataSourceRef is not None and spec.dataSourceRef.namespace and (old is None or old.dataSourceRef is None):
        spec.dataSourceRef = None  # the gate of other namespaces, CrossNamespaceVolumeDataSource, is off
    source, ref = spec.dataSource, spec.dataSourceRef
    if source is not None and ref is None:
        had = old is not None and (old.dataSource is not None or old.dataSourceRef is not None)
        if had or (source.kind, source.apiGroup or "") in _LOCAL_SOURCES:
            spec.dataSourceRef = TypedObjectReference(apiGroup=source.apiGroup, kind=source.kind, name=source.name)
        else:
            spec.dataSource = None
    elif ref is not None and source is None and not ref.namespace:
        spec.dataSource = TypedLocalObjectReference(apiGroup=ref.apiGroup, kind=ref.kind, name=ref.name)


def prepare_update(new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> None:
    new.status = old.status
    _same_sources(new.spec, old.spec)


def prepare_status(new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> None:
    new.spec = old.spec


def validate(claim: PersistentVolumeClaim) -> Errors:
    return validate_claim_spec(claim.spec, "spec")


def validate_update(new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> Errors:
    """A claim stays what it is, but for its volume (once), its size and its attributes (when bound)."""
    errors: Errors = []
    now, was = structs.replace(new.spec), structs.replace(old.spec)
    if not was.volumeName:
        was.volumeName = now.volumeName
    annotated = old.metadata.annotations.get(BETA_CLASS)
    if annotated is not None and was.storageClassName is None and now.storageClassName == annotated and (
            new.metadata.annotations.get(BETA_CLASS, annotated) == annotated):
        now.storageClassName = None
    else:
        if new.metadata.annotations.get(BETA_CLASS, "") != (annotated or ""):
            errors.append(field.invalid(f"metadata.annotations.{BETA_CLASS}", new.metadata.annotations.get(BETA_CLASS, ""),
                                        field.IMMUTABLE))
        if was.storageClassName is None and now.storageClassName is not None and annotated in (None, now.storageClassName):
            now.storageClassName = None
    if is_bound(new):
        if now.resources.requests:
            now.resources = VolumeResourceRequirements(limits=now.resources.limits,
                                                       requests=now.resources.requests | _storage(was))
        now.volumeAttributesClassName = was.volumeAttributesClassName
    if now != was:
        errors.append(field.forbidden("spec", "spec is immutable after creation except resources.requests and "
                                              f"volumeAttributesClassName for bound claims\n{difference(was, now)}"))
    _size(errors, new, old)
    errors += field.immutable(new.spec.volumeMode, old.spec.volumeMode, "volumeMode")
    if new.spec.volumeAttributesClassName != old.spec.volumeAttributesClassName and not new.spec.volumeAttributesClassName and (
            old.status.currentVolumeAttributesClassName is not None):
        to = "nil" if new.spec.volumeAttributesClassName is None else "empty string"
        errors.append(field.forbidden("spec.volumeAttributesClassName", f"update to {to} is forbidden when "
                                                                        "status.currentVolumeAttributesClassName is not nil"))
    return errors


def judge_update(new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> Errors:
    """The claim as it is now, then the change; who had an API group in a data source may have any."""
    had = any(source is not None and source.apiGroup is not None for source in (old.spec.dataSource, old.spec.dataSourceRef))
    return [*validate_claim_spec(new.spec, "spec", lenient_group=had), *validate_update(new, old)]


def _storage(spec: PersistentVolumeClaimSpec) -> dict[str, Quantity]:
    return {"storage": spec.resources.requests["storage"]} if "storage" in spec.resources.requests else {}


def _size(errors: Errors, new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> None:
    """A request may shrink after a failed expansion, but not to what is there or below."""
    wanted = new.spec.resources.requests.get("storage", "0")
    if quantity.cmp(wanted, old.spec.resources.requests.get("storage", "0")) < 0 and (
            quantity.cmp(wanted, old.status.capacity.get("storage", "0")) <= 0):
        errors.append(field.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity"))


def validate_status(new: PersistentVolumeClaim, _: PersistentVolumeClaim) -> Errors:
    """Amounts and states that can be."""
    errors: Errors = []
    status = new.status
    if not new.spec.accessModes:
        errors.append(field.required("Spec.accessModes"))
    for name, amount in status.capacity.items():
        resources.basic_amount(errors, amount, f"status.capacity[{name}]")
    for name, state in status.allocatedResourceStatuses.items():
        _claim_resource(errors, name, "status.allocatedResourceStatuses")
        if state not in _RESIZE_STATES:
            errors.append(field.not_supported("status.allocatedResourceStatuses", name, sorted(_RESIZE_STATES)))
    for name, amount in status.allocatedResources.items():
        found = len(errors)
        _claim_resource(errors, name, "status.allocatedResources")
        if len(errors) == found:
            resources.basic_amount(errors, amount, f"status.allocatedResources[{name}]")
            if len(errors) == found:
                resources.amount(errors, "storage", amount, f"status.allocatedResources[{name}]")
    return errors


def _claim_resource(errors: Errors, name: str, path: str) -> None:
    if messages := names.qualified_name(name):
        errors += field.invalid_each(path, name, messages)
    elif resources.is_native(name) and name != "storage":
        errors.append(field.not_supported(path, name, ("storage",)))


def warnings(claim: PersistentVolumeClaim, _: PersistentVolumeClaim | None) -> list[str]:
    """The old annotation, fractions of bytes."""
    found = []
    if BETA_CLASS in claim.metadata.annotations:
        found.append(f"metadata.annotations[{BETA_CLASS}]: deprecated since v1.8; use \"storageClassName\" attribute instead")
    return [*found, *claim_warnings(claim.spec, "spec")]


def _phase(claim: PersistentVolumeClaim) -> str:
    return "Terminating" if claim.metadata.deletionTimestamp is not None else claim.status.phase


def _attributes_class(claim: PersistentVolumeClaim) -> str:
    name = claim.spec.volumeAttributesClassName
    return "<unset>" if name is None else name


KIND: Kind[PersistentVolumeClaim] = Kind(
    resource=PERSISTENT_VOLUME_CLAIMS,
    metadata="both",
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    judge_update=judge_update,
    subkinds=(SubKind("status", prepare_status, validate_status),),
    columns=(
        Column("Name", lambda claim, _: claim.metadata.name, format="name"),
        Column("Status", lambda claim, _: _phase(claim)),
        Column("Volume", lambda claim, _: claim.spec.volumeName),
        Column("Capacity", lambda claim, _: claim.status.capacity.get("storage", "0") if claim.spec.volumeName else ""),
        Column("Access Modes", lambda claim, _: short_modes(claim.status.accessModes) if claim.spec.volumeName else ""),
        Column("StorageClass", lambda claim, _: class_of(claim) or ""),
        Column("VolumeAttributesClass", lambda claim, _: _attributes_class(claim)),
        Column("Age", age),
        Column("VolumeMode", lambda claim, _: claim.spec.volumeMode or "<unset>", priority=1),
    ),
    fields={"name": lambda claim: claim.metadata.name},
    warnings=warnings,
)
