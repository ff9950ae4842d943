"""Validation of environments: variables, their sources, whole config maps and secrets, and references to fields.

Source: kubernetes `pkg/apis/core/validation` (`ValidateEnv`, `ValidateEnvFrom`, `validateObjectFieldSelector`).
"""

from __future__ import annotations

from collections.abc import Collection

from sampan.api import field, names, quantity
from sampan.api.core.v1 import EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector, ResourceFieldSelector
from sampan.api.errors import FieldError
from sampan.kinds.core.pod_spec import paths

Errors = list[FieldError]

ENV_FIELDS = frozenset({
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
})
VOLUME_FIELDS = frozenset({"metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid"})

_ALL_FIELDS = ENV_FIELDS | VOLUME_FIELDS | {"spec.restartPolicy", "spec.schedulerName", "status.phase", "spec.host"}
_AMOUNTS = frozenset({
    f"{side}.{name}" for side in ("limits", "requests") for name in ("cpu", "memory", "ephemeral-storage")})
_HUGE_PAGES = ("requests.hugepages-", "limits.hugepages-")
_CPU_DIVISORS = ("1m", "1")
_BYTE_DIVISORS = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
_SOURCES = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"


def variables(errors: Errors, env: list[EnvVar], path: str) -> None:
    """Findings about `env` at `path`, e.g. `spec.containers[0].env`."""
    for index, one in enumerate(env):
        if not one.name:
            errors.append(field.required(f"{path}[{index}].name"))
        elif messages := names.relaxed_env_var_name(one.name):
            errors += field.invalid_each(f"{path}[{index}].name", one.name, messages)
        if one.valueFrom is not None:
            _value_from(errors, one.valueFrom, f"{path}[{index}].valueFrom", has_value=bool(one.value))


def _value_from(errors: Errors, origin: EnvVarSource, path: str, *, has_value: bool) -> None:
    count = 0
    if origin.fieldRef is not None:
        count += 1
        object_field(errors, origin.fieldRef, f"{path}.fieldRef", ENV_FIELDS)
    if origin.resourceFieldRef is not None:
        count += 1
        resource_field(errors, origin.resourceFieldRef, f"{path}.resourceFieldRef", in_volume=False)
    for name in ("configMapKeyRef", "secretKeyRef"):
        ref = getattr(origin, name)
        if ref is not None:
            count += 1
            if messages := names.dns1123_subdomain(ref.name):
                errors += field.invalid_each(f"{path}.{name}.name", ref.name, messages)
            if not ref.key:
                errors.append(field.required(f"{path}.{name}.key"))
            elif messages := names.config_map_key(ref.key):
                errors += field.invalid_each(f"{path}.{name}.key", ref.key, messages)
    if origin.fileKeyRef is not None:
        count += 1
        _file_key(errors, origin, f"{path}.fileKeyRef")
    if not count:
        errors.append(field.invalid(path, "", f"must specify one of: {_SOURCES}"))
    elif has_value:
        errors.append(field.invalid(path, "", "may not be specified when `value` is not empty"))
    elif count > 1:
        errors.append(field.invalid(path, "", "may not have more than one field specified at a time"))


def _file_key(errors: Errors, origin: EnvVarSource, path: str) -> None:
    ref = origin.fileKeyRef
    assert ref is not None
    if not ref.key:
        errors.append(field.required(f"{path}.key"))
    elif messages := names.relaxed_env_var_name(ref.key):
        errors += field.invalid_each(f"{path}.key", ref.key, messages)
    if not ref.volumeName:
        errors.append(field.required(f"{path}.volumeName"))
    else:
        errors += field.invalid_each(f"{path}.volumeName", ref.volumeName, names.dns1123_label(ref.volumeName))
    if not ref.path:
        errors.append(field.required(f"{path}.path"))
    else:
        paths.no_backsteps(errors, ref.path, f"{path}.path")


