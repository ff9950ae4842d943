"""What the classes of storage have in common: provisioners and drivers, parameters, driver names.

Source: kubernetes `pkg/apis/storage/validation/validation.go`, `ValidateCSIDriverName`.
"""

from __future__ import annotations

from collections.abc import Mapping

from sampan.api import field, names
from sampan.kinds import checks
from sampan.kinds.checks import Findings

MAX_PARAMETERS = 512
MAX_PARAMETERS_BYTES = 256 * 1024


def validate_provisioner(provisioner: str, path: str) -> Findings:
    """A qualified name, whatever its case."""
    if not provisioner:
        return [field.required(path)]
    return checks.named(provisioner.lower(), names.qualified_name, path)


def validate_parameters(parameters: Mapping[str, str], path: str, *, needed: bool = False) -> Findings:
    """Their number, their size, no empty key; `needed`: at least one."""
    if len(parameters) > MAX_PARAMETERS:
        return [field.too_long(path, MAX_PARAMETERS)]
    out = [field.invalid(path, key, "field can not be empty.") for key in parameters if not key]
    if sum(len(key.encode()) + len(value.encode()) for key, value in parameters.items()) > MAX_PARAMETERS_BYTES:
        out.append(field.too_long(path, MAX_PARAMETERS_BYTES))
    if needed and not parameters:
        out.append(field.required(path, "must contain at least one key/value pair"))
    return out


def validate_driver_name(name: str, path: str) -> Findings:
    """The name of a CSI driver: at most 63 characters of a DNS name, case apart."""
    if not name:
        return [field.required(path)]
    out: Findings = []
    if len(name) > 63:
        out.append(field.too_long(path, 63))
    return out + [field.invalid(path, name, message) for message in names.dns1123_subdomain(name.lower())]
