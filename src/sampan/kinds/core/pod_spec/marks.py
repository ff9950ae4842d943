"""Validation of the annotations that mean something in a pod: mirror pods, deletion cost, seccomp, AppArmor.

Source: kubernetes `pkg/apis/core/validation` (`ValidatePodSpecificAnnotations`, `validateSeccompAnnotationsAndFields`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sampan.api import field, names
from sampan.api.core.v1 import AppArmorProfile, PodSpec, SeccompProfile
from sampan.api.errors import FieldError
from sampan.kinds.core.pod_spec import paths
from sampan.kinds.core.pod_spec.windows import every_container

Errors = list[FieldError]

MIRROR = "kubernetes.io/config.mirror"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"

_MAX_BYTES = 256 * 1024
_COST = re.compile(r"(0|[+-]?[1-9]\d*|-0)")
_SECCOMP_MISMATCH = "seccomp {} in annotation and field must match"
_APP_ARMOR_MISMATCH = "apparmor {} in annotation and field must match"


def keys_and_size(errors: Errors, values: Mapping[str, str], path: str) -> None:
    """Keys and the size of all (`ValidateAnnotations`)."""
    for key in values:
        if messages := names.qualified_name(key.lower() if not key.islower() else key):
            errors += field.invalid_each(path, key, messages)
    if sum(len(key) + len(value) for key, value in values.items()) > _MAX_BYTES // 4 and sum(
            len(key.encode()) + len(value.encode()) for key, value in values.items()) > _MAX_BYTES:
        errors.append(field.too_long(path, _MAX_BYTES))


def pod_annotations(errors: Errors, values: Mapping[str, str], spec: PodSpec, path: str,
                    old: Mapping[str, str] | None = None) -> None:
    """Annotations with a meaning of their own; `old` are the stored ones."""
    if MIRROR in values and not spec.nodeName:
        errors.append(field.invalid(f"{path}[{MIRROR}]", values[MIRROR],
                                    "must set spec.nodeName if mirror pod annotation is set"))
    cost = values.get(DELETION_COST)
    if cost is not None and not is_deletion_cost(cost) and (old is None or is_deletion_cost(old.get(DELETION_COST, "0"))):
        errors.append(field.invalid(f"{path}[{DELETION_COST}]", cost, "must be a 32bit integer"))
    for key, value in values.items():
        if key == SECCOMP_POD or key.startswith(SECCOMP_CONTAINER):
            _seccomp_value(errors, value, f"{path}.{key}")
        elif key.startswith(APP_ARMOR):
            name = key.removeprefix(APP_ARMOR)
            if all(container.name != name for container, _ in every_container(spec, "")):
                errors.append(field.invalid(f"{path}[{key}]", name, "container not found"))
            if value not in ("", "runtime/default", "unconfined") and not value.startswith("localhost/"):
                errors.append(field.invalid(f"{path}[{key}]", value, f'invalid AppArmor profile name: "{value}"'))


def is_deletion_cost(text: str) -> bool:
    """A whole number of 32 bits, without leading zeros or plus sign."""
    return (bool(_COST.fullmatch(text)) and not text.startswith("+") and len(text) < 12
            and -(2**31) <= int(text) < 2**31)


def _seccomp_value(errors: Errors, value: str, path: str) -> None:
    if value in ("runtime/default", "docker/default", "unconfined"):
        return
    if value.startswith("localhost/"):
        paths.descending(errors, value.removeprefix("localhost/"), path)
    else:
        errors.append(field.invalid(path, value, "must be a valid seccomp profile"))


def match_fields(errors: Errors, values: Mapping[str, str], spec: PodSpec, path: str) -> None:
    """Old annotations must agree with the fields that replaced them (on creation)."""
    if not any(key.startswith((SECCOMP_POD, SECCOMP_CONTAINER, APP_ARMOR)) for key in values):
        return
    whole = spec.securityContext
    if whole is not None and whole.seccompProfile is not None and SECCOMP_POD in values:
        _seccomp_matches(errors, values[SECCOMP_POD], whole.seccompProfile, f"{path}.securityContext.seccompProfile")
    for container, at in every_container(spec, path):
        own = container.securityContext
        value = values.get(f"{SECCOMP_CONTAINER}{container.name}")
        if value is not None and own is not None and own.seccompProfile is not None:
            _seccomp_matches(errors, value, own.seccompProfile, f"{at}.securityContext.seccompProfile")
    if spec.os is not None and spec.os.name == "windows":
        return
    for container, at in every_container(spec, path):
        own = container.securityContext
        profile = own.appArmorProfile if own is not None and own.appArmorProfile is not None else (
            whole.appArmorProfile if whole is not None else None)
        value = values.get(f"{APP_ARMOR}{container.name}")
        if value is not None and profile is not None:
            _matches(errors, value, profile, f"{at}.securityContext.appArmorProfile", _APP_ARMOR_MISMATCH,
                     {"Unconfined": ("unconfined",), "RuntimeDefault": ("runtime/default",)})


def _seccomp_matches(errors: Errors, value: str, profile: SeccompProfile, path: str) -> None:
    _matches(errors, value, profile, path, _SECCOMP_MISMATCH,
             {"Unconfined": ("unconfined",), "RuntimeDefault": ("runtime/default", "docker/default")})


def _matches(errors: Errors, value: str, profile: SeccompProfile | AppArmorProfile, path: str, words: str,
             plain: Mapping[str, tuple[str, ...]]) -> None:
    if profile.type in plain:
        if value not in plain[profile.type]:
            errors.append(field.forbidden(f"{path}.type", words.format("type")))
    elif profile.type == "Localhost":
        if not value.startswith("localhost/"):
            errors.append(field.forbidden(f"{path}.type", words.format("type")))
        elif value.removeprefix("localhost/") != profile.localhostProfile:
            errors.append(field.forbidden(f"{path}.localhostProfile", words.format("profile")))


def app_armor_of_annotation(value: str) -> AppArmorProfile | None:
    """The profile that an annotation names, if it names a valid one."""
    if value == "unconfined":
        return AppArmorProfile(type="Unconfined")
    if value == "runtime/default":
        return AppArmorProfile(type="RuntimeDefault")
    local = value.removeprefix("localhost/")
    if value.startswith("localhost/") and local and local == local.strip():
        return AppArmorProfile(type="Localhost", localhostProfile=local)
    return None