def whole_sources(errors: Errors, sources: list[EnvFromSource], path: str) -> None:
    """Findings about `envFrom` at `path`."""
    for index, one in enumerate(sources):
        at = f"{path}[{index}]"
        if one.prefix and (messages := names.relaxed_env_var_name(one.prefix)):
            errors += field.invalid_each(f"{at}.prefix", one.prefix, messages)
        count = 0
        for name in ("configMapRef", "secretRef"):
            ref = getattr(one, name)
            if ref is None:
                continue
            count += 1
            if not ref.name:
                errors.append(field.required(f"{at}.{name}.name"))
            elif messages := names.dns1123_subdomain(names.masked(ref.name)):
                errors += field.invalid_each(f"{at}.{name}.name", ref.name, messages)
        if not count:
            errors.append(field.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif count > 1:
            errors.append(field.invalid(path, "", "may not have more than one field specified at a time"))


def object_field(errors: Errors, ref: ObjectFieldSelector, path: str, allowed: Collection[str]) -> None:
    """A reference to a field of the pod."""
    if not ref.apiVersion:
        errors.append(field.required(f"{path}.apiVersion"))
        return
    if not ref.fieldPath:
        errors.append(field.required(f"{path}.fieldPath"))
        return
    if ref.fieldPath in allowed and ref.apiVersion == "v1":
        return
    if ref.apiVersion != "v1":
        errors.append(field.invalid(f"{path}.fieldPath", ref.fieldPath,
                                    f"error converting fieldPath: unsupported pod version: {ref.apiVersion}"))
        return
    _unusual_field(errors, ref.fieldPath, path, allowed)


def _unusual_field(errors: Errors, wanted: str, path: str, allowed: Collection[str]) -> None:
    name, subscript, key = wanted.removesuffix("']").rpartition("['")
    if subscript and wanted.endswith("']"):
        if name in ("metadata.annotations", "metadata.labels"):
            key = key.lower() if name == "metadata.annotations" else key
            errors += field.invalid_each(path, key, names.qualified_name(key))
        else:
            errors.append(field.invalid(f"{path}.fieldPath", wanted,
                                        "error converting fieldPath: field label does not support subscript: " + wanted))
    elif wanted not in _ALL_FIELDS:
        errors.append(field.invalid(f"{path}.fieldPath", wanted,
                                    f"error converting fieldPath: field label not supported: {wanted}"))
    else:
        internal = "spec.nodeName" if wanted == "spec.host" else wanted
        if internal not in allowed:
            errors.append(field.not_supported(f"{path}.fieldPath", internal, sorted(allowed)))


def resource_field(errors: Errors, ref: ResourceFieldSelector, path: str, *, in_volume: bool) -> None:
    """A reference to a request or limit of a container."""
    if in_volume and not ref.containerName:
        errors.append(field.required(f"{path}.containerName"))
    elif not ref.resource:
        errors.append(field.required(f"{path}.resource"))
    elif ref.resource not in _AMOUNTS and not ref.resource.startswith(_HUGE_PAGES):
        errors.append(field.not_supported(f"{path}.resource", ref.resource, sorted(_AMOUNTS)))
    if quantity.is_zero(ref.divisor):
        return
    name = ref.resource.partition(".")[2]
    if ref.resource in _AMOUNTS and name == "cpu":
        if ref.divisor not in _CPU_DIVISORS:
            errors.append(field.invalid(f"{path}.divisor", ref.resource,
                                        "only divisor's values 1m and 1 are supported with the cpu resource"))
    elif ref.divisor not in _BYTE_DIVISORS and (ref.resource in _AMOUNTS or ref.resource.startswith(_HUGE_PAGES)):
        known = {"memory": "memory", "ephemeral-storage": "local ephemeral storage"}.get(name, "hugepages")
        errors.append(field.invalid(f"{path}.divisor", ref.resource,
                                    f"only divisor's values {', '.join(_BYTE_DIVISORS)} are supported with the {known} resource"))
