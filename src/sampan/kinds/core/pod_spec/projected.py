"""Validation of projected volumes and of the downward API: files made from keys, fields and tokens.

Source: kubernetes `pkg/apis/core/validation` (`validateProjectionSources`, `validateDownwardAPIVolumeFile`).
"""

from __future__ import annotations

from sampan.api import field
from sampan.api.core.v1 import (
    DownwardAPIVolumeFile,
    DownwardAPIVolumeSource,
    KeyToPath,
    ProjectedVolumeSource,
    ServiceAccountTokenProjection,
    VolumeProjection,
)
from sampan.api.errors import FieldError
from sampan.kinds.core.pod_spec import paths
from sampan.kinds.core.pod_spec.env import VOLUME_FIELDS, object_field, resource_field

Errors = list[FieldError]

_CONFLICT = "conflicting duplicate paths"


def key_to_path(errors: Errors, item: KeyToPath, path: str) -> None:
    """One key as a file."""
    if not item.key:
        errors.append(field.required(f"{path}.key"))
    if not item.path:
        errors.append(field.required(f"{path}.path"))
    paths.local_not_reserved(errors, item.path, f"{path}.path")
    paths.mode(errors, item.mode, f"{path}.mode")


def downward_api(errors: Errors, source: DownwardAPIVolumeSource, path: str) -> None:
    paths.mode(errors, source.defaultMode, f"{path}.defaultMode")
    for item in source.items:
        _downward_file(errors, item, path)


def _downward_file(errors: Errors, item: DownwardAPIVolumeFile, path: str) -> None:
    if not item.path:
        errors.append(field.required(f"{path}.path"))
    paths.local_not_reserved(errors, item.path, f"{path}.path")
    if item.fieldRef is not None:
        object_field(errors, item.fieldRef, f"{path}.fieldRef", VOLUME_FIELDS)
        if item.resourceFieldRef is not None:
            errors.append(field.invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
    elif item.resourceFieldRef is not None:
        resource_field(errors, item.resourceFieldRef, f"{path}.resourceFieldRef", in_volume=True)
    else:
        errors.append(field.required(path, "one of fieldRef and resourceFieldRef is required"))
    paths.mode(errors, item.mode, f"{path}.mode")


def projected(errors: Errors, source: ProjectedVolumeSource, path: str) -> None:
    paths.mode(errors, source.defaultMode, f"{path}.defaultMode")
    seen: set[str] = set()
    for index, one in enumerate(source.sources or ()):
        _projection(errors, one, path, f"{path}.sources[{index}]", seen)


def _projection(errors: Errors, one: VolumeProjection, volume_path: str, path: str, seen: set[str]) -> None:
    count = 0
    for name, keyed in (("secret", one.secret), ("configMap", one.configMap)):
        if keyed is None:
            continue
        count += 1
        if not keyed.name:
            errors.append(field.required(f"{path}.{name}.name"))
        for index, item in enumerate(keyed.items):
            key_to_path(errors, item, f"{path}.{name}.items[{index}]")
            _claim(errors, item.path, volume_path, seen, keyed.name)
    if one.downwardAPI is not None:
        count += 1
        for file in one.downwardAPI.items:
            _downward_file(errors, file, f"{path}.downwardAPI")
            _claim(errors, file.path, volume_path, seen, file.path)
    if one.serviceAccountToken is not None:
        count += 1
        _token(errors, one.serviceAccountToken, volume_path, f"{path}.serviceAccountToken")
    if count > 1:
        errors.append(field.forbidden(path, "may not specify more than 1 volume type per source"))


def _claim(errors: Errors, file: str, volume_path: str, seen: set[str], shown: str) -> None:
    if file in seen:
        errors.append(field.invalid(volume_path, shown, _CONFLICT))
    elif file:
        seen.add(file)


def _token(errors: Errors, token: ServiceAccountTokenProjection, volume_path: str, path: str) -> None:
    seconds = token.expirationSeconds or 0
    if seconds < 600:
        errors.append(field.invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
    if seconds > 1 << 32:
        errors.append(field.invalid(f"{path}.expirationSeconds", seconds,
                                    "may not specify a duration larger than 2^32 seconds"))
    if token.path:
        paths.local_not_reserved(errors, token.path, f"{volume_path}.path")
    else:
        errors.append(field.required(f"{volume_path}.path"))
