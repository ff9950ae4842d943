"""ConfigMaps. Source: kubernetes `pkg/apis/core/validation` (`ValidateConfigMap`)."""

from __future__ import annotations

from sampan.api import field, names
from sampan.api.core.v1 import ConfigMap
from sampan.api.errors import FieldError
from sampan.api.resources import CONFIG_MAPS
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age

MAX_BYTES = 1 << 20
IMMUTABLE = "field is immutable when `immutable` is set"


def validate(config: ConfigMap) -> list[FieldError]:
    """Keys are names of files, found once; all values together fit in a mebibyte."""
    errors: list[FieldError] = []
    total = 0
    for key, value in config.data.items():
        if messages := names.config_map_key(key):
            errors += field.invalid_each(f"data[{key}]", key, messages)
        if key in config.binaryData:
            errors.append(field.invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
        total += len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    for key, data in config.binaryData.items():
        if messages := names.config_map_key(key):
            errors += field.invalid_each(f"binaryData[{key}]", key, messages)
        total += len(data)
    if total > MAX_BYTES:
        errors.append(field.too_long(field.WHOLE, MAX_BYTES))
    return errors


def validate_update(new: ConfigMap, old: ConfigMap) -> list[FieldError]:
    """What was made immutable stays so; then all that a new one is held to."""
    errors: list[FieldError] = []
    if old.immutable:
        if not new.immutable:
            errors.append(field.forbidden("immutable", IMMUTABLE))
        errors += [field.forbidden(name, IMMUTABLE) for name in ("data", "binaryData") if getattr(new, name) != getattr(old, name)]
    return errors + validate(new)


KIND: Kind[ConfigMap] = Kind(
    resource=CONFIG_MAPS,
    metadata="both",
    validate_create=validate,
    validate_update=validate_update,
    columns=(
        Column("Name", lambda config, _: config.metadata.name, format="name"),
        Column("Data", lambda config, _: len(config.data) + len(config.binaryData)),
        Column("Age", age),
    ),
)
