"""Validation of claims' specs: of PersistentVolumeClaims, of volume claim templates, of ephemeral volumes.

Source: kubernetes `pkg/apis/core/validation` (`ValidatePersistentVolumeClaimSpec`).
"""

from __future__ import annotations

from typing import Any

from sampan.api import field, names
from sampan.api.core.v1 import PersistentVolumeClaimSpec, PersistentVolumeClaimTemplate
from sampan.api.errors import FieldError
from sampan.api.meta.v1 import ObjectMeta
from sampan.kinds import label_selectors
from sampan.kinds.core.pod_spec import resources

Errors = list[FieldError]

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")


def access_modes(errors: Errors, modes: list[str], path: str) -> None:
    """Known ones; ReadWriteOncePod alone."""
    errors += [field.not_supported(path, mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES]
    if "ReadWriteOncePod" in modes and any(mode in ACCESS_MODES and mode != "ReadWriteOncePod" for mode in modes):
        errors.append(field.forbidden(path, "may not use ReadWriteOncePod with other access modes"))


def validate_claim_spec(spec: PersistentVolumeClaimSpec, path: str, *, lenient_group: bool = False) -> Errors:
    """All findings about a claim's spec at `path`; `lenient_group`: the stored one had an API group in its data source."""
    errors: Errors = []
    if not spec.accessModes:
        errors.append(field.required(f"{path}.accessModes", "at least 1 access mode is required"))
    if spec.selector is not None:
        label_selectors.label_selector(errors, spec.selector, f"{path}.selector")
    access_modes(errors, spec.accessModes, f"{path}.accessModes")
    storage, at = spec.resources.requests.get("storage"), f"{path}.resources[storage]"
    if storage is None:
        errors.append(field.required(at))
    else:
        resources.positive_amount(errors, storage, at)
    if spec.storageClassName:
        errors += field.invalid_each(f"{path}.storageClassName", spec.storageClassName,
                                     names.dns1123_subdomain(spec.storageClassName))
    if spec.volumeMode is not None and spec.volumeMode not in VOLUME_MODES:
        errors.append(field.not_supported(f"{path}.volumeMode", spec.volumeMode, VOLUME_MODES))
    _data_sources(errors, spec, path, lenient_group=lenient_group)
    if spec.volumeAttributesClassName:
        errors += field.invalid_each(f"{path}.volumeAttributesClassName", spec.volumeAttributesClassName,
                                     names.dns1123_subdomain(spec.volumeAttributesClassName))
    return errors


def _data_sources(errors: Errors, spec: PersistentVolumeClaimSpec, path: str, *, lenient_group: bool) -> None:
    source, ref = spec.dataSource, spec.dataSourceRef
    if source is not None:
        _data_source(errors, source, f"{path}.dataSource", lenient_group=lenient_group)
    if ref is not None:
        _data_source(errors, ref, f"{path}.dataSourceRef", lenient_group=lenient_group)
        if ref.namespace:
            errors += field.invalid_each(f"{path}.dataSourceRef.namespace", ref.namespace, names.dns1123_label(ref.namespace))
    if source is None or ref is None:
        return
    # upstream shows the path of the field as the value
    if ref.namespace:
        errors.append(field.invalid(path, {}, "may not be specified when dataSourceRef.namespace is specified"))
    elif (source.apiGroup, source.kind, source.name) != (ref.apiGroup, ref.kind, ref.name):
        errors.append(field.invalid(path, {}, "must match dataSourceRef"))


def _data_source(errors: Errors, source: Any, path: str, *, lenient_group: bool) -> None:
    if not source.name:
        errors.append(field.required(f"{path}.name"))
    if not source.kind:
        errors.append(field.required(f"{path}.kind"))
    if not source.apiGroup and source.kind != "PersistentVolumeClaim":
        errors.append(field.invalid(path, source.kind,
                                    "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))
    if source.apiGroup and not lenient_group:
        errors += field.invalid_each(f"{path}.apiGroup", source.apiGroup, names.dns1123_subdomain(source.apiGroup))


def claim_template(errors: Errors, template: PersistentVolumeClaimTemplate, path: str) -> None:
    """A template whose metadata has labels and annotations alone."""
    template_metadata(errors, template.metadata, f"{path}.metadata")
    errors += validate_claim_spec(template.spec, f"{path}.spec")


def template_metadata(errors: Errors, metadata: ObjectMeta, path: str) -> None:
    """Metadata of a template of which only labels and annotations count: anything else is refused."""
    for key in sorted(metadata.annotations):
        errors += field.invalid_each(f"{path}.annotations", key, names.qualified_name(key.lower()))
    label_selectors.labels(errors, metadata.labels, f"{path}.labels")
    empty = ObjectMeta()
    for name in ObjectMeta.__struct_fields__:
        if name not in ("labels", "annotations") and getattr(metadata, name) != getattr(empty, name):
            errors.append(field.forbidden(f"{path}.{'uID' if name == 'uid' else name}", "cannot be set"))  # Go's name, reflected
