"""Validation of security contexts: users and groups, sysctls, seccomp, AppArmor.

Source: kubernetes `pkg/apis/core/validation` (`validatePodSpecSecurityContext`, `ValidateSecurityContext`).
"""

from __future__ import annotations

import re
from typing import Any

from sampan.api import field, names
from sampan.api.core.v1 import AppArmorProfile, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext
from sampan.api.errors import FieldError
from sampan.kinds.core.pod_spec import paths, windows

Errors = list[FieldError]

_MAX_ID = 2**31 - 1
_SYSCTL = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
_sysctl_part = re.compile("[a-z0-9](?:[-_a-z0-9]*(?<![-_]))?").fullmatch
_NETWORK_SYSCTLS = ("net.",)
_IPC_SYSCTLS = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")
_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_MAX_PROFILE = 4095


def _identifier(errors: Errors, value: int | None, path: str) -> None:
    if value is not None and not 0 <= value <= _MAX_ID:
        errors.append(field.invalid(path, value, names.range_error(0, _MAX_ID)))


def pod_context(errors: Errors, context: PodSecurityContext, spec: PodSpec, path: str, *, had_policy: bool = False) -> None:
    """Findings about `spec.securityContext` at `path`. `had_policy`: the pod had a `seLinuxChangePolicy`, and may have any."""
    _identifier(errors, context.fsGroup, f"{path}.fsGroup")
    _identifier(errors, context.runAsUser, f"{path}.runAsUser")
    _identifier(errors, context.runAsGroup, f"{path}.runAsGroup")
    for index, group in enumerate(context.supplementalGroups):
        _identifier(errors, group, f"{path}.supplementalGroups[{index}]")
    if spec.hostPID and spec.shareProcessNamespace:
        errors.append(field.invalid(f"{path}.shareProcessNamespace", value=True,
                                    detail="ShareProcessNamespace and HostPID cannot both be enabled"))
    if context.sysctls:
        _sysctls(errors, context, spec, f"{path}.sysctls")
    _choice(errors, context.fsGroupChangePolicy, ("Always", "OnRootMismatch"), f"{path}.fsGroupChangePolicy")
    seccomp(errors, context.seccompProfile, f"{path}.seccompProfile")
    if context.windowsOptions is not None:
        windows.options(errors, context.windowsOptions, f"{path}.windowsOptions")
    app_armor(errors, context.appArmorProfile, f"{path}.appArmorProfile")
    _choice(errors, context.supplementalGroupsPolicy, ("Merge", "Strict"), f"{path}.supplementalGroupsPolicy")
    policies = ("MountOption", "Recursive") if had_policy else ("Recursive",)  # the gate SELinuxMount is off
    _choice(errors, context.seLinuxChangePolicy, policies, f"{path}.seLinuxChangePolicy")


def _choice(errors: Errors, value: str | None, supported: tuple[str, ...], path: str) -> None:
    if value is not None and value not in supported:
        errors.append(field.not_supported(path, value, supported))


def is_sysctl_name(name: str) -> bool:
    """Segments of small letters, digits, `-` and `_` with `.` or `/` between, at most 253 characters."""
    return len(name) <= 253 and all(map(_sysctl_part, name.replace("/", ".").split(".")))


def _sysctls(errors: Errors, context: PodSecurityContext, spec: PodSpec, path: str) -> None:
    seen: set[str] = set()
    for index, one in enumerate(context.sysctls):
        at = f"{path}[{index}].name"
        if not one.name:
            errors.append(field.required(at))
        elif not is_sysctl_name(one.name):
            errors.append(field.invalid(at, one.name, f"must have at most 253 characters and match regex {_SYSCTL}"))
        elif one.name in seen:
            errors.append(field.duplicate(at, one.name))
        plain = one.name.replace("/", ".")
        if spec.hostNetwork and plain.startswith(_NETWORK_SYSCTLS):
            errors.append(field.invalid(at, one.name, "may not be specified when 'hostNetwork' is true"))
        elif spec.hostIPC and plain.startswith(_IPC_SYSCTLS):
            errors.append(field.invalid(at, one.name, "may not be specified when 'hostIPC' is true"))
        seen.add(one.name)


def seccomp(errors: Errors, profile: SeccompProfile | None, path: str) -> None:
    """A seccomp profile of a pod or container."""
    if profile is None:
        return
    if not profile.type:
        errors.append(field.required(f"{path}.type", "type is required when seccompProfile is set"))
    elif profile.type not in _PROFILES:
        errors.append(field.not_supported(f"{path}.type", profile.type, _PROFILES))
    if profile.type == "Localhost":
        if profile.localhostProfile is None:
            errors.append(field.required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost"))
        else:
            paths.descending(errors, profile.localhostProfile, f"{path}.localhostProfile")
    elif profile.localhostProfile is not None:
        errors.append(field.invalid(f"{path}.localhostProfile", internal_profile(profile),
                                    "can only be set when seccomp type is Localhost"))


def app_armor(errors: Errors, profile: AppArmorProfile | None, path: str) -> None:
    """An AppArmor profile of a pod or container."""
    if profile is None:
        return
    at, local = f"{path}.localhostProfile", profile.localhostProfile
    if profile.type == "Localhost":
        if local is None or not local:
            errors.append(field.required(at, "must be set when AppArmor type is Localhost"))
        elif local != local.strip():
            errors.append(field.invalid(at, local, "must not be padded with whitespace"))
        if local is not None and len(local.encode()) > _MAX_PROFILE:
            errors.append(field.too_long(at, _MAX_PROFILE))
    elif profile.type in ("RuntimeDefault", "Unconfined"):
        if local is not None:
            errors.append(field.invalid(at, local, "can only be set when AppArmor type is Localhost"))
    elif not profile.type:
        errors.append(field.required(f"{path}.type", "type is required when appArmorProfile is set"))
    else:
        errors.append(field.not_supported(f"{path}.type", profile.type, _PROFILES))


def container_context(errors: Errors, context: SecurityContext, path: str, *, host_users: bool) -> None:
    """Findings about a container's `securityContext` at `path`."""
    _identifier(errors, context.runAsUser, f"{path}.runAsUser")
    _identifier(errors, context.runAsGroup, f"{path}.runAsGroup")
    if context.procMount is not None:
        _choice(errors, context.procMount, ("Default", "Unmasked"), f"{path}.procMount")
        if host_users and context.procMount == "Unmasked":
            errors.append(field.invalid(f"{path}.procMount", context.procMount, "`hostUsers` must be false to use `Unmasked`"))
    seccomp(errors, context.seccompProfile, f"{path}.seccompProfile")
    if context.allowPrivilegeEscalation is False:
        if context.privileged:
            errors.append(field.invalid(path, internal_context(context),
                                        "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
        if context.capabilities is not None:
            errors += [field.invalid(path, internal_context(context), "cannot set `allowPrivilegeEscalation` to false and "
                                                                      "`capabilities.Add` CAP_SYS_ADMIN")
                       for name in context.capabilities.add if name == "CAP_SYS_ADMIN"]
    if context.windowsOptions is not None:
        windows.options(errors, context.windowsOptions, f"{path}.windowsOptions")
    app_armor(errors, context.appArmorProfile, f"{path}.appArmorProfile")


def internal_profile(profile: Any) -> dict[str, Any]:
    """A seccomp or AppArmor profile as upstream's messages show it: names of fields, not wire names."""
    return {"Type": profile.type, "LocalhostProfile": profile.localhostProfile}


def internal_context(context: SecurityContext) -> dict[str, Any]:
    """A container's security context as upstream's messages show it."""
    capabilities, selinux, win = context.capabilities, context.seLinuxOptions, context.windowsOptions
    return {
        "Capabilities": capabilities and {"Add": capabilities.add or None, "Drop": capabilities.drop or None},
        "Privileged": context.privileged,
        "SELinuxOptions": selinux and {"User": selinux.user, "Role": selinux.role, "Type": selinux.type, "Level": selinux.level},
        "WindowsOptions": win and {"GMSACredentialSpecName": win.gmsaCredentialSpecName,
                                   "GMSACredentialSpec": win.gmsaCredentialSpec,
                                   "RunAsUserName": win.runAsUserName, "HostProcess": win.hostProcess},
        "RunAsUser": context.runAsUser,
        "RunAsGroup": context.runAsGroup,
        "RunAsNonRoot": context.runAsNonRoot,
        "ReadOnlyRootFilesystem": context.readOnlyRootFilesystem,
        "AllowPrivilegeEscalation": context.allowPrivilegeEscalation,
        "ProcMount": context.procMount,
        "SeccompProfile": context.seccompProfile and internal_profile(context.seccompProfile),
        "AppArmorProfile": context.appArmorProfile and internal_profile(context.appArmorProfile),
    }
